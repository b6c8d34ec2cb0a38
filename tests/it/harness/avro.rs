//! Values in the Confluent wire format as JSON that a person can compare.

use std::{collections::HashMap, sync::Mutex};

use apache_avro::{
    Schema,
    reader::datum::GenericDatumReader,
    schema::{Name, UnionSchema},
    types::Value,
};
use chrono::{DateTime, Days, NaiveDate, SecondsFormat};
use serde_json::{Map, Value as Json, json};

use super::registry;

/// Decodes by the schemas of one registry, each fetched once.
#[derive(Debug)]
pub(crate) struct Decoder {
    url: String,
    schemas: Mutex<HashMap<u32, Schema>>,
}

impl Decoder {
    /// For the registry at this base URL.
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), schemas: Mutex::default() }
    }

    /// A record's value: decimals as exact strings, timestamps as RFC 3339 in UTC, dates as
    /// `YYYY-MM-DD`, bytes as lower hex. Anything left over behind the datum fails the test.
    #[track_caller]
    pub(crate) fn decode(&self, value: &[u8]) -> Json {
        let (id, mut datum) = schema_id(value);
        let mut schemas = self.schemas.lock().unwrap();
        let schema = schemas.entry(id).or_insert_with(|| {
            let answer = registry::ask(&self.url, &format!("/schemas/ids/{id}")).json();
            let text = answer.get("schema").and_then(Json::as_str);
            Schema::parse_str(text.unwrap_or_else(|| panic!("schema {id}: {answer}"))).unwrap()
        });
        let reader = GenericDatumReader::builder(schema).build().unwrap();
        let value = reader.read_value(&mut datum).unwrap();
        assert!(datum.is_empty(), "{} bytes behind the datum", datum.len());
        let mut names = HashMap::new();
        collect_names(schema, &mut names);
        to_json(value, schema, &names)
    }
}

/// The schema id and the datum of a value in the Confluent wire format.
#[track_caller]
pub(crate) fn schema_id(value: &[u8]) -> (u32, &[u8]) {
    let (head, datum) = value.split_at_checked(5).expect("a wire format header");
    assert_eq!(head.first(), Some(&0), "the magic byte");
    let id = head.get(1..).and_then(|id| id.try_into().ok()).expect("four bytes");
    (u32::from_be_bytes(id), datum)
}

/// `unscaled × 10^-scale`, every digit of the scale written.
fn decimal(unscaled: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let (sign, point) = (if unscaled < 0 { "-" } else { "" }, if scale > 0 { "." } else { "" });
    format!("{sign}{whole}{point}{fraction}")
}

fn collect_names<'s>(schema: &'s Schema, names: &mut HashMap<&'s Name, &'s Schema>) {
    match schema {
        Schema::Record(record) => {
            names.insert(&record.name, schema);
            record.fields.iter().for_each(|field| collect_names(&field.schema, names));
        }
        Schema::Array(array) => collect_names(&array.items, names),
        Schema::Map(map) => collect_names(&map.types, names),
        Schema::Union(union) => {
            union.variants().iter().for_each(|variant| collect_names(variant, names));
        }
        Schema::Enum(e) => drop(names.insert(&e.name, schema)),
        Schema::Fixed(f) => drop(names.insert(&f.name, schema)),
        _ => {}
    }
}

fn to_json(value: Value, schema: &Schema, names: &HashMap<&Name, &Schema>) -> Json {
    match (value, schema) {
        (value, Schema::Ref { name }) => {
            to_json(value, names.get(name).unwrap_or_else(|| panic!("no schema {name}")), names)
        }
        (Value::Union(branch, value), Schema::Union(union)) => {
            to_json(*value, variant(union, branch), names)
        }
        (Value::Record(fields), Schema::Record(record)) => {
            let pairs = fields.into_iter().zip(&record.fields);
            Json::Object(pairs.map(|((n, v), f)| (n, to_json(v, &f.schema, names))).collect())
        }
        (Value::Array(items), Schema::Array(array)) => {
            items.into_iter().map(|item| to_json(item, &array.items, names)).collect()
        }
        (Value::Map(entries), Schema::Map(map)) => {
            let mut sorted: Vec<_> = entries.into_iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(&b.0));
            let pairs = sorted.into_iter().map(|(key, v)| (key, to_json(v, &map.types, names)));
            Json::Object(pairs.collect::<Map<_, _>>())
        }
        (Value::Decimal(value), Schema::Decimal(of)) => {
            let bytes = Vec::<u8>::try_from(&value).unwrap();
            let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
            let start = if negative { -1 } else { 0 };
            let unscaled = bytes.iter().fold(start, |sum: i128, &byte| sum << 8 | i128::from(byte));
            json!(decimal(unscaled, of.scale))
        }
        (value, _) => scalar(value),
    }
}

fn variant(union: &UnionSchema, branch: u32) -> &Schema {
    let branch = usize::try_from(branch).unwrap();
    union.variants().get(branch).unwrap_or_else(|| panic!("no branch {branch} in {union:?}"))
}

fn scalar(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Long(value) => json!(value),
        Value::Float(value) => json!(value),
        Value::Double(value) => json!(value),
        Value::String(text) | Value::Enum(_, text) => json!(text),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => {
            json!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        Value::Uuid(id) => json!(id.to_string()),
        Value::Date(days) => json!(date(days).to_string()),
        Value::TimestampMillis(millis) => {
            let time = DateTime::from_timestamp_millis(millis).expect("a time in range");
            json!(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        }
        Value::TimestampMicros(micros) => {
            let time = DateTime::from_timestamp_micros(micros).expect("a time in range");
            json!(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
        }
        other => panic!("no JSON for {other:?}: teach the decoder"),
    }
}

fn date(days: i32) -> NaiveDate {
    let span = Days::new(u64::from(days.unsigned_abs()));
    let epoch = NaiveDate::default();
    if days < 0 { epoch.checked_sub_days(span) } else { epoch.checked_add_days(span) }
        .expect("a date in range")
}
