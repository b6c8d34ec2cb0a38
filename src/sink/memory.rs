//! What the journal tells, record by record: whatever an owner must know before it does anything.

use std::collections::{BTreeMap, HashMap};

use crate::domain::time::Timestamp;

use super::{
    brakes::{Brakes, kept_since},
    command::CommandKey,
    decisions::Decisions,
    finished::Place,
    journal::{
        Entry, JournalEvent,
        codec::{Line, Record},
        records::{Identity, Owner, Stop},
    },
    ledger::Stories,
    retention::{Days, forget_at},
    rivals::Rivals,
};

/// What the journal tells, all partitions together.
#[derive(Debug, Default)]
pub struct Journal {
    /// Commands that are not finished, parked ones included.
    pub open: HashMap<CommandKey, Entry>,
    /// What the finished ones add to the caps of the last days.
    pub finished: Brakes,
    /// The finished ones that may explain a change of their payment.
    pub rivals: Rivals,
    /// Where the finished ones lie.
    pub stories: Stories,
    /// The newest owner.
    pub owner: Option<Owner>,
    /// The kill switch.
    pub stop: Option<Stop>,
    /// What people decided about parked commands, and nobody has acted on.
    pub decisions: Decisions,
    /// Records read.
    pub records: u64,
    /// From how far in each partition of the command topic commands have come: the last one's offset.
    pub arrived: BTreeMap<i32, i64>,
    /// Whose journal each partition is.
    pub identities: BTreeMap<i32, Identity>,
    /// Those that nobody can execute any more: the partitions that their stories lie in, and since when
    /// they may be forgotten.
    forgettable: HashMap<CommandKey, (i32, Timestamp)>,
    /// About which commands a decision lies in the journal, acted on or not, and in which partition.
    decided: HashMap<CommandKey, i32>,
    /// When it was written.
    days: Days,
}

impl Journal {
    /// Takes over what one record says; a later one of the same key replaces it.
    pub fn take(&mut self, line: Line, place: Place, now: Timestamp) {
        self.records += 1;
        let record = match line {
            Line::Said(record) => record,
            Line::Forgotten(key) => {
                self.forget(&key);
                self.decisions.forget(&key);
                return;
            }
            Line::Undecided(key) => {
                self.decided.remove(&key);
                self.decisions.forget(&key);
                return;
            }
            Line::TakenBack => return,
        };
        match record {
            Record::Command(entry) => self.take_over(*entry, place, now),
            Record::Identity(identity) => {
                self.identities.insert(place.partition, identity);
            }
            Record::Owner(owner) => self.saw_owner(owner),
            Record::Stop(stop) => self.stop = Some(stop),
            Record::Resolve(key, decision) => {
                self.decided.insert(key.clone(), place.partition);
                self.decisions.said(key, decision);
            }
        }
    }

    /// Takes out those that may be forgotten by the clock and by the journal's own days, each with the
    /// partition that its story lies in.
    pub fn take_forgettable(&mut self) -> Vec<(CommandKey, i32)> {
        let outlived = self.forgettable.drain().filter(|(_, (_, at))| self.days.show_passed(*at));
        outlived.map(|(key, (partition, _))| (key, partition)).collect()
    }

    /// Takes out those about which decisions lie in the journal without a story: the name of who decided
    /// is to go with it. A decision has always followed the story that it is about.
    pub fn take_orphaned_decisions(&mut self) -> Vec<(CommandKey, i32)> {
        let (open, stories) = (&self.open, &self.stories);
        let is_orphaned =
            |key: &CommandKey, _: &mut i32| !open.contains_key(key) && stories.get(key).is_none();
        let orphaned: Vec<_> = self.decided.extract_if(is_orphaned).collect();
        orphaned.iter().for_each(|(key, _)| self.decisions.forget(key));
        orphaned
    }

    /// Its story is being replaced by a tombstone.
    pub fn let_go(&mut self, key: &CommandKey) {
        self.stories.remove(key);
    }

    fn forget(&mut self, key: &CommandKey) {
        self.open.remove(key);
        self.stories.remove(key);
        self.rivals.forget(key);
        self.forgettable.remove(key);
    }

    /// Epochs count on, also where the record of the newest owner was taken back or is an old one: no
    /// owner may take the permissions of an earlier one for its own.
    fn saw_owner(&mut self, owner: Owner) {
        if self.owner.is_none_or(|known| known.epoch < owner.epoch) {
            self.owner = Some(owner);
        }
    }

    fn take_over(&mut self, entry: Entry, place: Place, now: Timestamp) {
        let key = entry.key().clone();
        let epochs = entry.events().iter().filter_map(|event| match event {
            JournalEvent::Intended { epoch, .. } => Some(*epoch),
            _ => None,
        });
        if let Some(epoch) = epochs.max() {
            self.saw_owner(Owner { epoch });
        }
        self.decisions.moved(&entry);
        self.days.saw(entry.last_at());
        if let Some(arrival) = entry.arrival() {
            let last = self.arrived.entry(arrival.partition).or_insert(arrival.offset);
            *last = arrival.offset.max(*last);
        }
        if !entry.status().is_finished() {
            self.forget(&key);
            self.open.insert(key, entry);
            return;
        }
        self.open.remove(&key);
        self.rivals.restore(&entry);
        let is_new = self.stories.insert(&key, place);
        let kept_since = kept_since(now);
        // Nothing follows a finished story: should it be there twice, it still counts once.
        if is_new && entry.intended_at().is_some_and(|at| at.local_day() >= kept_since) {
            self.finished.add(&entry);
        }
        if let Some(at) = forget_at(&entry).filter(|at| now >= *at) {
            self.forgettable.insert(key, (place.partition, at));
        }
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
