//! Commands of a payment whose money may still move, or moved at a time that nobody knows: what
//! a change of the payment may be of, beside the command that is asked about.
//!
//! One reference has one command in flight, so these are the parked ones, and those that a person
//! found to have been executed. Both are few; all of them are kept.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::domain::{ids::ConnectionId, time::Timestamp};

use super::{
    command::{CommandKey, Kind},
    journal::{Entry, Status},
};

/// A command that may explain what another one is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rival {
    /// Which.
    pub command_id: Uuid,
    /// What it does to the payment.
    pub kind: Kind,
}

/// Until when its money may have moved; nothing where nobody knows.
type Until = Option<Timestamp>;

/// The rivals of every payment.
#[derive(Debug, Clone, Default)]
pub struct Rivals {
    payments: HashMap<(ConnectionId, Box<str>), BTreeMap<Uuid, (Kind, Until)>>,
}

impl Rivals {
    /// Takes a command's newest standing over.
    pub fn moved(&mut self, entry: &Entry) {
        let until = match entry.status() {
            Status::Parked => None,
            Status::Resolved { executed: true } => Some(entry.last_at()),
            Status::Received
            | Status::Intended(_)
            | Status::NotSent { .. }
            | Status::InDoubt { .. }
            | Status::Done { .. }
            | Status::Declined
            | Status::Rejected
            | Status::Expired
            | Status::Resolved { executed: false } => return self.forget(entry.key()),
        };
        if let Some(order) = entry.order() {
            let payment = self.payments.entry(payment_of(entry.key())).or_default();
            payment.insert(entry.key().command_id, (order.kind, until));
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

    /// Those whose money may have moved since the payment was looked at for this command's intent.
    pub fn of(&self, entry: &Entry) -> Vec<Rival> {
        let Some(since) = entry.intended_at() else { return Vec::new() };
        let Some(rivals) = self.payments.get(&payment_of(entry.key())) else { return Vec::new() };
        let own = entry.key().command_id;
        let may_count = |until: Until| until.is_none_or(|until| until >= since);
        rivals
            .iter()
            .filter(|(id, (_, until))| **id != own && may_count(*until))
            .map(|(id, (kind, _))| Rival { command_id: *id, kind: *kind })
            .collect()
    }
}

fn payment_of(key: &CommandKey) -> (ConnectionId, Box<str>) {
    (key.connection.clone(), key.reference_no.as_ref().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests::{
        HOUR, after, doubted, intended, key_of, parked, received_as, refund, resolved, story_of,
    };

    fn command(reference: &str, n: u128, events: &[crate::sink::journal::JournalEvent]) -> Entry {
        story_of(received_as(key_of(reference, n), refund("10.00")), events.iter().cloned())
    }

    fn ids(rivals: &Rivals, entry: &Entry) -> Vec<u128> {
        rivals.of(entry).iter().map(|rival| rival.command_id.as_u128()).collect()
    }

    #[test]
    fn a_parked_command_is_a_rival_of_its_own_payment_until_a_person_says_that_it_was_not_executed()
    {
        let asked = command("REF-1", 2, &[intended(1, 1), doubted()]);
        let mut rivals = Rivals::default();
        let doubt = [intended(1, 1), doubted()];
        rivals.moved(&command("REF-1", 1, &doubt));
        assert_eq!(ids(&rivals, &asked), [], "one that is in doubt has not let the next one go");
        let story = [&doubt[..], &[parked()]].concat();
        rivals.moved(&command("REF-1", 1, &story));
        rivals.moved(&command("REF-2", 3, &story));
        let own = command("REF-1", 2, &story);
        rivals.moved(&own);
        assert_eq!(ids(&rivals, &asked), [key_of("REF-1", 1).command_id.as_u128()]);
        rivals.moved(&command("REF-1", 1, &[&story[..], &[resolved(false)]].concat()));
        assert_eq!(ids(&rivals, &asked), []);
        rivals.moved(&command("REF-1", 1, &story));
        rivals.forget(&key_of("REF-1", 1));
        assert_eq!(ids(&rivals, &asked), []);
    }

    #[test]
    fn one_that_a_person_found_executed_counts_where_that_was_after_the_look() {
        let story = [intended(1, 1), doubted(), parked(), resolved(true)];
        let found = command("REF-1", 1, &story);
        let mut rivals = Rivals::default();
        rivals.moved(&found);
        let later = |at| match intended(1, 1) {
            crate::sink::journal::JournalEvent::Intended {
                attempt,
                epoch,
                before,
                send_not_after,
                ..
            } => crate::sink::journal::JournalEvent::Intended {
                at,
                attempt,
                epoch,
                before,
                send_not_after,
            },
            other => panic!("{other:?}"),
        };
        let before = command("REF-1", 2, &[later(found.last_at())]);
        assert_eq!(ids(&rivals, &before).len(), 1);
        let after = command("REF-1", 2, &[later(after(48 * HOUR))]);
        assert!(after.intended_at() > Some(found.last_at()));
        assert_eq!(ids(&rivals, &after), []);
    }
}
