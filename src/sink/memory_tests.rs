use std::time::Duration;

use super::*;
use crate::{
    domain::{ids::ConnectionId, money::Money, vocabulary::VirtualPosStatus},
    sink::{
        brakes::Limits,
        command::Order,
        journal::{
            JournalEvent, codec,
            records::{Finding, Resolve},
        },
        look::{Look, answer_doubt},
        tests::{
            HOUR, NO_LIMITS, NOON, POLICY, SECOND, after, approved, doubted, intended, key_of,
            parked, payment, received_as, refund, resolved, story_of,
        },
    },
};

const DAY: i64 = 24 * 3_600_000;

fn finished(n: u128) -> Entry {
    let entry = received_as(key_of("REF-1", n), refund("10.00"));
    entry.with(intended(1, 1)).and_then(|entry| entry.with(approved())).unwrap()
}

fn apply(journal: &mut Journal, entry: &Entry, offset: i64, now: Timestamp) {
    let (key, value) = (entry.key().to_string(), codec::encode_entry(entry));
    journal.take(
        codec::read_line(key.as_bytes(), Some(&value)).unwrap(),
        Place { partition: 0, offset },
        now,
    );
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
fn what_was_spent_weeks_ago_still_counts_for_its_day() {
    for (days, expected) in [(0, "10.00"), (1, "10.00"), (34, "10.00"), (35, "0.00")] {
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
    journal.take(codec::read_line(entry.key().to_string().as_bytes(), None).unwrap(), place, NOON);
    assert!(journal.stories.is_empty());
}

/// A refund of REF-1 and its story.
fn told(n: u128, events: &[JournalEvent]) -> Entry {
    story_of(received_as(key_of("REF-1", n), refund("10.00")), events.iter().cloned())
}

#[test]
fn what_the_journal_tells_of_a_payments_other_commands_may_explain_its_change() {
    let mut journal = Journal::default();
    let doubt = [intended(1, 1), doubted()];
    let found = told(2, &[&doubt[..], &[parked(), resolved(true)]].concat());
    let open = told(3, &[&doubt[..], &[parked()]].concat());
    // The second command's own look was before any of the others showed.
    let asked = told(9, &doubt);
    let done = finished(1);
    for (offset, entry) in [&done, &found, &open, &asked].into_iter().enumerate() {
        apply(&mut journal, entry, offset as i64, after(HOUR));
    }
    let rivals = |journal: &Journal| {
        let rivals = journal.rivals.of(&asked);
        rivals.iter().map(|rival| rival.command_id).collect::<Vec<_>>()
    };
    // Parked ones are open, and the desk counts those itself.
    assert_eq!(rivals(&journal), [done.key().command_id, found.key().command_id]);
    let place = Place { partition: 0, offset: 9 };
    let key = found.key().to_string();
    journal.take(codec::read_line(key.as_bytes(), None).unwrap(), place, after(HOUR));
    assert_eq!(rivals(&journal), [done.key().command_id], "a forgotten story explains nothing");
    // One that the look showed already.
    let mut journal = Journal::default();
    let seen = JournalEvent::Intended {
        at: after(HOUR / 60),
        attempt: 1,
        epoch: 1,
        before: payment(VirtualPosStatus::Refunded, Some("10.00")),
        send_not_after: after(HOUR / 30),
        over_at: None,
    };
    let later = told(8, &[seen, doubted()]);
    apply(&mut journal, &done, 0, after(HOUR));
    apply(&mut journal, &later, 1, after(HOUR));
    assert!(journal.rivals.of(&later).is_empty());
}

/// Friday's first refund shows late, the second one is lost, and the sink is off until Monday.
#[test]
fn what_was_executed_before_a_weekend_explains_the_doubt_of_that_day() {
    let (friday, monday) = (after(HOUR / 60), after(3 * DAY));
    let first = finished(1);
    let looked = JournalEvent::Intended {
        at: friday,
        attempt: 1,
        epoch: 1,
        before: payment(VirtualPosStatus::Successful, None),
        send_not_after: Timestamp(friday.0 + SECOND),
        over_at: None,
    };
    let lost = JournalEvent::Doubted { at: Timestamp(friday.0 + SECOND), detail: "lost".into() };
    let second = told(2, &[looked, lost]);
    let mut journal = Journal::default();
    apply(&mut journal, &first, 0, monday);
    apply(&mut journal, &second, 1, monday);
    let shown = Look::Found(payment(VirtualPosStatus::Refunded, Some("10.00")));
    let rivals = journal.rivals.of(&second);
    let answer = answer_doubt(&second, (monday, Duration::ZERO), &shown, &rivals, &POLICY);
    assert!(matches!(answer, Some(JournalEvent::Parked { .. })), "{answer:?}");
}

fn say(journal: &mut Journal, entry: &Entry, outcome: Finding, offset: i64) {
    let decision = Resolve { outcome, evidence: "e".into(), actor: "a".into(), at: NOON };
    let (key, value) = (codec::resolve_key(entry.key()), codec::encode_resolve(&decision));
    journal.take(
        codec::read_line(key.as_bytes(), Some(&value)).unwrap(),
        Place { partition: 0, offset },
        NOON,
    );
}

#[test]
fn of_two_decisions_that_nobody_heard_the_first_stands() {
    let mut journal = Journal::default();
    let (one, two) = (told(1, &[intended(1, 1), doubted(), parked()]), finished(2));
    // About a command that was not parked yet: about nothing.
    say(&mut journal, &one, Finding::NotExecuted, 0);
    apply(&mut journal, &one, 1, NOON);
    say(&mut journal, &one, Finding::Executed, 2);
    say(&mut journal, &one, Finding::NotExecuted, 3);
    say(&mut journal, &two, Finding::NotExecuted, 4);
    apply(&mut journal, &two, 5, NOON);
    let decisions: Vec<_> = journal.decisions.into_each().collect();
    let [(key, said)] = &decisions[..] else { panic!("{decisions:?}") };
    let outcomes: Vec<_> = said.iter().map(|decision| decision.outcome).collect();
    assert_eq!((key, &outcomes[..]), (one.key(), &[Finding::Executed, Finding::NotExecuted][..]));
}

/// A finished command that was wanted until an hour after it came.
fn ended(n: u128, at: Timestamp) -> Entry {
    let order = Order { expires_at: Some(Timestamp(at.0 + HOUR)), ..refund("10.00") };
    let entry = received_as(key_of(&format!("REF-{n}"), n), order);
    story_of(entry, [JournalEvent::Expired { at: Timestamp(at.0 + 2 * HOUR) }])
}

#[test]
fn a_clock_that_is_months_ahead_forgets_nothing_that_the_journals_days_do_not_show() {
    let of_days = |days: std::ops::Range<i64>, now: i64| {
        let mut journal = Journal::default();
        for day in days {
            let entry = ended(u128::try_from(day).unwrap(), after(day * DAY));
            apply(&mut journal, &entry, day, after(now * DAY));
        }
        let mut keys: Vec<_> = journal.take_forgettable().into_iter().map(|(key, _)| key).collect();
        keys.sort();
        keys
    };
    assert!(of_days(0..2, 400).is_empty(), "the clock alone");
    assert!(of_days(0..90, 90).is_empty(), "kept for 90 days");
    // The last one was written by the owner whose clock is wrong.
    let mut journal = Journal::default();
    (0..2).for_each(|day| {
        let entry = ended(u128::try_from(day).unwrap(), after(400 * day * DAY));
        apply(&mut journal, &entry, day, after(800 * DAY));
    });
    assert!(journal.take_forgettable().is_empty());
    assert_eq!(of_days(0..91, 91), [key_of("REF-0", 0)], "91 days later by both");
}

#[test]
fn epochs_count_on_where_the_record_of_the_newest_owner_is_gone() {
    let mut journal = Journal::default();
    let entry = received_as(key_of("REF-1", 1), refund("10.00"));
    apply(&mut journal, &story_of(entry, [intended(1, 7), doubted()]), 0, NOON);
    assert_eq!(journal.owner, Some(Owner { epoch: 7 }), "it gave the permission");
    for (epoch, newest) in [(9, 9), (3, 9)] {
        let value = codec::encode_owner(Owner { epoch });
        let place = Place { partition: 0, offset: 1 };
        journal.take(codec::read_line(b"_owner", Some(&value)).unwrap(), place, NOON);
        assert_eq!(journal.owner, Some(Owner { epoch: newest }));
    }
}
