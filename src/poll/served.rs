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
    /// The feed is refused, or keeps failing.
    out: Arc<AtomicBool>,
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
        self.has_feed() && !self.is_out()
    }

    /// Whether there is a feed, whatever becomes of its calls.
    pub fn has_feed(&self) -> bool {
        self.live.load(Ordering::Relaxed)
    }

    /// Whether the feed's calls fail, so that each account asks for itself until they work again.
    pub(super) fn is_out(&self) -> bool {
        self.out.load(Ordering::Relaxed)
    }

    /// Between two looks at an account alone, above its cursor and over the look-back; `None` where
    /// no feed asks for it and it polls for itself.
    pub fn looks(&self) -> Option<Duration> {
        self.live().then_some(self.check_interval)
    }

    /// Completes once the feed has read what history it can; at once where there is no feed.
    pub async fn history_read(&self) {
        if self.has_feed() {
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

    /// The accounts ask for themselves from now on, their history included; true where that is news.
    pub(super) fn go_out(&self) -> bool {
        let news = !self.out.swap(true, Ordering::Relaxed);
        self.end_history();
        news
    }

    /// A live poll of the feed was good: it asks for all again.
    pub(super) fn take_over(&self) {
        self.out.store(false, Ordering::Relaxed);
    }

    /// The feed starts: with the accounts, or later, when each of them reads its own history.
    pub fn start(&self, with_history: bool) {
        self.live.store(true, Ordering::Relaxed);
        if !with_history {
            self.history_read.cancel();
        }
    }
}
