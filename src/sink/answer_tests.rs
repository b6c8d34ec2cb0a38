//! Every end of a request, and the one event that it is.

use super::*;
use crate::sink::{
    journal::Status,
    tests::{NOON, intended, provider, story},
};

fn every_fault() -> Vec<Fault> {
    let detail = || "os error 111".to_owned();
    vec![
        Fault::TooLate,
        Fault::NotPrepared { detail: detail() },
        Fault::Unresolved { detail: detail() },
        Fault::NotConnected { detail: detail() },
        Fault::NoTls { detail: detail() },
        Fault::BrokenOff { detail: detail() },
        Fault::TimedOut,
        Fault::Status { status: 401 },
        Fault::Status { status: 429 },
        Fault::Status { status: 504 },
        Fault::Unsorted { detail: detail() },
    ]
}

#[test]
fn only_a_fault_before_the_first_byte_proves_that_nothing_left() {
    let names: Vec<_> = every_fault()
        .into_iter()
        .map(|fault| read_ending(Ending::Failed(fault), NOON).name())
        .collect();
    assert_eq!(names[..5], ["NotSent"; 5]);
    assert_eq!(names[5..], ["Doubted"; 6]);
}

#[test]
fn an_answer_counts_only_where_it_says_one_thing() {
    let event = |verdict| read_ending(Ending::Answered(verdict), NOON);
    assert_eq!(
        event(Verdict::Approved(provider())),
        JournalEvent::Approved { at: NOON, provider: provider() }
    );
    assert_eq!(
        event(Verdict::Declined(provider())),
        JournalEvent::Declined { at: NOON, provider: provider() }
    );
    assert_eq!(
        event(Verdict::Unclear { detail: "status approved, response Error".into() }),
        JournalEvent::Doubted { at: NOON, detail: "status approved, response Error".into() }
    );
}

#[test]
fn every_end_is_a_legal_next_event_that_says_why() {
    for fault in every_fault() {
        let event = read_ending(Ending::Failed(fault), NOON);
        let (JournalEvent::NotSent { detail, .. } | JournalEvent::Doubted { detail, .. }) = &event
        else {
            panic!("{event:?}")
        };
        assert!(!detail.is_empty());
        let next = story([intended(1, 1)]).with(event).unwrap();
        assert!(matches!(next.status(), Status::NotSent { .. } | Status::InDoubt { .. }));
    }
}
