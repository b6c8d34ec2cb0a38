//! Free loopback ports, below the range from which the system takes ports for outgoing connections.

use std::{
    net::TcpListener,
    process,
    sync::atomic::{AtomicU16, Ordering},
};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that nothing listens on and that this process has not handed out before.
///
/// A component keeps it over restarts: an ephemeral port could be taken by a client in between.
pub(crate) fn free_port() -> u16 {
    let spread = u16::try_from(u64::from(process::id()) * 131 % u64::from(COUNT)).unwrap();
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (spread + step % COUNT) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free loopback port between {FIRST} and {}", FIRST + COUNT);
}
