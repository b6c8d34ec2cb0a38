//! Which commands were taken in and have no word of the API yet: how many, and since when.
//!
//! Thousands may wait, and each step of each of them is counted, so nothing here looks at all of
//! them: a command that moves is taken out as it was and put in as it is.

use std::collections::BTreeMap;

use crate::domain::{time::Timestamp, vocabulary::CommandType};

use super::journal::{Entry, Status};

/// The commands that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    by_kind: BTreeMap<CommandType, i64>,
    /// How many began to wait at each instant.
    since: BTreeMap<Timestamp, u32>,
}

impl Waiting {
    /// Of these open commands.
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut waiting = Self::default();
        entries.into_iter().for_each(|entry| waiting.moved(None, entry));
        waiting
    }

    /// A command is new, or another one than it was.
    pub fn moved(&mut self, before: Option<&Entry>, after: &Entry) {
        if let Some((kind, since)) = before.and_then(waits) {
            *self.by_kind.entry(kind).or_default() -= 1;
            if let Some(count) = self.since.get_mut(&since) {
                *count -= 1;
                if *count == 0 {
                    self.since.remove(&since);
                }
            }
        }
        if let Some((kind, since)) = waits(after) {
            *self.by_kind.entry(kind).or_default() += 1;
            *self.since.entry(since).or_default() += 1;
        }
    }

    /// How many of a kind.
    pub fn count(&self, kind: CommandType) -> i64 {
        self.by_kind.get(&kind).copied().unwrap_or(0)
    }

    /// Since when the oldest one waits; nothing where none does.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.since.first_key_value().map(|(since, _)| *since)
    }
}

/// Since when a command waits; nothing where it has an answer, or is a doubt and counted as one.
fn waits(entry: &Entry) -> Option<(CommandType, Timestamp)> {
    match entry.status() {
        Status::Received | Status::Intended(_) | Status::NotSent { .. } => {
            Some((entry.outline().kind, entry.first_at()))
        }
        Status::InDoubt { .. }
        | Status::Parked
        | Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Resolved { .. } => None,
    }
}
