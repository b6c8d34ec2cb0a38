//! When a shard that cannot be run, or was lost, is tried again. Pure.

use std::time::Duration;

/// After what may pass by itself.
const SHORTEST: Duration = Duration::from_secs(1);
/// Also how long a shard that waits for an operator takes at most to notice that one has decided.
pub(super) const LONGEST: Duration = Duration::from_secs(60);
/// Until a shard that waits for an operator first looks whether one has decided. Each look takes the
/// lock and reads the whole partition, perhaps for days: they become more seldom.
pub(super) const FIRST_LOOK: Duration = Duration::from_secs(15);

/// The pauses between the tries of one shard, each twice the one before, up to [`LONGEST`].
#[derive(Debug)]
pub(super) struct Pace {
    next: Duration,
    /// Why it waits for an operator; said once, and shown until somebody has decided.
    stopped: Option<String>,
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self { next: SHORTEST, stopped: None }
    }

    /// Whether it waits for an operator.
    pub(super) const fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// The pause that comes next.
    pub(super) const fn next(&self) -> Duration {
        self.next
    }

    /// Only an operator can help; whether that is said for the first time. It is looked at again
    /// after `first`.
    pub(super) fn stop(&mut self, reason: String, first: Duration) -> bool {
        let is_news = self.stopped.as_ref() != Some(&reason);
        if is_news {
            self.next = first;
        }
        self.stopped = Some(reason);
        is_news
    }

    /// It could be run.
    pub(super) fn go_on(&mut self) {
        if self.stopped.take().is_some() {
            self.next = SHORTEST;
        }
    }

    /// How long to wait now, after a try that `took` so long. One that failed late does not wait as
    /// those do that fail at once; one that waits for an operator has read much.
    pub(super) fn pause(&mut self, took: Duration) -> Duration {
        if took > LONGEST && !self.is_stopped() {
            self.next = SHORTEST;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pace: &mut Pace, took: u64) -> u64 {
        pace.pause(Duration::from_secs(took)).as_secs()
    }

    #[test]
    fn a_shard_that_waits_for_an_operator_looks_ever_more_seldom_and_says_so_once() {
        let mut pace = Pace::new();
        let mut looks = Vec::new();
        for look in 0..4 {
            assert_eq!(pace.stop("cut".to_owned(), FIRST_LOOK), look == 0);
            // Reading may take longer than any pause.
            looks.push(seconds(&mut pace, 90));
        }
        assert_eq!(looks, [15, 30, 60, 60]);
        assert!(pace.stop("recreated".to_owned(), FIRST_LOOK), "something else is said");
        assert_eq!((seconds(&mut pace, 1), pace.is_stopped()), (15, true));
        pace.go_on();
        assert_eq!((seconds(&mut pace, 1), pace.is_stopped()), (1, false));
    }

    #[test]
    fn what_fails_at_once_waits_longer_each_time_and_what_fails_late_does_not() {
        let mut pace = Pace::new();
        let waited: Vec<_> = (0..8).map(|_| seconds(&mut pace, 1)).collect();
        assert_eq!(waited, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(seconds(&mut pace, 61), 1);
    }
}
