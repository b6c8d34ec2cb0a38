//! Whose turn it is: the commands of one reference one after another, references side by side.
//!
//! A reference is a lane. Only the first command of a lane is ever handed out; the next one's turn
//! comes when it is finished or parked, however long it waits or is in doubt. Lanes take turns in
//! the order in which they became ready, and no more than `limit` are handed out at a time. Doubts
//! come before what waits to be sent, and some turns are theirs alone: an API that answers nothing
//! holds every turn for minutes, and a doubt must not stand behind thousands of those.
//!
//! A command whose time is over needs no turn: wherever it stands, unless it is handed out,
//! [`next_due`](Queue::next_due) names it and [`withdraw`](Queue::withdraw) takes it out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    num::NonZeroUsize,
};

use crate::domain::time::Timestamp;

use super::{
    command::{CommandKey, Reference},
    journal::{Arrival, Entry, Status},
    plan::{Pause, expiry_of},
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

/// A command, and from when on it is too late for it.
type Place = (CommandKey, Option<Timestamp>);

#[derive(Debug, Clone)]
struct Lane {
    /// In arrival order; never empty.
    commands: VecDeque<Place>,
    head: Head,
    /// Whether the first one may have been sent, and nobody knows what became of it.
    is_doubt: bool,
}

/// Commands that are not finished or parked yet.
#[derive(Debug, Clone)]
pub struct Queue {
    limit: NonZeroUsize,
    /// Of the limit, for doubts alone.
    reserved: usize,
    lanes: BTreeMap<Reference, Lane>,
    /// Lanes that want a turn, and those of them that are doubts. One that was withdrawn, or got its
    /// turn by another row, may still stand here and is passed over.
    ready: VecDeque<Reference>,
    doubts: VecDeque<Reference>,
    timers: BTreeSet<(Timestamp, Reference)>,
    /// When it is too late for which.
    expiries: BTreeSet<(Timestamp, CommandKey)>,
    running: usize,
    running_doubts: usize,
    count: usize,
}

impl Queue {
    /// Hands out at most `limit` commands at a time, of which `reserved` turns are for doubts alone;
    /// one at least is for the others.
    pub const fn new(limit: NonZeroUsize, reserved: usize) -> Self {
        Self {
            limit,
            reserved,
            lanes: BTreeMap::new(),
            ready: VecDeque::new(),
            doubts: VecDeque::new(),
            timers: BTreeSet::new(),
            expiries: BTreeSet::new(),
            running: 0,
            running_doubts: 0,
            count: 0,
        }
    }

    /// The queue after a restart: every open command, those first that had begun, the others in
    /// the order in which they were received. Those of one reference follow their places in the
    /// command topic, whatever the clocks said that they were received by.
    pub fn restored<'e>(
        limit: NonZeroUsize,
        reserved: usize,
        entries: impl IntoIterator<Item = &'e Entry>,
    ) -> Self {
        let mut lanes: BTreeMap<Reference, Vec<&Entry>> = BTreeMap::new();
        for entry in entries.into_iter().filter(|entry| entry.status().is_open()) {
            lanes.entry(entry.key().reference()).or_default().push(entry);
        }
        let mut lanes: Vec<_> = lanes.into_values().map(in_order).collect();
        lanes.sort_by_cached_key(|lane| lane.first().map(|first| rank(first)));
        let mut queue = Self::new(limit, reserved);
        for entry in lanes.into_iter().flatten() {
            queue.insert(entry.key().clone(), expiry_of(entry), is_doubt(entry));
        }
        queue
    }

    /// Puts a command behind those of its reference; says whether it was not there yet. From `expiry`
    /// on it is too late for it.
    pub fn push(&mut self, key: CommandKey, expiry: Option<Timestamp>) -> bool {
        self.insert(key, expiry, false)
    }

    fn insert(&mut self, key: CommandKey, expiry: Option<Timestamp>, is_doubt: bool) -> bool {
        let reference = key.reference();
        match self.lanes.get_mut(&reference) {
            Some(lane) if lane.commands.iter().any(|(other, _)| *other == key) => return false,
            Some(lane) => lane.commands.push_back((key.clone(), expiry)),
            None => {
                let commands = VecDeque::from([(key.clone(), expiry)]);
                self.lanes
                    .insert(reference.clone(), Lane { commands, head: Head::Ready, is_doubt });
                self.line_up(reference, is_doubt);
            }
        }
        if let Some(expiry) = expiry {
            self.expiries.insert((expiry, key));
        }
        self.count += 1;
        true
    }

    /// Hands out the next command; nothing where none is ready or as many are out as may be.
    pub fn take(&mut self) -> Option<CommandKey> {
        if self.running >= self.limit.get() {
            return None;
        }
        if let Some(key) = self.hand_out(true) {
            return Some(key);
        }
        let others = self.running - self.running_doubts;
        if others >= self.limit.get().saturating_sub(self.reserved).max(1) {
            return None;
        }
        self.hand_out(false)
    }

    fn hand_out(&mut self, is_doubt: bool) -> Option<CommandKey> {
        let row = if is_doubt { &mut self.doubts } else { &mut self.ready };
        while let Some(reference) = row.pop_front() {
            let Some(lane) = self.lanes.get_mut(&reference) else { continue };
            if lane.head != Head::Ready || lane.is_doubt != is_doubt {
                continue;
            }
            lane.head = Head::Running;
            self.running += 1;
            self.running_doubts += usize::from(is_doubt);
            return lane.commands.front().map(|(key, _)| key.clone());
        }
        None
    }

    fn line_up(&mut self, reference: Reference, is_doubt: bool) {
        let row = if is_doubt { &mut self.doubts } else { &mut self.ready };
        row.push_back(reference);
    }

    /// Names a command whose time is over and that is not handed out: a turn sees that by itself. Each
    /// is named once, and again after it was handed out and put aside.
    pub fn next_due(&mut self, now: Timestamp) -> Option<CommandKey> {
        while let Some((at, _)) = self.expiries.first()
            && *at <= now
            && let Some((_, key)) = self.expiries.pop_first()
        {
            let lane = self.lanes.get(&key.reference());
            let is_out = lane.is_some_and(|lane| lane.head == Head::Running && lane.is_first(&key));
            if !is_out {
                return Some(key);
            }
        }
        None
    }

    /// When to ask for [`next_due`](Self::next_due) next.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Takes a command out without a turn, unless it is handed out. The others of its reference keep
    /// their order.
    pub fn withdraw(&mut self, key: &CommandKey) -> bool {
        let reference = key.reference();
        let Some(lane) = self.lanes.get_mut(&reference) else { return false };
        let is_first = lane.is_first(key);
        if is_first && lane.head == Head::Running {
            return false;
        }
        let Some(place) = lane.commands.iter().position(|(other, _)| other == key) else {
            return false;
        };
        let expiry = lane.commands.remove(place).and_then(|(_, expiry)| expiry);
        self.count -= 1;
        if let Some(expiry) = expiry {
            self.expiries.remove(&(expiry, key.clone()));
        }
        if is_first {
            let until = match lane.head {
                Head::Waiting { until, .. } => until,
                Head::Ready | Head::Running => None,
            };
            if let Some(until) = until {
                self.timers.remove(&(until, reference.clone()));
            }
            self.advance(&reference);
        }
        true
    }

    /// Puts a command that was handed out aside; its lane waits with it. Without a time it waits
    /// for [`wake_braked`](Self::wake_braked) alone.
    pub fn pause(&mut self, key: &CommandKey, until: Option<Timestamp>, why: &Pause) -> bool {
        let reference = key.reference();
        let Some(lane) = self.lanes.get_mut(&reference) else { return false };
        if lane.head != Head::Running || !lane.is_first(key) {
            return false;
        }
        let (braked, is_doubt) = match why {
            Pause::Braked(_) => (true, false),
            Pause::Backoff => (false, false),
            Pause::Doubt => (false, true),
        };
        self.running -= 1;
        self.running_doubts -= usize::from(lane.is_doubt);
        lane.head = Head::Waiting { until, braked };
        lane.is_doubt = is_doubt;
        // Its time may have come while it was out.
        if let Some((_, Some(expiry))) = lane.commands.front() {
            self.expiries.insert((*expiry, key.clone()));
        }
        if let Some(until) = until {
            self.timers.insert((until, reference));
        }
        true
    }

    /// Takes a command out that is finished or parked: the next of its reference gets its turn.
    pub fn finish(&mut self, key: &CommandKey) -> bool {
        let reference = key.reference();
        let Some(lane) = self.lanes.get_mut(&reference) else { return false };
        if lane.head != Head::Running || !lane.is_first(key) {
            return false;
        }
        let expiry = lane.commands.pop_front().and_then(|(_, expiry)| expiry);
        self.running -= 1;
        self.running_doubts -= usize::from(lane.is_doubt);
        self.count -= 1;
        if let Some(expiry) = expiry {
            self.expiries.remove(&(expiry, key.clone()));
        }
        self.advance(&reference);
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

    /// The first one of a lane is gone: the next one wants its turn.
    fn advance(&mut self, reference: &Reference) {
        let Some(lane) = self.lanes.get_mut(reference) else { return };
        if lane.commands.is_empty() {
            self.lanes.remove(reference);
            return;
        }
        lane.head = Head::Ready;
        // Only the first one of a reference can have begun.
        lane.is_doubt = false;
        self.ready.push_back(reference.clone());
    }

    fn make_ready(&mut self, reference: &Reference) {
        let Some(lane) = self.lanes.get_mut(reference) else { return };
        match lane.head {
            Head::Waiting { until, .. } => {
                if let Some(until) = until {
                    self.timers.remove(&(until, reference.clone()));
                }
                lane.head = Head::Ready;
                let is_doubt = lane.is_doubt;
                self.line_up(reference.clone(), is_doubt);
            }
            Head::Ready | Head::Running => {}
        }
    }
}

impl Lane {
    fn is_first(&self, key: &CommandKey) -> bool {
        self.commands.front().is_some_and(|(first, _)| first == key)
    }
}

/// Whether a request of it may have left, and nobody knows what became of it.
fn is_doubt(entry: &Entry) -> bool {
    match entry.status() {
        Status::Intended(_) | Status::InDoubt { .. } => true,
        Status::Received
        | Status::NotSent { .. }
        | Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Parked
        | Status::Resolved { .. } => false,
    }
}

/// Those of one reference as they are to be carried. Only the first of them can have begun, so that
/// one comes first; the others follow their offsets. Two partitions hold a reference only where the
/// topic was given more of them: between the two, when they were received is all there is.
fn in_order(mut lane: Vec<&Entry>) -> Vec<&Entry> {
    lane.sort_by_key(|entry| entry.arrival());
    // No command was received before one that stands in front of it, whatever its clock said; with
    // times that never fall, an order by time is one by offset within each partition.
    let mut newest: BTreeMap<i32, Timestamp> = BTreeMap::new();
    let mut ranked: Vec<_> = lane
        .into_iter()
        .map(|entry| {
            let partition = entry.arrival().map_or(0, |arrival| arrival.partition);
            let at = newest.entry(partition).or_insert_with(|| entry.first_at());
            *at = entry.first_at().max(*at);
            (!has_begun(entry), *at, entry)
        })
        .collect();
    // Stable: what was received at once stays in the order of its places.
    ranked.sort_by_key(|(waits, at, _)| (*waits, *at));
    ranked.into_iter().map(|(.., entry)| entry).collect()
}

/// Lanes whose first command had begun before the others, those by when it was received.
fn rank(first: &Entry) -> (bool, Timestamp, Option<Arrival>, CommandKey) {
    (!has_begun(first), first.first_at(), first.arrival(), first.key().clone())
}

const fn has_begun(entry: &Entry) -> bool {
    match entry.status() {
        Status::Received => false,
        Status::Intended(_)
        | Status::NotSent { .. }
        | Status::InDoubt { .. }
        | Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Parked
        | Status::Resolved { .. } => true,
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
