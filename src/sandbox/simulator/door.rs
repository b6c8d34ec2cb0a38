//! The listening socket, which faults may slam: connections that are reset before a byte is read,
//! and a port that refuses connections for a while.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::serve::Listener;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{mpsc, oneshot},
    time::{Instant, sleep, sleep_until},
};

use super::world::World;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// After a failure of the system, which is usually a lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// A wish to refuse connections for so long, and whom to tell that it has begun.
pub(super) type Slam = (Duration, oneshot::Sender<()>);

/// A listening socket that follows the faults.
#[derive(Debug)]
pub(super) struct Door {
    addr: SocketAddr,
    open: Option<TcpListener>,
    slams: mpsc::Receiver<Slam>,
    world: Arc<World>,
}

impl Door {
    pub(super) const fn new(
        listener: TcpListener,
        addr: SocketAddr,
        slams: mpsc::Receiver<Slam>,
        world: Arc<World>,
    ) -> Self {
        Self { addr, open: Some(listener), slams, world }
    }

    /// Refuses connections until the time is over; the last wish counts.
    async fn stay_shut(&mut self, (time, begun): Slam) {
        self.open = None;
        // The port stays ours: bound and not listening, it refuses whoever knocks.
        let held = hold(self.addr);
        let mut until = Instant::now() + time;
        // Whoever wished it may have gone.
        begun.send(()).ok();
        loop {
            tokio::select! {
                () = sleep_until(until) => break,
                Some((time, begun)) = self.slams.recv() => {
                    until = Instant::now() + time;
                    begun.send(()).ok();
                }
            }
        }
        self.open = held.and_then(|socket| socket.listen(BACKLOG)).ok();
    }

    /// One connection that nobody resets; nothing where the system failed for a moment.
    async fn next(&mut self) -> Option<(TcpStream, SocketAddr)> {
        let Some(listener) = &self.open else {
            sleep(PAUSE).await;
            self.open = hold(self.addr).and_then(|socket| socket.listen(BACKLOG)).ok();
            return None;
        };
        let slam = tokio::select! {
            biased;
            Some(slam) = self.slams.recv() => slam,
            accepted = listener.accept() => {
                let Ok((stream, from)) = accepted else {
                    sleep(PAUSE).await;
                    return None;
                };
                if self.world.faults().draw_reset() {
                    // Closed without lingering, it is a reset.
                    drop(stream.set_zero_linger());
                    return None;
                }
                return Some((stream, from));
            }
        };
        self.stay_shut(slam).await;
        None
    }
}

fn hold(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of before still use the port.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

impl Listener for Door {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if let Some(accepted) = self.next().await {
                return accepted;
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}
