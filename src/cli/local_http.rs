//! One GET to our own listener, with nothing but the standard library.
//!
//! The probes run in images without a shell and must not start an HTTP stack with TLS to ask a
//! neighbour on loopback. HTTP/1.0, so that the answer ends with the connection.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

const TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Status and body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Asks `http://host:port` for a path.
pub(crate) fn get(base_url: &str, path: &str) -> io::Result<Answer> {
    let wrong = |message| io::Error::new(io::ErrorKind::InvalidInput, message);
    let rest = base_url.strip_prefix("http://").ok_or_else(|| wrong("the URL must be http://"))?;
    let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.trim_end_matches('/');
    let slash = if prefix.is_empty() { "" } else { "/" };
    let mut last = wrong("the name has no address");
    let with_port =
        if has_port(authority) { authority.to_owned() } else { format!("{authority}:80") };
    for address in with_port.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return ask(stream, authority, &format!("{slash}{prefix}{path}")),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn has_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
}

fn ask(mut stream: TcpStream, host: &str, path: &str) -> io::Result<Answer> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {host}\r\naccept: */*\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(wrong)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(wrong)?;
    Ok(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn status_and_body_are_read_to_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            // Closing with unread bytes would reset the connection under the answer.
            while !request.ends_with(b"\r\n\r\n") {
                let mut part = [0; 256];
                let length = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..length]);
            }
            stream
                .write_all(b"HTTP/1.0 503 Service Unavailable\r\na: b\r\n\r\nnot\r\nready")
                .unwrap();
            String::from_utf8(request).unwrap()
        });
        let answer = get(&format!("http://{address}/"), "/readyz?x").unwrap();
        assert_eq!(answer, Answer { status: 503, body: "not\r\nready".to_owned() });
        assert!(server.join().unwrap().starts_with("GET /readyz?x HTTP/1.0\r\n"));
    }

    #[test]
    fn other_schemes_are_refused() {
        assert!(get("https://x", "/").is_err());
    }
}
