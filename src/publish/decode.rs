//! Events back to JSON, for people: `tail`, `preview` and the sandbox.
//!
//! Decimals are exact strings, instants RFC 3339 in UTC, dates ISO 8601.

use std::collections::HashMap;

use apache_avro::{
    Schema,
    reader::datum::GenericDatumReader,
    schema::{DecimalSchema, UnionSchema},
    types::Value as Avro,
};
use schema_registry_converter::schema_registry_common::{BytesResult, get_bytes_result};
use serde_json::{Map, Value as Json};

use crate::domain::{
    schemas,
    time::{Day, Timestamp},
};

use super::registry::{self, Registry};

/// Why bytes cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No magic byte and schema id in front.
    #[error("the value is not avro in the confluent wire format")]
    NoWireFormat,
    /// The schema is not to be had.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The bytes and the schema disagree.
    #[error("the value does not fit schema {id}: {reason}")]
    Avro {
        /// Its schema.
        id: u32,
        /// Why.
        reason: String,
    },
}

/// Schema id and datum of a value in the Confluent wire format. Ids are positive there: no registry gives
/// one above `i32::MAX`, and some take the question itself for a mistake.
pub fn split(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match get_bytes_result(Some(bytes)) {
        BytesResult::Valid(id, datum) if i32::try_from(id).is_ok() => Some((id, datum)),
        BytesResult::Valid(..) | BytesResult::Null | BytesResult::Invalid(_) => None,
    }
}

/// Decodes values, asking the registry once for each schema.
#[derive(Debug)]
pub struct Decoder {
    /// Without one, only local schemas are known.
    registry: Option<Registry>,
    schemas: HashMap<u32, Schema>,
}

impl Decoder {
    /// A decoder that knows no schema yet.
    pub fn new(registry: Registry) -> Self {
        Self { registry: Some(registry), schemas: HashMap::new() }
    }

    /// A decoder of what was encoded with [`local_ids`](super::encode::local_ids); asks no registry.
    pub fn local() -> Result<Self, Error> {
        let mut known = HashMap::new();
        for (id, schema) in (0..).zip(schemas::ALL) {
            let parsed = Schema::parse_str(schema.json)
                .map_err(|e| Error::Avro { id, reason: e.to_string() })?;
            known.insert(id, parsed);
        }
        Ok(Self { registry: None, schemas: known })
    }

    /// A value as JSON.
    pub async fn decode(&mut self, bytes: &[u8]) -> Result<Json, Error> {
        let (id, datum) = split(bytes).ok_or(Error::NoWireFormat)?;
        if !self.schemas.contains_key(&id) {
            let registry = self.registry.as_ref().ok_or(Error::NoWireFormat)?;
            let text = registry.schema(id).await?;
            let schema =
                Schema::parse_str(&text).map_err(|e| Error::Avro { id, reason: e.to_string() })?;
            self.schemas.insert(id, schema);
        }
        let schema = self.schemas.get(&id).ok_or(Error::NoWireFormat)?;
        to_json(schema, datum).map_err(|e| Error::Avro { id, reason: e.to_string() })
    }
}

/// A datum without its header as JSON.
pub fn to_json(schema: &Schema, mut datum: &[u8]) -> Result<Json, apache_avro::Error> {
    let reader = GenericDatumReader::builder(schema).build()?;
    let value = reader.read_value(&mut datum)?;
    Ok(json_of(schema, value))
}

fn json_of(schema: &Schema, value: Avro) -> Json {
    match (schema, value) {
        (Schema::Union(union), Avro::Union(index, inner)) => {
            json_of(variant(union, index).unwrap_or(schema), *inner)
        }
        (Schema::Record(record), Avro::Record(fields)) => {
            let mut object = Map::new();
            for (field, (name, value)) in record.fields.iter().zip(fields) {
                object.insert(name, json_of(&field.schema, value));
            }
            Json::Object(object)
        }
        (Schema::Array(array), Avro::Array(items)) => {
            items.into_iter().map(|item| json_of(&array.items, item)).collect()
        }
        (Schema::Map(map), Avro::Map(entries)) => {
            let mut entries: Vec<_> = entries.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.into_iter().map(|(key, value)| (key, json_of(&map.types, value))).collect()
        }
        (Schema::Decimal(DecimalSchema { scale, .. }), Avro::Decimal(decimal)) => {
            Vec::<u8>::try_from(&decimal)
                .map_or(Json::Null, |bytes| Json::String(plain_decimal(&bytes, *scale)))
        }
        (_, value) => json_of_plain(value),
    }
}

fn json_of_plain(value: Avro) -> Json {
    match value {
        Avro::Null => Json::Null,
        Avro::Boolean(b) => Json::Bool(b),
        Avro::Int(i) => Json::from(i),
        Avro::Long(l) => Json::from(l),
        Avro::Date(day) => Json::String(Day(day).to_date().to_string()),
        Avro::TimestampMillis(millis) => Json::String(Timestamp(millis).to_rfc3339()),
        Avro::String(text) => Json::String(text),
        Avro::Enum(_, symbol) => Json::String(symbol),
        Avro::Uuid(uuid) => Json::String(uuid.to_string()),
        other => Json::String(format!("{other:?}")),
    }
}

fn variant(union: &UnionSchema, index: u32) -> Option<&Schema> {
    union.variants().get(usize::try_from(index).ok()?)
}

/// The unscaled big-endian two's complement as a plain decimal number.
fn plain_decimal(bytes: &[u8], scale: usize) -> String {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut filled = [if negative { 0xff } else { 0 }; 16];
    let kept = bytes.len().min(filled.len());
    if let (Some(target), Some(source)) =
        (filled.get_mut(16 - kept..), bytes.get(bytes.len() - kept..))
    {
        target.copy_from_slice(source);
    }
    let unscaled = i128::from_be_bytes(filled);
    let unit = 10_i128.pow(u32::try_from(scale).unwrap_or(0));
    let sign = if unscaled < 0 { "-" } else { "" };
    let (whole, fraction) = (unscaled.abs() / unit, unscaled.abs() % unit);
    let fraction = format!("{fraction:0scale$}");
    let trimmed = fraction.trim_end_matches('0');
    format!("{sign}{whole}.{trimmed:0<2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_registry_gives_is_no_id() {
        assert_eq!(split(&[0, 0, 0, 0, 7, 1]), Some((7, &[1][..])));
        assert_eq!(split(&[0, 0x7f, 0xff, 0xff, 0xff]), Some((0x7fff_ffff, &[][..])));
        for garbage in [&[0, 0x80, 0, 0, 0][..], &[0, 0xff, 0, 0, 0, 1], &[0, 0, 0, 7], &[1; 9]] {
            assert_eq!(split(garbage), None, "{garbage:?}");
        }
    }
}
