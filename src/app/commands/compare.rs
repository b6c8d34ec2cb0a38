//! How the payment of a command stands now, beside what the journal knows; only reads.

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::{Error, the_one};
use crate::{
    api::Client,
    config::model::Config,
    domain::payment::PaymentState,
    sink::{
        doubt::{Judgement, judge_doubt},
        inspect::Inspected,
        journal::{Entry, JournalEvent, Status},
        rivals::{Rival, Rivals},
    },
    telemetry::metrics::Metrics,
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

/// Asks the API, and changes nothing.
///
/// # Errors
/// An unknown command, a connection that is not configured, an API that does not tell.
pub async fn reconcile(config: &Config, id: Uuid) -> Result<Compared, Error> {
    let journal = super::journal(&config.kafka).await?;
    let (key, told) = the_one(&journal, id)?;
    let connection = config.connections.iter().find(|connection| connection.id == key.connection);
    let connection = connection.ok_or_else(|| Error::NotConfigured(key.connection.clone()))?;
    let client = Client::new(connection, Arc::new(Metrics::new()))?;
    let now = client.payment_state(&key.reference_no).await?;
    Ok(compare(&told.entry, now, &journal))
}

fn compare(entry: &Entry, now: Option<PaymentState>, journal: &Inspected) -> Compared {
    let before = entry.events().iter().rev().find_map(|event| match event {
        JournalEvent::Intended { before, .. } => Some(before.clone()),
        _ => None,
    });
    let says = match (entry.order(), &before, &now) {
        (_, _, None) => "the API has no payment of this reference".to_owned(),
        (Some(order), Some(before), Some(now)) => {
            match judge_doubt(order.kind, before, now, &rivals(entry, journal)) {
                Judgement::Explained => {
                    "the payment changed as only this command explains: it was executed".to_owned()
                }
                Judgement::NotExplained { why } => {
                    format!("{why}: that alone does not say that this command was executed")
                }
            }
        }
        (None, _, _) | (_, None, _) => "no request of this command was ever intended".to_owned(),
    };
    let says = match entry.status() {
        Status::InDoubt { .. } => format!("{says} (the sink asks again by itself)"),
        _ => says,
    };
    let status = entry.status().word();
    Compared { command_id: entry.key().command_id.to_string(), status, before, now, says }
}

/// Other commands that may have changed the payment since this one's look at it: what the sink knows
/// of, what it is about to do, and what it executed since, whether the look showed it or not.
fn rivals(entry: &Entry, journal: &Inspected) -> Vec<Rival> {
    let (key, since) = (entry.key(), entry.intended_at());
    let mut known = Rivals::default();
    let others = journal.commands.values().map(|told| &told.entry).filter(|other| {
        let theirs = other.key();
        (&theirs.connection, &theirs.reference_no) == (&key.connection, &key.reference_no)
            && theirs.command_id != key.command_id
    });
    let mut others: Vec<&Entry> = others.collect();
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
