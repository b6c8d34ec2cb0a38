//! Every status against every event: what is legal, where it leads, and that nothing else is.

use super::*;
use crate::sink::tests::{
    approved, declined, doubted, entry, inferred, intended, not_sent, outline, parked, refund,
    rejected, resolved, story,
};

fn received() -> JournalEvent {
    entry(refund("10.00")).events()[0].clone()
}

fn every_event() -> Vec<JournalEvent> {
    vec![
        received(),
        JournalEvent::Refused { at: Timestamp(1), outline: outline(), why: "type".into() },
        rejected(),
        JournalEvent::Expired { at: Timestamp(1) },
        intended(1, 1),
        not_sent(),
        approved(),
        declined(),
        doubted(),
        inferred(),
        parked(),
        resolved(true),
    ]
}

fn every_status() -> Vec<Option<Status>> {
    let of = |events: Vec<JournalEvent>| Some(story(events).status().clone());
    vec![
        None,
        of(vec![]),
        of(vec![intended(1, 1)]),
        of(vec![intended(1, 1), not_sent()]),
        of(vec![intended(1, 1), doubted()]),
        of(vec![intended(1, 1), approved()]),
        of(vec![intended(1, 1), doubted(), inferred()]),
        of(vec![intended(1, 1), declined()]),
        of(vec![rejected()]),
        of(vec![JournalEvent::Expired { at: Timestamp(1) }]),
        of(vec![intended(1, 1), doubted(), parked()]),
        of(vec![intended(1, 1), doubted(), parked(), resolved(true)]),
        of(vec![intended(1, 1), doubted(), parked(), resolved(false)]),
    ]
}

/// The table of [`next_status`], written down a second time.
fn expected(status: Option<&str>, event: &str) -> Option<&'static str> {
    match (status, event) {
        (None, "Received") => Some("Received"),
        (None, "Refused") => Some("Rejected"),
        (Some("Received" | "NotSent"), "Rejected") => Some("Rejected"),
        (Some("Received" | "NotSent"), "Expired") => Some("Expired"),
        // From NotSent the sample event is not the next attempt; that has its own test.
        (Some("Received"), "Intended") => Some("Intended"),
        (Some("Intended"), "NotSent") => Some("NotSent"),
        (Some("Intended"), "Approved") => Some("Done"),
        (Some("Intended"), "Declined") => Some("Declined"),
        (Some("Intended"), "Doubted") => Some("InDoubt"),
        (Some("InDoubt"), "Inferred") => Some("Done"),
        (Some("InDoubt"), "Parked") => Some("Parked"),
        (Some("Parked"), "Resolved") => Some("Resolved"),
        _ => None,
    }
}

#[test]
fn every_pair_of_status_and_event_is_as_the_table_says() {
    let mut pairs = 0;
    for status in every_status() {
        for event in every_event() {
            let name = status.as_ref().map(Status::name);
            let next = next_status(status.as_ref(), &event);
            let wanted = expected(name, event.name());
            assert_eq!(
                next.as_ref().ok().map(Status::name),
                wanted,
                "{name:?} then {}: {next:?}",
                event.name()
            );
            if let Err(illegal) = next {
                assert_eq!((illegal.status, illegal.event), (name, event.name()));
            }
            pairs += 1;
        }
    }
    assert_eq!(pairs, 13 * 12);
}

#[test]
fn an_answer_is_done_without_inference_and_a_look_with_it() {
    let done = |events: Vec<JournalEvent>| story(events).status().clone();
    assert_eq!(done(vec![intended(1, 1), approved()]), Status::Done { inferred: false });
    assert_eq!(done(vec![intended(1, 1), doubted(), inferred()]), Status::Done { inferred: true });
}

#[test]
fn a_second_intent_is_the_next_attempt_of_no_older_epoch() {
    let not_sent = story([intended(1, 5), not_sent()]);
    let next = |event| next_status(Some(not_sent.status()), &event);
    assert!(next(intended(2, 5)).is_ok());
    assert!(next(intended(2, 6)).is_ok());
    assert_eq!(next(intended(1, 5)).unwrap_err().why, "it is not the next attempt");
    assert_eq!(next(intended(3, 5)).unwrap_err().why, "it is not the next attempt");
    assert_eq!(next(intended(2, 4)).unwrap_err().why, "its epoch is older than the last one");
    let first = story([]);
    assert!(next_status(Some(first.status()), &intended(2, 5)).is_err());
}

#[test]
fn an_intent_and_its_doubt_keep_what_the_judgement_needs() {
    let doubt = story([intended(1, 4), doubted()]);
    let Status::InDoubt { since, intent } = doubt.status() else { panic!("{doubt:?}") };
    assert_eq!(*since, doubted().at());
    assert_eq!((intent.attempt, intent.epoch), (1, 4));
    assert_eq!(doubt.intent(), Some(intent));
}

#[test]
fn what_is_open_holds_its_reference_and_what_is_finished_never_moves() {
    let flags: Vec<_> = every_status()
        .into_iter()
        .flatten()
        .map(|status| (status.name(), status.is_open(), status.is_finished()))
        .collect();
    assert_eq!(
        flags,
        [
            ("Received", true, false),
            ("Intended", true, false),
            ("NotSent", true, false),
            ("InDoubt", true, false),
            ("Done", false, true),
            ("Done", false, true),
            ("Declined", false, true),
            ("Rejected", false, true),
            ("Expired", false, true),
            ("Parked", false, false),
            ("Resolved", false, true),
            ("Resolved", false, true),
        ]
    );
}

#[test]
fn an_illegal_event_says_what_came_where() {
    let done = story([intended(1, 1), approved()]);
    let illegal = next_status(Some(done.status()), &intended(2, 1)).unwrap_err();
    assert_eq!(illegal.to_string(), "Intended cannot follow Done: the command is finished");
    let first = next_status(None, &approved()).unwrap_err();
    assert_eq!(
        first.to_string(),
        "Approved cannot follow an empty story: a story begins with its command"
    );
}
