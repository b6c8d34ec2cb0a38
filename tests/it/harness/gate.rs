//! An HTTP server in front of another one, which can refuse, fall silent or lie.

use std::{
    fmt,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// The server behind answers it.
    Through,
    /// The connection is closed.
    Closed,
    /// Nothing ever comes.
    Silence,
    /// This answer comes: a status line and a content type, and the body.
    Answer(&'static str, String),
}

type Rule = Box<dyn FnMut(&str) -> Way + Send>;

/// A gate that decides about each request by its head and body.
pub(crate) struct Gate {
    address: SocketAddr,
    rule: Arc<Mutex<Rule>>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Gate {
    /// Listens in front of `target`.
    pub(crate) fn before(
        target: SocketAddr,
        rule: impl FnMut(&str) -> Way + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(rule)));
        let shared = Arc::clone(&rule);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let rule = Arc::clone(&shared);
                // either side may go away in the middle: that is what gates are for
                thread::spawn(move || serve(client, target, &rule).unwrap_or_default());
            }
        });
        Self { address, rule }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on decides like this.
    pub(crate) fn set(&self, rule: impl FnMut(&str) -> Way + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }
}

/// One request a connection: every answer closes it.
fn serve(client: TcpStream, target: SocketAddr, rule: &Mutex<Rule>) -> std::io::Result<()> {
    let mut reader = BufReader::new(&client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            break;
        }
        if !lower.starts_with("connection:") {
            head += &line;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let text = format!("{head}\r\n{}", String::from_utf8_lossy(&body));
    let way = rule.lock().unwrap()(&text);
    match way {
        Way::Closed => {}
        Way::Silence => drop((&client).read(&mut [0; 1])?),
        Way::Answer(start, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {start}\r\nContent-Length: {length}\r\nConnection: close");
            (&client).write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
        }
        Way::Through => {
            let mut server = TcpStream::connect(target)?;
            server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
            server.write_all(&body)?;
            std::io::copy(&mut server, &mut &client)?;
        }
    }
    Ok(())
}
