//! Commands of a payment whose money may still move, or moved at a time that nobody knows: what
//! a change of the payment may be of, beside the command that is asked about.
//!
//! One reference has one command in flight, so these are the parked ones, those that a person found
//! to have been executed, and those executed so shortly before that the payment did not show it yet
//! when the next one looked. The first two are few, and all of them are kept; of the last the newest.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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
/// Executed commands that are remembered for that: some megabytes.
const RECENT_MAX: usize = 10_000;
/// How long before a restore a command may have been executed that counts for one that is still in
/// doubt: a doubt is not looked up for so long where the sink runs, and where it was off the looks
/// before it are as old.
const RESTORED_MS: i64 = 48 * 60 * 60 * 1000;

/// A command that may explain what another one is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rival {
    /// Which.
    pub command_id: Uuid,
    /// What it does to the payment.
    pub kind: Kind,
}

/// Of which looks at the payment a command is a rival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Of all: it is parked.
    All,
    /// Of those up to this instant: a person found it executed, and it may show later.
    Before(Timestamp),
    /// Of those up to this instant that do not show all of these: a cancelled payment, or this sum
    /// refunded. Which of several a look does not show cannot be told: a later one may show first.
    NotShowing { until: Timestamp, sum: Option<Money> },
}

/// A reference of a connection.
type Payment = (ConnectionId, Box<str>);

/// The rivals of every payment.
#[derive(Debug, Clone, Default)]
pub struct Rivals {
    payments: HashMap<Payment, BTreeMap<Uuid, (Kind, Of)>>,
    /// Executed ones, by when they were.
    recent: BTreeSet<(Timestamp, CommandKey)>,
}

impl Rivals {
    /// Takes a command's newest standing over.
    pub fn moved(&mut self, entry: &Entry) {
        let of = match entry.status() {
            Status::Parked => Of::All,
            Status::Resolved { executed: true } => Of::Before(later(entry.last_at(), RIVAL_MS)),
            Status::Done { .. } => {
                let until = later(entry.last_at(), RIVAL_MS);
                Of::NotShowing { until, sum: self.sum_after(entry) }
            }
            Status::Received
            | Status::Intended(_)
            | Status::NotSent { .. }
            | Status::InDoubt { .. }
            | Status::Declined
            | Status::Rejected
            | Status::Expired
            | Status::Resolved { executed: false } => return self.forget(entry.key()),
        };
        let Some(order) = entry.order() else { return };
        let key = entry.key();
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

    /// The same for a story that the journal tells: what was executed long ago shows by now.
    pub fn restore(&mut self, entry: &Entry, now: Timestamp) {
        let is_old = later(entry.last_at(), RESTORED_MS) < now;
        if !(is_old && matches!(entry.status(), Status::Done { .. })) {
            self.moved(entry);
        }
    }

    /// Forgets a command.
    pub fn forget(&mut self, key: &CommandKey) {
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
        let look = look_of(entry);
        let is_hidden = |of: Of| match (of, look) {
            (Of::NotShowing { until, sum }, Some((since, before))) => {
                until >= since && !shows(before, sum)
            }
            _ => false,
        };
        let hides_some = self.others(entry).any(|(_, _, of)| is_hidden(of));
        let counts = move |of: Of| {
            look.is_some_and(|(since, _)| match of {
                Of::All => true,
                Of::Before(until) => until >= since,
                Of::NotShowing { until, .. } => until >= since && hides_some,
            })
        };
        self.others(entry).filter(move |(_, _, of)| counts(*of))
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
mod tests {
    use super::*;
    use crate::sink::tests::{
        HOUR, SECOND, after, approved, doubted, intended, key_of, parked, payment, received_as,
        refund, resolved, story_of,
    };

    fn command(reference: &str, n: u128, events: &[JournalEvent]) -> Entry {
        story_of(received_as(key_of(reference, n), refund("10.00")), events.iter().cloned())
    }

    /// The n-th command of REF-1, whose look was then and showed this sum.
    fn asked(n: u128, at: Timestamp, sum: Option<&str>) -> Entry {
        let before = payment(VirtualPosStatus::Successful, sum);
        let send_not_after = later(at, SECOND);
        let over_at = None;
        let intent =
            JournalEvent::Intended { at, attempt: 1, epoch: 1, before, send_not_after, over_at };
        command("REF-1", n, &[intent])
    }

    fn ids(rivals: &Rivals, entry: &Entry) -> Vec<Uuid> {
        rivals.of(entry).iter().map(|rival| rival.command_id).collect()
    }

    #[test]
    fn a_parked_command_is_a_rival_of_its_own_payment_until_it_was_not_executed() {
        let asked = asked(2, after(0), None);
        let mut rivals = Rivals::default();
        let doubt = [intended(1, 1), doubted()];
        rivals.moved(&command("REF-1", 1, &doubt));
        assert!(
            ids(&rivals, &asked).is_empty(),
            "one that is in doubt has not let the next one go"
        );
        let story = [&doubt[..], &[parked()]].concat();
        rivals.moved(&command("REF-1", 1, &story));
        rivals.moved(&command("REF-2", 3, &story));
        rivals.moved(&command("REF-1", 2, &story));
        let first = key_of("REF-1", 1);
        assert_eq!(ids(&rivals, &asked), [first.command_id]);
        rivals.moved(&command("REF-1", 1, &[&story[..], &[resolved(false)]].concat()));
        assert!(ids(&rivals, &asked).is_empty());
        rivals.moved(&command("REF-1", 1, &story));
        rivals.forget(&first);
        assert!(ids(&rivals, &asked).is_empty());
    }

    #[test]
    fn one_that_a_person_found_executed_counts_where_that_was_after_the_look() {
        let story = [intended(1, 1), doubted(), parked(), resolved(true)];
        let found = command("REF-1", 1, &story);
        let mut rivals = Rivals::default();
        rivals.restore(&found, after(100 * HOUR));
        let until = later(found.last_at(), RIVAL_MS);
        assert_eq!(ids(&rivals, &asked(2, until, Some("10.00"))).len(), 1, "it may show later");
        assert!(ids(&rivals, &asked(2, later(until, 1), None)).is_empty());
    }

    #[test]
    fn an_executed_one_counts_where_the_look_shortly_after_did_not_show_it() {
        let done = command("REF-1", 1, &[intended(1, 1), approved()]);
        let ended = done.last_at();
        let mut rivals = Rivals::default();
        rivals.moved(&done);
        assert_eq!(ids(&rivals, &asked(2, ended, None)).len(), 1);
        assert_eq!(ids(&rivals, &asked(2, ended, Some("9.99"))).len(), 1);
        assert!(ids(&rivals, &asked(2, ended, Some("10.00"))).is_empty(), "the look shows it");
        assert!(
            ids(&rivals, &asked(2, later(ended, HOUR), None)).is_empty(),
            "it was too long ago"
        );
        let mut restored = Rivals::default();
        restored.restore(&done, later(ended, 49 * HOUR));
        assert!(restored.payments.is_empty());
        // A doubt may be a day old, and counts from its own look.
        restored.restore(&done, later(ended, 25 * HOUR));
        assert_eq!(ids(&restored, &asked(2, ended, None)).len(), 1);
        // The second one, whose look did not show the first, shows where both do.
        let second = asked(2, ended, None).with(approved()).unwrap();
        rivals.moved(&second);
        // Which of the two it shows is not known.
        assert_eq!(ids(&rivals, &asked(3, second.last_at(), Some("10.00"))).len(), 2);
        assert!(ids(&rivals, &asked(3, second.last_at(), Some("20.00"))).is_empty());
    }

    #[test]
    fn a_younger_one_that_shows_first_hides_no_older_one() {
        let mut rivals = Rivals::default();
        let done = command("REF-1", 1, &[intended(1, 1), approved()]);
        rivals.moved(&done);
        let ended = done.last_at();
        let double = received_as(key_of("REF-1", 2), refund("20.00"));
        let JournalEvent::Intended { send_not_after, .. } = intended(1, 1) else { panic!() };
        let before = payment(VirtualPosStatus::Successful, None);
        let (at, over_at) = (ended, None);
        let intent =
            JournalEvent::Intended { at, attempt: 1, epoch: 1, before, send_not_after, over_at };
        let double = story_of(double, [intent, approved()]);
        rivals.moved(&double);
        // 20.00 is what the second one gave back, and covers the first one's sum of 10.00.
        let third = asked(3, double.last_at(), Some("20.00"));
        assert_eq!(ids(&rivals, &third), [done.key().command_id, double.key().command_id]);
        assert!(ids(&rivals, &asked(3, double.last_at(), Some("30.00"))).is_empty(), "all shows");
    }

    #[test]
    fn the_newest_executed_ones_are_remembered() {
        let mut rivals = Rivals::default();
        for n in 0..=RECENT_MAX as u128 {
            rivals.moved(&command(&format!("R{n}"), n, &[intended(1, 1), approved()]));
        }
        assert_eq!(rivals.payments.len(), RECENT_MAX);
        assert_eq!(rivals.recent.len(), RECENT_MAX);
        assert_eq!(rivals.recent.first().map(|(_, key)| key), Some(&key_of("R1", 1)));
    }
}
