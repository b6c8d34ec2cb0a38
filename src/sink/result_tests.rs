//! One test for each row of the table of results, and what holds for all of them.

use super::*;
use crate::{
    domain::{
        ids::ConnectionId,
        time::Timestamp,
        vocabulary::{CommandType, VirtualPosStatus},
    },
    publish::encode::{Encoder, local_ids},
    sink::{
        command::Order,
        journal::codec,
        payload::Digest,
        tests::{
            HOUR, NOON, approved, cancel, card, declined, doubted, entry, inferred, intended, key,
            money, not_sent, outline, parked, payment, refund, rejected, resolved, story, story_of,
        },
    },
};

fn record<'p>(publication: &'p Publication<'_>) -> &'p PaymentResult<'p> {
    match &publication.content {
        Content::PaymentResult(record) => record,
        other => panic!("{other:?}"),
    }
}

/// Outcome, final, sequence, detail of the newest result.
fn told(entry: &Entry) -> (Outcome, bool, i32, Option<String>) {
    let publication = latest_result(entry, None).unwrap();
    let record = record(&publication);
    let detail = record.detail.as_ref().map(ToString::to_string);
    (record.outcome, record.r#final, record.sequence, detail)
}

#[test]
fn nothing_is_told_before_there_is_something_to_tell() {
    for entry in [
        story([]),
        story([intended(1, 1)]),
        story([intended(1, 1), not_sent()]),
        story([intended(1, 1), not_sent(), intended(2, 1)]),
    ] {
        assert_eq!(latest_result(&entry, None), None);
    }
}

#[test]
fn each_event_tells_what_the_table_says() {
    let some = |text: &str| Some(text.to_owned());
    let refused = Entry::refused(key(), outline(), "type is missing".into(), NOON);
    assert_eq!(told(&refused), (Outcome::Rejected, true, 1, some("type is missing")));
    assert_eq!(told(&story([rejected()])), (Outcome::Rejected, true, 1, some("over a cap")));
    assert_eq!(
        told(&story([JournalEvent::Expired { at: NOON }])),
        (Outcome::Expired, true, 1, some("it was wanted until 2025-07-08T10:00:00.000Z"))
    );
    let sent = |events: &[JournalEvent]| {
        story(std::iter::once(intended(1, 1)).chain(events.iter().cloned()))
    };
    assert_eq!(told(&sent(&[approved()])), (Outcome::Succeeded, true, 1, None));
    assert_eq!(told(&sent(&[declined()])), (Outcome::Declined, true, 1, None));
    assert_eq!(told(&sent(&[doubted()])), (Outcome::InDoubt, false, 1, some("timed out")));
    assert_eq!(told(&sent(&[doubted(), inferred()])), (Outcome::Succeeded, true, 2, None));
    let parked_one = sent(&[doubted(), parked()]);
    assert_eq!(told(&parked_one), (Outcome::Parked, true, 2, some("unchanged")));
    for (executed, outcome) in [(true, Outcome::Succeeded), (false, Outcome::Declined)] {
        let entry = parked_one.with(resolved(executed)).unwrap();
        assert_eq!(told(&entry), (outcome, true, 3, some("bank statement")));
    }
}

#[test]
fn a_command_older_than_the_journals_memory_is_not_called_never_sent() {
    let day = 24 * HOUR;
    let came_after =
        |days: i64| Order { expires_at: Some(Timestamp(NOON.0 - days * day)), ..refund("10.00") };
    let expired = |days| story_of(entry(came_after(days)), [JournalEvent::Expired { at: NOON }]);
    let outline = |days| came_after(days).outline();
    let refused = |days| Entry::refused(key(), outline(days), "no such connection".into(), NOON);
    for (plain, late, outcome) in [
        (expired(88), expired(90), Outcome::Expired),
        (refused(88), refused(90), Outcome::Rejected),
    ] {
        let (said, is_final, sequence, detail) = told(&plain);
        assert_eq!((said, is_final, sequence), (outcome, true, 1));
        assert!(!detail.unwrap().contains("may have been executed"));
        let (said, is_final, sequence, detail) = told(&late);
        assert_eq!((said, is_final, sequence), (outcome, false, 0), "it hides no earlier result");
        let detail = detail.unwrap();
        assert!(detail.contains("may have been executed before"), "{detail}");
        let ids = [&plain, &late].map(|entry| latest_result(entry, None).unwrap().headers.id);
        assert_ne!(ids[0], ids[1]);
    }
}

#[test]
fn what_the_api_said_stands_in_the_result() {
    let entry = story([intended(1, 1), approved()]);
    let publication = latest_result(&entry, None).unwrap();
    let record = record(&publication);
    assert_eq!(record.provider_transaction_id.as_deref(), Some("T-17"));
    assert_eq!(record.provider_operation_id, Some(4711));
    assert_eq!(record.provider_code.as_deref(), Some("00"));
    assert_eq!(record.provider_message.as_deref(), Some("tamam"));
    assert_eq!(record.refunded_total, Some(money("10.00")));
    assert_eq!(record.executed_at, Some(approved().at()));
    assert_eq!((record.inferred, record.attempts), (false, 1));
    assert_eq!(record.command_id, key().command_id.to_string());
    assert_eq!((record.r#type, record.amount), (CommandType::Refund, Some(money("10.00"))));
    assert_eq!(record.reference_no, "REF-1");
}

#[test]
fn a_sum_of_refunds_that_cannot_be_is_not_told() {
    let before = |sum: Option<&str>| {
        let JournalEvent::Intended { at, attempt, epoch, send_not_after, over_at, .. } =
            intended(1, 1)
        else {
            panic!("an intent")
        };
        let status = sum.map_or(VirtualPosStatus::Successful, |_| VirtualPosStatus::Refunded);
        let before = payment(status, sum.filter(|sum| !sum.is_empty()));
        JournalEvent::Intended { at, attempt, epoch, before, send_not_after, over_at }
    };
    // The answers tell 10.00, which is also this refund's own amount.
    for (sum, event, told) in [
        (None, approved(), Some("10.00")),
        (Some("0.01"), approved(), None),
        (Some("25.00"), approved(), None),
        // It was not known what was refunded before.
        (Some(""), approved(), Some("10.00")),
        (Some("10.00"), declined(), Some("10.00")),
        (Some("10.01"), declined(), None),
    ] {
        let entry = story([before(sum), event]);
        let publication = latest_result(&entry, None).unwrap();
        let record = record(&publication);
        assert_eq!(record.refunded_total, told.map(money), "{sum:?}");
        let detail = record.detail.as_deref().unwrap_or_default();
        assert_eq!(detail.contains("tells 10.00 as refunded in all"), told.is_none(), "{detail}");
    }
    // Less than the refund itself, whatever was refunded before.
    let entry = story_of(entry(refund("10.01")), [before(Some("")), approved()]);
    let publication = latest_result(&entry, None).unwrap();
    let record = record(&publication);
    assert_eq!((record.outcome, record.refunded_total), (Outcome::Succeeded, None));
    assert!(record.detail.as_deref().unwrap_or_default().contains("less than the 10.01"));
}

#[test]
fn an_inferred_result_says_so_and_claims_no_time_of_execution() {
    let entry = story([intended(1, 1), doubted(), inferred()]);
    let publication = latest_result(&entry, None).unwrap();
    let record = record(&publication);
    assert!(record.inferred);
    assert_eq!((record.executed_at, record.attempts), (None, 1));
    assert_eq!(record.refunded_total, Some(money("10.00")));
    assert_eq!(record.provider_code, None);
}

#[test]
fn a_persons_decision_names_the_person() {
    let entry = story([intended(1, 1), doubted(), parked(), resolved(true)]);
    let publication = latest_result(&entry, None).unwrap();
    let record = record(&publication);
    assert_eq!(record.resolved_by.as_deref(), Some("ayse"));
    assert!(!record.inferred);
}

#[test]
fn a_cancel_has_no_amount_and_a_request_that_did_not_leave_is_no_attempt() {
    let gone = story_of(entry(cancel()), [intended(1, 1), not_sent(), rejected()]);
    let publication = latest_result(&gone, None).unwrap();
    let record = record(&publication);
    assert_eq!((record.r#type, record.amount), (CommandType::Cancel, None));
    assert_eq!(record.attempts, 0);
}

#[test]
fn meta_and_headers_are_those_of_the_event_model() {
    let done = story([intended(1, 1), approved()]);
    let publication = latest_result(&done, None).unwrap();
    let meta = &record(&publication).meta;
    assert_eq!(meta.connection_id, "acme");
    assert_eq!((meta.source, meta.op), (Source::VomsisVirtualPosV3, Op::Created));
    assert_eq!((meta.version, meta.source_id.as_ref()), (1, &*key().command_id.to_string()));
    assert_eq!(meta.fetched_at, approved().at());
    assert_eq!(publication.key, "acme/REF-1");
    let headers = &publication.headers;
    assert_eq!(&*headers.source, "/vomsis/acme/payments");
    assert_eq!(&*headers.kind, "io.vomsis.v1.PaymentResult.created");
    assert_eq!((headers.id, headers.time), (meta.event_id, approved().at()));
    let second = story([intended(1, 1), doubted(), inferred()]);
    let publication = latest_result(&second, None).unwrap();
    assert_eq!(record(&publication).meta.op, Op::Updated);
    assert_eq!(&*publication.headers.kind, "io.vomsis.v1.PaymentResult.updated");
}

#[test]
fn an_id_once_published_never_changes() {
    let id = |entry: &Entry| latest_result(entry, None).unwrap().headers.id.to_string();
    assert_eq!(id(&story([intended(1, 1), approved()])), "9a1c5400-a045-54d1-bc7e-23bf51e1daba");
}

#[test]
fn the_same_entry_gives_the_same_bytes_and_another_gives_another_id() {
    let encoder = Encoder::new(&local_ids(), str::to_owned).unwrap();
    let stories = [
        story([rejected()]),
        story([intended(1, 1), approved()]),
        story([intended(1, 1), declined()]),
        story([intended(1, 1), doubted()]),
        story([intended(1, 1), doubted(), inferred()]),
        story([intended(1, 1), doubted(), parked()]),
        story([intended(1, 1), doubted(), parked(), resolved(true)]),
    ];
    let mut ids = std::collections::BTreeSet::new();
    for entry in &stories {
        let stored = codec::encode_entry(entry);
        let codec::Record::Command(again) =
            codec::decode(&entry.key().to_string(), &stored).unwrap()
        else {
            panic!("it is a command")
        };
        let (first, second) =
            (latest_result(entry, None).unwrap(), latest_result(&again, None).unwrap());
        assert_eq!(first, second);
        let bytes = |p: &Publication<'_>| encoder.encode(PaymentResult::NAME, &p.content).unwrap();
        assert_eq!(bytes(&first), bytes(&second));
        assert!(ids.insert(first.headers.id), "{}", entry.status().name());
    }
    let mut elsewhere = key();
    elsewhere.connection = ConnectionId::try_new("globex").unwrap();
    let same = Entry::from_events(elsewhere, stories[1].events().to_vec()).unwrap();
    assert!(ids.insert(latest_result(&same, None).unwrap().headers.id));
}

#[test]
fn a_duplicate_has_no_place_in_the_first_ones_count() {
    let first = story([intended(1, 1), approved()]);
    let other = Outline { digest: Digest(8), ..refund("99.00").outline() };
    let answer = duplicate_answer(&first, &other, NOON);
    let shown = record(&answer);
    assert_eq!(shown.outcome, Outcome::Duplicate);
    assert_eq!((shown.sequence, shown.meta.version, shown.r#final), (0, 0, false));
    assert_eq!((shown.amount, shown.attempts), (Some(money("99.00")), 0));
    assert_eq!(shown.provider_code, None);
    assert!(shown.detail.as_deref().unwrap().contains("the first one stands"));
    // Coming again it is the same event; yet another payload is another.
    let again = duplicate_answer(&first, &other, crate::sink::tests::after(HOUR));
    assert_eq!(again.headers.id, answer.headers.id);
    let third = Outline { digest: Digest(10), ..other };
    assert_ne!(duplicate_answer(&first, &third, NOON).headers.id, answer.headers.id);
    assert_ne!(answer.headers.id, latest_result(&first, None).unwrap().headers.id);
}

#[test]
fn no_result_holds_a_card_number() {
    let at = NOON;
    let text = format!("kart {}", card());
    let entries = [
        story([JournalEvent::Rejected { at, why: text.clone() }]),
        story([intended(1, 1), JournalEvent::Doubted { at, detail: text.clone() }]),
        story([
            intended(1, 1),
            JournalEvent::Approved {
                at,
                provider: Provider { message: Some(text.clone()), ..Provider::default() },
            },
        ]),
        story([
            intended(1, 1),
            doubted(),
            parked(),
            JournalEvent::Resolved { at, executed: true, actor: text.clone(), evidence: text },
        ]),
    ];
    for entry in entries {
        let shown = format!("{:?}", latest_result(&entry, None).unwrap());
        assert!(!shown.contains(&card()), "{shown}");
    }
}

#[test]
fn a_card_in_a_key_is_shown_in_no_header_line_or_error() {
    let key = CommandKey {
        connection: ConnectionId::try_new(&card()).unwrap(),
        reference_no: card().into(),
        ..key()
    };
    let refused = Entry::refused(key.clone(), outline(), "nobody knows it".into(), NOON);
    let publication = latest_result(&refused, None).unwrap();
    let shown = [
        publication.headers.source.to_string(),
        key.shown(),
        key.shown_connection().into_owned(),
        key.shown_reference().into_owned(),
        CommandKey::parse(&card()).unwrap_err().to_string(),
        codec::decode(&card(), b"").unwrap_err().to_string(),
        codec::decode(&key.to_string(), b"").unwrap_err().to_string(),
        crate::sink::desk::Failure::Unfinished { key }.to_string(),
    ];
    for text in shown {
        assert!(!text.contains(&card()), "{text}");
    }
    assert_eq!(publication.key, format!("{0}/{0}", card()), "records keep their keys");
}

#[test]
fn privacy_rules_reach_the_words_of_a_result_and_not_its_id() {
    use crate::{
        config::model::{Privacy, Treatment},
        mapping::PrivacyRules,
    };
    let privacy = Privacy { classes: [('P', Treatment::Mask)].into(), ..Privacy::default() };
    let rules = PrivacyRules::new(&privacy, None).unwrap();
    let entry = story([intended(1, 1), doubted(), parked(), resolved(true)]);
    let mut publication = latest_result(&entry, None).unwrap();
    rules.apply(&mut publication.content);
    let shown = record(&publication);
    assert_ne!(shown.resolved_by.as_deref(), Some("ayse"));
    assert_eq!(shown.meta.event_id, latest_result(&entry, None).unwrap().headers.id);
}
