//! A TCP proxy in front of a component that holds, drops or cuts what a rule names.
//!
//! Messages of Kafka are told apart by their API key, replies by the request that they answer, so
//! that a test can lose the reply of one commit and nothing else.

use std::{
    collections::HashMap,
    io::{Read, Result, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread,
};

use super::ports::free_port;

/// Kafka's API key of `EndTxn`: the commit or abort of a transaction.
pub(crate) const END_TXN: i16 = 26;

/// Kafka's API key of `Produce`: records for a topic.
pub(crate) const PRODUCE: i16 = 0;

/// How the bytes are cut into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Length-prefixed requests and replies with API keys and correlation ids.
    Kafka,
    /// Whatever one read returns is a message.
    Raw,
}

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client to the component.
    Requests,
    /// From the component to the client.
    Replies,
}

/// What happens to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Kept until [`Proxy::clear`], which delivers it.
    Hold,
    /// Swallowed; the connection stays.
    Drop,
    /// Swallowed, and the connection is closed: on replies, a request that was carried out and
    /// whose answer is lost.
    Cut,
}

/// Which messages, and what happens to them.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    direction: Direction,
    action: Action,
    api_key: Option<i16>,
    left: Option<usize>,
}

impl Rule {
    /// All messages of a direction.
    pub(crate) fn new(direction: Direction, action: Action) -> Self {
        Self { direction, action, api_key: None, left: None }
    }

    /// Only requests of this API key, or the replies to them.
    pub(crate) fn of(self, api_key: i16) -> Self {
        Self { api_key: Some(api_key), ..self }
    }

    /// Only the next `count` of them.
    pub(crate) fn times(self, count: usize) -> Self {
        Self { left: Some(count), ..self }
    }
}

/// A listening proxy; it closes all its connections when dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a free loopback port and connects each client to `target`.
    pub(crate) fn start(protocol: Protocol, target: u16) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let shared = Arc::new(Shared { protocol, ..Shared::default() });
        let weak = Arc::downgrade(&shared);
        thread::spawn(move || accept(&listener, &weak, target));
        Self { port, shared }
    }

    /// The port that clients connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Adds a rule; the first that fits a message counts.
    pub(crate) fn apply(&self, rule: Rule) {
        self.shared.state().rules.push(rule);
    }

    /// Removes all rules and delivers what was held, in order.
    pub(crate) fn clear(&self) {
        let mut state = self.shared.state();
        state.rules.clear();
        for (to, message) in std::mem::take(&mut state.held) {
            // refused where that connection is gone: then the message is lost with it
            (&*to).write_all(&message).unwrap_or_default();
        }
    }

    /// How many messages rules have acted on so far.
    pub(crate) fn hits(&self) -> usize {
        self.shared.state().hits
    }

    /// How many requests of an API key have come so far, dropped ones included.
    pub(crate) fn seen(&self, api_key: i16) -> usize {
        self.shared.state().seen.get(&api_key).copied().unwrap_or_default()
    }

    /// Closes every connection; what is held is lost. New ones are accepted.
    pub(crate) fn cut(&self) {
        let mut state = self.shared.state();
        state.held.clear();
        for socket in state.sockets.drain(..) {
            close(&socket);
        }
    }

    /// From now on closes each new connection at once, or no longer.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.shared.state().refuse = refuse;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.cut();
        // wakes the listener, which then sees that it is closed
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

#[derive(Debug)]
struct Shared {
    protocol: Protocol,
    state: Mutex<State>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { protocol: Protocol::Raw, state: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    held: Vec<(Arc<TcpStream>, Vec<u8>)>,
    sockets: Vec<Arc<TcpStream>>,
    seen: HashMap<i16, usize>,
    hits: usize,
    refuse: bool,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn action(&mut self, direction: Direction, api_key: Option<i16>) -> Option<Action> {
        let rule = self.rules.iter_mut().find(|rule| {
            rule.direction == direction
                && rule.left != Some(0)
                && (rule.api_key.is_none() || rule.api_key == api_key)
        })?;
        rule.left = rule.left.map(|left| left - 1);
        self.hits += 1;
        Some(rule.action)
    }
}

fn accept(listener: &TcpListener, shared: &Weak<Shared>, target: u16) {
    for client in listener.incoming().flatten() {
        let Some(shared) = shared.upgrade() else { return };
        let mut state = shared.state();
        if state.closed {
            return;
        }
        if state.refuse {
            continue;
        }
        let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
        let (client, server) = (Arc::new(client), Arc::new(server));
        for socket in [&client, &server] {
            socket.set_nodelay(true).unwrap_or_default();
            state.sockets.push(Arc::clone(socket));
        }
        drop(state);
        let pending = Arc::new(Mutex::new(HashMap::new()));
        for direction in [Direction::Requests, Direction::Replies] {
            let (from, to) = match direction {
                Direction::Requests => (Arc::clone(&client), Arc::clone(&server)),
                Direction::Replies => (Arc::clone(&server), Arc::clone(&client)),
            };
            let way = Way {
                direction,
                from,
                to,
                shared: Arc::clone(&shared),
                pending: Arc::clone(&pending),
            };
            thread::spawn(move || way.run());
        }
    }
}

/// One direction of one connection.
struct Way {
    direction: Direction,
    from: Arc<TcpStream>,
    to: Arc<TcpStream>,
    shared: Arc<Shared>,
    /// API keys of the requests that wait for their reply, by correlation id.
    pending: Arc<Mutex<HashMap<[u8; 4], i16>>>,
}

impl Way {
    fn run(self) {
        // any end, the peer's or a rule's, ends both directions
        self.pump().unwrap_or_default();
        close(&self.from);
        close(&self.to);
        let ours = |socket: &Arc<TcpStream>| {
            Arc::ptr_eq(socket, &self.from) || Arc::ptr_eq(socket, &self.to)
        };
        self.shared.state().sockets.retain(|socket| !ours(socket));
    }

    fn pump(&self) -> Result<()> {
        while let Some(message) = self.read()? {
            let api_key = self.api_key(&message);
            let mut state = self.shared.state();
            if let (Direction::Requests, Some(key)) = (self.direction, api_key) {
                *state.seen.entry(key).or_default() += 1;
            }
            match state.action(self.direction, api_key) {
                Some(Action::Hold) => state.held.push((Arc::clone(&self.to), message)),
                Some(Action::Drop) => {}
                Some(Action::Cut) => return Ok(()),
                None => {
                    drop(state);
                    (&*self.to).write_all(&message)?;
                }
            }
        }
        Ok(())
    }

    fn read(&self) -> Result<Option<Vec<u8>>> {
        let mut from = &*self.from;
        if self.shared.protocol == Protocol::Raw {
            let mut message = vec![0; 64 * 1024];
            let length = from.read(&mut message)?;
            message.truncate(length);
            return Ok((length > 0).then_some(message));
        }
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut message = length.to_vec();
        let body = u64::from(u32::from_be_bytes(length));
        let got = from.take(body).read_to_end(&mut message)?;
        Ok((got as u64 == body).then_some(message))
    }

    /// The API key of a request, or of the request that a reply answers.
    fn api_key(&self, message: &[u8]) -> Option<i16> {
        if self.shared.protocol == Protocol::Raw {
            return None;
        }
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        match self.direction {
            Direction::Requests => {
                let key = i16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
                pending.insert(message.get(8..12)?.try_into().ok()?, key);
                Some(key)
            }
            Direction::Replies => pending.remove(message.get(4..8)?),
        }
    }
}

fn close(socket: &TcpStream) {
    // fails where the peer was faster
    socket.shutdown(Shutdown::Both).unwrap_or_default();
}
