//! `commands show` and `commands reconcile`: one command's story, and how its payment stands.

use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::lines;
use crate::{
    api::Client,
    cli::{Context, Exit, Failure, output},
    domain::payment::PaymentState,
    sink::{
        doubt::{Judgement, judge_doubt},
        inspect::Inspected,
        journal::{Entry, JournalEvent, Status},
        rivals::{Rival, Rivals},
    },
    telemetry::metrics::Metrics,
};

/// A command with everything that happened to it.
#[derive(Debug, Serialize)]
struct Story {
    command_id: String,
    connection: String,
    reference_no: String,
    r#type: String,
    amount: Option<String>,
    status: &'static str,
    attempts: i32,
    events: Vec<Told>,
    /// Of the amounts, where somebody named it.
    #[serde(skip)]
    currency: Option<String>,
}

/// One line of the story.
#[derive(Debug, Serialize)]
struct Told {
    at: String,
    event: &'static str,
    /// The event as the journal keeps it.
    detail: serde_json::Value,
    /// The same for people: when, and what it says.
    #[serde(skip)]
    line: [String; 2],
}

/// Prints the story.
pub(super) async fn run(id: Uuid, context: &Context) -> Result<(), Failure> {
    let kafka = context.load()?.config.kafka;
    let journal = super::journal(&kafka).await?;
    let (_, told) = super::the_one(&journal, id)?;
    let story = story(&told.entry);
    output::print(context, &story, || table(&story))
}

fn story(entry: &Entry) -> Story {
    let (key, outline) = (entry.key(), entry.outline());
    let currency = lines::currency(entry);
    Story {
        command_id: key.command_id.to_string(),
        connection: key.connection.to_string(),
        reference_no: key.reference_no.to_string(),
        r#type: outline.kind.to_string(),
        amount: outline.amount.map(|amount| amount.to_string()),
        status: entry.status().word(),
        attempts: entry.attempts(),
        events: entry.events().iter().map(|event| told(event, currency)).collect(),
        currency: currency.map(str::to_owned),
    }
}

fn told(event: &JournalEvent, currency: Option<&str>) -> Told {
    let mut detail = serde_json::to_value(event).unwrap_or_default();
    // The word stands beside it, and the time too.
    if let Some(inner) = detail.as_object_mut().and_then(|outer| outer.values_mut().next()) {
        detail = inner.take();
    }
    if let Some(fields) = detail.as_object_mut() {
        fields.remove("at");
    }
    let line = [lines::local(event.at()), lines::line(event, currency)];
    Told { at: event.at().to_rfc3339(), event: event.name(), detail, line }
}

fn table(story: &Story) -> String {
    let Story { command_id, connection, reference_no, r#type, status, .. } = story;
    let amount = story.amount.as_ref().map_or_else(
        || "no amount".to_owned(),
        |amount| lines::money(amount, story.currency.as_deref()),
    );
    let mut table = output::table(&["at", "event", "detail"]);
    for told in &story.events {
        let [at, says] = told.line.clone();
        table.add_row([at, told.event.to_owned(), says]);
    }
    format!(
        "{type} {amount} of {connection}/{reference_no}, command {command_id}: {status}\n\n{table}"
    )
}

/// How the payment stands beside what the journal knows.
#[derive(Debug, Serialize)]
struct Compared {
    command_id: String,
    status: &'static str,
    /// How the payment stood before the request; none where nothing was intended.
    before: Option<PaymentState>,
    /// How it stands now; none where the API knows no such payment.
    now: Option<PaymentState>,
    /// What that says about the command.
    says: String,
}

/// Asks the API, and changes nothing.
pub(super) async fn reconcile(id: Uuid, context: &Context) -> Result<(), Failure> {
    let config = context.load()?.config;
    let journal = super::journal(&config.kafka).await?;
    let (key, told) = super::the_one(&journal, id)?;
    let connection = config.connections.iter().find(|connection| connection.id == key.connection);
    let connection = connection.ok_or_else(|| {
        let message = format!("connection {} is not configured", key.connection);
        Failure::new(Exit::Config, message).hint("add it, or ask the provider's panel instead")
    })?;
    let client =
        Client::new(connection, Arc::new(Metrics::new())).map_err(|e| Failure::from(&e))?;
    let now = client.payment_state(&key.reference_no).await.map_err(|e| Failure::from(&e))?;
    let compared = compare(&told.entry, now, &journal);
    output::print(context, &compared, || compared_table(&compared))
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

fn compared_table(compared: &Compared) -> String {
    let mut table = output::table(&["", "status", "amount", "refunded", "currency"]);
    for (name, state) in [("before", &compared.before), ("now", &compared.now)] {
        let Some(state) = state else { continue };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        table.add_row([
            name.to_owned(),
            state.status.to_string(),
            or_dash(state.amount.map(|amount| amount.to_string())),
            or_dash(state.refunded.map(|amount| amount.to_string())),
            or_dash(state.currency.clone()),
        ]);
    }
    format!("command {}: {}\n\n{table}\n\n{}", compared.command_id, compared.status, compared.says)
}
