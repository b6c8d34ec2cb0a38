//! Every end of a request, and the one event that it is.

use super::*;
use crate::sink::tests::{NOON, intended, money, paid, provider, story};

/// Of a refusal, which moves nothing.
fn refused() -> Provider {
    Provider { refunded_total: None, ..provider() }
}

#[test]
fn only_certainty_proves_that_nothing_left() {
    let detail = || "os error 111".to_owned();
    let not_sent = read_ending(Ending::NotSent { detail: detail() }, &paid(), NOON);
    assert_eq!(not_sent, JournalEvent::NotSent { at: NOON, detail: detail() });
    let unknown = read_ending(Ending::Unknown { detail: detail() }, &paid(), NOON);
    assert_eq!(unknown, JournalEvent::Doubted { at: NOON, detail: detail() });
}

#[test]
fn an_answer_counts_only_where_it_says_one_thing() {
    let event = |verdict| read_ending(Ending::Answered(verdict), &paid(), NOON);
    assert_eq!(
        event(Verdict::Approved(provider())),
        JournalEvent::Approved { at: NOON, provider: provider() }
    );
    assert_eq!(
        event(Verdict::Declined(refused())),
        JournalEvent::Declined { at: NOON, provider: refused() }
    );
    assert_eq!(
        event(Verdict::Unclear { detail: "status approved, response Error".into() }),
        JournalEvent::Doubted { at: NOON, detail: "status approved, response Error".into() }
    );
}

#[test]
fn a_refusal_whose_sum_has_grown_is_a_doubt() {
    let told = |before: &PaymentState| {
        let grown = Provider { refunded_total: Some(money("0.01")), ..provider() };
        read_ending(Ending::Answered(Verdict::Declined(grown)), before, NOON)
    };
    assert!(matches!(told(&paid()), JournalEvent::Doubted { .. }));
    // What was given back before is no growth, and where that is not known nothing is compared.
    let known = PaymentState { refunded: Some(money("0.01")), ..paid() };
    let unknown = PaymentState { refunded_unknown: true, ..paid() };
    for before in [known, unknown] {
        assert!(matches!(told(&before), JournalEvent::Declined { .. }), "{before:?}");
    }
}

#[test]
fn every_end_is_a_legal_next_event() {
    let detail = || "os error 111".to_owned();
    for ending in [
        Ending::NotSent { detail: detail() },
        Ending::Unknown { detail: detail() },
        Ending::Answered(Verdict::Unclear { detail: detail() }),
        Ending::Answered(Verdict::Approved(provider())),
        Ending::Answered(Verdict::Declined(provider())),
    ] {
        story([intended(1, 1)]).with(read_ending(ending, &paid(), NOON)).unwrap();
    }
}
