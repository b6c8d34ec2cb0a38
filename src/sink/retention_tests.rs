use super::*;
use crate::sink::{
    command::Order,
    tests::{
        HOUR, NOON, SECOND, after, approved, declined, doubted, entry, inferred, intended, key,
        not_sent, outline, parked, refund, rejected, resolved, story, story_of,
    },
};

const DAYS_90: i64 = 90 * 24 * HOUR;

#[test]
fn a_finished_command_is_kept_90_days_after_its_expiry() {
    for entry in [
        story([intended(1, 1), approved()]),
        story([intended(1, 1), declined()]),
        story([intended(1, 1), doubted(), inferred()]),
        story([rejected()]),
        story([intended(1, 1), doubted(), parked(), resolved(true)]),
    ] {
        let due = after(HOUR + DAYS_90);
        assert_eq!(forget_at(&entry), Some(due), "{}", entry.status().name());
    }
}

#[test]
fn a_story_that_ends_after_its_expiry_is_kept_90_days_from_its_end() {
    let order = Order { expires_at: Some(after(SECOND / 2)), ..refund("10.00") };
    let entry = story_of(entry(order), [intended(1, 1), approved()]);
    assert_eq!(forget_at(&entry), Some(after(SECOND + DAYS_90)));
}

#[test]
fn a_command_that_never_expires_is_never_forgotten() {
    let order = Order { expires_at: None, ..refund("10.00") };
    let done = story_of(entry(order), [intended(1, 1), approved()]);
    assert_eq!(forget_at(&done), None);
    let end_of_time = Order { expires_at: Some(Timestamp(i64::MAX)), ..refund("10.00") };
    let done = story_of(entry(end_of_time), [intended(1, 1), approved()]);
    assert_eq!(forget_at(&done), None);
    assert_eq!(forget_at(&Entry::refused(key(), outline(), "type".into(), NOON)), None);
}

#[test]
fn what_is_not_finished_is_never_forgotten() {
    for entry in [
        story([]),
        story([intended(1, 1)]),
        story([intended(1, 1), not_sent()]),
        story([intended(1, 1), doubted()]),
        story([intended(1, 1), doubted(), parked()]),
    ] {
        assert_eq!(forget_at(&entry), None, "{}", entry.status().name());
    }
}

#[test]
fn what_may_have_been_forgotten_is_known_by_how_late_it_came() {
    let came = |expires_at: Option<Timestamp>| {
        let late = entry(Order { expires_at, ..refund("10.00") });
        may_have_been_forgotten(&late, None)
    };
    assert!(!came(None), "never forgotten");
    assert!(!came(Some(Timestamp(i64::MAX))), "never forgotten");
    assert!(!came(Some(after(HOUR))), "in time");
    assert!(!came(Some(after(24 * HOUR + 1 - DAYS_90))), "its story would still be there");
    let expires_at = after(24 * HOUR - DAYS_90);
    assert!(came(Some(expires_at)), "another clock may have forgotten it");
    let late = entry(Order { expires_at: Some(expires_at), ..refund("10.00") });
    let since = |millis: i64| Some(Timestamp(expires_at.0 + millis));
    assert!(may_have_been_forgotten(&late, since(24 * HOUR)), "by another clock");
    assert!(!may_have_been_forgotten(&late, since(24 * HOUR + 1)), "the journal is younger");
    let done = story([intended(1, 1), approved()]);
    let due = forget_at(&done).unwrap();
    let again = received_at(due);
    assert!(may_have_been_forgotten(&again, None));
}

/// The command of [`story`] comes once more.
fn received_at(at: Timestamp) -> Entry {
    let command = crate::sink::command::Command { key: key(), order: refund("10.00") };
    Entry::received(command, crate::sink::tests::arrival(9), at)
}

#[test]
fn what_is_forgotten_could_not_be_executed_again() {
    let entry = story([intended(1, 1), approved()]);
    let due = forget_at(&entry).unwrap();
    assert!(entry.order().unwrap().is_expired(due));
}

#[test]
fn only_days_that_the_journal_saw_have_passed() {
    const DAY: i64 = 24 * HOUR;
    let due = after(DAYS_90);
    let mut days = Days::default();
    assert!(!days.show_passed(due), "nothing is seen");
    (-500..=0).for_each(|day| days.saw(after(day * DAY)));
    assert!(!days.show_passed(due), "all of it is before, or of the same day");
    for day in 1..90 {
        // However often, and whatever gaps are between.
        days.saw(after(3 * day * DAY));
        days.saw(after(3 * day * DAY + HOUR));
        assert!(!days.show_passed(due), "{day} days");
    }
    days.saw(Timestamp(i64::MAX));
    assert!(days.show_passed(due));
    assert!(!days.show_passed(after(DAYS_90 + 3 * DAY)), "one that is younger");
}
