//! Every sample row of the sources, through the mapping and Avro and back, as a snapshot.

use std::{fs, path::Path};

use apache_avro::Schema;
use secrecy::SecretSlice;
use vomsis_connect::{
    config::model::{DateType, Privacy},
    domain::{
        ids::{ConnectionId, Stream},
        meta::EventMeta,
        record::Op,
        schemas::RecordSchema,
        time::Timestamp,
        vocabulary::Source,
    },
    mapping::{
        HASH_RULE, Mapped, PrivacyRules, RowContext, content_hash, event_id,
        map_mentioned_customer, map_row,
    },
};

use crate::avro::round_trip;

fn context(stream: Stream) -> RowContext<'static> {
    RowContext {
        entity: match stream {
            Stream::BankTransactions => "73",
            Stream::PosTransactions => "1",
            Stream::TosPayments => "0006624",
            _ => "all",
        },
        date_type: DateType::SystemDate,
        entity_currency: Some("TRY"),
        carry_extras: true,
        replaced_text: false,
        gateway_object_id: Some("b6d2a25b-ddf9-4260-9aa5-a99307184567"),
    }
}

/// How many sample rows each stream has; the instalment options of the documents are all in
/// `documented`.
const SAMPLES: [(Stream, usize); Stream::ALL.len()] = [
    (Stream::BankTransactions, 3),
    (Stream::PosTransactions, 3),
    (Stream::VirtualPosTransactions, 4),
    (Stream::TosPayments, 2),
    (Stream::Banks, 1),
    (Stream::Accounts, 4),
    (Stream::Terminals, 1),
    (Stream::TransactionTypes, 1),
    (Stream::Installments, 3),
    (Stream::Customers, 1),
];

/// The event as its readers see it, and what the connector notes beside it.
pub(crate) fn event(stream: Stream, json: &str) -> serde_json::Value {
    let mut mapped = map_row(stream, json, &context(stream)).unwrap();
    let hash = content_hash(&mapped.record, HASH_RULE, &mut Vec::new());
    let connection = ConnectionId::try_new("acme").unwrap();
    let meta = EventMeta {
        event_id: event_id(&connection, stream.name(), &mapped.source_id, 1, hash),
        connection_id: "acme",
        source: Source::of(stream),
        op: Op::Created,
        version: 1,
        source_id: mapped.source_id.to_string().into(),
        fetched_at: Timestamp(1_700_000_000_000),
        window_start: None,
        window_end: Some(Timestamp(1_700_000_000_000)),
        warnings: mapped.warnings,
        extras: std::mem::take(&mut mapped.extras),
    };
    mapped.record.set_meta(meta);
    let rules = PrivacyRules::new(&Privacy::default(), None::<SecretSlice<u8>>).unwrap();
    rules.apply(&mut mapped.record);
    let schema = Schema::parse_str(RecordSchema::of(stream).json).unwrap();
    serde_json::json!({
        "event": round_trip(&schema, &mapped.record),
        "beside": beside(&mapped),
        "customer": mentioned_customer(stream, json),
    })
}

/// The customer inside a payment, as the customers' topic shows it where their list does not.
fn mentioned_customer(stream: Stream, json: &str) -> Option<serde_json::Value> {
    #[derive(serde::Deserialize)]
    struct Payment<'a> {
        #[serde(borrow)]
        musteri: &'a serde_json::value::RawValue,
    }
    let payment: Payment<'_> = serde_json::from_str(json).ok()?;
    let mut mapped = map_mentioned_customer(payment.musteri.get(), &context(stream)).unwrap();
    mapped.record.meta_mut().warnings = mapped.warnings;
    let schema = Schema::parse_str(RecordSchema::of(Stream::Customers).json).unwrap();
    Some(round_trip(&schema, &mapped.record))
}

fn beside(mapped: &Mapped<'_>) -> serde_json::Value {
    let day = |day: &vomsis_connect::domain::time::Day| day.to_date().to_string();
    serde_json::json!({
        "key": mapped.key,
        "day": mapped.day.as_ref().map(day),
        "window_days": mapped.window_days.iter().flatten().map(day).collect::<Vec<_>>(),
        "newest_at": mapped.newest_at.map(Timestamp::to_rfc3339),
        "unknown_fields": mapped.unknown_fields,
    })
}

#[test]
fn every_sample_row_becomes_the_event_that_its_snapshot_shows() {
    let rows = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rows");
    for (stream, expected) in SAMPLES {
        let mut files: Vec<_> = fs::read_dir(rows.join(stream.name()))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert_eq!(files.len(), expected, "sample rows of {stream}");
        for file in files {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let json = fs::read_to_string(&file).unwrap();
            let shown = event(stream, json.trim());
            insta::with_settings!({
                snapshot_path => "../golden/snapshots",
                prepend_module_to_snapshot => false,
                omit_expression => true,
            }, {
                insta::assert_json_snapshot!(format!("{stream}-{name}"), shown);
            });
        }
    }
}

#[test]
fn both_feeds_give_one_movement_the_same_hash() {
    let rows = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rows/bank_transactions");
    let hash = |name: &str| {
        let json = fs::read_to_string(rows.join(name)).unwrap();
        let mapped = map_row(Stream::BankTransactions, &json, &context(Stream::BankTransactions));
        content_hash(&mapped.unwrap().record, HASH_RULE, &mut Vec::new())
    };
    assert_eq!(hash("seed_6915745.json"), hash("seed_6915745_with_account.json"));
    assert_ne!(hash("seed_6915745.json"), hash("invented_all_fields.json"));
}
