//! Keeps one failing thing from filling the log: lines of one kind are shown a few times a window,
//! then counted. The count stands on the next line of the kind; where none comes, it is told alone.

use std::{collections::HashMap, mem};

use tracing::Level;

/// Shown of lines of one kind in one window.
const SHOWN_MAX: u32 = 5;
/// Length of a window.
const WINDOW_MS: i64 = 30_000;
/// Kinds remembered; when there are more, the oldest windows are forgotten.
const KINDS_MAX: usize = 1_024;

/// What lines of one kind have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub(crate) level: Level,
    pub(crate) code: String,
    pub(crate) message: String,
    /// Whose: the fields that tell one failing thing from another.
    pub(crate) whose: String,
}

#[derive(Debug)]
struct Window {
    start_ms: i64,
    shown: u32,
    suppressed: u64,
}

/// Remembers which lines were shown lately.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    kinds: HashMap<Kind, Window>,
    swept_ms: i64,
}

/// Whether a line is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is, and this many of its kind before it were not.
    Show { suppressed: u64 },
    /// It is counted only.
    Count,
}

impl Limiter {
    /// Decides about a line.
    pub(crate) fn admit(&mut self, kind: Kind, now_ms: i64) -> Admission {
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&kind) {
            self.kinds.retain(|_, window| !window.is_over(now_ms) || window.suppressed > 0);
            if self.kinds.len() >= KINDS_MAX {
                return Admission::Show { suppressed: 0 };
            }
        }
        let fresh = Window { start_ms: now_ms, shown: 0, suppressed: 0 };
        let window = self.kinds.entry(kind).or_insert(fresh);
        if window.is_over(now_ms) {
            window.start_ms = now_ms;
            window.shown = 0;
        }
        if window.shown >= SHOWN_MAX {
            window.suppressed += 1;
            return Admission::Count;
        }
        window.shown += 1;
        Admission::Show { suppressed: mem::take(&mut window.suppressed) }
    }

    /// Kinds whose window ended with lines left out, and how many; looks once a window.
    pub(crate) fn overdue(&mut self, now_ms: i64) -> Vec<(Kind, u64)> {
        if (0..WINDOW_MS).contains(&(now_ms - self.swept_ms)) {
            return Vec::new();
        }
        self.swept_ms = now_ms;
        let mut told = Vec::new();
        self.kinds.retain(|kind, window| {
            let over = window.is_over(now_ms);
            if over && window.suppressed > 0 {
                told.push((kind.clone(), window.suppressed));
            }
            !over
        });
        told
    }
}

impl Window {
    /// Also where it begins in the future: the clock was set back, and may be by an hour.
    const fn is_over(&self, now_ms: i64) -> bool {
        now_ms < self.start_ms || now_ms - self.start_ms >= WINDOW_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Admission = Admission::Show { suppressed: 0 };

    fn kind(whose: u32) -> Kind {
        let (code, message) = ("VOM-X".to_owned(), "poll failed".to_owned());
        Kind { level: Level::WARN, code, message, whose: whose.to_string() }
    }

    #[test]
    fn a_repeated_line_is_counted_and_the_count_is_told_on_the_next() {
        let mut limiter = Limiter::default();
        for _ in 0..SHOWN_MAX {
            assert_eq!(limiter.admit(kind(1), 0), PLAIN);
        }
        assert_eq!(limiter.admit(kind(1), 1), Admission::Count);
        assert_eq!(limiter.admit(kind(1), WINDOW_MS - 1), Admission::Count);
        assert_eq!(limiter.admit(kind(2), 2), PLAIN);
        assert_eq!(limiter.admit(kind(1), WINDOW_MS), Admission::Show { suppressed: 2 });
        assert_eq!(limiter.admit(kind(1), WINDOW_MS), PLAIN);
    }

    #[test]
    fn a_count_that_no_line_follows_is_told_once() {
        let mut limiter = Limiter::default();
        for _ in 0..=SHOWN_MAX {
            limiter.admit(kind(1), WINDOW_MS);
        }
        assert_eq!(limiter.overdue(WINDOW_MS + 1), []);
        assert_eq!(limiter.overdue(2 * WINDOW_MS + 1), [(kind(1), 1)]);
        assert_eq!(limiter.overdue(4 * WINDOW_MS), []);
    }

    #[test]
    fn a_clock_that_is_set_back_mutes_nothing() {
        const HOUR: i64 = 3_600_000;
        let mut limiter = Limiter::default();
        limiter.overdue(2 * HOUR);
        for _ in 0..=SHOWN_MAX {
            limiter.admit(kind(1), 2 * HOUR);
        }
        assert_eq!(limiter.admit(kind(1), HOUR), Admission::Show { suppressed: 1 });
        for _ in 0..SHOWN_MAX {
            limiter.admit(kind(1), HOUR);
        }
        assert_eq!(limiter.overdue(HOUR - WINDOW_MS), [(kind(1), 1)]);
    }

    #[test]
    fn memory_is_bounded_and_an_unknown_line_is_rather_shown() {
        let mut limiter = Limiter::default();
        for line in 0..5_000 {
            assert_eq!(limiter.admit(kind(line), 0), PLAIN);
        }
        assert!(limiter.kinds.len() <= KINDS_MAX);
        assert_eq!(limiter.admit(kind(9_999), WINDOW_MS), PLAIN);
        assert_eq!(limiter.kinds.len(), 1);
    }
}
