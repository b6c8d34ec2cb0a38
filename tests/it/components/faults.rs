//! The proxy's rules, before a stand-in that answers each request with its own correlation id.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use crate::harness::{
    proxy::{Action, Direction, END_TXN, Protocol, Proxy, Rule},
    wait::{GENEROUS, wait_until},
};

const METADATA: i16 = 3;
/// How long silence has to last to count; what would break it comes in microseconds.
const SILENCE: Duration = Duration::from_millis(100);

/// A proxy before a server that repeats each request's correlation id.
fn proxied() -> (Proxy, Client) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut client in server.incoming().flatten() {
            thread::spawn(move || {
                let mut request = [0; 12];
                while client.read_exact(&mut request).is_ok() {
                    let [.., a, b, c, d] = request;
                    client.write_all(&[0, 0, 0, 4, a, b, c, d]).unwrap_or_default();
                }
            });
        }
    });
    let proxy = Proxy::start(Protocol::Kafka, port);
    let client = Client::connect(&proxy);
    (proxy, client)
}

struct Client(TcpStream);

impl Client {
    fn connect(proxy: &Proxy) -> Self {
        Self(TcpStream::connect(("127.0.0.1", proxy.port())).unwrap())
    }

    fn ask(&mut self, api_key: i16, id: u8) {
        let [high, low] = api_key.to_be_bytes();
        self.0.write_all(&[0, 0, 0, 8, high, low, 0, 0, 0, 0, 0, id]).unwrap();
    }

    /// The correlation id of the next reply, `None` for silence; panics at a closed connection.
    fn reply(&mut self, patience: Duration) -> Option<u8> {
        self.0.set_read_timeout(Some(patience)).unwrap();
        let mut reply = [0; 8];
        match self.0.read_exact(&mut reply) {
            Ok(()) => reply.last().copied(),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(e) => panic!("the connection ended: {e}"),
        }
    }

    fn is_closed(&mut self) -> bool {
        self.0.set_read_timeout(Some(GENEROUS)).unwrap();
        match self.0.read(&mut [0; 1]) {
            Ok(length) => length == 0,
            Err(e) => e.kind() == ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn a_held_reply_lets_others_pass_and_comes_at_the_end() {
    let (proxy, mut client) = proxied();
    proxy.apply(Rule::new(Direction::Replies, Action::Hold).of(END_TXN));
    client.ask(END_TXN, 1);
    client.ask(METADATA, 2);
    assert_eq!(client.reply(GENEROUS), Some(2));
    assert_eq!(client.reply(SILENCE), None);
    assert_eq!((proxy.hits(), proxy.seen(END_TXN), proxy.seen(METADATA)), (1, 1, 1));
    proxy.clear();
    assert_eq!(client.reply(GENEROUS), Some(1));
}

#[test]
fn a_held_request_is_carried_out_when_let_go() {
    let (proxy, mut client) = proxied();
    proxy.apply(Rule::new(Direction::Requests, Action::Hold));
    client.ask(METADATA, 1);
    wait_until("it is held", GENEROUS, || proxy.hits() == 1);
    assert_eq!(client.reply(SILENCE), None);
    proxy.clear();
    assert_eq!(client.reply(GENEROUS), Some(1));
}

#[test]
fn a_dropped_message_is_never_answered_and_the_next_is() {
    for direction in [Direction::Requests, Direction::Replies] {
        let (proxy, mut client) = proxied();
        proxy.apply(Rule::new(direction, Action::Drop).of(END_TXN).times(1));
        client.ask(END_TXN, 1);
        client.ask(END_TXN, 2);
        assert_eq!(client.reply(GENEROUS), Some(2));
        assert_eq!(client.reply(SILENCE), None);
        assert_eq!((proxy.hits(), proxy.seen(END_TXN)), (1, 2));
    }
}

#[test]
fn a_cut_closes_the_connection_and_new_ones_work_unless_refused() {
    for direction in [Direction::Requests, Direction::Replies] {
        let (proxy, mut client) = proxied();
        proxy.apply(Rule::new(direction, Action::Cut).times(1));
        client.ask(METADATA, 1);
        assert!(client.is_closed());
        let mut second = Client::connect(&proxy);
        second.ask(METADATA, 2);
        assert_eq!(second.reply(GENEROUS), Some(2));
        proxy.cut();
        assert!(second.is_closed());
        proxy.refuse(true);
        assert!(Client::connect(&proxy).is_closed());
        proxy.refuse(false);
        let mut third = Client::connect(&proxy);
        third.ask(METADATA, 3);
        assert_eq!(third.reply(GENEROUS), Some(3));
    }
}
