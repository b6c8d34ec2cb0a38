//! Whose turn it is: the commands of one reference one after another, references side by side.
//!
//! A reference is a lane. Only the first command of a lane is ever handed out; the next one's turn
//! comes when it is finished or parked, however long it waits or is in doubt. Lanes take turns in
//! the order in which they became ready, and no more than `limit` are handed out at a time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    num::NonZeroUsize,
};

use crate::domain::time::Timestamp;

use super::{
    command::{CommandKey, Reference},
    journal::{Arrival, Entry, Status},
    plan::Pause,
};

/// How the first command of a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// In the row of lanes that want a turn.
    Ready,
    /// Handed out.
    Running,
    /// Put aside; with a time, it is in the timers.
    Waiting { until: Option<Timestamp>, braked: bool },
}

#[derive(Debug, Clone)]
struct Lane {
    /// In arrival order; never empty.
    commands: VecDeque<CommandKey>,
    head: Head,
}

/// Commands that are not finished or parked yet.
#[derive(Debug, Clone)]
pub struct Queue {
    limit: NonZeroUsize,
    lanes: BTreeMap<Reference, Lane>,
    ready: VecDeque<Reference>,
    timers: BTreeSet<(Timestamp, Reference)>,
    running: usize,
    count: usize,
}

impl Queue {
    /// Hands out at most `limit` commands at a time.
    pub const fn new(limit: NonZeroUsize) -> Self {
        Self {
            limit,
            lanes: BTreeMap::new(),
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            running: 0,
            count: 0,
        }
    }

    /// The queue after a restart: every open command, those first that had begun, the others in
    /// the order in which they were received.
    pub fn restored<'e>(limit: NonZeroUsize, entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let open = entries.into_iter().filter(|entry| entry.status().is_open());
        let mut open: Vec<_> = open.map(|entry| (rank(entry), entry.key())).collect();
        open.sort();
        let mut queue = Self::new(limit);
        for (_, key) in open {
            queue.push(key.clone());
        }
        queue
    }

    /// Puts a command behind those of its reference; says whether it was not there yet.
    pub fn push(&mut self, key: CommandKey) -> bool {
        let reference = key.reference();
        match self.lanes.get_mut(&reference) {
            Some(lane) if lane.commands.contains(&key) => return false,
            Some(lane) => lane.commands.push_back(key),
            None => {
                let lane = Lane { commands: VecDeque::from([key]), head: Head::Ready };
                self.lanes.insert(reference.clone(), lane);
                self.ready.push_back(reference);
            }
        }
        self.count += 1;
        true
    }

    /// Hands out the next command; nothing where none is ready or as many are out as may be.
    pub fn take(&mut self) -> Option<CommandKey> {
        if self.running >= self.limit.get() {
            return None;
        }
        let reference = self.ready.pop_front()?;
        let lane = self.lanes.get_mut(&reference)?;
        lane.head = Head::Running;
        self.running += 1;
        lane.commands.front().cloned()
    }

    /// Puts a command that was handed out aside; its lane waits with it. Without a time it waits
    /// for [`wake_braked`](Self::wake_braked) alone.
    pub fn pause(&mut self, key: &CommandKey, until: Option<Timestamp>, why: &Pause) -> bool {
        let reference = key.reference();
        let Some(lane) = self.lanes.get_mut(&reference) else { return false };
        if lane.head != Head::Running || lane.commands.front() != Some(key) {
            return false;
        }
        let braked = match why {
            Pause::Braked(_) => true,
            Pause::Backoff | Pause::Quiescence => false,
        };
        lane.head = Head::Waiting { until, braked };
        self.running -= 1;
        if let Some(until) = until {
            self.timers.insert((until, reference));
        }
        true
    }

    /// Takes a command out that is finished or parked: the next of its reference gets its turn.
    pub fn finish(&mut self, key: &CommandKey) -> bool {
        let reference = key.reference();
        let Some(lane) = self.lanes.get_mut(&reference) else { return false };
        if lane.head != Head::Running || lane.commands.front() != Some(key) {
            return false;
        }
        lane.commands.pop_front();
        lane.head = Head::Ready;
        let is_empty = lane.commands.is_empty();
        self.running -= 1;
        self.count -= 1;
        if is_empty {
            self.lanes.remove(&reference);
        } else {
            self.ready.push_back(reference);
        }
        true
    }

    /// Makes those ready whose time has come.
    pub fn wake(&mut self, now: Timestamp) {
        while let Some((until, _)) = self.timers.first()
            && *until <= now
            && let Some((_, reference)) = self.timers.pop_first()
        {
            self.make_ready(&reference);
        }
    }

    /// Makes those ready that a brake held, because it may hold them no longer.
    pub fn wake_braked(&mut self) {
        let braked = self.lanes.iter().filter_map(|(reference, lane)| match lane.head {
            Head::Waiting { braked: true, .. } => Some(reference.clone()),
            Head::Waiting { braked: false, .. } | Head::Ready | Head::Running => None,
        });
        for reference in braked.collect::<Vec<_>>() {
            self.make_ready(&reference);
        }
    }

    /// When to [`wake`](Self::wake) next.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.timers.first().map(|(until, _)| *until)
    }

    /// Commands that are not finished or parked.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Commands that are handed out.
    pub const fn running(&self) -> usize {
        self.running
    }

    fn make_ready(&mut self, reference: &Reference) {
        let Some(lane) = self.lanes.get_mut(reference) else { return };
        match lane.head {
            Head::Waiting { until, .. } => {
                if let Some(until) = until {
                    self.timers.remove(&(until, reference.clone()));
                }
                lane.head = Head::Ready;
                self.ready.push_back(reference.clone());
            }
            Head::Ready | Head::Running => {}
        }
    }
}

/// Of one reference only the first command can have begun, so it comes first whatever the clocks
/// said; the others by when they were received, then by their places.
fn rank(entry: &Entry) -> (bool, Timestamp, Option<Arrival>) {
    let has_not_begun = match entry.status() {
        Status::Received => true,
        Status::Intended(_)
        | Status::NotSent { .. }
        | Status::InDoubt { .. }
        | Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Parked
        | Status::Resolved { .. } => false,
    };
    (has_not_begun, entry.first_at(), entry.arrival())
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
