use super::*;
use crate::sink::{
    journal::JournalEvent,
    tests::{SECOND, after, approved, intended, key_of, received_as, refund, story_of},
};

/// The n-th command, which came that many seconds late.
fn told(n: u128, seconds: i64, events: &[JournalEvent]) -> Line {
    let order = refund("10.00");
    let key = key_of("REF-1", n);
    let entry = received_as(key.clone(), order);
    let JournalEvent::Received { order, arrival, .. } = entry.events()[0].clone() else {
        panic!("not received")
    };
    let at = after(seconds * SECOND - 24 * 3600 * SECOND);
    let first = JournalEvent::Received { at, order, arrival };
    let entry = Entry::from_events(key, [vec![first], events.to_vec()].concat()).unwrap();
    Line::Said(Record::Command(Box::new(entry)))
}

fn catalogued(lines: &[(i32, i64, Line)], class: impl Fn(&Entry) -> Option<u8>) -> Catalogue {
    let mut draft = Draft::default();
    for (partition, offset, line) in lines {
        draft.take(Place { partition: *partition, offset: *offset }, line.clone(), &class);
    }
    draft.sorted()
}

fn places(catalogue: &Catalogue) -> Vec<(i32, i64)> {
    catalogue.rows.iter().map(|(_, row)| (row.partition, row.offset)).collect()
}

#[test]
fn each_command_is_in_it_once_where_its_newest_story_lies() {
    let done = [intended(1, 1), approved()];
    let lines = [
        (0, 3, told(1, 9, &[])),
        (0, 4, told(2, 8, &[])),
        (0, 5, told(1, 9, &done)),
        (1, 1, told(3, 7, &done)),
        (1, 2, told(4, 6, &[])),
        (1, 3, Line::Forgotten(key_of("REF-1", 4))),
    ];
    let by_age = catalogued(&lines, |_| Some(0));
    assert_eq!(places(&by_age), [(1, 1), (0, 4), (0, 5)], "the oldest first");
    let class = |entry: &Entry| Some(u8::from(entry.status().is_finished()));
    let open_first = catalogued(&lines, class);
    assert_eq!(places(&open_first), [(0, 4), (1, 1), (0, 5)]);
    assert_eq!((open_first.before(1), open_first.len()), (1, 3));
    let open = catalogued(&lines, |entry| (!entry.status().is_finished()).then_some(0));
    assert_eq!(places(&open), [(0, 4)], "1 was open, and is no longer");
}

#[test]
fn those_of_one_instant_are_in_the_same_order_every_time() {
    let lines: Vec<_> =
        (0..20).map(|n| (0, i64::from(n), told(u128::from(n as u32), 5, &[]))).collect();
    let backwards: Vec<_> = lines.iter().rev().cloned().collect();
    let all = |_: &Entry| Some(0);
    assert_eq!(places(&catalogued(&lines, all)), places(&catalogued(&backwards, all)));
}

#[test]
fn long_ways_over_what_nobody_wants_are_jumped_over() {
    let lengths = |offsets: &[i64]| -> Vec<usize> {
        let wanted: Vec<Wanted> = offsets.iter().map(|offset| (*offset, 0)).collect();
        runs(&wanted).map(<[Wanted]>::len).collect()
    };
    assert!(lengths(&[]).is_empty());
    assert_eq!(lengths(&[7]), [1]);
    assert_eq!(lengths(&[7, 8, 5_008, 10_009]), [3, 1]);
    // However they are spread, a partition is not read in more goes than that.
    let spread: Vec<i64> = (0..1_000).map(|n| n * 1_000_000).collect();
    assert_eq!(lengths(&spread), [1_000]);
    let (few, many) = (0..10, 1_000_000..1_000_010);
    assert_eq!(lengths(&few.chain(many).collect::<Vec<i64>>()), [10, 10]);
}

#[test]
fn stories_are_looked_for_in_the_order_in_which_they_lie() {
    let rows = [(1, 5), (0, 9), (1, 2)].map(|(partition, offset)| {
        ([0, 0], Row { class: 0, partition, first_at: Timestamp(0), offset })
    });
    let wanted = by_partition(&rows);
    assert_eq!(wanted[&0], [(9, 1)]);
    assert_eq!(wanted[&1], [(2, 2), (5, 0)]);
}

#[test]
fn a_place_that_holds_another_record_by_now_is_no_story() {
    let entry = story_of(received_as(key_of("REF-1", 1), refund("10.00")), []);
    let key = entry.key().to_string();
    let value = codec::encode_entry(&entry);
    assert_eq!(story(key.as_bytes(), Some(&value)), Ok(entry));
    assert!(story(key.as_bytes(), None).is_err());
    assert!(story(b"what/is-this", Some(&value)).is_err());
}
