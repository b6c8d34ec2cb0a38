//! The whole story of one command, as the journal keeps it.

use serde::Serialize;

use super::list::Decided;
use crate::sink::{
    inspect::Inspected,
    journal::{Entry, JournalEvent},
};

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
    events: Vec<Told>,
}

/// One line of the story.
#[derive(Debug, Serialize)]
struct Told {
    at: String,
    event: &'static str,
    /// The event as the journal keeps it.
    detail: serde_json::Value,
}

impl Story {
    /// The story of a command.
    pub fn of(entry: &Entry, journal: &Inspected) -> Self {
        let (key, outline) = (entry.key(), entry.outline());
        Self {
            command_id: key.command_id.to_string(),
            connection: key.connection.to_string(),
            reference_no: key.reference_no.to_string(),
            r#type: outline.kind.to_string(),
            amount: outline.amount.map(|amount| amount.to_string()),
            status: entry.status().word(),
            attempts: entry.attempts(),
            decision: Decided::about(entry, journal),
            events: entry.events().iter().map(told).collect(),
        }
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
