//! How long a poller waits after a failure.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::api::{Client, RetryClass};

const MIN: Duration = Duration::from_secs(1);
/// Back-off ends here (design §6).
const MAX: Duration = Duration::from_secs(60);
/// A connection whose access is refused tries again this often (design §6).
const REFUSED: Duration = Duration::from_secs(15 * 60);

/// Doubles from a second to a minute while failures follow each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// Before any failure.
    pub(super) const fn new() -> Self {
        Self { next: MIN }
    }

    /// After a success.
    pub(super) const fn reset(&mut self) {
        self.next = MIN;
    }

    /// The wait before the next try; `None` waits for a changed secret or an operator alone.
    pub(super) fn wait(&mut self, class: RetryClass, poll_interval: Duration) -> Option<Duration> {
        match class {
            RetryClass::Retry { after } => {
                let wait = after.unwrap_or_default().max(self.next);
                self.next = (self.next * 2).min(MAX);
                Some(wait)
            }
            RetryClass::Refused => Some(REFUSED),
            RetryClass::LockedOut => None,
            RetryClass::Permanent | RetryClass::DatesRequired => Some(poll_interval),
        }
    }
}

/// Waits, but no longer than until a secret file changes; `None` waits for that alone.
pub(super) async fn wait_or_change(api: &Client, wait: Option<Duration>, stop: &CancellationToken) {
    let over = async {
        match wait {
            Some(wait) => sleep(wait).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = api.wait_for_change() => {}
        () = over => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: Duration = Duration::from_secs(300);

    #[test]
    fn failures_in_a_row_wait_longer_and_a_success_starts_anew() {
        let mut backoff = Backoff::new();
        let mut wait = || backoff.wait(RetryClass::Retry { after: None }, POLL).unwrap().as_secs();
        let waits: Vec<u64> = (0..8).map(|_| wait()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        backoff.reset();
        let after = Some(Duration::from_secs(90));
        assert_eq!(backoff.wait(RetryClass::Retry { after }, POLL), after);
        assert_eq!(backoff.wait(RetryClass::Retry { after: None }, POLL).unwrap().as_secs(), 2);
    }

    #[test]
    fn refused_access_waits_long_and_a_locked_key_for_a_person() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.wait(RetryClass::Refused, POLL), Some(REFUSED));
        assert_eq!(backoff.wait(RetryClass::LockedOut, POLL), None);
        assert_eq!(backoff.wait(RetryClass::Permanent, POLL), Some(POLL));
    }
}
