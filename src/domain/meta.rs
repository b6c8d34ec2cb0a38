//! What every event has in common.

use std::borrow::Cow;

use serde::{Serialize, Serializer, ser::SerializeMap};
use uuid::Uuid;

use crate::domain::{record::Op, time::Timestamp, vocabulary::Source, warnings::Warnings};

/// Identity, version and origin of an event; the mapping leaves it empty.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventMeta<'a> {
    /// Deterministic id of this event.
    #[serde(serialize_with = "as_text")]
    pub event_id: Uuid,
    /// The connection that the row came through.
    pub connection_id: &'a str,
    /// The API that the row came from.
    pub source: Source,
    /// What happened to the row.
    pub op: Op,
    /// Contents of this row published so far, from 1.
    pub version: i32,
    /// The row's id in the source; empty where none can be read.
    pub source_id: Cow<'a, str>,
    /// When the answer that held the row was received.
    pub fetched_at: Timestamp,
    /// First instant of the window that was asked for.
    pub window_start: Option<Timestamp>,
    /// Last instant of the window that was asked for.
    pub window_end: Option<Timestamp>,
    /// What the mapping noticed and did not change.
    pub warnings: Warnings,
    /// Fields that the schema does not know, as text.
    #[serde(serialize_with = "as_map")]
    pub extras: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl EventMeta<'_> {
    /// The fields in schema order.
    pub const FIELDS: &'static [&'static str] = &[
        "event_id",
        "connection_id",
        "source",
        "op",
        "version",
        "source_id",
        "fetched_at",
        "window_start",
        "window_end",
        "warnings",
        "extras",
    ];
}

impl Default for EventMeta<'_> {
    fn default() -> Self {
        Self {
            event_id: Uuid::nil(),
            connection_id: "",
            source: Source::Unknown,
            op: Op::Created,
            version: 0,
            source_id: Cow::Borrowed(""),
            fetched_at: Timestamp(0),
            window_start: None,
            window_end: None,
            warnings: Warnings::NONE,
            extras: Vec::new(),
        }
    }
}

/// Avro wants the 36 characters, also in its binary form.
fn as_text<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

fn as_map<S: Serializer>(
    pairs: &[(Cow<'_, str>, Cow<'_, str>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(pairs.len()))?;
    for (key, value) in pairs {
        map.serialize_entry(key, value)?;
    }
    map.end()
}
