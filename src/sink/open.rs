//! The open commands, and what is counted of them: doubts, waits, caps, rivals.
//!
//! Thousands may be open, and each step of each of them is counted, so nothing here looks at all of
//! them for one that moved.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::domain::{time::Timestamp, vocabulary::CommandType};

use super::{
    brakes::Brakes,
    command::CommandKey,
    journal::{Entry, JournalEvent, Status},
    rivals::Rivals,
    tally::Tally,
    waiting::Waiting,
};

/// An open command and the partition that its story lies in.
#[derive(Debug, Clone)]
pub(super) struct Open {
    /// Its story.
    pub(super) entry: Entry,
    /// Of the journal.
    pub(super) partition: i32,
    /// Since when this owner knows that it stands as it does, by a clock that nobody sets.
    pub(super) since: Instant,
}

/// What changes with every command.
#[derive(Debug)]
pub(super) struct State {
    /// Those that are not finished, parked ones included.
    pub(super) open: HashMap<CommandKey, Open>,
    /// Those of the open ones that are in doubt or parked, each with since when: thousands may be
    /// open, and every step of each of them is counted.
    doubts: HashMap<CommandKey, (CommandType, Timestamp)>,
    /// Those of the open ones that wait for a person.
    parked: usize,
    waiting: Waiting,
    /// What holds commands back.
    pub(super) brakes: Brakes,
    /// What may explain a payment's change.
    pub(super) rivals: Rivals,
}

impl State {
    /// After a restore.
    pub(super) fn new(open: HashMap<CommandKey, Open>, brakes: Brakes, mut rivals: Rivals) -> Self {
        rivals.begin(Instant::now());
        open.values().for_each(|open| rivals.moved(&open.entry));
        let entries = open.values().map(|open| &open.entry);
        let doubts = entries.filter_map(|entry| Some((entry.key().clone(), doubt(entry)?)));
        let doubts = doubts.collect();
        let waiting = Waiting::of(open.values().map(|open| &open.entry));
        let parked = open.values().filter(|open| is_parked(&open.entry)).count();
        Self { doubts, parked, waiting, open, brakes, rivals }
    }

    /// Takes a command's new standing over, which was decided at this instant.
    pub(super) fn put(&mut self, entry: &Entry, partition: i32, decided: Instant) {
        let key = entry.key().clone();
        self.rivals.moved_at(entry, decided);
        let before = self.open.get(&key).map(|open| &open.entry);
        self.parked -= usize::from(before.is_some_and(is_parked));
        self.parked += usize::from(is_parked(entry));
        self.waiting.moved(before, entry);
        match doubt(entry) {
            Some(doubt) => {
                self.doubts.insert(key.clone(), doubt);
            }
            None => {
                self.doubts.remove(&key);
            }
        }
        if entry.status().is_finished() {
            self.open.remove(&key);
        } else {
            self.open.insert(key, Open { entry: entry.clone(), partition, since: decided });
        }
    }

    /// For how long an open command is known to stand as it does.
    pub(super) fn held(&self, key: &CommandKey) -> Duration {
        self.open.get(key).map_or(Duration::ZERO, |open| open.since.elapsed())
    }

    /// Those that this owner has something to do for: neither finished nor parked.
    pub(super) fn active(&self) -> usize {
        self.open.len() - self.parked
    }

    /// What is counted of the commands as they are now; whoever shows it holds the lock, so that the
    /// newest is shown last.
    pub(super) fn show(&self, tally: &Tally) {
        let doubts: Vec<_> = self.doubts.values().copied().collect();
        tally.doubts(&doubts);
        tally.waiting(&self.waiting);
    }
}

const fn is_parked(entry: &Entry) -> bool {
    matches!(entry.status(), Status::Parked)
}

/// What is counted of a command in doubt or parked; nothing of the others.
fn doubt(entry: &Entry) -> Option<(CommandType, Timestamp)> {
    doubted_since(entry).map(|since| (entry.outline().kind, since))
}

/// Since when nobody knows; nothing where somebody does.
fn doubted_since(entry: &Entry) -> Option<Timestamp> {
    match entry.status() {
        Status::InDoubt { since, .. } => Some(*since),
        Status::Parked => entry.events().iter().rev().find_map(|event| match event {
            JournalEvent::Doubted { at, .. } => Some(*at),
            _ => None,
        }),
        Status::Received
        | Status::Intended(_)
        | Status::NotSent { .. }
        | Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Resolved { .. } => None,
    }
}
