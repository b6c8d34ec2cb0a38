//! How much history of a connection, and how many of its look-backs, may be on their way at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Windows of history on their way, from their request to their commit.
const WINDOWS: usize = 16;
/// Look-backs on their way, each with one window at a time.
const LOOK_BACKS: usize = 16;

/// Rooms for windows of history and for look-backs; clones share them.
///
/// Thousands of pollers that read faster than their shard commits would hold all of their answers
/// at once. Live polls need no room: they must not wait for history. Nor must look-backs, which have a
/// larger share of the quota: where it is used up, the windows of history hold their rooms for long.
#[derive(Debug, Clone)]
pub struct Rooms {
    history: Arc<Semaphore>,
    look_backs: Arc<Semaphore>,
}

/// Room for one window, until the value ends; the default is none at all.
#[derive(Debug, Default)]
pub struct Room {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Rooms {
    /// Waits for a room for a window of history.
    pub async fn take(&self) -> Room {
        take(&self.history).await
    }

    /// Waits for a room for a look-back.
    pub async fn take_for_look_back(&self) -> Room {
        take(&self.look_backs).await
    }
}

async fn take(rooms: &Arc<Semaphore>) -> Room {
    // The semaphore is never closed; without a permit the window would be read all the same.
    Room { _permit: Arc::clone(rooms).acquire_owned().await.ok() }
}

impl Default for Rooms {
    fn default() -> Self {
        let of = |rooms| Arc::new(Semaphore::new(rooms));
        Self { history: of(WINDOWS), look_backs: of(LOOK_BACKS) }
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
        let look_back = timeout(Duration::from_secs(1), rooms.take_for_look_back()).await;
        assert!(look_back.is_ok(), "it waits for no history");
        drop(first);
        assert!(timeout(Duration::from_secs(1), rooms.take()).await.is_ok());
        drop(others);
    }
}
