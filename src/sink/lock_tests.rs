use super::*;
use crate::sink::{
    command::{Command, Order},
    journal::records::{Finding, Resolve},
    tests::{
        NOON, arrival, doubted, intended, key_of, parked, received_as, refund, resolved, story_of,
    },
};

const DAY: i64 = 24 * 3_600_000;

/// A command that a person decided about, and that was wanted until a day after it came.
fn decided(n: u128, day: i64) -> Entry {
    let expires_at = Some(Timestamp(NOON.0 + day * DAY));
    let entry = received_as(key_of("REF-1", n), Order { expires_at, ..refund("10.00") });
    story_of(entry, [intended(1, 1), doubted(), parked(), resolved(true)])
}

fn read(records: &[(String, Option<Vec<u8>>)], now: Timestamp) -> Journal {
    let mut journal = Journal::default();
    for (offset, (key, value)) in records.iter().enumerate() {
        let place = Place { partition: 3, offset: offset as i64 };
        journal.take(codec::read_line(key.as_bytes(), value.as_deref()).unwrap(), place, now);
    }
    journal
}

fn story(entry: &Entry) -> (String, Option<Vec<u8>>) {
    (entry.key().to_string(), Some(codec::encode_entry(entry)))
}

fn decision(key: &CommandKey) -> (String, Option<Vec<u8>>) {
    let (actor, evidence) = ("ayse".to_owned(), "bank statement".to_owned());
    let decision = Resolve { outcome: Finding::Executed, evidence, actor, at: NOON };
    (codec::resolve_key(key), Some(codec::encode_resolve(&decision)))
}

#[test]
fn what_a_person_decided_is_forgotten_with_its_command_and_no_sooner() {
    let (old, young, gone) = (decided(1, 1), decided(2, 300), key_of("REF-1", 3));
    // A hundred days on which the journal was written.
    let days = (1..=100).map(|day| {
        let at = Timestamp(NOON.0 + day * DAY);
        let order = Order { expires_at: None, ..refund("1.00") };
        let key = key_of("REF-2", u128::from(day.unsigned_abs()));
        story(&Entry::received(Command { key, order }, arrival(day), at))
    });
    let mut records = vec![
        decision(&gone),
        decision(old.key()),
        story(&old),
        decision(young.key()),
        story(&young),
    ];
    records.extend(days);
    let now = Timestamp(NOON.0 + 101 * DAY);
    let mut journal = read(&records, now);
    let written = tombstones(&mut journal);
    assert!(written.iter().all(|record| record.partition == 3 && record.value.is_none()));
    let mut keys: Vec<String> = written.into_iter().map(|record| record.key).collect();
    keys.sort();
    let mut expected =
        vec![old.key().to_string(), codec::resolve_key(old.key()), codec::resolve_key(&gone)];
    expected.sort();
    assert_eq!(keys, expected);
    // Read with what was written, and from a copy that lacks the stories' tombstones: nothing is left
    // of the decisions, and nothing is written again.
    records.extend(keys.into_iter().map(|key| (key, None)));
    let mut journal = read(&records, now);
    assert!(tombstones(&mut journal).is_empty());
    let heard: Vec<_> = journal.decisions.into_each().collect();
    assert!(heard.is_empty(), "{heard:?}");
}
