//! One test for each row of the plan's table.

use super::*;
use crate::{
    domain::time::Timestamp,
    sink::{
        brakes::{Limits, StopSource},
        tests::{
            HOUR, NO_LIMITS, NOON, POLICY, SECOND, after, approved, brakes, declined, doubted,
            entry, inferred, intended, key, money, not_sent, outline, parked, refund, rejected,
            resolved, situation, story, story_of,
        },
    },
};

fn step(entry: &Entry, now: Timestamp) -> Step {
    next_step(entry, now, &situation(&brakes(NO_LIMITS)), &POLICY)
}

fn step_with(entry: &Entry, now: Timestamp, brakes: &Brakes) -> Step {
    next_step(entry, now, &situation(brakes), &POLICY)
}

fn step_after_failures(entry: &Entry, now: Timestamp, failures: Failures) -> Step {
    let brakes = brakes(NO_LIMITS);
    next_step(entry, now, &Situation { failures, ..situation(&brakes) }, &POLICY)
}

fn never_expires() -> Order {
    Order { expires_at: None, ..refund("10.00") }
}

#[test]
fn a_received_command_is_executed() {
    assert_eq!(step(&story([]), NOON), Step::Execute);
}

#[test]
fn a_command_expires_after_its_instant_and_not_at_it() {
    let expires_at = after(HOUR);
    assert_eq!(step(&story([]), expires_at), Step::Execute);
    let late = Timestamp(expires_at.0 + 1);
    assert_eq!(step(&story([]), late), Step::Record(JournalEvent::Expired { at: late }));
    let not_sent = story([intended(1, 1), not_sent()]);
    assert_eq!(step(&not_sent, late), Step::Record(JournalEvent::Expired { at: late }));
}

#[test]
fn a_command_without_expiry_never_expires() {
    let entry = entry(never_expires());
    assert_eq!(step(&entry, Timestamp(i64::MAX)), Step::Execute);
    let mut stopped = brakes(NO_LIMITS);
    stopped.stop(StopSource::File, "night".into());
    let Step::Wait { until, .. } = step_with(&entry, Timestamp(i64::MAX), &stopped) else {
        panic!("it must wait")
    };
    assert_eq!(until, None);
}

#[test]
fn a_braked_command_waits_and_is_asked_for_again_when_it_expires() {
    let mut stopped = brakes(NO_LIMITS);
    stopped.stop(StopSource::File, "audit".into());
    let stopped_by = Brake::Stopped { by: StopSource::File, why: "audit".into() };
    let expired = Timestamp(after(HOUR).0 + 1);
    assert_eq!(
        step_with(&story([]), NOON, &stopped),
        Step::Wait { until: Some(expired), why: Pause::Braked(stopped_by) }
    );
    assert_eq!(
        step_with(&story([]), expired, &stopped),
        Step::Record(JournalEvent::Expired { at: expired })
    );
}

#[test]
fn a_command_over_a_cap_is_rejected_with_both_numbers() {
    let brakes = brakes(Limits { max_amount: Some(money("9.99")), ..NO_LIMITS });
    let why = "amount 10.00 is over sink.max_amount 9.99".to_owned();
    for entry in [story([]), story([intended(1, 1), not_sent()])] {
        assert_eq!(
            step_with(&entry, after(HOUR), &brakes),
            Step::Record(JournalEvent::Rejected { at: after(HOUR), why: why.clone() })
        );
    }
}

#[test]
fn a_request_that_did_not_leave_is_tried_again_a_little_later() {
    let entry = story([intended(1, 1), not_sent()]);
    let retry_at = after(SECOND);
    assert_eq!(step(&entry, NOON), Step::Wait { until: Some(retry_at), why: Pause::Backoff });
    assert_eq!(step(&entry, retry_at), Step::Execute);
    let twice = story([intended(1, 1), not_sent(), intended(2, 1), not_sent()]);
    let Step::Wait { until, .. } = step(&twice, NOON) else { panic!("it must wait") };
    assert_eq!(until, Some(after(2 * SECOND)));
}

#[test]
fn a_request_that_never_leaves_is_given_up() {
    let pair = |n| [intended(n, 1), not_sent()];
    let entry = story([pair(1), pair(2), pair(3)].concat());
    let Step::Record(JournalEvent::Rejected { why, .. }) = step(&entry, after(HOUR)) else {
        panic!("it must be rejected")
    };
    assert_eq!(why, "no request left in 3 attempts; nothing was sent");
    let late = after(2 * HOUR);
    assert_eq!(step(&entry, late), Step::Record(JournalEvent::Expired { at: late }));
}

#[test]
fn requests_that_do_not_leave_are_tried_for_an_hour_and_never_more_than_a_minute_apart() {
    let waits: Vec<i64> = (1..ATTEMPTS_MAX).map(backoff_ms).collect();
    assert_eq!(waits[..7], [1, 2, 4, 8, 16, 32, 60].map(|seconds| seconds * SECOND));
    assert!(waits.iter().all(|wait| *wait <= 60 * SECOND));
    let minutes = waits.iter().sum::<i64>() / (60 * SECOND);
    assert_eq!(minutes, 59);
}

#[test]
fn the_longest_story_of_the_real_policy_fits() {
    let longest = 1 + 2 * usize::try_from(ATTEMPTS_MAX).unwrap() + 3;
    assert!(longest <= crate::sink::journal::entry::EVENTS_MAX, "{longest}");
}

#[test]
fn a_failed_look_is_repeated_with_growing_pauses() {
    let failures = Failures::NONE.and_at(NOON).and_at(NOON);
    let entry = entry(never_expires());
    assert_eq!(
        step_after_failures(&entry, NOON, failures),
        Step::Wait { until: Some(after(2 * SECOND)), why: Pause::Backoff }
    );
    assert_eq!(step_after_failures(&entry, after(2 * SECOND), failures), Step::Execute);
    let many = Failures { count: u32::MAX, first_at: NOON, last_at: NOON, ..Failures::NONE };
    let Step::Wait { until, .. } = step_after_failures(&entry, NOON, many) else { panic!() };
    assert_eq!(until, Some(after(60 * SECOND)));
}

#[test]
fn a_pause_ends_when_the_command_expires() {
    let order = Order { expires_at: Some(after(500)), ..refund("10.00") };
    let failures = Failures::NONE.and_at(NOON);
    let Step::Wait { until, .. } = step_after_failures(&entry(order), NOON, failures) else {
        panic!("it must wait")
    };
    assert_eq!(until, Some(after(501)));
}

#[test]
fn an_own_intent_is_being_sent_and_an_earlier_owners_is_in_doubt() {
    assert_eq!(step(&story([intended(1, 2)]), NOON), Step::Sending);
    assert_eq!(step(&story([intended(1, 3)]), NOON), Step::Sending, "this owner is the old one");
    // However late, and whatever the brakes say: it may have been sent.
    let mut stopped = brakes(NO_LIMITS);
    stopped.stop(StopSource::File, "stop".into());
    for now in [NOON, after(100 * HOUR)] {
        let step = step_with(&story([intended(1, 1)]), now, &stopped);
        let Step::Record(JournalEvent::Doubted { at, detail }) = step else { panic!("{step:?}") };
        assert_eq!(at, now);
        assert_eq!(detail, "owner 1 ended after its intent; whether it sent is not known");
    }
}

/// The intent's deadline, 10 s, and then 30 s for the request: the doubt came before that.
const ASK_AT: i64 = (10 + 30 + 900) * SECOND;

#[test]
fn a_doubt_waits_until_nobody_can_be_sending() {
    let entry = story([intended(1, 1), doubted()]);
    let quiet = Step::Wait { until: Some(after(ASK_AT)), why: Pause::Doubt };
    assert_eq!(step(&entry, after(SECOND)), quiet);
    assert_eq!(step(&entry, after(ASK_AT - 1)), quiet);
    assert_eq!(step(&entry, after(ASK_AT)), Step::Ask);
}

#[test]
fn a_doubt_found_late_waits_from_then_on() {
    let found_at = after(2 * HOUR);
    let doubted = JournalEvent::Doubted { at: found_at, detail: "takeover".into() };
    let entry = story([intended(1, 1), doubted]);
    let Step::Wait { until, .. } = step(&entry, found_at) else { panic!("it must wait") };
    assert_eq!(until, Some(Timestamp(found_at.0 + 900 * SECOND)));
}

#[test]
fn a_doubt_that_cannot_be_looked_up_for_another_quiescence_is_parked() {
    let entry = story([intended(1, 1), doubted()]);
    let give_up = after(ASK_AT + 900 * SECOND);
    let last_at = Timestamp(give_up.0 - 100 * SECOND);
    let failures = Failures { count: 9, first_at: after(ASK_AT), last_at, ..Failures::NONE };
    let just_before = Timestamp(give_up.0 - 1);
    assert_eq!(step_after_failures(&entry, just_before, failures), Step::Ask);
    let step = step_after_failures(&entry, give_up, failures);
    let Step::Record(JournalEvent::Parked { detail, after: None, .. }) = step else {
        panic!("{step:?}")
    };
    assert!(detail.contains("could not be looked up since"), "{detail}");
    assert!(detail.contains("9 times in a row"), "{detail}");
    // A sink that was off for a week still looks, and more than once.
    assert_eq!(step_after_failures(&entry, give_up, Failures::NONE), Step::Ask);
    let few = Failures { count: LOOKS_MIN - 1, ..failures };
    assert_eq!(step_after_failures(&entry, after(100 * HOUR), few), Step::Ask);
}

#[test]
fn a_request_may_have_had_more_time_than_the_next_owner_gives() {
    let JournalEvent::Intended { at, attempt, epoch, before, send_not_after, .. } = intended(1, 1)
    else {
        panic!("an intent")
    };
    let asked_at = |over_at| {
        let before = before.clone();
        let intent = JournalEvent::Intended { at, attempt, epoch, before, send_not_after, over_at };
        let Step::Wait { until, .. } = step(&story([intent, doubted()]), NOON) else {
            panic!("it must wait")
        };
        until
    };
    let minutes = |n: i64| after((10 + 60 * n + 900) * SECOND);
    assert_eq!(asked_at(Some(after(310 * SECOND))), Some(minutes(5)), "its own post_timeout");
    assert_eq!(asked_at(Some(after(11 * SECOND))), Some(after(ASK_AT)), "this owner's is longer");
    assert_eq!(asked_at(None), Some(after(ASK_AT)), "an older program's");
}

#[test]
fn a_command_that_never_expires_ends_where_its_payment_cannot_be_looked_at() {
    let day = 24 * HOUR;
    let failing = |since: i64| Failures {
        count: 60,
        first_at: after(since),
        last_at: NOON,
        ..Failures::NONE
    };
    let unexpiring = entry(never_expires());
    for (now, failures) in [
        (after(day - 1), failing(0)),
        (after(2 * day), failing(2 * day - HOUR + 1)),
        (after(2 * day), Failures::NONE),
    ] {
        assert_eq!(step_after_failures(&unexpiring, now, failures), Step::Execute, "{failures:?}");
    }
    for (now, since) in [(after(day), 0), (after(2 * day), 2 * day - HOUR)] {
        let step = step_after_failures(&unexpiring, now, failing(since));
        let Step::Record(JournalEvent::Rejected { why, .. }) = step else { panic!("{step:?}") };
        assert!(why.contains("60 times in a row; nothing was sent"), "{why}");
    }
    // An expiry is the sender's patience.
    let patient = Order { expires_at: Some(after(9 * day)), ..refund("10.00") };
    assert_eq!(step_after_failures(&entry(patient), after(2 * day), failing(0)), Step::Execute);
}

#[test]
fn only_what_cannot_be_on_its_way_expires_by_itself() {
    let late = after(2 * HOUR);
    for entry in [story([]), story([intended(1, 1), not_sent()])] {
        assert_eq!(expiry_of(&entry), Some(after(HOUR + 1)));
        assert_eq!(expire(&entry, after(HOUR)), None);
        assert_eq!(
            expire(&entry, after(HOUR + 1)),
            Some(JournalEvent::Expired { at: after(HOUR + 1) })
        );
    }
    for entry in [
        story([intended(1, 1)]),
        story([intended(1, 1), doubted()]),
        story([intended(1, 1), doubted(), parked()]),
        story([intended(1, 1), approved()]),
        story([rejected()]),
        entry(never_expires()),
    ] {
        assert_eq!(expire(&entry, late), None, "{}", entry.status().name());
    }
}

#[test]
fn a_doubt_whose_look_failed_is_looked_up_again() {
    let entry = story([intended(1, 1), doubted()]);
    let failures = Failures::NONE.and_at(after(ASK_AT));
    assert_eq!(
        step_after_failures(&entry, after(ASK_AT), failures),
        Step::Wait { until: Some(after(ASK_AT + SECOND)), why: Pause::Doubt }
    );
    assert_eq!(step_after_failures(&entry, after(ASK_AT + SECOND), failures), Step::Ask);
}

#[test]
fn a_doubt_is_cleared_however_long_the_command_is_expired_or_stopped() {
    let entry = story([intended(1, 1), doubted()]);
    let mut stopped = brakes(NO_LIMITS);
    stopped.stop(StopSource::Record, "stop".into());
    assert_eq!(step_with(&entry, after(20 * HOUR), &stopped), Step::Ask);
}

#[test]
fn nothing_is_done_for_what_is_parked_or_finished() {
    for entry in [
        story([intended(1, 1), approved()]),
        story([intended(1, 1), declined()]),
        story([intended(1, 1), doubted(), inferred()]),
        story([rejected()]),
        story([JournalEvent::Expired { at: NOON }]),
        story([intended(1, 1), doubted(), parked()]),
        story([intended(1, 1), doubted(), parked(), resolved(true)]),
        Entry::refused(key(), outline(), "type".into(), NOON),
    ] {
        assert_eq!(step(&entry, after(100 * HOUR)), Step::Nothing, "{}", entry.status().name());
    }
}

#[test]
fn every_status_goes_on_after_a_restart_at_any_time() {
    let entries = [
        story([]),
        story([intended(1, 1)]),
        story([intended(1, 1), not_sent()]),
        story([intended(1, 1), doubted()]),
        story_of(entry(never_expires()), [intended(1, 1), doubted()]),
    ];
    for entry in entries {
        // At each of these times a step either is something to do or names the next time.
        for now in [NOON, after(HOUR), after(30 * HOUR), after(10_000 * HOUR)] {
            match step(&entry, now) {
                Step::Execute | Step::Record(_) | Step::Ask => {}
                Step::Wait { until: Some(until), .. } => assert!(until > now),
                Step::Wait { until: None, .. } | Step::Sending | Step::Nothing => {
                    panic!("{} stands still", entry.status().name())
                }
            }
        }
    }
}

/// A clock that is set by an hour, either way, between any two steps.
#[test]
fn a_clock_that_was_set_waits_or_ends_a_command_and_never_sends_what_may_have_been_sent() {
    let asked = || story([intended(1, 1), doubted()]);
    for hours in [-1, 1] {
        let set = |ms: i64| after(ms + hours * HOUR);
        // An earlier owner's permission, whatever its deadline looks like now.
        let Step::Record(JournalEvent::Doubted { at, .. }) = step(&story([intended(1, 1)]), set(0))
        else {
            panic!("a doubt")
        };
        assert_eq!(at, set(0));
        for ms in [0, SECOND, ASK_AT - 1, ASK_AT] {
            let next = step(&asked(), set(ms));
            assert!(matches!(next, Step::Wait { why: Pause::Doubt, .. } | Step::Ask), "{next:?}");
        }
        // A doubt that is found by the clock as it is set waits for the whole quiescence.
        let found = JournalEvent::Doubted { at: set(0), detail: "takeover".into() };
        let Step::Wait { until, .. } = step(&story([intended(1, 1), found]), set(0)) else {
            panic!("it must wait")
        };
        assert!(until >= Some(set(900 * SECOND)), "{until:?}");
    }
    // Set back, it waits as long once more at most; set ahead, it asks at once: what it sees then is
    // judged, not sent.
    let quiet = Step::Wait { until: Some(after(2 * ASK_AT - HOUR)), why: Pause::Doubt };
    assert_eq!(step(&asked(), after(ASK_AT - HOUR)), quiet);
    assert_eq!(step(&asked(), after(SECOND + HOUR)), Step::Ask);
    // What nothing left of: a try comes later, or the command has expired, which stays so.
    let not_sent = story([intended(1, 1), not_sent()]);
    let Step::Wait { until, why: Pause::Backoff } = step(&not_sent, after(-HOUR)) else {
        panic!("it must wait")
    };
    assert_eq!(until, Some(after(SECOND - HOUR)));
    let late = Step::Record(JournalEvent::Expired { at: after(HOUR + SECOND) });
    assert_eq!(step(&not_sent, after(HOUR + SECOND)), late);
    let expired = story([JournalEvent::Expired { at: after(HOUR + SECOND) }]);
    assert_eq!(step(&expired, after(SECOND)), Step::Nothing);
}

const YEAR: i64 = 365 * 24 * HOUR;

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

fn step_held(entry: &Entry, now: Timestamp, failures: Failures, held_ms: i64) -> Step {
    let brakes = brakes(NO_LIMITS);
    let situation = Situation { failures, held: millis(held_ms), ..situation(&brakes) };
    next_step(entry, now, &situation, &POLICY)
}

/// The journal was written by a clock that is a year ahead of this owner's.
#[test]
fn a_doubt_of_a_clock_that_was_ahead_is_held_for_as_long_as_anybody_may_be_sending_and_no_longer() {
    let doubt = story([intended(1, 1), doubted()]);
    let now = after(-YEAR);
    let waits = |left: i64| Step::Wait { until: Some(later(now, left)), why: Pause::Doubt };
    for held in [0, SECOND, ASK_AT - 1] {
        assert_eq!(step_held(&doubt, now, Failures::NONE, held), waits(ASK_AT - held), "{held}");
    }
    assert_eq!(step_held(&doubt, now, Failures::NONE, ASK_AT), Step::Ask);
    // Who was allowed to send had 300 s for the request, not 30.
    let JournalEvent::Intended { at, attempt, epoch, before, send_not_after, .. } = intended(1, 1)
    else {
        panic!("an intent")
    };
    let over_at = Some(later(send_not_after, 300 * SECOND));
    let patient = JournalEvent::Intended { at, attempt, epoch, before, send_not_after, over_at };
    let patient = story([patient, doubted()]);
    assert_eq!(step_held(&patient, now, Failures::NONE, ASK_AT), waits(270 * SECOND));
    assert_eq!(step_held(&patient, now, Failures::NONE, ASK_AT + 270 * SECOND), Step::Ask);
    // Where it cannot be looked up it ends as well.
    let failures = Failures { count: LOOKS_MIN, first_at: now, last_at: now, ..Failures::NONE };
    let failures = failures.after(millis(60 * SECOND));
    let give_up = ASK_AT + 900 * SECOND;
    assert_eq!(step_held(&doubt, now, failures, give_up - 1), Step::Ask);
    let Step::Record(JournalEvent::Parked { detail, .. }) =
        step_held(&doubt, now, failures, give_up)
    else {
        panic!("it must be parked")
    };
    assert!(detail.contains(&format!("since {}", now.to_rfc3339())), "{detail}");
}

#[test]
fn where_clocks_are_right_a_doubt_is_asked_about_when_its_stamps_say_so_and_no_sooner() {
    let doubt = story([intended(1, 1), doubted()]);
    // Whoever owns it now knows of it since then, or later.
    for known_at in [SECOND, 20 * SECOND, ASK_AT - SECOND] {
        for ms in [known_at, ASK_AT - SECOND, ASK_AT - 1, ASK_AT] {
            let step_now = step_held(&doubt, after(ms), Failures::NONE, ms - known_at);
            assert_eq!(step_now, step(&doubt, after(ms)), "{known_at} {ms}");
        }
    }
}

#[test]
fn a_back_off_of_a_clock_that_was_ahead_is_no_longer_than_it_should_be() {
    let now = after(-YEAR);
    let waits = |left: i64, why| Step::Wait { until: Some(later(now, left)), why };
    let not_sent = story_of(entry(never_expires()), [intended(1, 1), not_sent()]);
    assert_eq!(step_held(&not_sent, now, Failures::NONE, 0), waits(SECOND, Pause::Backoff));
    assert_eq!(step_held(&not_sent, now, Failures::NONE, 999), waits(1, Pause::Backoff));
    assert_eq!(step_held(&not_sent, now, Failures::NONE, SECOND), Step::Execute);
    // A look failed twice, and then the clock was set back.
    let failed = Failures::NONE.and_at(NOON).and_at(NOON);
    for (entry, held, why, goes_on) in [
        (entry(never_expires()), 0, Pause::Backoff, Step::Execute),
        (story([intended(1, 1), doubted()]), ASK_AT, Pause::Doubt, Step::Ask),
    ] {
        let waited = |ms| step_held(&entry, now, failed.after(millis(ms)), held);
        assert_eq!(waited(0), waits(2 * SECOND, why.clone()));
        assert_eq!(waited(2 * SECOND - 1), waits(1, why));
        assert_eq!(waited(2 * SECOND), goes_on);
    }
    // In two parts, and from the next failure on anew.
    let failed = failed.after(millis(SECOND)).after(millis(SECOND));
    assert_eq!(failed.waited, millis(2 * SECOND));
    assert_eq!(failed.and_at(now).waited, Duration::ZERO);
}

#[test]
fn the_configuration_gives_the_times() {
    let sink = model::Sink {
        enabled: true,
        acknowledge_real_money: true,
        max_amount: None,
        max_daily_amount: None,
        max_in_doubt: 3,
        post_timeout: Duration::from_secs(30),
        quiescence: Duration::from_mins(15),
    };
    let policy = Policy::from(&sink);
    assert_eq!((policy.post_timeout_ms, policy.quiescence_ms), (30_000, 900_000));
    assert_eq!((policy.ask_for_ms, policy.attempts_max), (900_000, ATTEMPTS_MAX));
}
