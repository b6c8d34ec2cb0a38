//! How long the journal must remember a command.
//!
//! A forgotten command that comes again would be a new one. So only a command that could not be
//! executed any more is forgotten: one with an `expires_at`, long after it. The others stay.

use crate::domain::time::Timestamp;

use super::journal::Entry;

/// How long after the last thing that counts.
const KEEP_MS: i64 = 90 * 24 * 60 * 60 * 1000;

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

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
