//! How much history of a connection may be on its way at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Windows on their way, from their request to their commit.
const WINDOWS: usize = 16;

/// Rooms for windows of history; clones share them.
///
/// Thousands of pollers that read faster than their shard commits would hold all of their answers
/// at once. Live polls need no room: they must not wait for history.
#[derive(Debug, Clone)]
pub struct Rooms(Arc<Semaphore>);

/// Room for one window, until the value ends; the default is none at all.
#[derive(Debug, Default)]
pub struct Room {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Rooms {
    /// Waits for a room.
    pub async fn take(&self) -> Room {
        // The semaphore is never closed; without a permit the window would be read all the same.
        Room { _permit: Arc::clone(&self.0).acquire_owned().await.ok() }
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WINDOWS)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_more_window_waits_until_another_is_done() {
        let rooms = Rooms::default();
        let first = rooms.take().await;
        let others = futures_util::future::join_all((1..WINDOWS).map(|_| rooms.take())).await;
        assert!(timeout(Duration::from_secs(1), rooms.take()).await.is_err());
        drop(first);
        assert!(timeout(Duration::from_secs(1), rooms.take()).await.is_ok());
        drop(others);
    }
}
