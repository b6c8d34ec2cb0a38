//! The fields of a `PaymentCommand`, read with the schema of whoever wrote it.
//!
//! The writer's schema is not resolved to ours by the Avro library: that would take an amount of
//! scale 2 for one of scale 5. Each field is read as the writer declares it instead, and an amount
//! is brought to our scale exactly or not at all.

use std::fmt;

use apache_avro::{
    Schema,
    reader::datum::GenericDatumReader,
    schema::{DecimalSchema, RecordSchema},
    types::Value,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};

use crate::domain::{
    commands::PaymentCommand, money::Money, time::Timestamp, vocabulary::CommandType,
};

use super::admission::{RejectedBecause, Rejection};

/// The decoded fields, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// As the sender wrote it.
    pub command_id: String,
    /// As the sender wrote it; empty where the writer's schema has no such field.
    pub r#type: String,
    /// As the sender wrote it.
    pub connection_id: String,
    /// As the sender wrote it.
    pub reference_no: String,
    /// In units of the payment's currency.
    pub amount: Option<Money>,
    /// As the sender wrote it.
    pub currency: Option<String>,
    /// Why, in the sender's words; only the digest keeps it.
    pub reason: Option<String>,
    /// As the sender wrote it.
    pub requested_by: String,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Until when it is wanted.
    pub expires_at: Option<Timestamp>,
}

/// 128 bits over every field of a payload: two payloads with one digest are the same command.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() != 32 {
            return Err(D::Error::custom("a digest has 32 hexadecimal digits"));
        }
        u128::from_str_radix(&text, 16).map(Self).map_err(D::Error::custom)
    }
}

/// The first 128 bits of SHA-256.
pub(super) fn short_sha256(bytes: &[u8]) -> u128 {
    let hash = Sha256::digest(bytes);
    hash.iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte))
}

impl Payload {
    /// What to do; UNKNOWN for every other word.
    pub fn kind(&self) -> CommandType {
        CommandType::parse(&self.r#type).unwrap_or_default()
    }

    /// Over every field, however the writer's schema spelled them; amounts count by value.
    pub fn digest(&self) -> Digest {
        let mut bytes = Vec::with_capacity(256);
        let mut put = |present: bool, value: &[u8]| {
            bytes.push(u8::from(present));
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            bytes.extend_from_slice(value);
        };
        for text in [
            &self.command_id,
            &self.r#type,
            &self.connection_id,
            &self.reference_no,
            &self.requested_by,
        ] {
            put(true, text.as_bytes());
        }
        for text in [&self.currency, &self.reason] {
            put(text.is_some(), text.as_deref().unwrap_or_default().as_bytes());
        }
        let amount = self.amount.unwrap_or_default().unscaled();
        put(self.amount.is_some(), &amount.to_le_bytes());
        put(true, &self.requested_at.0.to_le_bytes());
        let expires_at = self.expires_at.map_or(0, |at| at.0);
        put(self.expires_at.is_some(), &expires_at.to_le_bytes());
        Digest(short_sha256(&bytes))
    }
}

/// Reads a datum (without magic byte and schema id) that was written with `writer`.
///
/// # Errors
/// UNDECODABLE where the bytes do not fit their schema, WRONG_SCHEMA where the schema is no
/// `PaymentCommand` that can be read without guessing.
pub fn decode(writer: &Schema, mut datum: &[u8]) -> Result<Payload, Rejection> {
    let Schema::Record(record) = writer else {
        return Err(wrong("the schema is no record"));
    };
    if record.name.name() != PaymentCommand::NAME {
        return Err(wrong(&format!(
            "the record is {:?}, not {}",
            record.name.name(),
            PaymentCommand::NAME
        )));
    }
    let undecodable = |detail: &str| Rejection::new(RejectedBecause::Undecodable, detail);
    let value = GenericDatumReader::builder(writer)
        .build()
        .and_then(|reader| reader.read_value(&mut datum))
        .map_err(|e| undecodable(&e.to_string()))?;
    if !datum.is_empty() {
        return Err(undecodable(&format!("{} bytes are left over", datum.len())));
    }
    let Value::Record(values) = value else {
        return Err(undecodable("the value is no record"));
    };
    let fields = Fields { record, values };
    Ok(Payload {
        command_id: fields.required("command_id", text)?,
        // Our schema gives it a default, which is no command at all.
        r#type: fields.optional("type", text)?.unwrap_or_default(),
        connection_id: fields.required("connection_id", text)?,
        reference_no: fields.required("reference_no", text)?,
        amount: fields.optional("amount", money)?,
        currency: fields.optional("currency", text)?,
        reason: fields.optional("reason", text)?,
        requested_by: fields.required("requested_by", text)?,
        requested_at: fields.required("requested_at", instant)?,
        expires_at: fields.optional("expires_at", instant)?,
    })
}

fn wrong(detail: &str) -> Rejection {
    Rejection::new(RejectedBecause::WrongSchema, detail)
}

/// The values of a record beside the writer's schema, which alone knows a decimal's scale.
struct Fields<'s> {
    record: &'s RecordSchema,
    values: Vec<(String, Value)>,
}

impl Fields<'_> {
    fn required<T>(
        &self,
        name: &str,
        read: fn(&Schema, &Value) -> Result<T, String>,
    ) -> Result<T, Rejection> {
        self.optional(name, read)?.ok_or_else(|| wrong(&format!("{name} is missing or null")))
    }

    /// Nothing where the field is null or the writer's schema has none.
    fn optional<T>(
        &self,
        name: &str,
        read: fn(&Schema, &Value) -> Result<T, String>,
    ) -> Result<Option<T>, Rejection> {
        let place = self.values.iter().position(|(field, _)| field == name);
        let Some((schema, (_, value))) = place.and_then(|place| {
            Some((&self.record.fields.get(place)?.schema, self.values.get(place)?))
        }) else {
            return Ok(None);
        };
        let (schema, value) = chosen(schema, value);
        if matches!(value, Value::Null) {
            return Ok(None);
        }
        read(schema, value).map(Some).map_err(|why| wrong(&format!("{name} {why}")))
    }
}

/// The branch of a union that was written, with its schema.
fn chosen<'v>(schema: &'v Schema, value: &'v Value) -> (&'v Schema, &'v Value) {
    let (Schema::Union(union), Value::Union(branch, inner)) = (schema, value) else {
        return (schema, value);
    };
    let branch = usize::try_from(*branch).ok().and_then(|at| union.variants().get(at));
    (branch.unwrap_or(schema), inner)
}

fn text(_: &Schema, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) | Value::Enum(_, text) => Ok(text.clone()),
        Value::Uuid(id) => Ok(id.to_string()),
        other => Err(format!("must be a string or an enum, it is {}", name_of(other))),
    }
}

fn instant(_: &Schema, value: &Value) -> Result<Timestamp, String> {
    match value {
        Value::TimestampMillis(millis) => Ok(Timestamp(*millis)),
        other => Err(format!("must be a timestamp-millis, it is {}", name_of(other))),
    }
}

fn money(schema: &Schema, value: &Value) -> Result<Money, String> {
    let (Schema::Decimal(DecimalSchema { scale, .. }), Value::Decimal(decimal)) = (schema, value)
    else {
        return Err(format!("must be a decimal, it is {}", name_of(value)));
    };
    let bytes = Vec::<u8>::try_from(decimal).map_err(|e| format!("cannot be read: {e}"))?;
    let unscaled = unscaled_of(&bytes).ok_or("has more digits than any amount")?;
    rescaled(unscaled, *scale)
        .ok_or_else(|| format!("is {unscaled}e-{scale}, which is no exact decimal(23,5)"))
}

/// A big-endian two's complement of any length, where it fits.
fn unscaled_of(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    let (spare, kept) = bytes.split_at(bytes.len().saturating_sub(16));
    if spare.iter().any(|byte| *byte != fill) {
        return None;
    }
    let start = if negative { -1 } else { 0 };
    let value = kept.iter().fold(start, |sum: i128, byte| (sum << 8) | i128::from(*byte));
    // Sixteen bytes hold a sign of their own, which must be the one of the whole.
    ((value < 0) == negative).then_some(value)
}

/// The same amount with five digits after the point: never rounded, never out of range.
fn rescaled(unscaled: i128, scale: usize) -> Option<Money> {
    let scale = u32::try_from(scale).ok()?;
    let value = if scale <= Money::SCALE {
        unscaled.checked_mul(10_i128.pow(Money::SCALE - scale))?
    } else {
        let unit = 10_i128.checked_pow(scale - Money::SCALE)?;
        (unscaled % unit == 0).then_some(unscaled / unit)?
    };
    let bound = 10_i128.pow(Money::DIGITS);
    (-bound < value && value < bound).then_some(Money::from_unscaled(value))
}

/// What a value is, for a person; never the value itself.
fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "a boolean",
        Value::Int(_) | Value::Long(_) => "a plain integer",
        Value::Float(_) | Value::Double(_) => "a binary float",
        Value::Bytes(_) | Value::Fixed(..) => "plain bytes",
        Value::String(_) => "a string",
        Value::Enum(..) => "an enum",
        Value::Decimal(_) => "a decimal",
        Value::Uuid(_) => "a uuid",
        Value::TimestampMillis(_) => "a timestamp-millis",
        _ => "of another type",
    }
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
