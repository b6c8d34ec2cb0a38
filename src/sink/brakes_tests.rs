//! One test for each row of the tables of `brakes`, and that every amount counts exactly once.

use proptest::prelude::*;

use super::*;
use crate::sink::{
    command::Order,
    journal::JournalEvent,
    tests::{
        HOUR, NO_LIMITS, NOON, after, approved, cancel, declined, doubted, inferred, intended,
        key_of, money, not_sent, parked, received_as, refund, rejected, resolved,
    },
};

const DAILY: Limits =
    Limits { max_daily_amount: Some(Money::from_unscaled(2_500_000)), ..NO_LIMITS };

/// The n-th refund of 10.00, with what happened to it.
fn nth(n: u128, events: &[JournalEvent]) -> Entry {
    let entry = received_as(key_of(&format!("REF-{n}"), n), refund("10.00"));
    events.iter().fold(entry, |entry, event| entry.with(event.clone()).unwrap())
}

fn acme() -> ConnectionId {
    nth(1, &[]).key().connection.clone()
}

fn ten() -> Kind {
    Kind::Refund { amount: money("10.00") }
}

fn spent(brakes: &Brakes) -> String {
    brakes.spent(&acme(), NOON.local_day()).to_string()
}

/// Counts a story event by event, as it happens.
fn count(brakes: &mut Brakes, entry: &Entry) {
    let mut so_far = Entry::from_events(entry.key().clone(), entry.events()[..1].to_vec()).unwrap();
    brakes.add(&so_far);
    for event in &entry.events()[1..] {
        let next = so_far.with(event.clone()).unwrap();
        brakes.moved(&so_far, &next);
        so_far = next;
    }
}

#[test]
fn each_status_weighs_what_the_table_says() {
    let in_doubt = [intended(1, 1), doubted()];
    let rows: [(&str, Vec<JournalEvent>, &str, u32); 13] = [
        ("received", vec![], "0.00", 0),
        ("intended", vec![intended(1, 1)], "10.00", 0),
        ("not sent", vec![intended(1, 1), not_sent()], "0.00", 0),
        ("sent again", vec![intended(1, 1), not_sent(), intended(2, 1)], "10.00", 0),
        ("done", vec![intended(1, 1), approved()], "10.00", 0),
        ("declined", vec![intended(1, 1), declined()], "0.00", 0),
        ("rejected", vec![rejected()], "0.00", 0),
        ("expired", vec![JournalEvent::Expired { at: NOON }], "0.00", 0),
        ("in doubt", in_doubt.to_vec(), "10.00", 1),
        ("inferred", [in_doubt.as_slice(), &[inferred()]].concat(), "10.00", 0),
        ("parked", [in_doubt.as_slice(), &[parked()]].concat(), "10.00", 1),
        ("executed", [in_doubt.as_slice(), &[parked(), resolved(true)]].concat(), "10.00", 0),
        ("not executed", [in_doubt.as_slice(), &[parked(), resolved(false)]].concat(), "0.00", 0),
    ];
    for (name, events, sum, doubts) in rows {
        let entry = nth(1, &events);
        let mut restored = Brakes::new(NO_LIMITS);
        restored.add(&entry);
        let mut lived = Brakes::new(NO_LIMITS);
        count(&mut lived, &entry);
        for brakes in [restored, lived] {
            assert_eq!((spent(&brakes).as_str(), brakes.doubts(&acme())), (sum, doubts), "{name}");
        }
    }
}

#[test]
fn a_cancel_and_an_invalid_command_weigh_nothing() {
    let mut brakes = Brakes::new(DAILY);
    let cancelled = received_as(key_of("REF-1", 1), cancel()).with(intended(1, 1)).unwrap();
    brakes.add(&cancelled);
    assert_eq!(spent(&brakes), "0.00");
    let capped = Brakes::new(Limits {
        max_amount: Some(Money::ZERO),
        max_daily_amount: Some(Money::ZERO),
        ..NO_LIMITS
    });
    assert_eq!(capped.check(cancelled.key(), Kind::Cancel, NOON), Check::Go);
}

#[test]
fn a_refund_at_the_cap_goes_and_one_over_it_does_not() {
    let brakes = Brakes::new(Limits { max_amount: Some(money("10.00")), ..NO_LIMITS });
    let key = key_of("REF-1", 1);
    assert_eq!(brakes.check(&key, ten(), NOON), Check::Go);
    let over = Kind::Refund { amount: money("10.01") };
    let why = "amount 10.01 is over sink.max_amount 10.00".to_owned();
    assert_eq!(brakes.check(&key, over, NOON), Check::Reject { why });
}

#[test]
fn the_days_cap_counts_what_was_intended_that_istanbul_day() {
    let mut brakes = Brakes::new(DAILY);
    let key = key_of("REF-9", 9);
    count(&mut brakes, &nth(1, &[intended(1, 1), approved()]));
    let fifteen = Kind::Refund { amount: money("15.00") };
    assert_eq!(brakes.check(&key, fifteen, NOON), Check::Go, "the cap itself may be reached");
    count(&mut brakes, &nth(2, &[intended(1, 1)]));
    let why = "amount 10.00 with 20.00 of 2025-07-08 is over sink.max_daily_amount 25.00";
    assert_eq!(brakes.check(&key, ten(), NOON), Check::Reject { why: why.into() });
    // Istanbul's midnight, not London's, begins the next day.
    let midnight = after(12 * HOUR);
    let before = Timestamp(midnight.0 - 1);
    assert!(matches!(brakes.check(&key, ten(), before), Check::Reject { .. }));
    assert_eq!(brakes.check(&key, ten(), midnight), Check::Go);
}

#[test]
fn what_was_not_sent_is_given_back_to_the_day() {
    let mut brakes = Brakes::new(DAILY);
    let key = key_of("REF-9", 9);
    for n in 1..9 {
        count(&mut brakes, &nth(n, &[intended(1, 1), not_sent()]));
        count(&mut brakes, &nth(n + 100, &[intended(1, 1), declined()]));
    }
    assert_eq!(brakes.check(&key, ten(), NOON), Check::Go);
}

#[test]
fn other_connections_have_their_own_sums_and_doubts() {
    let mut brakes = Brakes::new(Limits { max_in_doubt: 1, ..DAILY });
    count(&mut brakes, &nth(1, &[intended(1, 1), doubted()]));
    let mut other = key_of("REF-1", 1);
    assert!(matches!(brakes.check(&other, ten(), NOON), Check::Wait(_)));
    other.connection = ConnectionId::try_new("globex").unwrap();
    assert_eq!(brakes.check(&other, ten(), NOON), Check::Go);
}

#[test]
fn too_many_doubts_hold_new_commands_until_one_is_cleared() {
    let mut brakes = Brakes::new(NO_LIMITS);
    let key = key_of("REF-9", 9);
    let doubt = |n| nth(n, &[intended(1, 1), doubted()]);
    count(&mut brakes, &doubt(1));
    count(&mut brakes, &doubt(2));
    assert_eq!(brakes.check(&key, ten(), NOON), Check::Go);
    count(&mut brakes, &nth(3, &[intended(1, 1), doubted(), parked()]));
    let wait = Check::Wait(Brake::TooManyDoubts { open: 3, max: 3 });
    assert_eq!(brakes.check(&key, ten(), NOON), wait);
    let cleared = doubt(1).with(inferred()).unwrap();
    brakes.moved(&doubt(1), &cleared);
    assert_eq!(brakes.check(&key, ten(), NOON), Check::Go);
}

#[test]
fn the_kill_switch_holds_until_every_hand_has_let_go() {
    let mut brakes = Brakes::new(NO_LIMITS);
    let key = key_of("REF-9", 9);
    brakes.stop(StopSource::Record, "bank".into());
    brakes.stop(StopSource::File, "night".into());
    assert_eq!(brakes.stopped(), Some((StopSource::File, "night")));
    brakes.release_stop(StopSource::File);
    let wait = Brake::Stopped { by: StopSource::Record, why: "bank".into() };
    assert_eq!(brakes.check(&key, ten(), NOON), Check::Wait(wait));
    brakes.release_stop(StopSource::Record);
    assert_eq!(brakes.check(&key, ten(), NOON), Check::Go);
}

#[test]
fn the_order_of_the_checks_is_the_tables() {
    let limits = Limits {
        max_amount: Some(money("5.00")),
        max_daily_amount: Some(Money::ZERO),
        max_in_doubt: 0,
    };
    let key = key_of("REF-9", 9);
    let five = Kind::Refund { amount: money("5.00") };
    let mut brakes = Brakes::new(limits);
    brakes.stop(StopSource::File, "stop".into());
    assert!(matches!(brakes.check(&key, ten(), NOON), Check::Reject { .. }));
    let check = brakes.check(&key, five, NOON);
    assert!(matches!(check, Check::Wait(Brake::Stopped { .. })), "{check:?}");
    brakes.release_stop(StopSource::File);
    let check = brakes.check(&key, five, NOON);
    assert!(matches!(check, Check::Wait(Brake::TooManyDoubts { .. })), "{check:?}");
}

#[test]
fn two_commands_cannot_both_use_what_is_left_of_the_day() {
    let mut brakes = Brakes::new(DAILY);
    count(&mut brakes, &nth(1, &[intended(1, 1)]));
    let (second, third) = (nth(2, &[]), nth(3, &[]));
    brakes.add(&second);
    brakes.add(&third);
    brakes.reserve(second.key(), ten());
    assert_eq!(brakes.check(second.key(), ten(), NOON), Check::Go, "its own does not count");
    assert_eq!(brakes.check(third.key(), ten(), NOON), Check::Wait(Brake::CapPending));
    brakes.release(second.key());
    assert_eq!(brakes.check(third.key(), ten(), NOON), Check::Go);
    // The intent takes the reservation's place: the amount counts once, and for good.
    brakes.reserve(second.key(), ten());
    brakes.moved(&second, &second.with(intended(1, 1)).unwrap());
    assert_eq!(spent(&brakes), "20.00");
    assert!(matches!(brakes.check(third.key(), ten(), NOON), Check::Reject { .. }));
    assert!(brakes.reserved.is_empty());
}

#[test]
fn old_days_are_forgotten_and_decisions_about_them_change_no_other_day() {
    let mut brakes = Brakes::new(DAILY);
    let old = nth(1, &[intended(1, 1), doubted(), parked()]);
    count(&mut brakes, &old);
    brakes.forget_old_days(after(34 * 24 * HOUR));
    assert_eq!(spent(&brakes), "10.00", "a clock that is weeks ahead forgets nothing of today");
    brakes.forget_old_days(after(35 * 24 * HOUR));
    assert_eq!((spent(&brakes).as_str(), brakes.doubts(&acme())), ("0.00", 1));
    brakes.moved(&old, &old.with(resolved(false)).unwrap());
    assert_eq!((spent(&brakes).as_str(), brakes.doubts(&acme())), ("0.00", 0));
}

/// A story that happened as the bytes choose, always legal.
fn lived(n: u128, choices: &[u8]) -> Entry {
    let key = key_of(&format!("REF-{n}"), n);
    let order = if n.is_multiple_of(3) { cancel() } else { Order { ..refund("10.00") } };
    let mut entry = received_as(key, order);
    let mut attempt = 0;
    for choice in choices {
        let event = match (entry.status(), choice % 4) {
            (Status::Received | Status::NotSent { .. }, 0) => rejected(),
            (Status::Received | Status::NotSent { .. }, _) => {
                attempt += 1;
                intended(attempt, 1)
            }
            (Status::Intended(_), 0) => not_sent(),
            (Status::Intended(_), 1) => approved(),
            (Status::Intended(_), 2) => declined(),
            (Status::Intended(_), _) => doubted(),
            (Status::InDoubt { .. }, 0 | 1) => inferred(),
            (Status::InDoubt { .. }, _) => parked(),
            (Status::Parked, pick) => resolved(pick < 2),
            _ => break,
        };
        entry.apply(event).unwrap();
    }
    entry
}

proptest! {
    #[test]
    fn sums_lived_through_are_the_sums_of_a_restart(
        stories in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..20),
    ) {
        let entries: Vec<_> = (1..).zip(&stories).map(|(n, choices)| lived(n, choices)).collect();
        let mut restored = Brakes::new(DAILY);
        let mut through = Brakes::new(DAILY);
        for entry in &entries {
            restored.add(entry);
            count(&mut through, entry);
        }
        let day = NOON.local_day();
        prop_assert_eq!(restored.spent(&acme(), day), through.spent(&acme(), day));
        prop_assert_eq!(restored.doubts(&acme()), through.doubts(&acme()));
        let expected = entries.iter().filter(|e| weigh(e).spent.is_some()).count() as i128;
        prop_assert_eq!(restored.spent(&acme(), day).unscaled(), expected * 1_000_000);
    }
}
