//! Rows that name another account or institution than the one asked for.

use super::*;
use crate::{
    poll::absence::{Times, deletion},
    state::seen::Staging,
};

fn among(others: &[&str]) -> Target {
    let target = target();
    others.iter().for_each(|code| target.others.add(code));
    target
}

#[test]
fn rows_of_another_account_that_is_followed_fail_the_answer_good_ones_and_bad_ones() {
    let account = |id: Value| json!({"bank_account_id": id});
    let target = among(&["73", "39"]);
    for other in [
        account(json!(39)),
        account(json!(" 39")),
        json!({"bank_account_id": 39, "amount": "1.234,56"}),
    ] {
        let rows = [row(1, &json!({})), row(2, &other)];
        let refused = digest(&target, &EntityState::default(), &answer(&rows, Reason::Live, None));
        let Err(refused @ Refusal::OfAnother { foreign: 1, .. }) = refused else {
            panic!("{refused:?}")
        };
        let text = refused.to_string();
        assert!(text.contains("acme/bank_transactions/73") && text.contains("39"), "{text}");
    }
    for own in [73.into(), json!("73 "), json!(null), json!(""), json!(40), json!("Ayşe Örnek")] {
        let rows = [row(1, &account(own.clone()))];
        let taken = digest(&target, &EntityState::default(), &answer(&rows, Reason::Live, None));
        assert!(taken.is_ok(), "{own}: {taken:?}");
    }
}

#[test]
fn payments_of_another_institution_fail_the_answer_and_lost_zeros_are_no_other() {
    let mut target = among(&["0006624", "0006625"]);
    target.key.stream = Stream::TosPayments;
    target.key.entity = "0006624".into();
    let answered = |code: Value| {
        let row = json!({"TransactionObjectId": 7, "Amount": 200, "CurrencyType": "TL",
                         "PaymentDate": "2022-03-10T00:00:00", "InstitutionCode": code});
        let rows = [row.to_string()];
        digest(&target, &EntityState::default(), &answer(&rows, Reason::Live, None))
    };
    for code in [json!("0006624"), json!(6624), json!("6624 "), json!(null), json!(""), json!("9")]
    {
        assert!(answered(code.clone()).is_ok(), "{code}");
    }
    for code in [json!("0006625"), json!(6625)] {
        let refused = answered(code).unwrap_err().to_string();
        assert!(refused.contains("0006624") && refused.contains("6625"), "{refused}");
    }
}

/// Consumers that keep a table by key would keep the row for ever.
#[test]
fn a_row_that_names_its_entity_otherwise_is_quarantined_and_deleted_under_its_own_key() {
    let mut payments = target();
    payments.key.stream = Stream::TosPayments;
    payments.key.entity = "0006624".into();
    let payment = |amount: &str| {
        json!({"TransactionObjectId": "7", "Amount": amount, "CurrencyType": "TL",
               "PaymentDate": "2022-03-10T00:00:00", "InstitutionCode": 6624})
        .to_string()
    };
    let movement = |amount: &str| row(7, &json!({"bank_account_id": 40, "amount": amount}));
    let cases = [
        (payments, payment("200"), payment("-"), "acme/6624"),
        (target(), movement("200"), movement("-"), "acme/40"),
    ];
    for (target, good, bad, expected) in cases {
        let mut state = EntityState::default();
        let mut keys = Vec::new();
        for row in [good, bad] {
            let rows = [row];
            let mut digest =
                digest(&target, &state, &answer(&rows, Reason::LookBack, None)).unwrap();
            state.seen.apply(std::mem::take(&mut digest.staging));
            keys.extend(digest.parts.into_iter().flat_map(|part| part.events).map(|e| e.key));
        }
        let times = Times { last_seen: None, first_absent: FETCHED, noticed: FETCHED };
        let gone =
            deletion(&target, &state.seen, &SourceId::Number(7), times, &mut Staging::default())
                .unwrap();
        keys.push(gone.unwrap().key);
        assert_eq!(keys, [expected; 3]);
    }
}
