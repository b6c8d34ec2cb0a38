//! Keeps one failing thing from filling the log: a repeated line is shown a few times a window,
//! then counted, and the count stands on the next one that is shown.

use std::collections::HashMap;

/// Shown of equal lines in one window.
const SHOWN_MAX: u32 = 5;
/// Length of a window.
const WINDOW_MS: i64 = 30_000;
/// Different lines remembered; when there are more, the oldest windows are forgotten.
const LINES_MAX: usize = 1_024;

#[derive(Debug)]
struct Line {
    window_start_ms: i64,
    shown: u32,
    suppressed: u64,
}

/// Remembers which lines were shown lately.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    lines: HashMap<u64, Line>,
}

/// Whether a line is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is, and this many equal ones before it were not.
    Show { suppressed: u64 },
    /// It is counted only.
    Count,
}

impl Limiter {
    /// Decides about a line by the hash of all that it says, without its time.
    pub(crate) fn admit(&mut self, line: u64, now_ms: i64) -> Admission {
        if self.lines.len() >= LINES_MAX && !self.lines.contains_key(&line) {
            self.lines.retain(|_, line| now_ms - line.window_start_ms < WINDOW_MS);
            if self.lines.len() >= LINES_MAX {
                return Admission::Show { suppressed: 0 };
            }
        }
        let fresh = Line { window_start_ms: now_ms, shown: 0, suppressed: 0 };
        let line = self.lines.entry(line).or_insert(fresh);
        if now_ms - line.window_start_ms >= WINDOW_MS {
            line.window_start_ms = now_ms;
            line.shown = 0;
        }
        if line.shown >= SHOWN_MAX {
            line.suppressed += 1;
            return Admission::Count;
        }
        line.shown += 1;
        Admission::Show { suppressed: std::mem::take(&mut line.suppressed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Admission = Admission::Show { suppressed: 0 };

    #[test]
    fn a_repeated_line_is_counted_and_the_count_is_told_later() {
        let mut limiter = Limiter::default();
        for _ in 0..SHOWN_MAX {
            assert_eq!(limiter.admit(1, 0), PLAIN);
        }
        assert_eq!(limiter.admit(1, 1), Admission::Count);
        assert_eq!(limiter.admit(1, WINDOW_MS - 1), Admission::Count);
        assert_eq!(limiter.admit(2, 2), PLAIN);
        assert_eq!(limiter.admit(1, WINDOW_MS), Admission::Show { suppressed: 2 });
        assert_eq!(limiter.admit(1, WINDOW_MS), PLAIN);
    }

    #[test]
    fn memory_is_bounded_and_an_unknown_line_is_rather_shown() {
        let mut limiter = Limiter::default();
        for line in 0..5_000 {
            assert_eq!(limiter.admit(line, 0), PLAIN);
        }
        assert!(limiter.lines.len() <= LINES_MAX);
        assert_eq!(limiter.admit(9_999, WINDOW_MS), PLAIN);
        assert_eq!(limiter.lines.len(), 1);
    }
}
