//! The registry, and the decoding of what its schemas describe.

use apache_avro::{
    Schema,
    types::{Record, Value},
    writer::datum::GenericDatumWriter,
};
use serde_json::json;

use crate::harness::{
    avro::{Decoder, schema_id},
    http,
    proxy::{Action, Direction, Protocol, Proxy, Rule},
    registry::{Registry, ask, register, shared_registry},
    topics::unique_prefix,
    wait::{GENEROUS, wait_until},
};

const SCHEMA: &str = r#"{"type":"record","name":"Sample","namespace":"test","fields":[
  {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":24,"scale":4}},
  {"name":"at","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},
  {"name":"day","type":{"type":"int","logicalType":"date"}},
  {"name":"tags","type":{"type":"array","items":"string"}},
  {"name":"extras","type":{"type":"map","values":"string"}}]}"#;

fn encoded(id: u32) -> Vec<u8> {
    let schema = Schema::parse_str(SCHEMA).unwrap();
    let mut record = Record::new(&schema).unwrap();
    record.put("amount", Value::Decimal(vec![0xff, 0x85].into()));
    record.put("at", Value::Union(1, Box::new(Value::TimestampMillis(1_646_909_445_250))));
    record.put("day", Value::Date(-1));
    record.put("tags", Value::Array(vec![Value::String("Virman".into())]));
    let extra = ("z".to_owned(), Value::String("1".into()));
    record.put("extras", Value::Map([extra].into()));
    let mut bytes = vec![0];
    bytes.extend(id.to_be_bytes());
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    writer.write_value(&mut bytes, record).unwrap();
    bytes
}

#[test]
fn a_registered_schema_decodes_a_value_to_exact_json() {
    let url = shared_registry().url();
    let id = register(url, &unique_prefix("sample"), SCHEMA);
    let bytes = encoded(id);
    assert_eq!(schema_id(&bytes).0, id);
    let decoder = Decoder::new(url);
    let expected = json!({
        "amount": "-0.0123",
        "at": "2022-03-10T10:50:45.250Z",
        "day": "1969-12-31",
        "tags": ["Virman"],
        "extras": {"z": "1"},
    });
    assert_eq!(decoder.decode(&bytes), expected);
}

#[test]
fn an_own_registry_keeps_its_ids_over_kill_and_restart_and_can_fall_silent() {
    let mut registry = Registry::start();
    let id = register(&registry.url(), "kept", SCHEMA);
    registry.kill9();
    registry.restart();
    assert_eq!(register(&registry.url(), "kept", SCHEMA), id);
    assert_eq!(ask(&registry.url(), "/subjects/none/versions").status, 404);

    let proxy = Proxy::start(Protocol::Raw, registry.port());
    proxy.apply(Rule::new(Direction::Replies, Action::Cut).times(1));
    let address = ([127, 0, 0, 1], proxy.port()).into();
    http::get(address, "/apis/ccompat/v7/subjects").unwrap_err();
    assert_eq!(proxy.hits(), 1);
    // It has just been started, and may close a connection of its own.
    let mut answer = None;
    wait_until("the next call gets through", GENEROUS, || {
        answer = http::get(address, "/apis/ccompat/v7/subjects").ok();
        answer.is_some()
    });
    assert_eq!(answer.unwrap().json(), json!(["kept"]));

    registry.stop();
    wait_until("nothing answers", GENEROUS, || http::get(address, "/").is_err());
}
