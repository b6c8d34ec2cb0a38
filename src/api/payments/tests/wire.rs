//! A server of bare bytes: it does one scripted thing to every connection, and keeps what it read.

use std::sync::Mutex;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    api::client::tests::{TOKEN, fake::connection},
    telemetry::metrics::Metrics,
};

/// What is done to a connection.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Answers with a token and keeps the connection.
    Token,
    /// Reads so many bytes and closes.
    Close { after_bytes: usize },
    /// Reads so many bytes and resets the connection.
    Reset { after_bytes: usize },
    /// Answers every request of the connection with these bytes, as long as the client keeps it.
    Keep(String),
    /// Reads the request, writes these bytes and closes.
    Reply(String),
    /// Reads the request, writes these bytes and keeps silent.
    Silent(String),
    /// Reads the request, writes these bytes and then spaces for ever.
    Trickle(String),
}

impl Act {
    pub(super) fn reply(bytes: &str) -> Self {
        Self::Reply(bytes.to_owned())
    }

    pub(super) fn answer(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Reply(format!(
            "HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
    }
}

/// The server.
pub(super) struct Wire {
    pub(super) url: String,
    act: Arc<Mutex<Act>>,
    /// What was read from each connection since the last act was set.
    read: Arc<Mutex<Vec<Vec<u8>>>>,
    metrics: Arc<Metrics>,
    dir: tempfile::TempDir,
}

impl Wire {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (act, read) = (Arc::new(Mutex::new(Act::Token)), Arc::<Mutex<Vec<Vec<u8>>>>::default());
        let (script, log) = (Arc::clone(&act), Arc::clone(&read));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let act = script.lock().unwrap().clone();
                let place = (!matches!(act, Act::Token)).then(|| {
                    let mut log = log.lock().unwrap();
                    log.push(Vec::new());
                    log.len() - 1
                });
                let log = Arc::clone(&log);
                let keep = move |bytes: &[u8]| {
                    if let Some(place) = place {
                        log.lock().unwrap()[place].extend_from_slice(bytes);
                    }
                };
                tokio::spawn(serve(stream, act, keep));
            }
        });
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "k").unwrap();
        std::fs::write(dir.path().join("secret"), "s").unwrap();
        Self { url, act, read, metrics: Arc::new(Metrics::new()), dir }
    }

    /// A client that already has its token.
    pub(super) async fn client(&self) -> Client {
        let settings = Arc::new(connection(&self.url, self.dir.path()));
        let client = Client::new(&settings, Arc::clone(&self.metrics)).unwrap();
        self.set(Act::Token);
        client.check_access(Api::VirtualPos).await.unwrap();
        client
    }

    /// What happens to connections from now on.
    pub(super) fn set(&self, act: Act) {
        *self.act.lock().unwrap() = act;
    }

    /// Connections that were not for a token.
    pub(super) fn connections(&self) -> usize {
        self.read.lock().unwrap().len()
    }

    /// How often the request was begun, on all connections together.
    pub(super) fn posts(&self) -> usize {
        let read = self.read.lock().unwrap();
        read.iter().map(|bytes| String::from_utf8_lossy(bytes).matches("POST /").count()).sum()
    }

    /// The request, where there was one connection with one request.
    pub(super) fn only_request(&self) -> String {
        assert_eq!((self.connections(), self.posts()), (1, 1));
        String::from_utf8(self.read.lock().unwrap()[0].clone()).unwrap()
    }

    /// How often the call is counted under a code.
    pub(super) fn requests(&self, code: &str) -> u64 {
        self.metrics.api_requests.with_label_values(&["acme", "change_payment", code]).get()
    }
}

async fn serve(mut stream: TcpStream, act: Act, keep: impl Fn(&[u8])) {
    match act {
        Act::Token => {
            while !read_request(&mut stream, &keep).await.is_empty() {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", TOKEN.len());
                write(&mut stream, &format!("{head}{TOKEN}")).await;
            }
        }
        Act::Keep(bytes) => {
            while !read_request(&mut stream, &keep).await.is_empty() {
                write(&mut stream, &bytes).await;
            }
        }
        Act::Close { after_bytes } => read_bytes(&mut stream, after_bytes, &keep).await,
        Act::Reset { after_bytes } => {
            read_bytes(&mut stream, after_bytes, &keep).await;
            stream.set_zero_linger().unwrap();
        }
        Act::Reply(bytes) => {
            read_request(&mut stream, &keep).await;
            write(&mut stream, &bytes).await;
            drain(&mut stream, &keep).await;
        }
        Act::Silent(bytes) => {
            read_request(&mut stream, &keep).await;
            write(&mut stream, &bytes).await;
            // Until the client goes; whatever else it writes is kept.
            while read_some(&mut stream, &keep).await > 0 {}
        }
        Act::Trickle(bytes) => {
            read_request(&mut stream, &keep).await;
            write(&mut stream, &bytes).await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

async fn write(stream: &mut TcpStream, text: &str) {
    // A client that has gone is a case of its own.
    drop(stream.write_all(text.as_bytes()).await);
}

/// Closes the sending side and reads the rest, so that no reset overtakes the answer.
async fn drain(stream: &mut TcpStream, keep: &impl Fn(&[u8])) {
    drop(stream.shutdown().await);
    while read_some(stream, keep).await > 0 {}
}

async fn read_some(stream: &mut TcpStream, keep: &impl Fn(&[u8])) -> usize {
    let mut chunk = [0; 4096];
    let count = stream.read(&mut chunk).await.unwrap_or(0);
    keep(&chunk[..count]);
    count
}

async fn read_bytes(stream: &mut TcpStream, count: usize, keep: &impl Fn(&[u8])) {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.unwrap();
    keep(&bytes);
}

/// One request with its body; empty where the client closed before one. A handshake of TLS counts
/// as one, too.
async fn read_request(stream: &mut TcpStream, keep: &impl Fn(&[u8])) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).await.unwrap_or(0);
        keep(&chunk[..count]);
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let is_tls = bytes.first() == Some(&0x16);
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            body.len() >= length.map_or(0, |length| length.parse().unwrap())
        });
        if count == 0 || whole || is_tls {
            return bytes;
        }
    }
}
