//! Records to Avro bytes and back, readable.

use apache_avro::{
    Schema, reader::datum::GenericDatumReader, types::Value, writer::datum::GenericDatumWriter,
};
use serde::Serialize;
use vomsis_connect::domain::time::{Day, Timestamp};

/// Encodes a record with its schema, decodes it again and shows it as JSON.
pub(crate) fn round_trip(schema: &Schema, record: &impl Serialize) -> serde_json::Value {
    let writer = GenericDatumWriter::builder(schema).build().unwrap();
    let bytes = writer.write_ser_to_vec(record).unwrap();
    let reader = GenericDatumReader::builder(schema).build().unwrap();
    let mut rest = bytes.as_slice();
    let value = reader.read_value(&mut rest).unwrap();
    assert!(rest.is_empty(), "every byte belongs to the record");
    readable(&value)
}

fn readable(value: &Value) -> serde_json::Value {
    use serde_json::{Value as Json, json};
    match value {
        Value::Null => Json::Null,
        Value::Boolean(flag) => json!(flag),
        Value::Int(number) => json!(number),
        Value::Long(number) => json!(number),
        Value::String(text) => json!(text),
        Value::Date(day) => json!(Day(*day).to_date().to_string()),
        Value::TimestampMillis(at) => json!(Timestamp(*at).to_rfc3339()),
        Value::Decimal(decimal) => json!(format!("{}e-scale", unscaled(decimal))),
        Value::Union(_, inner) => readable(inner),
        Value::Array(items) => items.iter().map(readable).collect(),
        Value::Map(items) => {
            let mut sorted: Vec<_> = items.iter().collect();
            sorted.sort_by_key(|(key, _)| key.as_str());
            Json::Object(sorted.into_iter().map(|(k, v)| (k.clone(), readable(v))).collect())
        }
        Value::Record(fields) => {
            Json::Object(fields.iter().map(|(k, v)| (k.clone(), readable(v))).collect())
        }
        other => panic!("no record holds {other:?}"),
    }
}

fn unscaled(decimal: &apache_avro::Decimal) -> i128 {
    let bytes: Vec<u8> = decimal.clone().try_into().unwrap();
    let fill = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1_i128 } else { 0 };
    bytes.iter().fold(fill, |sum, byte| (sum << 8) | i128::from(*byte))
}
