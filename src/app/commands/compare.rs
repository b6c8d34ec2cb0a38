//! How the payment of a command stands now, beside what the journal knows; only reads.

use serde::Serialize;

use super::{Error, Found, Meant, find, journal};
use crate::{
    api::{Client, Purpose},
    config::model::Kafka,
    domain::{ids::ConnectionId, payment::PaymentState},
    sink::{
        doubt::{Judgement, judge_doubt},
        journal::{Entry, JournalEvent, Status},
        rivals::{Rival, Rivals},
    },
};

/// How the payment stands beside what the journal knows.
#[derive(Debug, Serialize)]
pub struct Compared {
    /// The command.
    pub command_id: String,
    /// How it stands.
    pub status: &'static str,
    /// How the payment stood before the request; none where nothing was intended.
    pub before: Option<PaymentState>,
    /// How it stands now; none where the API knows no such payment.
    pub now: Option<PaymentState>,
    /// What that says about the command.
    pub says: String,
}

/// A command, and the others of its payment.
#[derive(Debug)]
pub struct Looked {
    entry: Entry,
    others: Vec<Entry>,
}

impl Looked {
    /// Whose payment it is.
    pub fn connection(&self) -> &ConnectionId {
        &self.entry.key().connection
    }
}

/// What the journal knows of the command that is meant, and of others of its payment.
///
/// # Errors
/// An unknown command, a journal that cannot be read.
pub async fn look_up(kafka: &Kafka, meant: &Meant) -> Result<Looked, Error> {
    let Found { told, .. } = find(kafka, meant).await?;
    let payment = told.entry.key().reference();
    let all = journal(kafka, move |entry| entry.key().reference() == payment).await?;
    let is_it = |entry: &Entry| entry.key() == told.entry.key();
    let others = all.commands.into_values().map(|told| told.entry);
    // As it stands by now.
    let (this, others): (Vec<_>, Vec<_>) = others.partition(is_it);
    let entry = this.into_iter().next().unwrap_or(told.entry);
    Ok(Looked { entry, others })
}

/// Asks the API how its payment stands, and changes nothing.
///
/// # Errors
/// An API that does not tell.
pub async fn ask(client: &Client, looked: &Looked) -> Result<Compared, Error> {
    let Looked { entry, others } = looked;
    let now = client.payment_state(Purpose::Payment, &entry.key().reference_no).await?;
    Ok(compare(entry, now, others))
}

fn compare(entry: &Entry, now: Option<PaymentState>, others: &[Entry]) -> Compared {
    let before = entry.events().iter().rev().find_map(|event| match event {
        JournalEvent::Intended { before, .. } => Some(before.clone()),
        _ => None,
    });
    let says = match (known(entry), entry.order(), &before, &now) {
        (Some(known), ..) => known,
        (None, _, _, None) => "the API has no payment of this reference".to_owned(),
        (None, Some(order), Some(before), Some(now)) => {
            match judge_doubt(order.kind, before, now, &rivals(entry, others)) {
                Judgement::Explained => {
                    "the payment changed as only this command explains: it was executed".to_owned()
                }
                Judgement::NotExplained { why } => {
                    format!("{why}: that alone does not say that this command was executed")
                }
            }
        }
        (None, None, ..) | (None, _, None, _) => NOTHING_LEFT.to_owned(),
    };
    let says = match entry.status() {
        Status::InDoubt { .. } => format!("{says} (the sink asks again by itself)"),
        _ => says,
    };
    let status = entry.status().word();
    Compared { command_id: entry.key().command_id.to_string(), status, before, now, says }
}

const NOTHING_LEFT: &str = "no request of this command left";

/// What the journal knows without asking how the payment stands: whatever changed it, where no request
/// of this command left or the API refused it, it was not this command.
fn known(entry: &Entry) -> Option<String> {
    let last = entry.events().iter().rev().find(|event| match event {
        JournalEvent::Intended { .. }
        | JournalEvent::NotSent { .. }
        | JournalEvent::Approved { .. }
        | JournalEvent::Declined { .. } => true,
        JournalEvent::Received { .. }
        | JournalEvent::Refused { .. }
        | JournalEvent::Rejected { .. }
        | JournalEvent::Expired { .. }
        | JournalEvent::Doubted { .. }
        | JournalEvent::Inferred { .. }
        | JournalEvent::Parked { .. }
        | JournalEvent::Resolved { .. } => false,
    });
    match last {
        None | Some(JournalEvent::NotSent { .. }) => Some(NOTHING_LEFT.to_owned()),
        Some(JournalEvent::Declined { provider, .. }) => {
            let words = [provider.code.as_deref(), provider.message.as_deref()];
            let words: Vec<&str> = words.into_iter().flatten().collect();
            let why = if words.is_empty() { "no reason".to_owned() } else { words.join(" ") };
            Some(format!("the API declined it ({why}): it was not executed"))
        }
        Some(_) => None,
    }
}

/// Other commands that may have changed the payment since this one's look at it: what the sink knows
/// of, what it is about to do, and what it executed since, whether the look showed it or not.
fn rivals(entry: &Entry, others: &[Entry]) -> Vec<Rival> {
    let since = entry.intended_at();
    let mut known = Rivals::default();
    let mut others: Vec<&Entry> = others.iter().collect();
    others.sort_by_key(|other| other.last_at());
    others.iter().for_each(|other| known.moved(other));
    let mut rivals = known.of(entry);
    let moves = |status: &Status| matches!(status, Status::Intended(_) | Status::InDoubt { .. });
    let executed_since = |other: &Entry| {
        matches!(other.status(), Status::Done { .. }) && Some(other.last_at()) >= since
    };
    for other in others.into_iter().filter(|o| moves(o.status()) || executed_since(o)) {
        let command_id = other.key().command_id;
        if let Some(order) =
            other.order().filter(|_| rivals.iter().all(|r| r.command_id != command_id))
        {
            rivals.push(Rival { command_id, kind: order.kind });
        }
    }
    rivals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::vocabulary::VirtualPosStatus,
        sink::tests::{
            approved, declined, doubted, intended, not_sent, parked, payment, rejected, story,
        },
    };

    /// What is said of a command whose payment shows a refund of its amount.
    fn says(events: &[JournalEvent]) -> String {
        let refunded = payment(VirtualPosStatus::Refunded, Some("10.00"));
        let entry = story(events.iter().cloned());
        compare(&entry, Some(refunded), &[]).says
    }

    #[test]
    fn a_refund_by_hand_is_not_taken_for_a_command_of_which_nothing_left() {
        let expired = JournalEvent::Expired { at: crate::sink::tests::NOON };
        for events in [
            vec![],
            vec![rejected()],
            vec![intended(1, 1), not_sent()],
            vec![intended(1, 1), not_sent(), expired.clone()],
            vec![intended(1, 1), not_sent(), intended(2, 1), not_sent(), expired],
        ] {
            assert_eq!(says(&events), NOTHING_LEFT, "{events:?}");
        }
        let said = says(&[intended(1, 1), declined()]);
        assert_eq!(said, "the API declined it (00 tamam): it was not executed");
    }

    #[test]
    fn what_may_have_left_is_judged_by_the_payment() {
        for events in [
            vec![intended(1, 1), doubted(), parked()],
            vec![intended(1, 1), not_sent(), intended(2, 1), doubted(), parked()],
            vec![intended(1, 1), approved()],
        ] {
            assert!(says(&events).ends_with("it was executed"), "{events:?}");
        }
    }
}
