//! One test for each row of the table of `admission`.

use super::*;
use crate::{
    domain::time::Timestamp,
    sink::tests::{HOUR, after, card, entry, money, outline},
};

fn payload() -> Payload {
    Payload {
        command_id: "5f0c0000-0000-4000-8000-000000000001".into(),
        r#type: "REFUND".into(),
        connection_id: "acme".into(),
        reference_no: "REF-1".into(),
        amount: Some(money("10.50")),
        currency: Some("TRY".into()),
        reason: Some("returned".into()),
        requested_by: "billing".into(),
        requested_at: after(-HOUR),
        expires_at: Some(after(HOUR)),
    }
}

fn read_ready(payload: &Payload) -> Intake {
    let key = format!("{}/{}", payload.connection_id, payload.reference_no);
    read(payload, Some(key.as_bytes()), |_| Access::Ready)
}

fn accepted(payload: &Payload) -> Command {
    match read_ready(payload) {
        Intake::Accepted(command) => command,
        other => panic!("{other:?}"),
    }
}

fn invalid(payload: &Payload) -> String {
    match read_ready(payload) {
        Intake::Invalid { key, outline, why } => {
            assert_eq!(key.command_id.to_string(), payload.command_id);
            assert_eq!(outline.digest, payload.digest());
            why
        }
        other => panic!("{other:?}"),
    }
}

fn rejected(payload: &Payload) -> RejectedBecause {
    match read_ready(payload) {
        Intake::Rejected(rejection) => rejection.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refund_and_a_cancel_are_accepted() {
    let command = accepted(&payload());
    assert_eq!(command.key.to_string(), "acme/REF-1/5f0c0000-0000-4000-8000-000000000001");
    assert_eq!(command.order.kind, Kind::Refund { amount: money("10.50") });
    assert_eq!(command.order.currency.as_deref(), Some("TRY"));
    assert_eq!(command.order.expires_at, Some(after(HOUR)));
    assert_eq!(command.order.digest, payload().digest());
    let cancel = Payload { r#type: "CANCEL".into(), amount: None, ..payload() };
    assert_eq!(accepted(&cancel).order.kind, Kind::Cancel);
    let bare = Payload { currency: None, reason: None, expires_at: None, ..payload() };
    assert_eq!(accepted(&bare).order.expires_at, None);
}

#[test]
fn an_expired_command_is_accepted_because_expiry_is_the_plans() {
    let late = Payload { expires_at: Some(Timestamp(0)), ..payload() };
    assert_eq!(accepted(&late).order.expires_at, Some(Timestamp(0)));
}

#[test]
fn ids_that_no_result_can_be_keyed_by_are_rejected() {
    let long = "9".repeat(REFERENCE_BYTES_MAX + 1);
    for payload in [
        Payload { command_id: String::new(), ..payload() },
        Payload { command_id: "order-17".into(), ..payload() },
        Payload { command_id: Uuid::nil().to_string(), ..payload() },
        Payload { connection_id: String::new(), ..payload() },
        Payload { connection_id: "a/b".into(), ..payload() },
        Payload { connection_id: "_resolve".into(), ..payload() },
        Payload { reference_no: long, ..payload() },
    ] {
        assert_eq!(rejected(&payload), RejectedBecause::InvalidId, "{payload:?}");
    }
}

#[test]
fn other_spellings_of_a_uuid_are_the_same_command() {
    let upper = Payload { command_id: "5F0C0000-0000-4000-8000-000000000001".into(), ..payload() };
    let bare = Payload { command_id: "5f0c0000000040008000000000000001".into(), ..payload() };
    for other in [upper, bare] {
        assert_eq!(accepted(&other).key, accepted(&payload()).key);
    }
}

#[test]
fn the_records_key_must_be_the_reference() {
    for key in [None, Some("acme"), Some("acme/REF-2"), Some("acme/REF-1/"), Some("REF-1")] {
        let intake = read(&payload(), key.map(str::as_bytes), |_| Access::Ready);
        let Intake::Rejected(rejection) = intake else { panic!("{intake:?}") };
        assert_eq!(rejection.reason, RejectedBecause::WrongKey);
        assert!(rejection.detail.contains("acme/REF-1"), "{}", rejection.detail);
    }
    let slashes = Payload { reference_no: "A/7//x".into(), ..payload() };
    let command = accepted(&slashes);
    assert_eq!(CommandKey::parse(&command.key.to_string()), Ok(command.key));
}

#[test]
fn a_connection_that_cannot_execute_is_a_result() {
    let why = |access| {
        let intake = read(&payload(), Some(b"acme/REF-1"), |_| access);
        match intake {
            Intake::Invalid { why, .. } => why,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(why(Access::Unknown), "connection acme is not configured");
    assert_eq!(
        why(Access::NoVirtualPos),
        "connection acme has no virtual_pos, which commands need"
    );
}

#[test]
fn what_is_asked_for_must_make_sense() {
    let refund = |amount: &str| Payload { amount: Some(money(amount)), ..payload() };
    for (payload, expected) in [
        (Payload { r#type: "UNKNOWN".into(), ..payload() }, "is neither CANCEL nor REFUND"),
        (Payload { r#type: "refund".into(), ..payload() }, "is neither CANCEL nor REFUND"),
        (Payload { r#type: String::new(), ..payload() }, "is neither CANCEL nor REFUND"),
        (Payload { r#type: "CANCEL".into(), ..payload() }, "a CANCEL has no amount"),
        (Payload { amount: None, ..payload() }, "a REFUND needs an amount"),
        (refund("0.00"), "is not above zero"),
        (refund("-1.00"), "is not above zero"),
        (refund("1.001"), "has more than two decimals"),
        (refund("0.00001"), "has more than two decimals"),
        (Payload { currency: Some("  ".into()), ..payload() }, "currency is blank"),
        (Payload { requested_by: " \t".into(), ..payload() }, "requested_by is blank"),
        (Payload { reference_no: String::new(), ..payload() }, "reference_no is blank"),
        (Payload { reference_no: "A\u{7}B".into(), ..payload() }, "control characters"),
        (Payload { reference_no: "9".repeat(65), ..payload() }, "65 characters"),
    ] {
        let why = invalid(&payload);
        assert!(why.contains(expected), "{why}");
    }
    for amount in ["0.01", "10.5", "10", "99999999999.99"] {
        assert_eq!(accepted(&refund(amount)).order.kind.amount(), Some(money(amount)));
    }
    accepted(&Payload { reference_no: "ş".repeat(64), ..payload() });
}

#[test]
fn currencies_are_read_as_payments_are() {
    for (text, code) in [("TRY", "TRY"), (" try ", "TRY"), ("TL", "TRY"), ("usd", "USD")] {
        let command = accepted(&Payload { currency: Some(text.into()), ..payload() });
        assert_eq!(command.order.currency.as_deref(), Some(code));
    }
}

#[test]
fn every_field_counts_for_the_digest() {
    let others = [
        Payload { command_id: "5f0c0000-0000-4000-8000-000000000002".into(), ..payload() },
        Payload { r#type: "CANCEL".into(), ..payload() },
        Payload { connection_id: "globex".into(), ..payload() },
        Payload { reference_no: "REF-2".into(), ..payload() },
        Payload { amount: Some(money("10.51")), ..payload() },
        Payload { amount: None, ..payload() },
        Payload { currency: None, ..payload() },
        Payload { currency: Some("TL".into()), ..payload() },
        Payload { reason: None, ..payload() },
        Payload { reason: Some(String::new()), ..payload() },
        Payload { currency: Some("TRYreturned".into()), reason: Some(String::new()), ..payload() },
        Payload { requested_by: "billing2".into(), ..payload() },
        Payload { requested_at: after(0), ..payload() },
        Payload { expires_at: None, ..payload() },
        Payload { expires_at: Some(Timestamp(0)), ..payload() },
    ];
    let mut digests: Vec<_> = others.iter().map(Payload::digest).collect();
    digests.push(payload().digest());
    let count = digests.len();
    digests.sort_by_key(|digest| digest.0);
    digests.dedup();
    assert_eq!(digests.len(), count);
}

#[test]
fn a_digest_of_version_1_stays_as_it_is() {
    // It is stored: another rule would take every command that comes again for a duplicate.
    assert_eq!(payload().digest().to_string(), "7520ff993da109d3c1884dcba1078fe8");
}

#[test]
fn the_reason_is_not_kept_and_no_text_holds_a_card() {
    let text = format!("kart {}", card());
    let command = accepted(&Payload {
        reason: Some(text.clone()),
        requested_by: text.clone(),
        currency: Some(text.clone()),
        ..payload()
    });
    let shown = format!("{command:?}");
    assert!(!shown.contains(&card()) && !shown.contains("returned"), "{shown}");
    let why = invalid(&Payload { r#type: text.clone(), ..payload() });
    assert!(!why.contains(&card()), "{why}");
    let intake = read_ready(&Payload { command_id: text, ..payload() });
    assert!(!format!("{intake:?}").contains(&card()));
}

#[test]
fn a_command_that_comes_again_is_known_by_its_digest() {
    let known = entry(crate::sink::tests::refund("10.00"));
    let arrival = known.arrival().unwrap();
    let later = Arrival { offset: arrival.offset + 1, ..arrival };
    let recalled = |digest, arrival| recall(Some(&known), digest, arrival);
    assert_eq!(recall(None, outline().digest, later), Known::New);
    assert_eq!(recalled(known.digest(), later), Known::Again);
    assert_eq!(recalled(known.digest(), arrival), Known::Read, "its own record, read once more");
    assert_eq!(recalled(outline().digest, later), Known::Duplicate);
    assert_eq!(recalled(outline().digest, arrival), Known::Duplicate);
    let intake = read_ready(&payload());
    let (key, digest) = intake.known_by().unwrap();
    assert_eq!((key, digest), (&accepted(&payload()).key, payload().digest()));
}

#[test]
fn the_words_of_the_header_are_the_event_models() {
    let words = [
        RejectedBecause::Undecodable,
        RejectedBecause::WrongKey,
        RejectedBecause::WrongSchema,
        RejectedBecause::InvalidId,
    ]
    .map(RejectedBecause::as_str);
    assert_eq!(words, ["UNDECODABLE", "WRONG_KEY", "WRONG_SCHEMA", "INVALID_ID"]);
}

#[test]
fn what_a_sender_wrote_where_an_id_belongs_is_masked() {
    let (iban, national_id) = ("TR775749619066252661823960", "10000000146");
    for planted in [iban, national_id, &card()] {
        let named = Payload { command_id: planted.into(), ..payload() };
        for intake in [
            read(&named, Some(b"acme/REF-1"), |_| Access::Ready),
            read(&payload(), Some(planted.as_bytes()), |_| Access::Ready),
        ] {
            let Intake::Rejected(rejection) = intake else { panic!("{intake:?}") };
            assert!(!rejection.detail.contains(planted), "{}", rejection.detail);
        }
    }
}
