//! Schemas: documented, classified, equal to the structs, and readable by everyone for ever.

use std::{collections::BTreeMap, fs, path::PathBuf};

use apache_avro::{
    Schema,
    schema_compatibility::{Compatibility, SchemaCompatibility},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use vomsis_connect::domain::{
    commands::{PaymentCommand, PaymentResult},
    meta::EventMeta,
    quarantine::{QuarantinedRow, RowDeletion},
    record::Op,
    reference::{Account, BankEntity, Customer, InstallmentOption, Terminal, TransactionType},
    schemas,
    transactions::{BankTransaction, PosTransaction, TosPayment, VirtualPosTransaction},
    vocabulary::{
        CardBrand, Category, CommandType, Direction, Outcome, PosKind, RejectionReason, Source,
        TosType, VirtualPosKind, VirtualPosStatus,
    },
    warnings::Warning,
};

fn fields(record: &Value) -> &[Value] {
    record["fields"].as_array().unwrap()
}

fn parsed(name: &str) -> Value {
    let schema = schemas::RecordSchema::named(name).unwrap();
    serde_json::from_str(schema.json).unwrap()
}

/// Every field of a schema, those of nested records included, as `Record.field`.
fn all_fields(record: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for field in fields(record) {
        let path =
            format!("{}.{}", record["name"].as_str().unwrap(), field["name"].as_str().unwrap());
        let kind = &field["type"];
        for nested in [kind, &kind["items"]] {
            if nested["type"] == "record" {
                all.extend(all_fields(nested));
            }
        }
        all.push((path, field.clone()));
    }
    all
}

#[test]
fn every_struct_has_its_schemas_fields_in_their_order() {
    let structs: [(&str, &[&str]); 14] = [
        ("BankTransaction", BankTransaction::FIELDS),
        ("PosTransaction", PosTransaction::FIELDS),
        ("VirtualPosTransaction", VirtualPosTransaction::FIELDS),
        ("TosPayment", TosPayment::FIELDS),
        ("Bank", BankEntity::FIELDS),
        ("Account", Account::FIELDS),
        ("Terminal", Terminal::FIELDS),
        ("TransactionType", TransactionType::FIELDS),
        ("InstallmentOption", InstallmentOption::FIELDS),
        ("Customer", Customer::FIELDS),
        ("RowDeletion", RowDeletion::FIELDS),
        ("QuarantinedRow", QuarantinedRow::FIELDS),
        ("PaymentCommand", PaymentCommand::FIELDS),
        ("PaymentResult", PaymentResult::FIELDS),
    ];
    assert_eq!(structs.len(), schemas::ALL.len());
    for (name, expected) in structs {
        let schema = parsed(name);
        let names: Vec<_> =
            fields(&schema).iter().map(|field| field["name"].as_str().unwrap()).collect();
        let content = match names.split_first() {
            Some((&"meta", rest)) => rest.to_vec(),
            _ => names,
        };
        assert_eq!(content, expected, "{name}");
    }
}

#[test]
fn every_schema_inlines_the_same_event_meta() {
    for schema in schemas::ALL {
        let parsed = parsed(schema.name);
        assert_eq!(parsed["namespace"], "io.vomsis.v1");
        if schema.name == "PaymentCommand" {
            continue;
        }
        let meta = &fields(&parsed)[0];
        assert_eq!(meta["name"], "meta");
        assert_eq!(meta["type"]["name"], "EventMeta");
        let names: Vec<_> =
            fields(&meta["type"]).iter().map(|field| field["name"].as_str().unwrap()).collect();
        assert_eq!(names, EventMeta::FIELDS, "{}", schema.name);
    }
}

#[test]
fn every_field_has_a_doc_and_a_class() {
    for schema in schemas::ALL {
        for (path, field) in all_fields(&parsed(schema.name)) {
            assert!(field["doc"].as_str().is_some_and(|doc| doc.len() > 10), "{path} has no doc");
            let class = field["pii"].as_str().unwrap_or_default();
            assert!(["N", "C", "I", "P", "F", "K"].contains(&class), "{path} has class {class:?}");
        }
    }
}

#[test]
fn nullable_fields_default_to_null_and_vocabularies_to_unknown() {
    for schema in schemas::ALL {
        for (path, field) in all_fields(&parsed(schema.name)) {
            if field["type"].is_array() {
                assert_eq!(field["type"][0], "null", "{path}");
                assert!(field.get("default").is_some_and(Value::is_null), "{path}");
            }
            if field.get("allowed").is_some() {
                assert_eq!(field["type"], "string", "{path}");
                assert_eq!(field["default"], "UNKNOWN", "{path}");
            }
        }
    }
}

#[test]
fn vocabularies_and_allowed_words_agree() {
    fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Vec<&'static str> {
        all.iter().map(|value| word(*value)).collect()
    }
    let op: Vec<_> = std::iter::once("UNKNOWN").chain(Op::ALL.map(Op::as_str)).collect();
    let expected = [
        ("EventMeta.source", words(Source::ALL, Source::as_str)),
        ("EventMeta.op", op),
        ("BankTransaction.category", words(Category::ALL, Category::as_str)),
        ("BankTransaction.direction", words(Direction::ALL, Direction::as_str)),
        ("PosTransaction.card_brand", words(CardBrand::ALL, CardBrand::as_str)),
        ("PosTransaction.kind", words(PosKind::ALL, PosKind::as_str)),
        ("VirtualPosTransaction.status", words(VirtualPosStatus::ALL, VirtualPosStatus::as_str)),
        ("VirtualPosTransaction.kind", words(VirtualPosKind::ALL, VirtualPosKind::as_str)),
        ("TosPayment.type", words(TosType::ALL, TosType::as_str)),
        ("QuarantinedRow.reason", words(RejectionReason::ALL, RejectionReason::as_str)),
        ("PaymentCommand.type", words(CommandType::ALL, CommandType::as_str)),
        ("PaymentResult.type", words(CommandType::ALL, CommandType::as_str)),
        ("PaymentResult.outcome", words(Outcome::ALL, Outcome::as_str)),
    ];
    for schema in schemas::ALL {
        for (path, field) in all_fields(&parsed(schema.name)) {
            let Some(allowed) = field.get("allowed") else { continue };
            let (_, words) = expected
                .iter()
                .find(|(known, _)| *known == path)
                .unwrap_or_else(|| panic!("{path} has no vocabulary"));
            assert_eq!(*allowed, serde_json::json!(words), "{path}");
        }
    }
    assert_eq!(Category::ALL.len(), 47, "the 46 documented codes and UNKNOWN");
}

#[test]
fn the_doc_of_warnings_names_every_warning() {
    let schema = parsed("BankTransaction");
    let all = all_fields(&schema);
    let (_, field) = all.iter().find(|(path, _)| path == "EventMeta.warnings").unwrap();
    // Those that name a field are listed in docs/streams.md: the next one needs no new schema.
    for warning in Warning::ALL.iter().filter(|warning| !warning.is_of_unreadable_field()) {
        assert!(field["doc"].as_str().unwrap().contains(warning.as_str()), "{warning:?}");
    }
}

/// `schemas/history/<Record>/<n>.avsc` holds every version ever committed.
fn history(name: &str) -> Vec<(u32, String)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas/history").join(name);
    let mut versions: Vec<_> = fs::read_dir(&dir)
        .unwrap_or_else(|_| panic!("{} has no history", dir.display()))
        .map(|entry| {
            let path = entry.unwrap().path();
            let number = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            (number, fs::read_to_string(path).unwrap())
        })
        .collect();
    versions.sort();
    versions
}

#[test]
fn the_current_schema_is_the_newest_of_its_history() {
    for schema in schemas::ALL {
        let versions = history(schema.name);
        let numbers: Vec<_> = versions.iter().map(|(number, _)| *number).collect();
        let expected: Vec<_> = (1..=u32::try_from(versions.len()).unwrap()).collect();
        assert_eq!(numbers, expected, "{} misses a version", schema.name);
        let newest: Value = serde_json::from_str(&versions.last().unwrap().1).unwrap();
        assert_eq!(
            newest,
            parsed(schema.name),
            "{} changed: add it to schemas/history as the next version",
            schema.name
        );
    }
}

/// What was published once is never another thing: `schemas/history/SHA256SUMS`, as `sha256sum` writes it,
/// gets one line with each new version.
#[test]
fn no_version_of_the_history_is_changed_or_missing() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas/history");
    let text = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
    let noted: BTreeMap<&str, &str> = text
        .lines()
        .map(|line| line.split_once("  ").map(|(sum, path)| (path, sum)).unwrap())
        .collect();
    let mut found = 0;
    for schema in schemas::ALL {
        for (number, text) in history(schema.name) {
            let path = format!("{}/{number}.avsc", schema.name);
            let sum: String =
                Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
            let noted = noted.get(path.as_str()).unwrap_or_else(|| panic!("add {sum}  {path}"));
            assert_eq!(*noted, sum, "{path} was published as it was: add a version instead");
            found += 1;
        }
    }
    assert_eq!(found, noted.len(), "a version that was published is missing");
}

#[test]
fn the_current_schema_reads_everything_that_was_ever_written() {
    for schema in schemas::ALL {
        let reader = Schema::parse_str(schema.json).unwrap();
        for (number, text) in history(schema.name) {
            let writer = Schema::parse_str(&text).unwrap();
            let verdict = SchemaCompatibility::can_read(&writer, &reader);
            assert_eq!(
                verdict.as_ref().ok(),
                Some(&Compatibility::Full),
                "{} cannot read its version {number}: {verdict:?}",
                schema.name
            );
        }
    }
}

#[test]
fn a_new_required_field_would_be_noticed() {
    let mut changed = parsed("Bank");
    let fields = changed["fields"].as_array_mut().unwrap();
    fields.push(
        serde_json::json!({"name": "swift", "type": "string", "doc": "a new one", "pii": "N"}),
    );
    let reader = Schema::parse(&changed).unwrap();
    let writer = Schema::parse_str(&history("Bank")[0].1).unwrap();
    assert!(SchemaCompatibility::can_read(&writer, &reader).is_err());
}
