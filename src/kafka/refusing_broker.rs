//! A broker that knows nobody, for tests.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

/// A broker that answers every SASL handshake with "no such mechanism".
pub(super) fn broker_that_refuses() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Ends when the client goes.
            thread::spawn(move || refuse(stream));
        }
    });
    address
}

fn refuse(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let mut size = [0; 4];
        stream.read_exact(&mut size)?;
        let mut request = vec![0; usize::try_from(u32::from_be_bytes(size)).unwrap()];
        stream.read_exact(&mut request)?;
        // The correlation id, then the error.
        let mut answer = request[4..8].to_vec();
        if request[..2] == [0, 18] {
            // ApiVersions 3: none; metadata, SaslHandshake 0 and this one are known.
            answer.extend([0, 0, 4]);
            for (key, newest) in [(3, 1), (17, 0), (18, 3)] {
                answer.extend([0, key, 0, 0, 0, newest, 0]);
            }
            answer.extend([0; 5]);
        } else {
            // SaslHandshake: UNSUPPORTED_SASL_MECHANISM, and the one that there is.
            answer.extend([0, 33, 0, 0, 0, 1, 0, 6]);
            answer.extend(b"GSSAPI");
        }
        let length = u32::try_from(answer.len()).unwrap().to_be_bytes();
        stream.write_all(&[length.as_slice(), &answer].concat())?;
    }
}
