//! Whether an answer may lack rows, because the API limits how many an answer has.
//!
//! No limit is documented. One would show as a round count, or as the same count again and again:
//!
//! | an answer has | it may be cut |
//! |---|---|
//! | fewer rows than another one had | no: a limit cannot be lower than that |
//! | as many as a limit that was found, or more | yes |
//! | a round number, and no answer had more | yes, until [`PROOFS`] windows with it were found whole |
//! | as many as the largest answer of another window | likewise |
//! | anything else | no |
//!
//! Answers above a cursor are judged by it and teach it nothing: theirs may be another limit.

use super::plan::Window;

/// Fewer rows than these in common are chance.
const REPEATS_MIN: usize = 20;
/// The smallest limit that is thought of where a look costs two calls.
const ROUND_MIN: usize = 10;
/// The same where a look costs a look-back of all windows, and where nothing more can be asked.
pub(super) const LARGE_MIN: usize = 50;
/// So many windows of one count that were whole are no limit met by chance.
const PROOFS: u32 = 3;

/// What the answers of one origin have shown of a limit.
#[derive(Debug, Default)]
pub(super) struct RowLimit {
    /// Rows of the largest answer, and the window that it was for.
    largest: usize,
    window: Option<Window>,
    /// Windows with that many rows whose halves held no more.
    proofs: u32,
    /// A limit that was met.
    found: Option<usize>,
}

impl RowLimit {
    /// Whether an answer for a window may be cut, so that its halves are worth asking for; the answer
    /// is noted.
    pub(super) fn may_cut(&mut self, window: Window, rows: usize) -> bool {
        let repeats = rows >= REPEATS_MIN && rows == self.largest && self.window != Some(window);
        self.note(rows, window);
        self.judge(rows, is_round(rows) || repeats)
    }

    /// Whether an answer without a window of its own may be cut, or one of a part of a window.
    pub(super) fn may_cut_at_random(&self, rows: usize) -> bool {
        self.judge(rows, rows >= LARGE_MIN && is_round(rows))
    }

    /// Whether nothing hints at rows that a single day lacks, of which there is no half to ask for.
    pub(super) fn is_whole_day(&self, rows: usize) -> bool {
        match self.found {
            Some(limit) => rows < limit,
            None => rows < LARGE_MIN || rows < self.largest,
        }
    }

    fn note(&mut self, rows: usize, window: Window) {
        if rows > self.largest {
            (self.largest, self.window, self.proofs) = (rows, Some(window), 0);
        }
        // Rows that came while the halves were read looked like a limit.
        if self.found.is_some_and(|limit| limit < rows) {
            self.found = None;
        }
    }

    /// The halves of an answer with so many rows held no more.
    pub(super) const fn prove(&mut self, rows: usize) {
        if rows == self.largest {
            self.proofs = self.proofs.saturating_add(1);
        }
    }

    /// There are more rows than an answer with so many had.
    pub(super) const fn find(&mut self, rows: usize) {
        self.found = Some(rows);
    }

    fn judge(&self, rows: usize, looks_so: bool) -> bool {
        match self.found {
            Some(limit) => rows >= limit,
            None => looks_so && rows >= self.largest && self.proofs < PROOFS,
        }
    }
}

const fn is_round(rows: usize) -> bool {
    rows >= ROUND_MIN && ((rows <= 100 && rows.is_multiple_of(10)) || rows.is_multiple_of(25))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Day;

    fn week(n: i32) -> Window {
        Window { from: Day(n * 7), to: Day(n * 7 + 6) }
    }

    #[test]
    fn a_round_count_may_be_a_limit_until_a_larger_answer_was_seen() {
        for rows in [10, 20, 50, 75, 100, 200, 250, 500, 1000, 5000] {
            let mut limit = RowLimit::default();
            assert!(limit.may_cut(week(0), rows), "{rows}");
            assert_eq!(limit.may_cut_at_random(rows), rows >= LARGE_MIN, "{rows}");
            assert_eq!(limit.is_whole_day(rows), rows < LARGE_MIN, "{rows}");
            assert!(!limit.may_cut(week(1), rows + 1), "{rows}");
            assert!(!limit.may_cut(week(2), rows) && limit.is_whole_day(rows), "{rows}");
        }
        for rows in [0, 1, 9, 15, 101, 110, 499] {
            assert!(!RowLimit::default().may_cut(week(0), rows), "{rows}");
        }
    }

    #[test]
    fn a_count_that_repeats_across_windows_may_be_a_limit() {
        let mut limit = RowLimit::default();
        assert!(!limit.may_cut(week(0), 37));
        assert!(!limit.may_cut(week(0), 37), "the same rows again");
        assert!(limit.may_cut(week(1), 37));
        limit.find(37);
        assert!(limit.may_cut(week(0), 37) && limit.may_cut_at_random(37));
        assert!(!limit.may_cut(week(2), 36) && !limit.is_whole_day(37));
        assert!(!limit.may_cut(week(2), 41), "it was none");
        assert!(!limit.may_cut(week(1), 37));
        let mut few = RowLimit::default();
        assert!(!few.may_cut(week(0), 3) && !few.may_cut(week(1), 3));
    }

    #[test]
    fn one_whole_window_does_not_prove_that_its_count_is_no_limit_and_three_do() {
        let mut limit = RowLimit::default();
        for n in 0..3 {
            assert!(limit.may_cut(week(n), 100));
            limit.prove(100);
        }
        assert!(!limit.may_cut(week(3), 100));
        assert!(limit.may_cut(week(4), 200), "of a larger one nothing is proven");
        limit.prove(100);
        assert!(limit.may_cut(week(5), 200));
    }
}
