//! What holds commands back: caps, the kill switch, and too many doubts.
//!
//! The sums are rebuilt from the journal, so a restart does not forget them. Each command adds its
//! amount once, on the Istanbul day of its intent, and takes it back when it is proven that no
//! money moved. Cancels have no amount and add nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::model,
    domain::{
        ids::ConnectionId,
        money::Money,
        time::{Day, Timestamp},
    },
};

use super::{
    command::{CommandKey, Kind},
    journal::{Entry, Status},
};

/// The configured limits; by default nothing may be executed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// The largest amount of one refund.
    pub max_amount: Option<Money>,
    /// The largest sum of refunds of a connection and day.
    pub max_daily_amount: Option<Money>,
    /// Commands in doubt or parked after which a connection takes no new one.
    pub max_in_doubt: u32,
}

impl From<&model::Sink> for Limits {
    fn from(sink: &model::Sink) -> Self {
        Self {
            max_amount: sink.max_amount,
            max_daily_amount: sink.max_daily_amount,
            max_in_doubt: sink.max_in_doubt,
        }
    }
}

/// Who can hold the kill switch down; each lets go of its own only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopSource {
    /// A file that is there.
    File,
    /// The operator's record in the journal, by the command line or the admin listener.
    Record,
}

/// Why a command waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brake {
    /// The kill switch.
    Stopped {
        /// Who holds it, and what they said.
        by: StopSource,
        /// Their words.
        why: String,
    },
    /// Too many commands of the connection are in doubt or parked.
    TooManyDoubts {
        /// How many.
        open: u32,
        /// How many may be.
        max: u32,
    },
    /// The day's cap may be reached by commands that are just being prepared.
    CapPending,
}

/// Whether a command may be executed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// It may.
    Go,
    /// It never may: it is over a cap.
    Reject {
        /// Both numbers.
        why: String,
    },
    /// Not now.
    Wait(Brake),
}

/// What one command adds to the sums of its connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Weight {
    /// On the day of its intent, as [`Money::unscaled`] counts.
    spent: Option<(Day, i128)>,
    /// Whether it counts as a doubt.
    doubt: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sums {
    days: BTreeMap<Day, i128>,
    doubts: u32,
}

/// The state of all brakes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brakes {
    limits: Limits,
    stops: BTreeMap<StopSource, String>,
    connections: BTreeMap<ConnectionId, Sums>,
    /// Refunds that were let through and have no intent yet.
    reserved: BTreeMap<CommandKey, i128>,
    /// Doubts that the journal does not tell yet.
    unwritten: BTreeSet<CommandKey>,
}

impl Brakes {
    /// Nothing stopped, nothing spent.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            stops: BTreeMap::new(),
            connections: BTreeMap::new(),
            reserved: BTreeMap::new(),
            unwritten: BTreeSet::new(),
        }
    }

    /// The same sums and stops under these limits.
    #[must_use]
    pub fn under(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Holds the kill switch down.
    pub fn stop(&mut self, by: StopSource, why: String) {
        self.stops.insert(by, why);
    }

    /// Lets go of it; others may still hold it.
    pub fn release_stop(&mut self, by: StopSource) {
        self.stops.remove(&by);
    }

    /// Who holds the kill switch down, and why.
    pub fn stopped(&self) -> Option<(StopSource, &str)> {
        self.stops.first_key_value().map(|(by, why)| (*by, why.as_str()))
    }

    /// Commands of a connection in doubt or parked, those included that the journal does not tell yet.
    pub fn doubts(&self, connection: &ConnectionId) -> u32 {
        let written = self.connections.get(connection).map_or(0, |sums| sums.doubts);
        let unwritten = self.unwritten.iter().filter(|key| key.connection == *connection).count();
        written.saturating_add(u32::try_from(unwritten).unwrap_or(u32::MAX))
    }

    /// Counts a doubt from the moment at which it is one: while it is being written, nothing else may
    /// have its place.
    pub fn doubt(&mut self, key: &CommandKey) {
        self.unwritten.insert(key.clone());
    }

    /// What a connection's intents of a day add up to, reservations left out.
    pub fn spent(&self, connection: &ConnectionId, day: Day) -> Money {
        let sums = self.connections.get(connection);
        let sum = sums.and_then(|sums| sums.days.get(&day)).copied().unwrap_or_default();
        Money::from_unscaled(sum)
    }

    /// Counts an entry that these brakes have not seen: once for each, at the start or when new.
    pub fn add(&mut self, entry: &Entry) {
        self.change(entry.key(), Weight::default(), weigh(entry));
    }

    /// Counts what one more event changed; `before` must be what was counted last.
    pub fn moved(&mut self, before: &Entry, after: &Entry) {
        if !matches!(after.status(), Status::Intended(_)) {
            self.unwritten.remove(after.key());
        }
        match after.status() {
            // Nothing is let through in these, or it was taken back: the reservation stays with
            // whoever is preparing the next intent.
            Status::Received | Status::NotSent { .. } => {}
            // Its own sum counts from here, or nothing will ever be spent.
            Status::Intended(_)
            | Status::InDoubt { .. }
            | Status::Done { .. }
            | Status::Declined
            | Status::Rejected
            | Status::Expired
            | Status::Parked
            | Status::Resolved { .. } => self.release(after.key()),
        }
        self.change(after.key(), weigh(before), weigh(after));
    }

    /// Sets an amount aside while a command that was let through is being prepared, so that two
    /// commands cannot both use what is left of the day.
    pub fn reserve(&mut self, key: &CommandKey, kind: Kind) {
        if let Some(amount) = kind.amount() {
            self.reserved.insert(key.clone(), amount.unscaled());
        }
    }

    /// Gives the amount back when the preparation came to nothing.
    pub fn release(&mut self, key: &CommandKey) {
        self.reserved.remove(key);
    }

    /// Forgets the sums of days before [`kept_since`]; the caps ask for today only.
    pub fn forget_old_days(&mut self, now: Timestamp) {
        let oldest = kept_since(now);
        for sums in self.connections.values_mut() {
            sums.days = sums.days.split_off(&oldest);
        }
    }

    /// Whether a command may be executed now.
    ///
    /// | order | what                                     | answer             |
    /// |-------|------------------------------------------|--------------------|
    /// | 1     | over the cap of one refund               | Reject             |
    /// | 2     | kill switch                              | Wait(Stopped)      |
    /// | 3     | as many doubts as allowed, or more       | Wait(TooManyDoubts)|
    /// | 4     | over the day's cap with what is spent    | Reject             |
    /// | 5     | over it only with what is being prepared | Wait(CapPending)   |
    /// | 6     | none                                     | Go                 |
    ///
    /// The day's cap comes after the waiting, because it may be another day by then.
    pub fn check(&self, key: &CommandKey, kind: Kind, now: Timestamp) -> Check {
        if let Some(why) = self.over_single_cap(kind) {
            return Check::Reject { why };
        }
        match self.held(&key.connection) {
            Some(brake) => Check::Wait(brake),
            None => self.check_day(key, kind, now),
        }
    }

    /// What holds every command of a connection.
    pub fn held(&self, connection: &ConnectionId) -> Option<Brake> {
        if let Some((by, why)) = self.stopped() {
            return Some(Brake::Stopped { by, why: why.to_owned() });
        }
        let (open, max) = (self.doubts(connection), self.limits.max_in_doubt);
        (open >= max).then_some(Brake::TooManyDoubts { open, max })
    }

    fn over_single_cap(&self, kind: Kind) -> Option<String> {
        let (amount, cap) = (kind.amount()?, self.limits.max_amount?);
        (amount > cap).then(|| format!("amount {amount} is over sink.max_amount {cap}"))
    }

    fn check_day(&self, key: &CommandKey, kind: Kind, now: Timestamp) -> Check {
        let (Some(amount), Some(cap)) = (kind.amount(), self.limits.max_daily_amount) else {
            return Check::Go;
        };
        let day = now.local_day();
        let spent = self.spent(&key.connection, day);
        let wanted = spent.unscaled().saturating_add(amount.unscaled());
        if wanted > cap.unscaled() {
            let why = format!(
                "amount {amount} with {spent} of {} is over sink.max_daily_amount {cap}",
                day.to_date()
            );
            return Check::Reject { why };
        }
        let others = self
            .reserved
            .iter()
            .filter(|(other, _)| other.connection == key.connection && *other != key);
        let pending = others.fold(0_i128, |sum, (_, amount)| sum.saturating_add(*amount));
        if wanted.saturating_add(pending) > cap.unscaled() {
            return Check::Wait(Brake::CapPending);
        }
        Check::Go
    }

    fn change(&mut self, key: &CommandKey, was: Weight, is: Weight) {
        if was == is {
            return;
        }
        let sums = self.connections.entry(key.connection.clone()).or_default();
        if let Some((day, amount)) = was.spent
            && let Some(sum) = sums.days.get_mut(&day)
        {
            // A day that was forgotten has nothing left to take from.
            *sum = sum.saturating_sub(amount);
        }
        if let Some((day, amount)) = is.spent {
            let sum = sums.days.entry(day).or_default();
            *sum = sum.saturating_add(amount);
        }
        match (was.doubt, is.doubt) {
            (false, true) => sums.doubts = sums.doubts.saturating_add(1),
            (true, false) => sums.doubts = sums.doubts.saturating_sub(1),
            (false, false) | (true, true) => {}
        }
    }
}

/// Days of which sums are kept, today among them. The clock may be ahead for a while, and is believed
/// when it has been set right: what was spent on the day that it really is must be known then.
const KEPT_DAYS: i32 = 35;

/// The first day of which sums are kept.
pub fn kept_since(now: Timestamp) -> Day {
    now.local_day().plus(1 - KEPT_DAYS)
}

/// What an entry adds to its connection.
///
/// | status                                              | its amount | a doubt |
/// |-----------------------------------------------------|------------|---------|
/// | Received, NotSent, Declined, Rejected, Expired      | no         | no      |
/// | Intended, Done                                      | yes        | no      |
/// | InDoubt, Parked                                     | yes        | yes     |
/// | Resolved, executed                                  | yes        | no      |
/// | Resolved, not executed                              | no         | no      |
fn weigh(entry: &Entry) -> Weight {
    let (counts, doubt) = match entry.status() {
        Status::Received
        | Status::NotSent { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Resolved { executed: false } => (false, false),
        Status::Intended(_) | Status::Done { .. } | Status::Resolved { executed: true } => {
            (true, false)
        }
        Status::InDoubt { .. } | Status::Parked => (true, true),
    };
    let amount = entry.order().and_then(|order| order.kind.amount());
    let spent = match (counts, entry.intended_at(), amount) {
        (true, Some(at), Some(amount)) => Some((at.local_day(), amount.unscaled())),
        (true | false, _, _) => None,
    };
    Weight { spent, doubt }
}

#[cfg(test)]
#[path = "brakes_tests.rs"]
mod tests;
