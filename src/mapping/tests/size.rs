//! Rows that are larger than any row is, or have more names than any row has.

use super::*;
use crate::mapping::map::ROW_BYTES_MAX;

const CARRYING: RowContext<'static> = RowContext { carry_extras: true, ..SYSTEM };

/// A bank row with so many more members, no name twice.
fn bank_json_with(unknown: usize) -> String {
    let more: String = (0..unknown).map(|i| format!(r#","u{i}":{i}"#)).collect();
    bank_json(&json!({})).replacen('}', &format!("{more}}}"), 1)
}

#[test]
fn a_row_that_is_too_large_is_rejected_with_its_id_and_beginning() {
    let json = bank_json(&json!({"description": "x".repeat(256 * 1024)}));
    let rejection = reject(Stream::BankTransactions, &json);
    assert_eq!(rejection.reason, RejectionReason::TooLarge);
    assert_eq!(rejection.source_id, Some(SourceId::Number(1)));
    assert!(rejection.raw.len() < 8_192);
}

#[test]
fn a_text_that_is_too_large_for_a_row_is_shown_from_its_beginning() {
    let json = format!("[{}1]", "1,".repeat(ROW_BYTES_MAX));
    let rejection = reject(Stream::BankTransactions, &json);
    assert_eq!(rejection.reason, RejectionReason::TooLarge);
    assert!(rejection.source_id.is_none() && rejection.raw.len() < 8_192);
}

/// Were each name compared with all before it, this would not end within an hour.
#[test]
fn a_million_unknown_names_are_counted_in_one_pass() {
    let json = bank_json_with(1_000_000);
    let rejection = map_row(Stream::BankTransactions, &json, &CARRYING).unwrap_err();
    assert_eq!(rejection.reason, RejectionReason::TooLarge);
    assert_eq!(rejection.source_id, Some(SourceId::Number(1)));
    assert_eq!(rejection.day.unwrap().to_date().to_string(), "2022-03-10");
}

#[test]
fn many_unknown_names_are_carried_once_and_the_last_of_two_counts() {
    let json = bank_json_with(15_000);
    assert!(json.len() < ROW_BYTES_MAX);
    let mapped = map_row(Stream::BankTransactions, &json, &CARRYING).unwrap();
    assert_eq!((mapped.unknown_fields, mapped.extras.len()), (15_000, 15_000));
    assert!(warned(&mapped).is_empty());
    let twice = json.replacen('}', r#","\u00757":"the last"}"#, 1);
    let mapped = map_row(Stream::BankTransactions, &twice, &CARRYING).unwrap();
    assert_eq!((mapped.unknown_fields, mapped.extras.len()), (15_001, 15_000));
    let found: Vec<_> = mapped.extras.iter().filter(|(name, _)| name == "u7").collect();
    assert_eq!(found, [&("u7".into(), "the last".into())]);
    assert_eq!(mapped.extras.last().unwrap().0, "u7");
}

#[test]
fn an_unknown_name_that_stands_there_twice_is_told() {
    let json = bank_json(&json!({"u": 1})).replacen('}', r#","v":2,"u":3}"#, 1);
    let mapped = map_row(Stream::BankTransactions, &json, &CARRYING).unwrap();
    assert_eq!(warned(&mapped), ["DUPLICATE_JSON_KEY"]);
    let extras: Vec<_> = mapped.extras.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(extras, [("v", "2"), ("u", "3")]);
}
