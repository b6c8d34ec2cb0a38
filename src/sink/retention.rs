//! How long the journal must remember a command.
//!
//! A forgotten command that comes again would be a new one. So only a command that could not be
//! executed any more is forgotten: one with an `expires_at`, long after it. The others stay. And a
//! command that comes so late that it may have been forgotten is answered so that nobody takes the
//! answer for the end of its story.
//!
//! A clock that is wrong by months would forget stories of yesterday. So the clock is not believed
//! alone: the journal itself must show the days that have passed.

use std::collections::BTreeSet;

use crate::domain::time::Timestamp;

use super::journal::Entry;

/// How long after the last thing that counts.
const KEEP_MS: i64 = KEEP_DAYS * DAY_MS;
const KEEP_DAYS: i64 = 90;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The first instant at which an entry may be replaced by a tombstone; nothing where it never may.
///
/// | status                                            | expires_at | may be forgotten               |
/// |---------------------------------------------------|------------|--------------------------------|
/// | Done, Declined, Rejected, Expired, Resolved       | set        | 90 days after it and the story |
/// | Done, Declined, Rejected, Expired, Resolved       | none       | never                          |
/// | Received, Intended, NotSent, InDoubt, Parked      | any        | never                          |
pub fn forget_at(entry: &Entry) -> Option<Timestamp> {
    if !entry.status().is_finished() {
        return None;
    }
    let expires_at = entry.outline().expires_at?;
    let last = expires_at.max(entry.last_at());
    // An expiry at the end of time stays there: it is never forgotten.
    last.0.checked_add(KEEP_MS).map(Timestamp)
}

/// The days, in UTC, on which anything happened to a command that the journal knows.
///
/// Whatever clock wrote them, a day is counted once: an owner whose clock is wrong adds the few days
/// that it ran, and not the months that its clock is off. A journal that is seldom written forgets
/// later.
#[derive(Debug, Clone, Default)]
pub struct Days(BTreeSet<i64>);

impl Days {
    /// Something happened then.
    pub fn saw(&mut self, at: Timestamp) {
        self.0.insert(day_of(at));
    }

    /// Whether as many days are seen as a story is kept, behind the last thing that counts of an entry
    /// that may be forgotten at `forget_at`.
    pub fn show_passed(&self, forget_at: Timestamp) -> bool {
        let last = day_of(Timestamp(forget_at.0.saturating_sub(KEEP_MS)));
        let kept = usize::try_from(KEEP_DAYS).unwrap_or(usize::MAX);
        self.0.range(last.saturating_add(1)..).take(kept).count() == kept
    }
}

const fn day_of(at: Timestamp) -> i64 {
    at.0.div_euclid(DAY_MS)
}

/// Whether this command was so late when it came that an earlier story of it may have been
/// forgotten: it may have been executed then. Not where the journal, which began at `since`, is
/// younger than the command's end. A day to either side, since the clocks of two owners differ.
pub fn may_have_been_forgotten(entry: &Entry, since: Option<Timestamp>) -> bool {
    let Some(expires_at) = entry.outline().expires_at else { return false };
    let is_older_than_the_journal =
        since.is_some_and(|since| expires_at.0.saturating_add(DAY_MS) < since.0);
    let forgotten = expires_at.0.checked_add(KEEP_MS - DAY_MS);
    !is_older_than_the_journal && forgotten.is_some_and(|from| entry.first_at().0 >= from)
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
