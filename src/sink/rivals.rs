//! Commands of a payment whose money may still move, or moved at a time that nobody knows: what
//! a change of the payment may be of, beside the command that is asked about.
//!
//! One reference has one command in flight, so these are the parked ones, those that a person found
//! to have been executed, and those executed so shortly before that the payment did not show it yet
//! when the next one looked. The first two are few, and all of them are kept; of the last the newest.
//!
//! How shortly before is told by two clocks, and either is enough. The stamps of the journal are all that
//! is left after a restart, but they are of clocks that are set, and of other machines'; what this owner
//! saw itself it knows by a clock that nobody sets as well.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::domain::{
    ids::ConnectionId, money::Money, payment::PaymentState, time::Timestamp,
    vocabulary::VirtualPosStatus,
};

use super::{
    command::{CommandKey, Kind},
    doubt::refunded,
    journal::{Entry, JournalEvent, Status},
    look::LOOK_AGE_MAX_MS,
    plan::later,
};

/// For how long an executed command may not show in its payment; no API is known to take longer.
pub(super) const HIDDEN_MS: i64 = 30 * 60 * 1000;
/// For how long it is a rival of commands that are allowed after it: their look may be older.
const RIVAL_MS: i64 = HIDDEN_MS + LOOK_AGE_MAX_MS;
const RIVAL: Duration = Duration::from_millis(RIVAL_MS.unsigned_abs());
/// By how much the stamps of two owners may contradict each other: a wrong time zone, at most.
const CLOCK_OFF_MAX_MS: i64 = 24 * 60 * 60 * 1000;
/// Executed commands that are remembered for that: some megabytes.
const RECENT_MAX: usize = 10_000;

/// A command that may explain what another one is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rival {
    /// Which.
    pub command_id: Uuid,
    /// What it does to the payment.
    pub kind: Kind,
}

/// When something happened at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct When {
    /// By the wall clock of the owner of that time.
    stamp: Timestamp,
    /// By this process's own clock; nothing of what the journal told it.
    seen: Option<Instant>,
}

/// Of which looks at the payment a command is a rival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Of all: it is parked.
    All,
    /// Of those until shortly after: a person found it executed then, and it may show later.
    Found(When),
    /// Of those until shortly after it was executed that do not show all of these: a cancelled payment,
    /// or this sum refunded. Which of several a look does not show cannot be told: a later one may show
    /// first.
    NotShowing { executed: When, sum: Option<Money> },
}

/// A reference of a connection.
type Payment = (ConnectionId, Box<str>);

/// The rivals of every payment.
#[derive(Debug, Clone, Default)]
pub struct Rivals {
    payments: HashMap<Payment, BTreeMap<Uuid, (Kind, Of)>>,
    /// Executed ones, by when they were.
    recent: BTreeSet<(Timestamp, CommandKey)>,
    /// When this owner looked for those whose request may be on its way.
    looked: HashMap<CommandKey, Instant>,
    /// When the journal had been read: what it told had happened by then.
    restored_at: Option<Instant>,
}

impl Rivals {
    /// The journal is read to its end: what comes from now on this owner sees itself.
    pub const fn begin(&mut self, now: Instant) {
        self.restored_at = Some(now);
    }

    /// Takes over what this owner does with a command, as it does it.
    pub fn moved_at(&mut self, entry: &Entry, now: Instant) {
        if matches!(entry.status(), Status::Intended(_)) {
            self.looked.insert(entry.key().clone(), now);
        }
        self.take(entry, Some(now));
    }

    /// Takes a command's newest standing over from the journal.
    pub fn moved(&mut self, entry: &Entry) {
        self.take(entry, None);
    }

    fn take(&mut self, entry: &Entry, seen: Option<Instant>) {
        let when = When { stamp: entry.last_at(), seen };
        let of = match entry.status() {
            Status::Parked => Of::All,
            Status::Resolved { executed: true } => Of::Found(when),
            Status::Done { .. } => Of::NotShowing { executed: when, sum: self.sum_after(entry) },
            Status::Intended(_) | Status::InDoubt { .. } => return self.drop_rival(entry.key()),
            Status::Received
            | Status::NotSent { .. }
            | Status::Declined
            | Status::Rejected
            | Status::Expired
            | Status::Resolved { executed: false } => return self.forget(entry.key()),
        };
        let Some(order) = entry.order() else { return };
        let key = entry.key();
        self.looked.remove(key);
        let payment = self.payments.entry(payment_of(key)).or_default();
        let known = payment.insert(key.command_id, (order.kind, of));
        if let (Of::NotShowing { .. }, None) = (of, known) {
            self.recent.insert((entry.last_at(), key.clone()));
            if self.recent.len() > RECENT_MAX
                && let Some((_, oldest)) = self.recent.pop_first()
            {
                self.forget(&oldest);
            }
        }
    }

    /// What must be refunded where an executed refund shows, those included that its own look did
    /// not show; nothing of a cancel, nor where it is not known what was refunded before.
    fn sum_after(&self, entry: &Entry) -> Option<Money> {
        let Kind::Refund { amount } = entry.order()?.kind else { return None };
        let before = refunded(look_of(entry)?.1)?.unscaled();
        let hidden = self.counting(entry).filter_map(|(_, kind, of)| match (kind, of) {
            (Kind::Refund { amount }, Of::NotShowing { .. }) => Some(amount.unscaled()),
            _ => None,
        });
        hidden
            .chain([amount.unscaled()])
            .try_fold(before, i128::checked_add)
            .map(Money::from_unscaled)
    }

    /// The same for a story that the journal tells. How long ago it ended says nothing: a doubt counts
    /// from its own look, and where the sink was off the two are as old. Only what would be dropped
    /// again at once is passed over.
    pub fn restore(&mut self, entry: &Entry) {
        let oldest = self.recent.first().filter(|_| self.recent.len() >= RECENT_MAX);
        let is_older = oldest.is_some_and(|(at, _)| entry.last_at() < *at);
        if !(is_older && matches!(entry.status(), Status::Done { .. })) {
            self.moved(entry);
        }
    }

    /// Forgets a command.
    pub fn forget(&mut self, key: &CommandKey) {
        self.looked.remove(key);
        self.drop_rival(key);
    }

    fn drop_rival(&mut self, key: &CommandKey) {
        let payment = payment_of(key);
        if let Some(rivals) = self.payments.get_mut(&payment) {
            rivals.remove(&key.command_id);
            if rivals.is_empty() {
                self.payments.remove(&payment);
            }
        }
    }

    /// Those whose money may have moved, or become visible, since the payment was looked at for this
    /// command's intent.
    pub fn of(&self, entry: &Entry) -> Vec<Rival> {
        self.counting(entry).map(|(command_id, kind, _)| Rival { command_id, kind }).collect()
    }

    fn counting(&self, entry: &Entry) -> impl Iterator<Item = (Uuid, Kind, Of)> {
        let seen = self.looked.get(entry.key()).copied();
        let look = look_of(entry).map(|(stamp, before)| (When { stamp, seen }, before));
        let is_hidden = |of: Of| match (of, look) {
            (Of::NotShowing { executed, sum }, Some((looked, before))) => {
                self.is_shortly_before(executed, looked) && !shows(before, sum)
            }
            _ => false,
        };
        let hides_some = self.others(entry).any(|(_, _, of)| is_hidden(of));
        let counts = move |of: Of| {
            look.is_some_and(|(looked, _)| match of {
                Of::All => true,
                Of::Found(found) => self.is_shortly_before(found, looked),
                Of::NotShowing { executed, .. } => {
                    hides_some && self.is_shortly_before(executed, looked)
                }
            })
        };
        self.others(entry).filter(move |(_, _, of)| counts(*of))
    }

    /// Whether what happened may have been hidden from a look, or came after it. By the stamps, or by
    /// this process's own clock: one that was set forward between the two makes a moment an hour.
    fn is_shortly_before(&self, happened: When, looked: When) -> bool {
        let by_stamps =
            |off: i64| later(happened.stamp, RIVAL_MS.saturating_add(off)) >= looked.stamp;
        let own = |when: When| when.seen.or(self.restored_at);
        // What nobody knows the time of is taken for a moment.
        let passed = own(happened)
            .zip(own(looked))
            .map_or(Duration::ZERO, |(from, to)| to.saturating_duration_since(from));
        let is_known = happened.seen.is_some() && looked.seen.is_some();
        // What the journal tells alone happened before it was read, nobody knows how long before: there
        // its stamps have a say, as far as clocks are ever wrong.
        by_stamps(0) || passed <= RIVAL && (is_known || by_stamps(CLOCK_OFF_MAX_MS))
    }

    fn others(&self, entry: &Entry) -> impl Iterator<Item = (Uuid, Kind, Of)> {
        let own = entry.key().command_id;
        let rivals = self.payments.get(&payment_of(entry.key())).into_iter().flatten();
        rivals.map(|(id, (kind, of))| (*id, *kind, *of)).filter(move |(id, ..)| *id != own)
    }
}

/// How the payment stood for the newest intent, and when that was.
pub(super) fn look_of(entry: &Entry) -> Option<(Timestamp, &PaymentState)> {
    entry.events().iter().rev().find_map(|event| match event {
        JournalEvent::Intended { at, before, .. } => Some((*at, before)),
        _ => None,
    })
}

fn shows(before: &PaymentState, sum: Option<Money>) -> bool {
    match sum {
        Some(sum) => refunded(before).is_some_and(|refunded| refunded >= sum),
        None => before.status == VirtualPosStatus::Cancelled,
    }
}

fn payment_of(key: &CommandKey) -> Payment {
    (key.connection.clone(), key.reference_no.as_ref().into())
}

#[cfg(test)]
#[path = "rivals_tests.rs"]
mod tests;
