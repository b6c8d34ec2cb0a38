//! What the sources may send, and what becomes of it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{HASH_RULE, Mapped, Rejection, RowContext, content_hash, event_id, map_row};
use crate::{
    config::model::DateType,
    domain::{
        content::Content,
        ids::{ConnectionId, SourceId, Stream},
        money::Money,
        reference::{Account, InstallmentOption},
        time::{Day, Timestamp},
        transactions::{BankTransaction, PosTransaction, TosPayment, VirtualPosTransaction},
        vocabulary::{
            CardBrand, Category, Direction, PosKind, RejectionReason, TosType, VirtualPosKind,
            VirtualPosStatus,
        },
        warnings::Warning,
    },
};

const SYSTEM: RowContext<'static> = RowContext {
    entity: "73",
    date_type: DateType::SystemDate,
    entity_currency: None,
    carry_extras: false,
    replaced_text: false,
    gateway_object_id: None,
};

fn bank_json(changes: &Value) -> String {
    with(
        json!({"id": 1, "bank_account_id": 73, "amount": "-209000.00", "fec_name": "TL",
               "type": "borclu", "system_date": "2022-03-10 13:50:45"}),
        changes,
    )
}

fn pos_json(changes: &Value) -> String {
    with(json!({"id": 1, "exchange": "TL", "system_date": "2021-12-01 23:48:20"}), changes)
}

fn list_json(changes: &Value) -> String {
    with(json!({"id": 9, "referans_kodu": "169VPCE5C20E03814BD1", "tutar": "1.00"}), changes)
}

fn tos_json(changes: &Value) -> String {
    with(
        json!({"TransactionObjectId": 2_022_000_039_254_817_i64, "Amount": 200, "CurrencyType": "TL",
               "InstitutionCode": "0006624", "PaymentDate": "2022-12-28T00:00:00"}),
        changes,
    )
}

fn with(mut row: Value, changes: &Value) -> String {
    let fields = row.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        fields.insert(key.clone(), value.clone());
    }
    row.to_string()
}

fn bank<'a>(mapped: &'a Mapped<'_>) -> &'a BankTransaction<'a> {
    match &mapped.record {
        Content::Bank(record) => record,
        other => panic!("{other:?}"),
    }
}

fn pos<'a>(mapped: &'a Mapped<'_>) -> &'a PosTransaction<'a> {
    match &mapped.record {
        Content::Pos(record) => record,
        other => panic!("{other:?}"),
    }
}

fn list<'a>(mapped: &'a Mapped<'_>) -> &'a VirtualPosTransaction<'a> {
    match &mapped.record {
        Content::VirtualPos(record) => record,
        other => panic!("{other:?}"),
    }
}

fn tos<'a>(mapped: &'a Mapped<'_>) -> &'a TosPayment<'a> {
    match &mapped.record {
        Content::Tos(record) => record,
        other => panic!("{other:?}"),
    }
}

fn map(stream: Stream, json: &str) -> Mapped<'_> {
    map_row(stream, json, &SYSTEM).unwrap_or_else(|rejection| panic!("{rejection:?}"))
}

fn reject(stream: Stream, json: &str) -> Rejection {
    match map_row(stream, json, &SYSTEM) {
        Ok(mapped) => panic!("{mapped:?}"),
        Err(rejection) => rejection,
    }
}

fn hash(mapped: &Mapped<'_>) -> u128 {
    content_hash(&mapped.record, HASH_RULE, &mut Vec::new())
}

fn warned(mapped: &Mapped<'_>) -> Vec<&'static str> {
    mapped.warnings.iter().collect()
}

#[test]
fn an_amount_is_the_same_money_and_hash_however_it_is_written() {
    let hashes = ["\"-209000.00\"", "-209000.0", "-209000", "\"-209000\""].map(|amount| {
        let json = bank_json(&json!({})).replace("\"-209000.00\"", amount);
        let mapped = map(Stream::BankTransactions, &json);
        assert_eq!(bank(&mapped).amount, Money::parse("-209000").unwrap());
        hash(&mapped)
    });
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
}

#[test]
fn an_amount_that_would_have_to_be_guessed_is_rejected() {
    for amount in ["\"1.234,56\"", "\"1,234.56\"", "\"1e3\"", "\"NaN\"", "1e3", "[1]", "true"] {
        for field in ["amount", "current_balance"] {
            let json = bank_json(&json!({field: "AMOUNT"})).replace("\"AMOUNT\"", amount);
            let rejection = reject(Stream::BankTransactions, &json);
            assert_eq!(rejection.reason, RejectionReason::InvalidAmount, "{amount}");
            assert_eq!(rejection.field, Some(field));
            assert_eq!(rejection.source_id, Some(SourceId::Number(1)));
            assert_eq!(rejection.day, Some(Day(19_061)));
        }
    }
}

#[test]
fn a_blank_amount_is_nothing_and_a_required_one_is_missed() {
    for blank in [json!(""), json!(" "), Value::Null] {
        let json = bank_json(&json!({"current_balance": blank}));
        assert_eq!(bank(&map(Stream::BankTransactions, &json)).balance_after, None);
        let rejection = reject(Stream::BankTransactions, &bank_json(&json!({"amount": blank})));
        assert_eq!(rejection.reason, RejectionReason::MissingField);
        assert_eq!(rejection.field, Some("amount"));
    }
}

#[test]
fn an_amount_with_more_digits_than_the_type_is_never_rounded() {
    let json = bank_json(&json!({"amount": "-1.123456"}));
    assert_eq!(reject(Stream::BankTransactions, &json).reason, RejectionReason::InvalidAmount);
}

#[test]
fn a_debit_with_a_positive_amount_is_emitted_with_a_warning() {
    let json = bank_json(&json!({"type": "borclu", "amount": "500.00"}));
    let mapped = map(Stream::BankTransactions, &json);
    assert_eq!(warned(&mapped), ["SIGN_MISMATCH"]);
    assert_eq!(bank(&mapped).amount, Money::parse("500").unwrap());
    let json = bank_json(&json!({"type": "borclu", "amount": "0.00"}));
    assert!(map(Stream::BankTransactions, &json).warnings.is_empty());
}

#[test]
fn a_direction_is_read_in_every_turkish_spelling() {
    for word in ["Alacaklı ", "ALACAKLI", "alacakli", "ALACAKLİ", "alacakli\u{307}"] {
        let json = bank_json(&json!({"type": word, "amount": "5"}));
        let mapped = map(Stream::BankTransactions, &json);
        assert_eq!(bank(&mapped).direction, Direction::Credit, "{word}");
        assert_eq!(bank(&mapped).direction_raw.as_deref(), Some(word));
    }
    let json = bank_json(&json!({"type": "ödünç"}));
    let mapped = map(Stream::BankTransactions, &json);
    assert_eq!(bank(&mapped).direction, Direction::Unknown);
    assert_eq!(bank(&mapped).direction_raw.as_deref(), Some("ödünç"));
}

#[test]
fn a_currency_is_normalised_and_its_text_kept() {
    for (text, code) in [("TL", "TRY"), ("TRY", "TRY"), ("try ", "TRY"), ("XAU", "XAU")] {
        let json = bank_json(&json!({"fec_name": text}));
        let mapped = map(Stream::BankTransactions, &json);
        assert_eq!(bank(&mapped).currency, code);
        assert_eq!(bank(&mapped).currency_raw.as_deref(), Some(text));
    }
    let json = bank_json(&json!({"fec_name": "₺"}));
    assert_eq!(
        reject(Stream::BankTransactions, &json).reason,
        RejectionReason::UnsupportedCurrency
    );
}

#[test]
fn a_missing_currency_is_the_accounts_where_that_is_known() {
    let json = bank_json(&json!({"fec_name": null}));
    let known = RowContext { entity_currency: Some("EUR"), ..SYSTEM };
    let mapped = map_row(Stream::BankTransactions, &json, &known).unwrap();
    assert_eq!(bank(&mapped).currency, "EUR");
    assert_eq!(bank(&mapped).currency_raw, None);
    assert_eq!(reject(Stream::BankTransactions, &json).field, Some("fec_name"));
}

#[test]
fn a_local_time_is_read_as_istanbul() {
    let json = bank_json(&json!({}));
    let mapped = map(Stream::BankTransactions, &json);
    assert_eq!(bank(&mapped).booked_at.unwrap().to_rfc3339(), "2022-03-10T10:50:45.000Z");
    assert_eq!(mapped.newest_at, bank(&mapped).booked_at);
    assert_eq!(mapped.day, mapped.window_days[0]);
}

#[test]
fn times_at_the_edges_of_summer_time_are_resolved_and_told() {
    for (text, utc, warning) in [
        ("2015-11-08 03:30:00", "2015-11-08T00:30:00.000Z", Warning::AmbiguousTime),
        ("2016-03-27 03:30:00", "2016-03-27T01:30:00.000Z", Warning::NonexistentTime),
    ] {
        let json = bank_json(&json!({"system_date": text}));
        let mapped = map(Stream::BankTransactions, &json);
        assert_eq!(bank(&mapped).booked_at.unwrap().to_rfc3339(), utc);
        assert_eq!(warned(&mapped), [warning.as_str()]);
        assert_eq!(bank(&mapped).booked_at_local.as_deref(), Some(text));
    }
}

#[test]
fn a_time_that_cannot_be_read_is_null_and_its_text_kept() {
    for text in ["0000-00-00 00:00:00", "2022-02-30 00:00:00", "10.03.2022", "2022-03-10 24:00:00"]
    {
        let json = bank_json(&json!({"system_date": text}));
        let mapped = map(Stream::BankTransactions, &json);
        assert_eq!(bank(&mapped).booked_at, None, "{text}");
        assert_eq!(bank(&mapped).booked_at_local.as_deref(), Some(text));
        assert_eq!(warned(&mapped), ["INVALID_TIME"]);
        assert_eq!((mapped.day, mapped.newest_at), (None, None));
    }
}

#[test]
fn the_chosen_date_decides_day_and_window() {
    let json = bank_json(&json!({"accounting_date": "2022-03-12 00:00:00"}));
    let accounting = RowContext { date_type: DateType::AccountingDate, ..SYSTEM };
    let mapped = map_row(Stream::BankTransactions, &json, &accounting).unwrap();
    assert_eq!(mapped.day, Some(Day(19_063)));
    assert_eq!(mapped.window_days.iter().flatten().count(), 1);
}

#[test]
fn pos_dates_are_day_first() {
    for (text, day) in [("01.12.2021", "2021-12-01"), ("13.12.2021", "2021-12-13")] {
        let json = pos_json(&json!({"date": text, "time": "23.48.20"}));
        let mapped = map(Stream::PosTransactions, &json);
        assert_eq!(pos(&mapped).transaction_date.unwrap().to_date().to_string(), day);
        assert_eq!(
            pos(&mapped).transaction_at.unwrap().to_rfc3339(),
            format!("{day}T20:48:20.000Z")
        );
        assert!(mapped.warnings.is_empty());
    }
}

#[test]
fn a_pos_clock_that_cannot_be_read_is_not_replaced_and_an_absent_one_is() {
    let json = pos_json(&json!({"date": "01.12.2021", "time": "24.00.00"}));
    let mapped = map(Stream::PosTransactions, &json);
    assert_eq!(pos(&mapped).transaction_at, None);
    assert_eq!(warned(&mapped), ["INVALID_TIME"]);
    let json = pos_json(&json!({"date": "01.12.2021"}));
    let mapped = map(Stream::PosTransactions, &json);
    assert_eq!(pos(&mapped).transaction_at, pos(&mapped).system_at);
    assert!(pos(&mapped).transaction_at.is_some());
}

#[test]
fn any_date_of_a_pos_row_counts_for_its_window() {
    let json = pos_json(&json!({"date": "01.12.2021", "valor": "05.12.2021",
        "end_of_day_date": "2021-12-02", "registration_date": "03.12.2021"}));
    let mapped = map(Stream::PosTransactions, &json);
    let days: Vec<_> =
        mapped.window_days.iter().flatten().map(|day| day.to_date().to_string()).collect();
    assert_eq!(days, ["2021-12-01", "2021-12-01", "2021-12-02", "2021-12-03", "2021-12-05"]);
}

#[test]
fn pos_words_are_known_and_its_station_comes_from_the_request() {
    let json = pos_json(&json!({"transaction_type": "İADE", "sub_card_type": "MASTERCARD",
        "gross_amount": "100.00", "commission": "1.00", "net_amount": "98.50"}));
    let mapped = map(Stream::PosTransactions, &json);
    assert_eq!(pos(&mapped).kind, PosKind::Refund);
    assert_eq!(pos(&mapped).card_brand, CardBrand::Mastercard);
    assert_eq!(pos(&mapped).station_id, 73);
    assert_eq!(mapped.key, "73");
    assert_eq!(warned(&mapped), ["NET_MISMATCH"]);
}

#[test]
fn tags_come_as_texts_objects_or_nothing() {
    let tags = |tags: Value| {
        let json = bank_json(&json!({"tags": tags}));
        let mapped = map(Stream::BankTransactions, &json);
        let names = bank(&mapped).tags.iter().map(|tag| tag.name.clone().map(String::from));
        names.collect::<Vec<_>>()
    };
    assert_eq!(tags(json!(["Virman"])), [Some("Virman".to_owned())]);
    assert_eq!(tags(json!([{"tag": null}])), [None]);
    assert_eq!(tags(json!([{"tag": {"name": "a"}}, "b"])), [Some("a".into()), Some("b".into())]);
    assert!(tags(json!({})).is_empty() && tags(Value::Null).is_empty());
    assert_eq!(tags(json!({"0": {"tag": {"name": "a"}}})), [Some("a".to_owned())]);
}

#[test]
fn ibans_are_kept_tidied_and_doubted_where_they_can_be() {
    for (text, kept, warnings) in [
        ("TR330006100519786457841326", "TR330006100519786457841326", &[] as &[&str]),
        ("tr33 0006 1005 1978 6457 8413 26", "TR330006100519786457841326", &[]),
        ("TR330006100519786457841327", "TR330006100519786457841327", &["INVALID_IBAN"]),
        ("TR33", "TR33", &["INVALID_IBAN"]),
        ("DE89370400440532013001", "DE89370400440532013001", &[]),
        ("TR94****0001", "TR94****0001", &[]),
    ] {
        let json = bank_json(&json!({"sender_iban": text}));
        let mapped = map(Stream::BankTransactions, &json);
        assert_eq!(bank(&mapped).sender_iban.as_deref(), Some(kept));
        assert_eq!(warned(&mapped), warnings, "{text}");
    }
}

#[test]
fn two_spellings_of_the_receivers_iban_may_not_contradict() {
    let both = json!({"reciever_iban": "DE89370400440532013000", "receiver_iban": "DE89"});
    let json = bank_json(&both);
    let mapped = map(Stream::BankTransactions, &json);
    assert_eq!(warned(&mapped), ["CONFLICTING_IBAN"]);
    let json = bank_json(&json!({"receiver_iban": "DE89"}));
    let mapped = map(Stream::BankTransactions, &json);
    assert_eq!(bank(&mapped).receiver_iban.as_deref(), Some("DE89"));
    assert!(mapped.warnings.is_empty());
}

#[test]
fn identity_and_tax_numbers_are_doubted_and_kept() {
    let check = |field: &str, text: &str| {
        let json = bank_json(&json!({field: text}));
        warned(&map(Stream::BankTransactions, &json))
    };
    assert!(check("sender_identity_number", "10000000146").is_empty());
    assert_eq!(check("sender_identity_number", "10000000145"), ["INVALID_NATIONAL_ID"]);
    assert_eq!(check("sender_identity_number", "1234"), ["INVALID_NATIONAL_ID"]);
    assert!(check("sender_taxno", "1234567890").is_empty());
    assert!(check("payer_tax_no", "10000000146").is_empty(), "persons use their identity number");
    assert_eq!(check("opponent_taxno", "3230491123"), ["INVALID_TAX_NO"]);
}

#[test]
fn a_category_is_one_of_the_documented_codes_or_unknown() {
    for (text, category) in [
        ("VIRMGID", Category::Virmgid),
        (" virmgıd", Category::Virmgid),
        ("YENI", Category::Unknown),
    ] {
        let json = bank_json(&json!({"vms_transaction_type": text}));
        assert_eq!(bank(&map(Stream::BankTransactions, &json)).category, category, "{text}");
    }
}

#[test]
fn a_row_without_an_account_belongs_to_the_one_asked_for() {
    let json = bank_json(&json!({"bank_account_id": null}));
    let mapped = map(Stream::BankTransactions, &json);
    assert_eq!((bank(&mapped).account_id, mapped.key.as_ref()), (73, "73"));
}

#[test]
fn an_id_that_is_missing_or_no_number_rejects_the_row() {
    let json = bank_json(&json!({"id": null}));
    assert_eq!(reject(Stream::BankTransactions, &json).reason, RejectionReason::MissingField);
    for id in [json!("abc"), json!(1.5), json!({}), json!("99999999999999999999")] {
        let rejection = reject(Stream::BankTransactions, &bank_json(&json!({"id": id})));
        assert_eq!(rejection.reason, RejectionReason::InvalidId);
        assert_eq!(rejection.source_id, None);
    }
}

#[test]
fn a_repeated_key_counts_once_and_is_told() {
    let json = r#"{"id":1,"amount":"1","note":"a","fec_name":"TL","note":"b"}"#;
    let mapped = map(Stream::BankTransactions, json);
    assert_eq!(bank(&mapped).note.as_deref(), Some("b"));
    assert_eq!(warned(&mapped), ["DUPLICATE_JSON_KEY"]);
    let json = r#"{"id":1,"amount":"1","fec_name":"TL","x":1,"x":2}"#;
    assert_eq!(warned(&map(Stream::BankTransactions, json)), ["DUPLICATE_JSON_KEY"]);
}

#[test]
fn text_that_is_no_text_is_replaced_and_told() {
    let json = bank_json(&json!({})).replace("\"id\"", r#""note":"a\ud800b","id""#);
    let mapped = map(Stream::BankTransactions, &json);
    assert_eq!(bank(&mapped).note.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(warned(&mapped), ["REPLACED_TEXT"]);

    let json = bank_json(&json!({"note": "a\u{fffd}b"}));
    assert!(map(Stream::BankTransactions, &json).warnings.is_empty(), "the source wrote it");
    let replaced = RowContext { replaced_text: true, ..SYSTEM };
    let mapped = map_row(Stream::BankTransactions, &json, &replaced).unwrap();
    assert_eq!(warned(&mapped), ["REPLACED_TEXT"]);
}

#[test]
fn escaped_keys_and_texts_are_the_same_as_plain_ones() {
    let json = bank_json(&json!({})).replace("\"id\"", r#""n\u006fte":"\u015f \"x\"","id""#);
    assert_eq!(bank(&map(Stream::BankTransactions, &json)).note.as_deref(), Some("ş \"x\""));
}

#[test]
fn unknown_fields_are_counted_and_carried_only_on_request() {
    let json = bank_json(&json!({"yeni": {"a": 1, "password": "p"}, "secret": "s", "n": 1.50}));
    let mapped = map(Stream::BankTransactions, &json);
    assert_eq!((mapped.unknown_fields, mapped.extras.len()), (3, 0));
    let carrying = RowContext { carry_extras: true, ..SYSTEM };
    let mapped = map_row(Stream::BankTransactions, &json, &carrying).unwrap();
    let mut extras: Vec<_> = mapped.extras.iter().map(|(k, v)| (k.as_ref(), v.as_ref())).collect();
    extras.sort_unstable();
    assert_eq!(extras, [("n", "1.5"), ("yeni", r#"{"a":1}"#)]);
}

#[test]
fn a_row_that_is_no_object_is_rejected_and_masked() {
    for (json, raw) in [
        ("[\"Ayşe Örnek\", 12]", r#"["***","***"]"#),
        ("\"Ayşe Örnek\"", r#""\"***\"""#),
        ("{\"sender_name\": \"Ayşe", r#""{\"***\": \"***\"""#),
        ("null", "\"null\""),
    ] {
        let rejection = reject(Stream::BankTransactions, json);
        assert_eq!(rejection.reason, RejectionReason::InvalidType);
        assert_eq!(rejection.raw, raw);
        assert_eq!(rejection.field, None);
    }
}

#[test]
fn a_rejected_row_shows_nothing_personal() {
    let json = bank_json(&json!({
        "amount": "x", "sender_name": "Ayşe Örnek", "sender_iban": "TR330006100519786457841326",
        "sender_identity_number": "10000000146", "sender_taxno": 1_234_567_890,
        "description": "IBAN TR33 0006 1005 1978 6457 8413 26 tckn 10000000146 fiş 77",
        "unknown": "Ayşe", "nested": {"name": "Ayşe"}, "password": "gizli",
        "tags": [{"tag": {"name": "Virman", "token": "t"}}], "account": {"iban": "TR330006100519786457841326"},
    }));
    let rejection = reject(Stream::BankTransactions, &json);
    let raw: Value = serde_json::from_str(&rejection.raw).unwrap();
    assert_eq!(raw["sender_name"], "***");
    assert_eq!(raw["sender_iban"], "TR33******************1326");
    assert_eq!(raw["sender_identity_number"], "*******0146");
    assert_eq!(raw["sender_taxno"], "******7890");
    assert_eq!(raw["description"], "IBAN TR33 **** **** **** **** **13 26 tckn *******0146 fiş 77");
    assert_eq!(raw["unknown"], "***");
    assert_eq!(raw["nested"], "***");
    assert_eq!(raw["tags"], json!([{"tag": {"name": "Virman"}}]));
    assert_eq!(raw["account"]["iban"], "TR33******************1326");
    assert_eq!(raw["amount"], "x");
    assert!(raw.get("password").is_none() && !rejection.raw.contains("gizli"));
    assert!(!rejection.raw.contains("10000000146") && !rejection.raw.contains("Ayşe"));
    assert!(!rejection.detail.contains('x'), "the value stays out of the detail");
}

/// A number whose last digit makes it pass Luhn; made here so that none stands in the source.
pub(super) fn luhn_valid(front: &str) -> String {
    (0..10)
        .map(|digit| format!("{front}{digit}"))
        .find(|number| crate::mapping::card::is_card(number))
        .unwrap()
}

mod lists_and_hashes;
mod size;
mod wrong_types;
