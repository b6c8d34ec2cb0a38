//! The whole story of one command: as the journal keeps it, with the other commands under its id.

use serde::Serialize;
use serde_json::json;

use super::{
    duplicates::{Duplicate, Happened, in_order},
    list::Decided,
};
use crate::sink::{
    inspect::Words,
    journal::{Entry, JournalEvent},
};

/// What the line of another command under the id is called.
pub const DUPLICATE: &str = "Duplicate";

/// A command with everything that happened to it, in time order.
#[derive(Debug, Serialize)]
pub struct Story {
    command_id: String,
    connection: String,
    reference_no: String,
    r#type: String,
    amount: Option<String>,
    status: &'static str,
    attempts: i32,
    /// What somebody decided and no sink has acted on yet.
    decision: Option<Decided>,
    /// Why it is not known whether other commands came under the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicates_unknown: Option<String>,
    events: Vec<Told>,
}

/// One line of the story.
#[derive(Debug, Serialize)]
struct Told {
    at: String,
    event: &'static str,
    /// The event as the journal keeps it; of a duplicate what it asked for, and its answer.
    detail: serde_json::Value,
}

impl Story {
    /// The story of a command as the journal tells it.
    pub fn of(entry: &Entry, words: &Words) -> Self {
        let (key, outline) = (entry.key(), entry.outline());
        Self {
            command_id: key.command_id.to_string(),
            connection: key.connection.to_string(),
            reference_no: key.reference_no.to_string(),
            r#type: outline.kind.to_string(),
            amount: outline.amount.map(|amount| amount.to_string()),
            status: entry.status().word(),
            attempts: entry.attempts(),
            decision: Decided::about(entry, words),
            duplicates_unknown: None,
            events: entry.events().iter().map(told).collect(),
        }
    }

    /// The same with the other commands that came under the id, or with why they are not known.
    #[must_use]
    pub fn with(self, entry: &Entry, duplicates: Result<&[Duplicate], &str>) -> Self {
        match duplicates {
            Ok(duplicates) => {
                let events = in_order(entry, duplicates).into_iter().map(happened).collect();
                Self { events, ..self }
            }
            Err(why) => Self { duplicates_unknown: Some(why.to_owned()), ..self },
        }
    }
}

fn happened(happened: Happened<'_>) -> Told {
    match happened {
        Happened::Event(event) => told(event),
        Happened::Duplicate(Duplicate { at, kind, amount, says }) => Told {
            at: at.to_rfc3339(),
            event: DUPLICATE,
            detail: json!({ "type": kind, "amount": amount, "says": says }),
        },
    }
}

fn told(event: &JournalEvent) -> Told {
    let mut detail = serde_json::to_value(event).unwrap_or_default();
    // The word stands beside it, and the time too.
    if let Some(inner) = detail.as_object_mut().and_then(|outer| outer.values_mut().next()) {
        detail = inner.take();
    }
    if let Some(fields) = detail.as_object_mut() {
        fields.remove("at");
    }
    Told { at: event.at().to_rfc3339(), event: event.name(), detail }
}
