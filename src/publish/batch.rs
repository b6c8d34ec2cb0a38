//! Events and the checkpoint that proves them, as one value.

use std::sync::Arc;

use uuid::Uuid;

use crate::domain::time::Timestamp;

/// CloudEvents headers (Kafka binary mode) of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventHeaders {
    /// `ce_id`: the deterministic event id.
    pub id: Uuid,
    /// `ce_source`: `/vomsis/<connection>/<stream>`.
    pub source: Arc<str>,
    /// `ce_type`: `io.vomsis.v1.<Record>.<op>`.
    pub kind: Arc<str>,
    /// `ce_time`: when the row was fetched.
    pub time: Timestamp,
}

/// One record for consumers; without a value it is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// The full topic name.
    pub topic: Arc<str>,
    /// `connection/…`.
    pub key: String,
    /// Avro in the Confluent wire format.
    pub value: Option<Vec<u8>>,
    /// CloudEvents headers; a tombstone has none.
    pub headers: Option<EventHeaders>,
}

/// One record of the state topic; without a value it is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRecord {
    /// As `state::codec` writes it.
    pub key: String,
    /// As `state::codec` writes it.
    pub value: Option<Vec<u8>>,
}

/// What one transaction carries for one entity: all of it becomes visible, or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In decision order, which is the order of each key.
    pub events: Vec<EventRecord>,
    /// Chunks of seen rows first, the checkpoint last.
    pub state: Vec<StateRecord>,
}

impl Batch {
    /// Whether there is nothing to write; such a batch opens no transaction.
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty() && self.state.is_empty()
    }

    /// Records of any kind.
    pub const fn len(&self) -> usize {
        self.events.len() + self.state.len()
    }

    /// Keys and values, without Kafka's own overhead.
    pub fn bytes(&self) -> usize {
        let length =
            |key: &String, value: &Option<Vec<u8>>| key.len() + value.as_ref().map_or(0, Vec::len);
        let events: usize = self.events.iter().map(|e| length(&e.key, &e.value)).sum();
        let state: usize = self.state.iter().map(|s| length(&s.key, &s.value)).sum();
        events + state
    }
}
