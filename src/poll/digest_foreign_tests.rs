//! Rows that name another account or institution than the one asked for.

use super::*;

#[test]
fn rows_of_another_account_fail_the_answer_good_ones_and_bad_ones() {
    let account = |id: Value| json!({"bank_account_id": id});
    for (other, owner) in [
        (account(json!(39)), "39"),
        (account(json!(" 39")), "39"),
        (json!({"bank_account_id": 39, "amount": "1.234,56"}), "39"),
    ] {
        let rows = [row(1, &json!({})), row(2, &other)];
        let refused =
            digest(&target(), &EntityState::default(), &answer(&rows, Reason::Live, None));
        let Err(refused @ Refusal::OfAnother { foreign: 1, .. }) = refused else {
            panic!("{refused:?}")
        };
        let text = refused.to_string();
        assert!(text.contains("acme/bank_transactions/73") && text.contains(owner), "{text}");
    }
    for own in [account(json!(73)), account(json!("73 ")), account(json!(null)), account(json!(""))]
    {
        let rows = [row(1, &own)];
        assert_eq!(take(&mut EntityState::default(), &rows, Reason::Live).counts.new, 1, "{own}");
    }
}

#[test]
fn payments_of_another_institution_fail_the_answer_and_lost_zeros_are_no_other() {
    let mut target = target();
    target.key.stream = Stream::TosPayments;
    target.key.entity = "0006624".into();
    let answered = |code: Value| {
        let row = json!({"TransactionObjectId": 7, "Amount": 200, "CurrencyType": "TL",
                         "PaymentDate": "2022-03-10T00:00:00", "InstitutionCode": code});
        let rows = [row.to_string()];
        digest(&target, &EntityState::default(), &answer(&rows, Reason::Live, None))
    };
    for code in [json!("0006624"), json!(6624), json!("6624 "), json!(null), json!("")] {
        assert!(answered(code.clone()).is_ok(), "{code}");
    }
    let refused = answered(json!("0006625")).unwrap_err().to_string();
    assert!(refused.contains("0006624") && refused.contains("0006625"), "{refused}");
    let refused = answered(json!("Ayşe Örnek")).unwrap_err().to_string();
    assert!(!refused.contains("Ayşe"), "{refused}");
}
