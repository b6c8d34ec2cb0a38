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

#[test]
fn a_movement_is_published_whatever_its_labels_are() {
    let named = |name: &str| vec![Some(name.to_owned())];
    for (tags, names, is_whole) in [
        (json!("Virman"), named("Virman"), true),
        (json!([{"tag_id": "5", "tag": {"name": "kira"}}]), named("kira"), true),
        (json!([{"tag_id": 5.0, "tag": "kira"}]), named("kira"), true),
        (json!([{"tag_id": "a1", "tag": "kira"}]), named("kira"), false),
        (json!([{"tag": {"name": ["kira"]}}]), vec![None], false),
        (json!(false), vec![], false),
        (json!(0), vec![], false),
        (json!(""), vec![], true),
        (json!({}), vec![], true),
    ] {
        let json = bank_json(&json!({"tags": tags}));
        let mapped = map(Stream::BankTransactions, &json);
        let found = bank(&mapped).tags.iter().map(|tag| tag.name.as_deref().map(str::to_owned));
        assert_eq!(found.collect::<Vec<_>>(), names, "{tags}");
        assert_eq!(!mapped.warnings.contains(Warning::UnreadableTags), is_whole, "{tags}");
    }
}

#[test]
fn enums_of_a_payment_may_be_names_and_unknown_ones_hide_no_payment() {
    for (kind, expected, is_whole) in [
        (json!("Hesaba"), TosType::ToAccount, true),
        (json!("KrediKartı"), TosType::CreditCard, true),
        (json!("IADE"), TosType::Return, true),
        (json!("3"), TosType::CreditCard, true),
        (json!("Havale"), TosType::Unknown, false),
        (json!([1]), TosType::Unknown, false),
    ] {
        let account = "4".repeat(16);
        let changes = json!({"TransactionType": kind, "ErrorCode": "YetersizBakiye",
                             "ReceiverAccountIbanNo": account});
        let json = tos_json(&changes);
        let mapped = map(Stream::TosPayments, &json);
        assert_eq!(tos(&mapped).r#type, expected, "{kind}");
        assert_eq!(!mapped.warnings.contains(Warning::UnreadableTypeRaw), is_whole, "{kind}");
        assert!(mapped.warnings.contains(Warning::UnreadableErrorCode));
        let shown = tos(&mapped).receiver_iban_or_account.as_deref() == Some(&account);
        let may_be_shown = matches!(expected, TosType::ToAccount | TosType::Return);
        assert_eq!(shown, may_be_shown, "a number of an unreadable type may be a card: {kind}");
    }
}

#[test]
fn an_object_id_of_zeros_is_none() {
    for id in [json!(0), json!("0"), json!("000"), json!(null)] {
        let json =
            tos_json(&json!({"TransactionObjectId": id, "InstitutionTransactionCode": "T7"}));
        let mapped = map(Stream::TosPayments, &json);
        assert_eq!(mapped.source_id.to_string(), "0006624/T7", "{id}");
        assert_eq!(tos(&mapped).transaction_object_id, None);
    }
}
