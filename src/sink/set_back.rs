//! A wall clock that is set back: what waits for a time of it would wait for longer.

use std::time::{Duration, Instant};

use crate::domain::time::Timestamp;

/// By how much it must be set back to count. Clocks that are kept right are moved by less.
const STEP_MS: i64 = 1000;

/// Compares the wall clock with one that nobody sets.
#[derive(Debug)]
pub(super) struct SetBack {
    began: Instant,
    /// When that was by the wall clock, as far ahead as it ever was since it was set back.
    ahead: Timestamp,
}

impl SetBack {
    /// From now on.
    pub(super) fn begin(wall: Timestamp) -> Self {
        Self { began: Instant::now(), ahead: wall }
    }

    /// Whether it was set back since it was asked last.
    pub(super) fn is_seen(&mut self, wall: Timestamp) -> bool {
        self.compare(wall, self.began.elapsed())
    }

    fn compare(&mut self, wall: Timestamp, passed: Duration) -> bool {
        let passed_ms = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        let ahead = Timestamp(wall.0.saturating_sub(passed_ms));
        let is_back = ahead.0 < self.ahead.0.saturating_sub(STEP_MS);
        if is_back || ahead > self.ahead {
            self.ahead = ahead;
        }
        is_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests::{HOUR, NOON, SECOND, after};

    #[test]
    fn a_clock_is_seen_to_be_set_back_once_and_however_slowly() {
        let mut set_back = SetBack::begin(NOON);
        for (passed, shown, is_seen) in [
            (0, 0, false),
            (HOUR, HOUR, false),
            // A step of NTP.
            (HOUR, HOUR - SECOND, false),
            (HOUR, HOUR - SECOND - 1, true),
            (HOUR, HOUR - SECOND - 1, false),
            // Set forward, and back again.
            (2 * HOUR, 9 * HOUR, false),
            (3 * HOUR, 3 * HOUR, true),
            (4 * HOUR, 4 * HOUR, false),
            // Little by little.
            (4 * HOUR, 4 * HOUR - 600, false),
            (4 * HOUR, 4 * HOUR - 1200, true),
            (4 * HOUR, 4 * HOUR - 1800, false),
        ] {
            let passed = Duration::from_millis(passed.unsigned_abs());
            assert_eq!(set_back.compare(after(shown), passed), is_seen, "{passed:?} {shown}");
        }
    }
}
