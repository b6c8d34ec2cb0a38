//! How long the journal must remember a command.
//!
//! A forgotten command that comes again would be a new one. So only a command that could not be
//! executed any more is forgotten: one with an `expires_at`, long after it. The others stay. And a
//! command that comes so late that it may have been forgotten is answered so that nobody takes the
//! answer for the end of its story.

use crate::domain::time::Timestamp;

use super::journal::Entry;

/// How long after the last thing that counts.
const KEEP_MS: i64 = 90 * DAY_MS;
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

/// Whether an entry may be replaced by a tombstone now.
pub fn is_forgettable(entry: &Entry, now: Timestamp) -> bool {
    forget_at(entry).is_some_and(|at| now >= at)
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
