//! What the accounts' own pollers know of the connection-wide feed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;

/// Whether somebody else asks for an account's rows, and how often it still looks for itself.
#[derive(Debug, Clone, Default)]
pub struct Served {
    live: Arc<AtomicBool>,
    history_read: CancellationToken,
    /// Between two looks at an account alone.
    check_interval: Duration,
}

impl Served {
    /// No feed yet; once there is one, each account is looked at alone that often.
    pub fn new(check_interval: Duration) -> Self {
        Self { check_interval, ..Self::default() }
    }

    /// Whether the feed asks for new rows, so that an account need not.
    pub fn live(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    /// Between two looks at an account alone, above its cursor and over the look-back; `None` where
    /// there is no feed and it polls for itself.
    pub fn looks(&self) -> Option<Duration> {
        self.live().then_some(self.check_interval)
    }

    /// Completes once the feed has read what history it can; at once where there is no feed.
    pub async fn history_read(&self) {
        if self.live() {
            self.history_read.cancelled().await;
        }
    }

    /// Whether the feed has read what history it can.
    pub(super) fn has_read_history(&self) -> bool {
        self.history_read.is_cancelled()
    }

    /// The feed has read what history it can: the rest is its accounts' own.
    pub(super) fn end_history(&self) {
        self.history_read.cancel();
    }

    /// The feed starts: with the accounts, or later, when each of them reads its own history.
    pub fn start(&self, with_history: bool) {
        self.live.store(true, Ordering::Relaxed);
        if !with_history {
            self.history_read.cancel();
        }
    }
}
