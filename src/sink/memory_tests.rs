use super::*;
use crate::{
    domain::{ids::ConnectionId, money::Money},
    sink::{
        brakes::Limits,
        tests::{NO_LIMITS, NOON, after, approved, intended, key_of, received_as, refund},
    },
};

const DAY: i64 = 24 * 3_600_000;

fn finished(n: u128) -> Entry {
    let entry = received_as(key_of("REF-1", n), refund("10.00"));
    entry.with(intended(1, 1)).and_then(|entry| entry.with(approved())).unwrap()
}

fn apply(journal: &mut Journal, entry: &Entry, offset: i64, now: Timestamp) {
    let (key, value) = (entry.key().to_string(), codec::encode_entry(entry));
    journal.apply(key.as_bytes(), Some(&value), Place { partition: 0, offset }, now).unwrap();
}

fn spent(journal: &Journal) -> Money {
    journal.finished.spent(&ConnectionId::try_new("acme").unwrap(), NOON.local_day())
}

#[test]
fn a_finished_story_counts_once_however_often_the_journal_tells_it() {
    let mut journal = Journal::default();
    let (one, two) = (finished(1), finished(2));
    let begun = received_as(key_of("REF-1", 1), refund("10.00"));
    apply(&mut journal, &begun, 0, NOON);
    apply(&mut journal, &begun.with(intended(1, 1)).unwrap(), 1, NOON);
    assert_eq!((journal.open.len(), spent(&journal)), (1, Money::ZERO));
    for (offset, entry) in [(2, &one), (3, &two), (4, &one)] {
        apply(&mut journal, entry, offset, NOON);
    }
    assert_eq!((journal.open.len(), journal.stories.len()), (0, 2));
    assert_eq!(journal.stories.get(one.key()), Some(Place { partition: 0, offset: 4 }));
    assert_eq!(spent(&journal), Money::parse("20.00").unwrap());
}

#[test]
fn yesterday_still_counts_and_the_day_before_does_not() {
    for (days, expected) in [(0, "10.00"), (1, "10.00"), (2, "0.00")] {
        let mut journal = Journal::default();
        apply(&mut journal, &finished(1), 0, after(days * DAY));
        assert_eq!(spent(&journal), Money::parse(expected).unwrap(), "after {days} days");
        assert_eq!(journal.stories.len(), 1);
    }
}

#[test]
fn what_is_finished_counts_under_the_configured_caps() {
    let mut journal = Journal::default();
    apply(&mut journal, &finished(1), 0, NOON);
    let cap = Money::parse("15.00").ok();
    let brakes = journal.finished.under(Limits { max_daily_amount: cap, ..NO_LIMITS });
    let (another, kind) = (key_of("REF-2", 2), refund("10.00").kind);
    assert!(matches!(
        brakes.check(&another, kind, NOON),
        crate::sink::brakes::Check::Reject { .. }
    ));
}

#[test]
fn a_tombstone_forgets_a_story() {
    let mut journal = Journal::default();
    let entry = finished(1);
    apply(&mut journal, &entry, 0, NOON);
    let place = Place { partition: 0, offset: 1 };
    journal.apply(entry.key().to_string().as_bytes(), None, place, NOON).unwrap();
    assert!(journal.stories.is_empty());
}
