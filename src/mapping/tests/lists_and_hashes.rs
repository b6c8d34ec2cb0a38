//! TOS, virtual POS, reference data, hashes, and what no row may do.

use super::*;

#[test]
fn tos_numbers_that_are_names_keep_zeros_and_digits() {
    let json = tos_json(&json!({"ReceiverBranchCode": 90001, "ReceiverBankCode": "0064"}))
        .replace("2022000039254817", "20220000392548179999");
    let mapped = map(Stream::TosPayments, &json);
    assert_eq!(tos(&mapped).receiver_branch_code.as_deref(), Some("90001"));
    assert_eq!(tos(&mapped).receiver_bank_code.as_deref(), Some("0064"));
    assert_eq!(tos(&mapped).transaction_object_id.as_deref(), Some("20220000392548179999"));
    assert_eq!(mapped.source_id, SourceId::Text("20220000392548179999".into()));
    let json = tos_json(&json!({"ReceiverBranchCode": "00115"}));
    let mapped = map(Stream::TosPayments, &json);
    assert_eq!(tos(&mapped).receiver_branch_code.as_deref(), Some("00115"));
    assert_eq!(mapped.source_id, SourceId::Number(2_022_000_039_254_817));
}

#[test]
fn tos_success_is_the_result_alone() {
    let json = tos_json(&json!({"ErrorCode": 1, "Result": true, "TransactionType": 1}));
    let mapped = map(Stream::TosPayments, &json);
    assert_eq!((tos(&mapped).succeeded, tos(&mapped).error_code), (Some(true), Some(1)));
    assert_eq!(tos(&mapped).r#type, TosType::ToAccount);
    let json = tos_json(&json!({"ErrorCode": 0}));
    assert_eq!(tos(&map(Stream::TosPayments, &json)).succeeded, None);
}

#[test]
fn a_tos_type_that_is_not_documented_is_unknown_and_kept() {
    let json = tos_json(&json!({"TransactionType": 4}));
    let mapped = map(Stream::TosPayments, &json);
    assert_eq!((tos(&mapped).r#type, tos(&mapped).type_raw), (TosType::Unknown, Some(4)));
}

#[test]
fn a_card_that_a_tos_payment_goes_to_is_masked_before_anything_else() {
    let card = luhn_valid("400012341234123");
    for (kind, number) in [(3, "4000123412341235".to_owned()), (1, card)] {
        let changes = json!({"TransactionType": kind, "ReceivertAccountIbanNo": number});
        let json = tos_json(&changes);
        let mapped = map(Stream::TosPayments, &json);
        assert_eq!(tos(&mapped).receiver_iban_or_account, None);
        let masked = tos(&mapped).card_masked.as_deref().unwrap();
        assert!(masked.starts_with("400012******123"), "{masked}");
        assert_eq!(warned(&mapped), ["CARD_REMASKED"]);
        let rejection = reject(Stream::TosPayments, &json.replace("200", "\"x\""));
        assert!(!rejection.raw.contains("40001234"), "{}", rejection.raw);
    }
}

#[test]
fn a_tos_row_without_an_object_id_is_named_by_its_codes() {
    let changes = json!({"TransactionObjectId": null, "InstitutionTransactionNo": "t-1"});
    let json = tos_json(&changes);
    let mapped = map(Stream::TosPayments, &json);
    assert_eq!(mapped.source_id, SourceId::Text("0006624/t-1".into()));
    assert_eq!(mapped.key, "0006624");
    let rejection = reject(Stream::TosPayments, &tos_json(&json!({"TransactionObjectId": ""})));
    assert_eq!(rejection.reason, RejectionReason::MissingField);
    for field in ["Amount", "CurrencyType"] {
        let rejection = reject(Stream::TosPayments, &tos_json(&json!({field: null})));
        assert_eq!(rejection.field, Some(field));
    }
}

/// A thousand bytes are a long id; what is longer would stand whole in the memory of seen rows.
#[test]
fn an_id_or_key_that_is_too_long_rejects_its_row() {
    let fits = "R".repeat(SourceId::BYTES_MAX);
    let long = "R".repeat(SourceId::BYTES_MAX + 1);
    let of_codes = |code: &str| {
        tos_json(&json!({"TransactionObjectId": null, "InstitutionTransactionNo": code}))
    };
    let option = |family: &str| {
        json!({"family": family, "pos_id": 17, "currency": "TRY", "installment": 6}).to_string()
    };
    let rows = |id: &str| {
        [
            (Stream::VirtualPosTransactions, list_json(&json!({"referans_kodu": id})), true),
            (
                Stream::VirtualPosTransactions,
                list_json(&json!({"referans_kodu": id, "id": null})),
                false,
            ),
            (Stream::TosPayments, tos_json(&json!({"TransactionObjectId": id})), false),
            (Stream::TosPayments, tos_json(&json!({"InstitutionCode": id})), true),
            (Stream::TransactionTypes, json!({"type_no": id}).to_string(), false),
        ]
    };
    for (stream, json, _) in rows(&fits) {
        assert!(map_row(stream, &json, &SYSTEM).is_ok(), "{stream}");
    }
    let others = [
        (Stream::TosPayments, of_codes(&long), false),
        (Stream::Installments, option(&long), false),
    ];
    for (stream, json, has_id) in rows(&long).into_iter().chain(others) {
        let rejection = reject(stream, &json);
        assert_eq!(rejection.reason, RejectionReason::InvalidId, "{stream}");
        assert!(rejection.field.is_some() && rejection.detail.contains("1024"), "{rejection:?}");
        assert_eq!(rejection.source_id.is_some(), has_id, "{stream}");
        assert!(rejection.key.is_none_or(|key| key.len() < 20), "{stream}");
    }
    // One that is too large as well has no id either.
    let huge = list_json(&json!({"referans_kodu": "R".repeat(300_000), "id": null}));
    let rejection = reject(Stream::VirtualPosTransactions, &huge);
    assert_eq!((rejection.reason, rejection.source_id), (RejectionReason::TooLarge, None));
}

#[test]
fn a_tos_id_that_is_a_number_has_digits_alone() {
    let codes = json!({"TransactionObjectId": null, "InstitutionTransactionCode": "@"});
    let rows = [tos_json(&json!({"TransactionObjectId": "@"})), tos_json(&codes)];
    for (row, field) in rows.iter().zip(["TransactionObjectId", "InstitutionTransactionCode"]) {
        for number in ["2e16", "1E-2", "2022000039254817e0", "20.5", "true"] {
            let rejection = reject(Stream::TosPayments, &row.replace("\"@\"", number));
            let found = (rejection.reason, rejection.field, rejection.source_id);
            assert_eq!(found, (RejectionReason::InvalidId, Some(field), None), "{number}");
        }
        for id in ["2022000039254817", "\"2e16\"", "-7"] {
            map(Stream::TosPayments, &row.replace("\"@\"", id));
        }
    }
    let unread = json!({"TransactionObjectId": null, "InstitutionTransactionCode": "X1",
                        "InstitutionTransactionNo": 12.5});
    map(Stream::TosPayments, &tos_json(&unread));
}

#[test]
fn the_gateways_id_of_an_answer_is_not_content() {
    let json = tos_json(&json!({}));
    let named = RowContext { gateway_object_id: Some("b6d2a25b"), ..SYSTEM };
    let with = map_row(Stream::TosPayments, &json, &named).unwrap();
    assert_eq!(tos(&with).gateway_object_id.as_deref(), Some("b6d2a25b"));
    assert_eq!(hash(&with), hash(&map(Stream::TosPayments, &json)));
}

#[test]
fn a_list_row_is_keyed_by_its_reference() {
    let json = list_json(&json!({"tur": "islem", "durum": 1,
        "status_detail": {"status": "refund", "bg_color": "EDF9EF"}}));
    let mapped = map(Stream::VirtualPosTransactions, &json);
    assert_eq!(mapped.key, "169VPCE5C20E03814BD1");
    assert_eq!(mapped.source_id, SourceId::Number(9));
    assert_eq!(list(&mapped).status, VirtualPosStatus::Refunded);
    assert_eq!(list(&mapped).durum_raw.as_deref(), Some("1"));
    assert_eq!(list(&mapped).kind, VirtualPosKind::Payment);

    let json = list_json(&json!({"id": null, "durum": 7}));
    let mapped = map(Stream::VirtualPosTransactions, &json);
    assert_eq!(mapped.source_id, SourceId::Text("169VPCE5C20E03814BD1".into()));
    assert_eq!(list(&mapped).status, VirtualPosStatus::Unknown);

    let json = list_json(&json!({"referans_kodu": ""}));
    let mapped = map(Stream::VirtualPosTransactions, &json);
    assert_eq!((mapped.key.as_ref(), list(&mapped).reference_no.as_ref()), ("9", ""));
    let json = list_json(&json!({"referans_kodu": "", "id": null}));
    assert_eq!(reject(Stream::VirtualPosTransactions, &json).reason, RejectionReason::MissingField);
}

#[test]
fn instalment_options_read_in_both_shapes_and_have_one_key_each() {
    for (row, key, rate) in [
        (
            json!({"family": "Axess", "pos_id": 17, "currency": "TRY", "installment": 6, "block_rate": "12.0000"}),
            "Axess/17/6/TRY",
            12_000_000,
        ),
        (
            json!({"family": "Axess", "pos_id": 17, "currency": "TRY", "installment": 6, "block_rate": 12}),
            "Axess/17/6/TRY",
            12_000_000,
        ),
        (
            json!({"family": "Axess", "bank_slug": "garanti", "installment": 6, "rate": 12, "status": "true"}),
            "Axess/garanti/6/",
            12_000_000,
        ),
    ] {
        let json = row.to_string();
        let mapped = map(Stream::Installments, &json);
        assert_eq!(mapped.key, key);
        let Content::InstallmentOption(InstallmentOption { block_rate_pct, .. }) = &mapped.record
        else {
            panic!()
        };
        assert_eq!(block_rate_pct.unwrap().unscaled(), rate);
    }
}

#[test]
fn reference_rows_keep_zeros_and_read_flags() {
    let json = r#"{"id":38,"fec_name":"TL","account_number":"0123","status":1,"add_to_balance":"0","branch_id":115}"#;
    let mapped = map(Stream::Accounts, json);
    let Content::Account(Account { account_number, active, include_in_total, branch_code, .. }) =
        &mapped.record
    else {
        panic!()
    };
    assert_eq!(account_number.as_deref(), Some("0123"));
    assert_eq!(branch_code.as_deref(), Some("115"));
    assert_eq!((*active, *include_in_total), (Some(true), Some(false)));
    assert_eq!(mapped.key, "38");
}

#[test]
fn a_hash_changes_with_the_content_and_not_with_meta() {
    let json = bank_json(&json!({}));
    let mut mapped = map(Stream::BankTransactions, &json);
    let before = hash(&mapped);
    mapped.record.meta_mut().version = 7;
    assert_eq!(hash(&mapped), before);
    let json = bank_json(&json!({"note": "x"}));
    assert_ne!(hash(&map(Stream::BankTransactions, &json)), before);
}

#[test]
fn equal_texts_in_other_fields_have_another_hash() {
    let hash_of = |field: &str| {
        let json = bank_json(&json!({field: "x"}));
        hash(&map(Stream::BankTransactions, &json))
    };
    assert_ne!(hash_of("note"), hash_of("description"));
}

#[test]
fn hashes_and_event_ids_never_change() {
    let json = bank_json(&json!({"tags": ["Virman"], "note": "ş"}));
    let mapped = map(Stream::BankTransactions, &json);
    let hash = hash(&mapped);
    let connection = ConnectionId::try_new("acme").unwrap();
    let id = event_id(&connection, "bank_transactions", &mapped.source_id, 1, hash);
    insta::assert_snapshot!(format!("{hash:032x} {id}"));
    assert_ne!(id, event_id(&connection, "bank_transactions", &mapped.source_id, 2, hash));
}

#[test]
fn what_the_source_sends_never_panics_the_mapping() {
    for json in
        ["", "{", "{}", "[]", "{\"id\":", "nul", "{\"id\":1}x", "\"\\ud800\"", "{\"\\ud800\":1}"]
    {
        for stream in Stream::ALL {
            assert!(map_row(stream, json, &SYSTEM).is_err(), "{json}");
        }
    }
}

proptest! {
    #[test]
    fn amounts_keep_value_and_hash_through_every_formatting(
        unscaled in -99_999_999_999_999_999_999_999_i128..=99_999_999_999_999_999_999_999,
        zeros in 0_usize..4,
    ) {
        let money = Money::from_unscaled(unscaled);
        let plain = money.to_string();
        let padded = format!("{plain}{}", "0".repeat(zeros));
        prop_assert_eq!(Money::parse(&plain), Ok(money));
        let hashes = [format!("\"{plain}\""), plain, padded].map(|amount| {
            let json = format!(r#"{{"id":1,"fec_name":"TL","amount":{amount}}}"#);
            let mapped = map(Stream::BankTransactions, &json);
            assert_eq!(bank(&mapped).amount, money);
            hash(&mapped)
        });
        prop_assert!(hashes.iter().all(|hash| *hash == hashes[0]));
    }

    #[test]
    fn no_text_panics_the_mapping(text in "\\PC*", stream in 0_usize..10) {
        let row = json!({"id": 1, "amount": text, "note": text, "system_date": text, "type": text,
            "tags": [text], "card_number": text, "date": text, "time": text});
        for json in [text, row.to_string()] {
            let result = map_row(Stream::ALL[stream], &json, &SYSTEM);
            if let Err(rejection) = result {
                prop_assert!(serde_json::from_str::<Value>(&rejection.raw).is_ok());
            }
        }
    }

    #[test]
    fn no_amount_is_read_from_what_is_not_a_plain_decimal(text in "[-+0-9.,eE ]{1,12}") {
        let plain = text.trim();
        let digits = plain.strip_prefix('-').unwrap_or(plain);
        let is_plain = {
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
            !whole.is_empty() && !fraction.is_empty()
                && whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
        };
        prop_assume!(!plain.is_empty() && !is_plain);
        let json = bank_json(&json!({"amount": text}));
        let rejection = reject(Stream::BankTransactions, &json);
        prop_assert_eq!(rejection.reason, RejectionReason::InvalidAmount);
    }

    #[test]
    fn utc_is_what_tzdata_says(seconds in -2_000_000_000_i64..2_200_000_000) {
        use crate::domain::time::{LocalTime, resolve_local};
        let local = chrono::DateTime::from_timestamp(seconds, 0).unwrap().naive_utc();
        prop_assume!(chrono::Datelike::year(&local) >= 1910);
        let json = bank_json(&json!({"system_date": local.format("%Y-%m-%d %H:%M:%S").to_string()}));
        let mapped = map(Stream::BankTransactions, &json);
        let (expected, warning): (Timestamp, &[&str]) = match resolve_local(local) {
            LocalTime::Exact(at) => (at, &[]),
            LocalTime::Ambiguous(at) => (at, &["AMBIGUOUS_TIME"]),
            LocalTime::Shifted(at) => (at, &["NONEXISTENT_TIME"]),
        };
        prop_assert_eq!(bank(&mapped).booked_at, Some(expected));
        prop_assert_eq!(warned(&mapped), warning);
        prop_assert_eq!(mapped.day.unwrap().to_date(), local.date());
    }
}

#[test]
fn a_day_written_with_an_offset_is_the_sources_own_day() {
    for (text, day) in [
        ("2022-12-28T00:00:00", "2022-12-28"),
        ("2022-12-27T21:00:00Z", "2022-12-28"),
        ("2022-12-28T00:00:00+03:00", "2022-12-28"),
        ("2022-12-28T00:00:00+0300", "2022-12-28"),
        ("2022-12-27T21:00:00+00", "2022-12-28"),
        ("2022-12-28T23:30:00+00:00", "2022-12-29"),
    ] {
        let json = tos_json(&json!({"PaymentDate": text}));
        let mapped = map(Stream::TosPayments, &json);
        assert_eq!(tos(&mapped).payment_date.unwrap().to_date().to_string(), day, "{text}");
        assert_eq!(mapped.window_days[0], mapped.day);
    }
}

#[test]
fn a_rejected_row_of_a_list_has_the_key_of_its_row() {
    let key = |stream, json| reject(stream, json).key;
    let payment = r#"{"id":26,"referans_kodu":"R9","tutar":"abc"}"#;
    assert_eq!(key(Stream::VirtualPosTransactions, payment).as_deref(), Some("R9"));
    let nameless = r#"{"id":26,"tutar":"abc"}"#;
    assert_eq!(key(Stream::VirtualPosTransactions, nameless).as_deref(), Some("26"));
    let account = r#"{"id":73,"fec_name":"TL","balance":"1.234,56"}"#;
    assert_eq!(key(Stream::Accounts, account).as_deref(), Some("73"));
    assert_eq!(key(Stream::Accounts, "[]"), None, "nothing is known of it");
    let row = r#"{"id":1,"bank_account_id":73,"amount":"x"}"#;
    assert_eq!(key(Stream::BankTransactions, row).as_deref(), Some("73"));
    let row = r#"{"id":1,"amount":"x","bank_account_id":null}"#;
    assert_eq!(key(Stream::BankTransactions, row).as_deref(), Some("73"), "that was asked for");
    let payment = r#"{"TransactionObjectId":"7","InstitutionCode":6624,"Amount":"x"}"#;
    assert_eq!(key(Stream::TosPayments, payment).as_deref(), Some("6624"));
    assert_eq!(key(Stream::PosTransactions, r#"{"id":"x"}"#), None, "its terminal's");
}
