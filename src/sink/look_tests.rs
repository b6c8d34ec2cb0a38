//! One test for each row of the tables of `look`.

use super::*;
use crate::sink::{
    brakes::{Brake, Brakes, StopSource},
    plan::Pause,
    tests::{
        HOUR, NO_LIMITS, NOON, POLICY, SECOND, after, approved, brakes, cancel, doubted, entry,
        intended, not_sent, paid, payment, refund, situation, story, story_of,
    },
};

fn decide(entry: &Entry, now: Timestamp, look: &Look) -> Decision {
    intend(entry, now, (look, now), &situation(&brakes(NO_LIMITS)), &POLICY)
}

fn decide_with(entry: &Entry, now: Timestamp, brakes: &Brakes) -> Decision {
    intend(entry, now, (&Look::Found(paid()), now), &situation(brakes), &POLICY)
}

/// Why a command is rejected after a look.
fn rejected(order: Order, look: &Look) -> String {
    match decide(&entry(order), NOON, look) {
        Decision::Instead(Step::Record(JournalEvent::Rejected { why, .. })) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_intent_holds_the_state_the_attempt_the_epoch_and_the_deadline() {
    let decision = decide(&story([]), NOON, &Look::Found(paid()));
    let intent = JournalEvent::Intended {
        at: NOON,
        attempt: 1,
        epoch: 2,
        before: paid(),
        send_not_after: after(10 * SECOND),
        over_at: Some(after(40 * SECOND)),
    };
    assert_eq!(decision, Decision::Send { intent, send_not_after: after(10 * SECOND) });
}

#[test]
fn nothing_is_sent_by_a_look_that_is_old_by_now() {
    let brakes = brakes(NO_LIMITS);
    let look = Look::Found(paid());
    let decided_after = |ms| {
        let now = after(ms);
        intend(&story([]), now, (&look, NOON), &situation(&brakes), &POLICY)
    };
    assert!(matches!(decided_after(LOOK_AGE_MAX_MS), Decision::Send { .. }));
    assert_eq!(decided_after(LOOK_AGE_MAX_MS + 1), Decision::Instead(Step::Execute));
    // A clock that was set since: by the time of day such a look is an hour old, or of an hour ahead.
    for hours in [1, -1] {
        let order = Order { expires_at: None, ..refund("10.00") };
        let decision =
            intend(&entry(order), after(hours * HOUR), (&look, NOON), &situation(&brakes), &POLICY);
        assert_eq!(decision, Decision::Instead(Step::Execute), "{hours}");
    }
    assert_eq!(decided_after(-1), Decision::Instead(Step::Execute), "a step of NTP");
}

#[test]
fn the_next_attempt_is_counted_and_its_intent_is_legal() {
    let entry = story([intended(1, 1), not_sent()]);
    let decision = decide(&entry, after(SECOND), &Look::Found(paid()));
    let Decision::Send { intent, .. } = decision else { panic!("{decision:?}") };
    let next = entry.with(intent).unwrap();
    assert_eq!(next.intent().map(|intent| intent.attempt), Some(2));
}

#[test]
fn nothing_is_sent_after_the_command_expires() {
    let order = Order { expires_at: Some(after(3 * SECOND)), ..refund("10.00") };
    let entry = entry(order);
    let Decision::Send { intent, send_not_after } = decide(&entry, NOON, &Look::Found(paid()))
    else {
        panic!("it is in time")
    };
    assert_eq!(send_not_after, after(3 * SECOND));
    let next = entry.with(intent).unwrap();
    assert_eq!(next.intent().map(|intent| intent.send_not_after), Some(send_not_after));
}

#[test]
fn a_command_that_expires_during_the_look_is_not_sent() {
    let late = after(HOUR + 1);
    assert_eq!(
        decide(&story([]), late, &Look::Found(paid())),
        Decision::Instead(Step::Record(JournalEvent::Expired { at: late }))
    );
}

#[test]
fn a_brake_that_takes_hold_during_the_look_stops_the_command() {
    let mut stopped = brakes(NO_LIMITS);
    stopped.stop(StopSource::File, "stop".into());
    let decision = decide_with(&story([]), NOON, &stopped);
    let Decision::Instead(Step::Wait { why: Pause::Braked(Brake::Stopped { .. }), .. }) = decision
    else {
        panic!("{decision:?}")
    };
}

#[test]
fn failures_before_a_look_that_succeeded_hold_nothing_back() {
    let brakes = brakes(NO_LIMITS);
    let failures = Failures::NONE.and_at(NOON);
    let situation = Situation { failures, ..situation(&brakes) };
    let decision = intend(&story([]), NOON, (&Look::Found(paid()), NOON), &situation, &POLICY);
    assert!(matches!(decision, Decision::Send { .. }), "{decision:?}");
}

#[test]
fn an_unknown_reference_is_rejected() {
    assert_eq!(
        rejected(refund("10.00"), &Look::NotFound),
        "the API has no payment of this reference"
    );
}

#[test]
fn the_currency_must_be_the_expected_one() {
    let expecting = |code: &str| Order { currency: Some(code.into()), ..refund("10.00") };
    let found = Look::Found(paid());
    assert_eq!(rejected(expecting("USD"), &found), "the payment's currency is TRY, not USD");
    let bare = PaymentState { currency: None, ..paid() };
    assert_eq!(
        rejected(expecting("TRY"), &Look::Found(bare.clone())),
        "the API does not tell the payment's currency, and TRY is expected"
    );
    for (order, state) in [(expecting("TRY"), paid()), (refund("10.00"), bare)] {
        let decision = decide(&entry(order), NOON, &Look::Found(state));
        assert!(matches!(decision, Decision::Send { .. }), "{decision:?}");
    }
}

#[test]
fn only_a_payment_in_the_right_state_is_changed() {
    let sends = |order: &Order, status: VirtualPosStatus| {
        let look = Look::Found(payment(status, Some("5.00")));
        match decide(&entry(order.clone()), NOON, &look) {
            Decision::Send { .. } => true,
            Decision::Instead(Step::Record(JournalEvent::Rejected { why, .. })) => {
                assert_eq!(
                    why,
                    format!("the payment is {status}, which has no {}", order.kind.word())
                );
                false
            }
            Decision::Instead(step) => panic!("{step:?}"),
        }
    };
    let table = VirtualPosStatus::ALL.iter().map(|status| {
        (status.as_str(), sends(&refund("10.00"), *status), sends(&cancel(), *status))
    });
    assert_eq!(
        table.collect::<Vec<_>>(),
        [
            ("UNKNOWN", false, false),
            ("SUCCESSFUL", true, true),
            ("FAILED", false, false),
            ("CANCELLED", false, false),
            ("REFUNDED", true, false),
        ]
    );
}

#[test]
fn no_intent_comes_of_a_command_that_may_have_been_sent() {
    for (entry, step) in [
        (story([intended(1, 2)]), Step::Sending),
        (story([intended(1, 1), approved()]), Step::Nothing),
    ] {
        assert_eq!(decide(&entry, NOON, &Look::Found(paid())), Decision::Instead(step));
    }
    let doubt = story([intended(1, 1), doubted()]);
    let decision = decide(&doubt, NOON, &Look::Found(paid()));
    assert!(matches!(decision, Decision::Instead(Step::Wait { .. })), "{decision:?}");
}

const ASK_AT: i64 = (10 + 30 + 900) * SECOND;

fn answered(entry: &Entry, look: &Look) -> Option<JournalEvent> {
    answer_doubt(entry, (after(ASK_AT), Duration::ZERO), look, &[], &POLICY)
}

#[test]
fn a_look_clears_a_doubt_or_parks_it() {
    let at = after(ASK_AT);
    let doubt = story([intended(1, 1), doubted()]);
    let grown = payment(VirtualPosStatus::Refunded, Some("10.00"));
    assert_eq!(
        answered(&doubt, &Look::Found(grown.clone())),
        Some(JournalEvent::Inferred { at, after: grown })
    );
    assert_eq!(
        answered(&doubt, &Look::Found(paid())),
        Some(JournalEvent::Parked {
            at,
            detail: "still 0.00 is refunded".into(),
            after: Some(paid())
        })
    );
    let gone = answered(&doubt, &Look::NotFound);
    assert!(matches!(gone, Some(JournalEvent::Parked { after: None, .. })), "{gone:?}");
    let cancelled = payment(VirtualPosStatus::Cancelled, None);
    let doubt = story_of(entry(cancel()), [intended(1, 1), doubted()]);
    assert_eq!(
        answered(&doubt, &Look::Found(cancelled.clone())),
        Some(JournalEvent::Inferred { at, after: cancelled })
    );
}

#[test]
fn a_look_that_is_too_early_says_nothing() {
    let doubt = story([intended(1, 1), doubted()]);
    let grown = Look::Found(payment(VirtualPosStatus::Refunded, Some("10.00")));
    let answered = |ms, held_ms: i64| {
        let held = Duration::from_millis(held_ms.unsigned_abs());
        answer_doubt(&doubt, (after(ms), held), &grown, &[], &POLICY)
    };
    assert_eq!(answered(ASK_AT - 1, ASK_AT - SECOND), None);
    // By a clock that is an hour behind the journal's it says something once it was held for as long.
    assert_eq!(answered(-HOUR, ASK_AT - 1), None);
    let told = answered(-HOUR, ASK_AT);
    assert!(
        matches!(told, Some(JournalEvent::Inferred { at, .. }) if at == after(-HOUR)),
        "{told:?}"
    );
}

#[test]
fn a_look_says_nothing_where_there_is_no_doubt() {
    let grown = Look::Found(payment(VirtualPosStatus::Refunded, Some("10.00")));
    for entry in [story([]), story([intended(1, 1)]), story([intended(1, 1), approved()])] {
        assert_eq!(answered(&entry, &grown), None);
    }
}

#[test]
fn a_look_is_as_old_as_either_clock_says() {
    let passed = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    for (now, stamp, ms, expected) in [
        (10, 4, 6, 4),
        // The clock was set forward: it may be that old.
        (10, 4, 1, 4),
        // It was set back, but not behind the look.
        (10, 8, 6, 4),
        // Behind it: nobody says that the look is from then.
        (10, 11, 6, 11),
    ] {
        let at = asked_at(after(now * SECOND), after(stamp * SECOND), passed(ms * SECOND));
        assert_eq!(at, after(expected * SECOND), "{now} {stamp} {ms}");
    }
}
