//! Records to bytes: Avro straight from the struct, in the Confluent wire format.

use std::{collections::HashMap, sync::Arc};

use apache_avro::{Schema, rabin::Rabin, writer::datum::GenericDatumWriter};
use serde::Serialize;

use crate::domain::schemas::{self, RecordSchema};

use super::avro;

/// What begins a message in the Confluent wire format; the schema id follows.
const MAGIC_BYTE: u8 = 0;
/// Room for most rows.
const RECORD_BYTES: usize = 768;

/// Why a record cannot be encoded: a mistake of this program, never of the row.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A committed schema file is no Avro schema.
    #[error("schema {record}: {reason}")]
    Schema {
        /// Which.
        record: &'static str,
        /// Why.
        reason: String,
    },
    /// No id is known for the record.
    #[error("schema {record} has no id: it was not registered at start")]
    Unregistered {
        /// Which.
        record: String,
    },
    /// The struct and its schema disagree.
    #[error("encoding {record}: {reason}")]
    Encode {
        /// Which.
        record: &'static str,
        /// Why.
        reason: String,
    },
}

struct Entry {
    id: u32,
    topic: Arc<str>,
    writer: GenericDatumWriter<'static>,
}

/// Ids for records that never leave the process: their places in [`schemas::ALL`].
pub fn local_ids() -> HashMap<&'static str, u32> {
    (0..).zip(schemas::ALL).map(|(id, schema)| (schema.name, id)).collect()
}

/// Rabin's fingerprint of the schema's canonical form, as 16 hexadecimal digits.
pub fn fingerprint(schema: &RecordSchema) -> Result<String, Error> {
    let failed =
        |e: apache_avro::Error| Error::Schema { record: schema.name, reason: e.to_string() };
    let parsed = Schema::parse_str(schema.json).map_err(failed)?;
    Ok(parsed.fingerprint::<Rabin>().to_string())
}

/// How many fields a record has at its top.
pub fn field_count(schema: &RecordSchema) -> usize {
    match Schema::parse_str(schema.json) {
        Ok(Schema::Record(record)) => record.fields.len(),
        Ok(_) | Err(_) => 0,
    }
}

/// Knows the schema, the schema id and the topic of every record.
pub struct Encoder {
    entries: HashMap<&'static str, Entry>,
}

impl Entry {
    /// What the Avro library writes; nothing where it refuses the value.
    fn by_library(&self, value: &impl Serialize) -> Option<Vec<u8>> {
        self.writer.write_ser_to_vec(value).ok()
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = self.entries.iter().map(|(name, entry)| (name, entry.id));
        f.debug_map().entries(ids).finish()
    }
}

impl Encoder {
    /// Prepares every record that has an id; `ids` is keyed by record name.
    ///
    /// The parsed schemas live as long as the process: they are few, and every row refers to one.
    pub fn new(
        ids: &HashMap<&'static str, u32>,
        topic: impl Fn(&str) -> String,
    ) -> Result<Self, Error> {
        let mut entries = HashMap::new();
        for schema in schemas::ALL {
            let Some(id) = ids.get(schema.name) else { continue };
            let writer = datum_writer(schema)?;
            let topic = topic(schema.topic_suffix).into();
            entries.insert(schema.name, Entry { id: *id, topic, writer });
        }
        Ok(Self { entries })
    }

    /// Magic byte, schema id, Avro.
    pub fn encode(&self, record: &'static str, value: &impl Serialize) -> Result<Vec<u8>, Error> {
        let entry = self.entry(record)?;
        let mut bytes = Vec::with_capacity(RECORD_BYTES);
        bytes.push(MAGIC_BYTE);
        bytes.extend_from_slice(&entry.id.to_be_bytes());
        avro::write(&mut bytes, value)
            .map_err(|e| Error::Encode { record, reason: e.to_string() })?;
        debug_assert_eq!(bytes.get(5..), entry.by_library(value).as_deref(), "{record}");
        Ok(bytes)
    }

    /// The full name of the record's topic.
    pub fn topic(&self, record: &'static str) -> Result<Arc<str>, Error> {
        Ok(Arc::clone(&self.entry(record)?.topic))
    }

    fn entry(&self, record: &'static str) -> Result<&Entry, Error> {
        self.entries.get(record).ok_or_else(|| Error::Unregistered { record: record.to_owned() })
    }
}

fn datum_writer(schema: &RecordSchema) -> Result<GenericDatumWriter<'static>, Error> {
    let failed =
        |e: apache_avro::Error| Error::Schema { record: schema.name, reason: e.to_string() };
    let parsed: &'static Schema =
        Box::leak(Box::new(Schema::parse_str(schema.json).map_err(failed)?));
    GenericDatumWriter::builder(parsed).human_readable(false).build().map_err(failed)
}
