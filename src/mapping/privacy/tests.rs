use serde_json::json;

use super::*;
use crate::{
    config::model::DateType,
    domain::ids::Stream,
    mapping::{Mapped, RowContext, map_row, tests::luhn_valid},
};

/// As long as it must be.
const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

fn rules(classes: &[(char, Treatment)], fields: &[(&str, Treatment)]) -> PrivacyRules {
    PrivacyRules::new(&privacy(classes, fields), Some(KEY.to_vec().into())).unwrap()
}

fn privacy(classes: &[(char, Treatment)], fields: &[(&str, Treatment)]) -> Privacy {
    Privacy {
        classes: classes.iter().copied().collect(),
        fields: fields.iter().map(|(name, t)| ((*name).to_owned(), *t)).collect(),
        hmac_key_file: None,
    }
}

fn map(stream: Stream, json: &str) -> Mapped<'_> {
    let ctx = RowContext {
        entity: "73",
        date_type: DateType::SystemDate,
        entity_currency: None,
        carry_extras: true,
        replaced_text: false,
        gateway_object_id: None,
    };
    map_row(stream, json, &ctx).unwrap()
}

fn shown(stream: Stream, json: &str, rules: &PrivacyRules) -> serde_json::Value {
    let mut mapped = map(stream, json);
    let extras = std::mem::take(&mut mapped.extras);
    mapped.record.meta_mut().extras = extras;
    rules.apply(&mut mapped.record);
    serde_json::to_value(&mapped.record).unwrap()
}

fn bank() -> String {
    json!({"id": 1, "amount": "1", "fec_name": "TL", "sender_name": "Ayşe", "note": "not",
        "sender_iban": "TR330006100519786457841326", "sender_identity_number": "10000000146",
        "current_balance": "5", "type": "alacakli", "tags": ["Virman"], "yeni": "x"})
    .to_string()
}

fn tos() -> String {
    json!({"TransactionObjectId": 1, "Amount": 1, "CurrencyType": "TL",
        "ReceiverFatherName": "Ali", "ReceiverNameSurname": "Deniz"})
    .to_string()
}

#[test]
fn by_default_only_the_fathers_name_goes() {
    let event = shown(Stream::BankTransactions, &bank(), &rules(&[], &[]));
    assert_eq!(event["sender_name"], "Ayşe");
    assert_eq!(event["sender_iban"], "TR330006100519786457841326");
    let event = shown(Stream::TosPayments, &tos(), &rules(&[('P', Treatment::Clear)], &[]));
    assert_eq!(event["receiver_father_name"], serde_json::Value::Null);
    assert_eq!(event["receiver_name_surname"], "Deniz");
}

#[test]
fn a_field_rule_stands_before_its_class_and_the_default() {
    let rules = rules(
        &[('P', Treatment::Drop)],
        &[
            ("TosPayment.receiver_father_name", Treatment::Clear),
            ("BankTransaction.sender_name", Treatment::Mask),
        ],
    );
    let event = shown(Stream::TosPayments, &tos(), &rules);
    assert_eq!(event["receiver_father_name"], "Ali");
    assert_eq!(event["receiver_name_surname"], serde_json::Value::Null);
    assert_eq!(shown(Stream::BankTransactions, &bank(), &rules)["sender_name"], "***");
}

#[test]
fn masks_keep_what_their_class_allows() {
    let rules = rules(&[('I', Treatment::Mask), ('F', Treatment::Mask)], &[]);
    let event = shown(Stream::BankTransactions, &bank(), &rules);
    assert_eq!(event["sender_iban"], "TR33******************1326");
    assert_eq!(event["sender_national_id"], "*******0146");
    assert_eq!(event["note"], "***");
    assert_eq!(event["tags"][0]["name"], "***");
    assert_eq!(event["meta"]["extras"]["yeni"], "***");
}

#[test]
fn a_keyed_hash_keeps_equal_texts_equal_and_needs_its_key() {
    let hashed = [("BankTransaction.sender_name", Treatment::Hmac)];
    let event = shown(Stream::BankTransactions, &bank(), &rules(&[], &hashed));
    let hash = event["sender_name"].as_str().unwrap().to_owned();
    assert_eq!(hash.len(), 64);
    assert_eq!(shown(Stream::BankTransactions, &bank(), &rules(&[], &hashed))["sender_name"], hash);
    let config = privacy(&[], &hashed);
    let keyed = |key: &[u8]| PrivacyRules::new(&config, Some(key.to_vec().into()));
    let other = keyed(&[7; 32]).unwrap();
    assert_ne!(shown(Stream::BankTransactions, &bank(), &other)["sender_name"], hash);
    assert_eq!(PrivacyRules::new(&config, None).unwrap_err(), InvalidRules::MissingKey);
    for empty in [b"".as_slice(), b"\n", b"\r\n"] {
        assert_eq!(keyed(empty).unwrap_err(), InvalidRules::MissingKey, "{empty:?}");
    }
    let short = [&KEY[..31], b"\n"].concat();
    assert_eq!(keyed(&short).unwrap_err(), InvalidRules::ShortKey(31));
    for end in ["\n", "\r\n"] {
        let same = keyed(&[KEY, end.as_bytes()].concat()).unwrap();
        assert_eq!(shown(Stream::BankTransactions, &bank(), &same)["sender_name"], hash);
    }
}

#[test]
fn dropping_empties_texts_numbers_words_and_tags() {
    let fields = ["balance_after", "direction", "tags", "currency", "note"]
        .map(|name| format!("BankTransaction.{name}"));
    let fields: Vec<_> = fields.iter().map(|name| (name.as_str(), Treatment::Drop)).collect();
    let event = shown(Stream::BankTransactions, &bank(), &rules(&[], &fields));
    assert_eq!(event["balance_after"], serde_json::Value::Null);
    assert_eq!(event["direction"], "UNKNOWN");
    assert_eq!(event["tags"], json!([]));
    assert_eq!(event["currency"], "");
    assert_eq!(event["note"], serde_json::Value::Null);
}

#[test]
fn a_card_is_masked_in_texts_and_card_fields_and_nowhere_else() {
    let card = luhn_valid("400012341234123");
    let json = json!({"id": 1, "amount": "1", "fec_name": "TL", "note": format!("kart {card}"),
        "fis_no": card, "sender_branch": card, "sender_name": card, "tags": [card], "yeni": card})
    .to_string();
    let mut mapped = map(Stream::BankTransactions, &json);
    let extras = std::mem::take(&mut mapped.extras);
    mapped.record.meta_mut().extras = extras;
    assert!(rules(&[], &[]).apply(&mut mapped.record));
    let event = serde_json::to_value(&mapped.record).unwrap();
    let masked = format!("400012******{}", card.get(12..).expect("long enough"));
    assert_eq!(event["note"], format!("kart {masked}"));
    assert_eq!(event["sender_name"], masked);
    assert_eq!(event["tags"][0]["name"], masked);
    assert_eq!(event["meta"]["extras"]["yeni"], masked);
    assert_eq!(event["voucher_no"], card);
    assert_eq!(event["sender_branch_or_account"], card);
    assert_eq!(event["meta"]["warnings"], json!(["CARD_REMASKED"]));
    assert!(!rules(&[], &[]).apply(&mut mapped.record), "a second time changes nothing");
}

#[test]
fn a_hash_is_made_of_the_masked_card() {
    let card = luhn_valid("400012341234123");
    let masked = format!("400012******{}", card.get(12..).expect("long enough"));
    let row =
        |note: &str| json!({"id": 1, "amount": "1", "fec_name": "TL", "note": note}).to_string();
    let rules = rules(&[('F', Treatment::Hmac)], &[]);
    assert_eq!(
        shown(Stream::BankTransactions, &row(&card), &rules)["note"],
        shown(Stream::BankTransactions, &row(&masked), &rules)["note"],
    );
}

#[test]
fn rules_that_cannot_work_are_refused_with_what_to_do() {
    let refuse = |classes: &[(char, Treatment)], fields: &[(&str, Treatment)]| {
        PrivacyRules::new(&privacy(classes, fields), None).unwrap_err().to_string()
    };
    assert!(refuse(&[('X', Treatment::Clear)], &[]).contains("class X"));
    assert!(refuse(&[], &[("BankTransaction.nope", Treatment::Mask)]).contains("nope"));
    assert!(refuse(&[], &[("BankTransaction.meta", Treatment::Mask)]).contains("meta"));
    let fixed = refuse(&[('C', Treatment::Mask)], &[]);
    assert!(fixed.contains("BankTransaction.amount, TosPayment.amount"), "{fixed}");
    let amounts =
        [("BankTransaction.amount", Treatment::Clear), ("TosPayment.amount", Treatment::Clear)];
    assert!(PrivacyRules::new(&privacy(&[('C', Treatment::Mask)], &amounts), None).is_ok());
}

#[test]
fn a_quarantined_row_hides_what_events_hide() {
    let rules = rules(
        &[('C', Treatment::Drop)],
        &[
            ("BankTransaction.amount", Treatment::Clear),
            ("TosPayment.amount", Treatment::Clear),
            ("BankTransaction.note", Treatment::Mask),
        ],
    );
    let json = json!({"id": 1, "amount": "x", "note": "gizli", "fis_no": "77", "tags": ["a"]});
    let masked = json.to_string();
    let treated = rules.apply_to_raw(Stream::BankTransactions, &masked);
    let treated: serde_json::Value = serde_json::from_str(&treated).unwrap();
    assert_eq!(treated, json!({"id": 1, "amount": "x", "note": "***", "tags": ["a"]}));
}

#[test]
fn the_name_of_a_field_that_nobody_knows_shows_no_number_of_a_person() {
    let card = luhn_valid("400012341234123");
    let mut row = json!({"id": 1, "amount": "1", "fec_name": "TL", "yeni_alan_2": "a", "Yeni Alan": "f",
        "TR330006100519786457841326": "b", "10000000146": "c", "0532 123 45 67": "d"});
    row[card.as_str()] = json!("e");
    let last = card.get(12..).unwrap();
    let event = shown(Stream::BankTransactions, &row.to_string(), &rules(&[], &[]));
    let extras = event["meta"]["extras"].as_object().unwrap();
    let names: Vec<&str> = extras.keys().map(String::as_str).collect();
    let masked = format!("400012******{last}");
    for name in ["yeni_alan_2", "Yeni Alan", "TR33******************1326", "*******0146", &masked] {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    assert_eq!(extras.len(), 6);
    assert_eq!(event["meta"]["warnings"], json!(["CARD_REMASKED"]));
}

#[test]
fn fields_whose_names_are_alike_once_masked_are_all_kept() {
    let row = json!({"id": 1, "amount": "1", "fec_name": "TL",
        "10000000146": "a", "10000010146": "b", "10000020146": "c"});
    let event = shown(Stream::BankTransactions, &row.to_string(), &rules(&[], &[]));
    let expected = json!({"*******0146": "a", "*******0146#2": "b", "*******0146#3": "c"});
    assert_eq!(event["meta"]["extras"], expected);
}
