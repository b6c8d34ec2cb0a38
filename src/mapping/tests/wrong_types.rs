//! Values of a wrong type: which send their row to quarantine, and which are null.

use super::*;

#[test]
fn an_array_where_a_text_belongs_rejects_the_row() {
    for field in ["sender_iban", "fis_no", "sender_name", "key"] {
        let rejection = reject(Stream::BankTransactions, &bank_json(&json!({field: ["a"]})));
        assert_eq!(
            (rejection.reason, rejection.field),
            (RejectionReason::InvalidType, Some(field))
        );
    }
}

#[test]
fn a_movement_is_not_missing_for_the_sake_of_what_is_only_shown() {
    let json = bank_json(&json!({"description": {}, "note": ["a"], "order": "x"}));
    let mapped = map(Stream::BankTransactions, &json);
    let row = bank(&mapped);
    assert_eq!((&row.description, &row.note, row.bank_order), (&None, &None, None));
    assert_eq!(
        warned(&mapped),
        ["UNREADABLE:bank_order", "UNREADABLE:description", "UNREADABLE:note"]
    );
    let pos_row = pos_json(&json!({"description": {}}));
    assert_eq!(warned(&map(Stream::PosTransactions, &pos_row)), ["UNREADABLE:description"]);
    let payment = list_json(&json!({"aciklama": []}));
    assert_eq!(warned(&map(Stream::VirtualPosTransactions, &payment)), ["UNREADABLE:description"]);
    let payment = tos_json(&json!({"Explanation": {}, "ExtractExplanation": [1]}));
    let expected = ["UNREADABLE:explanation", "UNREADABLE:statement_text"];
    assert_eq!(warned(&map(Stream::TosPayments, &payment)), expected);
    let account = r#"{"id":38,"fec_name":"TL","b_order":{}}"#;
    assert_eq!(warned(&map(Stream::Accounts, account)), ["UNREADABLE:display_order"]);
    let entity = r#"{"id":5,"bank_name":"b","order":[1]}"#;
    assert_eq!(warned(&map(Stream::Banks, entity)), ["UNREADABLE:order"]);
}

#[test]
fn an_order_is_read_where_it_is_exactly_an_integer_and_no_id_or_amount_is_read_so() {
    for (order, expected) in [
        ("1.0", Some(1)),
        ("\"7.000\"", Some(7)),
        ("-2.0", Some(-2)),
        ("\"\"", None),
        ("9007199254740993.0", Some(9_007_199_254_740_993)),
    ] {
        let json = bank_json(&json!({"order": "ORDER"})).replace("\"ORDER\"", order);
        let mapped = map(Stream::BankTransactions, &json);
        assert_eq!((bank(&mapped).bank_order, warned(&mapped)), (expected, vec![]), "{order}");
    }
    for order in ["1.5", "1.", "1e0", "true", "1.0.0", "99999999999999999999.0"] {
        let json =
            bank_json(&json!({"order": "ORDER"})).replace("\"ORDER\"", &format!("{order:?}"));
        let mapped = map(Stream::BankTransactions, &json);
        assert_eq!(warned(&mapped), ["UNREADABLE:bank_order"], "{order}");
    }
    for field in ["id", "bank_account_id"] {
        let json = bank_json(&json!({field: "ID"})).replace("\"ID\"", "1.0");
        let rejection = reject(Stream::BankTransactions, &json);
        assert_eq!((rejection.reason, rejection.field), (RejectionReason::InvalidId, Some(field)));
    }
}
