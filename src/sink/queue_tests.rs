use proptest::prelude::*;

use super::*;
use crate::sink::{
    brakes::Brake,
    command::Command,
    tests::{
        HOUR, NOON, SECOND, after, approved, arrival, doubted, intended, key_of, not_sent, parked,
        refund,
    },
};

fn queue(limit: usize) -> Queue {
    Queue::new(NonZeroUsize::new(limit).unwrap(), 0)
}

fn filled(limit: usize, keys: &[(&str, u128)]) -> Queue {
    let mut queue = queue(limit);
    for (reference, n) in keys {
        assert!(queue.push(key_of(reference, *n), None));
    }
    queue
}

const BRAKED: Pause = Pause::Braked(Brake::CapPending);

#[test]
fn commands_of_one_reference_run_one_after_another_in_arrival_order() {
    let mut queue = filled(8, &[("A", 3), ("A", 1), ("A", 2)]);
    for n in [3, 1, 2] {
        let key = queue.take().unwrap();
        assert_eq!(key, key_of("A", n));
        assert_eq!(queue.take(), None, "the others of the reference wait");
        assert!(queue.finish(&key));
    }
    assert_eq!((queue.take(), queue.len(), queue.running()), (None, 0, 0));
}

#[test]
fn references_run_side_by_side_up_to_the_limit() {
    let mut queue = filled(2, &[("A", 1), ("B", 1), ("C", 1), ("A", 2)]);
    let (a, b) = (queue.take().unwrap(), queue.take().unwrap());
    assert_eq!((&a, &b), (&key_of("A", 1), &key_of("B", 1)));
    assert_eq!(queue.take(), None, "two are out");
    assert!(queue.finish(&a));
    assert_eq!(queue.take(), Some(key_of("C", 1)), "C was ready before A was again");
    assert!(queue.finish(&b));
    assert_eq!(queue.take(), Some(key_of("A", 2)));
}

#[test]
fn a_command_that_waits_frees_its_place_and_holds_its_reference() {
    let mut queue = filled(1, &[("A", 1), ("A", 2), ("B", 1)]);
    let a = queue.take().unwrap();
    assert!(queue.pause(&a, Some(after(SECOND)), &Pause::Doubt));
    let b = queue.take().unwrap();
    assert_eq!(b, key_of("B", 1));
    assert!(queue.finish(&b));
    assert_eq!(queue.take(), None, "A's second waits behind A's first");
    assert_eq!(queue.next_wake(), Some(after(SECOND)));
    queue.wake(after(SECOND - 1));
    assert_eq!(queue.take(), None);
    queue.wake(after(SECOND));
    assert_eq!(queue.take(), Some(a));
    assert_eq!(queue.next_wake(), None);
}

#[test]
fn only_what_a_brake_holds_is_woken_with_the_brakes() {
    let mut queue = filled(3, &[("A", 1), ("B", 1), ("C", 1)]);
    let (a, b, c) = (queue.take().unwrap(), queue.take().unwrap(), queue.take().unwrap());
    assert!(queue.pause(&a, None, &BRAKED));
    assert!(queue.pause(&b, Some(after(SECOND)), &Pause::Backoff));
    assert!(queue.pause(&c, Some(after(2 * SECOND)), &BRAKED));
    queue.wake(after(0));
    assert_eq!(queue.take(), None);
    queue.wake_braked();
    assert_eq!((queue.take(), queue.take(), queue.take()), (Some(a), Some(c), None));
    assert_eq!(queue.next_wake(), Some(after(SECOND)), "the woken one's time is gone");
}

#[test]
fn a_command_is_in_the_queue_once() {
    let mut queue = filled(2, &[("A", 1)]);
    assert!(!queue.push(key_of("A", 1), None));
    let a = queue.take().unwrap();
    assert!(!queue.push(key_of("A", 1), None), "it is out");
    assert!(queue.push(key_of("B", 1), None), "another reference is another command");
    assert_eq!(queue.len(), 2);
    assert!(queue.finish(&a));
}

#[test]
fn only_what_is_handed_out_can_be_put_aside_or_finished() {
    let mut queue = filled(2, &[("A", 1), ("A", 2)]);
    assert!(!queue.finish(&key_of("A", 1)));
    assert!(!queue.pause(&key_of("A", 1), None, &BRAKED));
    let a = queue.take().unwrap();
    assert!(!queue.finish(&key_of("A", 2)), "it is the second");
    assert!(!queue.finish(&key_of("B", 1)));
    assert!(queue.pause(&a, None, &BRAKED));
    assert!(!queue.pause(&a, None, &BRAKED), "it is aside already");
    assert_eq!((queue.running(), queue.len()), (0, 2));
}

fn received(reference: &str, n: u128, offset: i64, at: Timestamp) -> Entry {
    let command = Command { key: key_of(reference, n), order: refund("10.00") };
    Entry::received(command, arrival(offset), at)
}

#[test]
fn a_restart_keeps_the_order_of_each_reference() {
    let entries = [
        received("A", 1, 12, after(3)),
        received("A", 2, 11, after(3)),
        received("A", 3, 10, after(1)),
        // Begun although the clock says that it came later: nothing may overtake it.
        received("A", 4, 13, after(9)).with(intended(1, 1)).unwrap(),
    ];
    let mut queue = Queue::restored(NonZeroUsize::new(4).unwrap(), 0, &entries);
    for n in [4, 3, 2, 1] {
        let key = queue.take().unwrap();
        assert_eq!(key, key_of("A", n));
        assert!(queue.finish(&key));
    }
}

/// The order in which a queue hands its commands out.
fn handed_out(mut queue: Queue) -> Vec<CommandKey> {
    let mut order = Vec::new();
    while let Some(key) = queue.take() {
        assert!(queue.finish(&key));
        order.push(key);
    }
    order
}

#[test]
fn a_clock_that_was_set_back_changes_no_order_of_a_reference() {
    let entries = [
        received("A", 1, 5, after(HOUR)),
        // The next owner's clock is an hour behind, and set right by the third.
        received("A", 2, 6, after(5)),
        received("A", 3, 7, after(2 * HOUR)),
        received("A", 4, 8, after(7)),
        received("B", 1, 9, after(HOUR / 2)),
    ];
    let queue = Queue::restored(NonZeroUsize::new(1).unwrap(), 0, &entries);
    let expected = [("B", 1), ("A", 1), ("A", 2), ("A", 3), ("A", 4)];
    let expected: Vec<_> = expected.into_iter().map(|(lane, n)| key_of(lane, n)).collect();
    // Between references the clock is all there is: B's first was received before A's first.
    assert_eq!(handed_out(queue), expected);
}

#[test]
fn a_reference_of_two_partitions_keeps_the_order_of_each() {
    let in_partition = |n: u128, partition: i32, offset: i64, at: i64| {
        let command = Command { key: key_of("A", n), order: refund("10.00") };
        Entry::received(command, Arrival { partition, offset }, after(at))
    };
    // By time alone the third would come first, and by time and offset in turns there is no order.
    let entries = [
        in_partition(3, 0, 6, 5),
        in_partition(2, 0, 5, 60),
        in_partition(1, 1, 0, 30),
        in_partition(4, 1, 1, 90),
    ];
    let queue = Queue::restored(NonZeroUsize::new(1).unwrap(), 0, &entries);
    let expected: Vec<_> = (1..5).map(|n| key_of("A", n)).collect();
    assert_eq!(handed_out(queue), expected);
}

#[test]
fn a_restart_takes_up_what_is_open_and_nothing_else() {
    let with = |n, events: &[_]| {
        let entry = received(&format!("R{n}"), n, 1, NOON);
        events.iter().fold(entry, |entry: Entry, event: &crate::sink::journal::JournalEvent| {
            entry.with(event.clone()).unwrap()
        })
    };
    let entries = [
        with(1, &[]),
        with(2, &[intended(1, 1)]),
        with(3, &[intended(1, 1), not_sent()]),
        with(4, &[intended(1, 1), doubted()]),
        with(5, &[intended(1, 1), approved()]),
        with(6, &[intended(1, 1), doubted(), parked()]),
    ];
    let mut queue = Queue::restored(NonZeroUsize::new(9).unwrap(), 0, &entries);
    let mut found: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
    found.sort();
    assert_eq!(found, (1..5).map(|n| key_of(&format!("R{n}"), n)).collect::<Vec<_>>());
}

#[test]
fn a_doubt_goes_first_and_has_turns_that_no_other_takes() {
    let mut queue = Queue::new(NonZeroUsize::new(3).unwrap(), 1);
    for reference in ["D", "E", "A", "B", "C"] {
        assert!(queue.push(key_of(reference, 1), None));
    }
    let (d, e) = (queue.take().unwrap(), queue.take().unwrap());
    assert_eq!(queue.take(), None, "one turn is for doubts");
    assert!(queue.pause(&d, Some(after(SECOND)), &Pause::Doubt));
    assert!(queue.pause(&e, Some(after(SECOND)), &Pause::Doubt));
    let (a, b) = (queue.take().unwrap(), queue.take().unwrap());
    assert_eq!((&a, &b, queue.take()), (&key_of("A", 1), &key_of("B", 1), None));
    queue.wake(after(SECOND));
    assert_eq!(queue.take(), Some(d.clone()), "though no other has a turn");
    assert_eq!((queue.take(), queue.running()), (None, 3));
    assert!(queue.finish(&a));
    assert_eq!(queue.take(), Some(e.clone()), "before C, which waits for longer");
    assert!(queue.finish(&d));
    assert_eq!(queue.take(), Some(key_of("C", 1)), "two others, one doubt");
    // What is not in doubt any more is as any other.
    assert!(queue.pause(&e, Some(after(2 * SECOND)), &Pause::Backoff));
    queue.wake(after(2 * SECOND));
    assert_eq!(queue.take(), None);
    assert!(queue.finish(&b));
    assert_eq!(queue.take(), Some(e));
}

#[test]
fn what_a_restart_finds_begun_is_a_doubt() {
    let begun = received("B", 1, 2, NOON).with(intended(1, 1)).unwrap();
    let entries = [received("A", 1, 1, NOON), received("C", 1, 3, NOON), begun];
    let mut queue = Queue::restored(NonZeroUsize::new(2).unwrap(), 1, &entries);
    assert_eq!(queue.take(), Some(key_of("B", 1)));
    assert_eq!((queue.take(), queue.take()), (Some(key_of("A", 1)), None));
}

#[test]
fn a_command_whose_time_is_over_is_named_wherever_it_stands() {
    let mut queue = queue(1);
    for (reference, n, expiry) in
        [("A", 1, 1), ("A", 2, 2), ("A", 3, 9), ("B", 1, 1), ("C", 1, 9), ("D", 1, 3)]
    {
        assert!(queue.push(key_of(reference, n), Some(after(expiry * SECOND))));
    }
    let first = queue.take().unwrap();
    assert_eq!(queue.next_expiry(), Some(after(SECOND)));
    assert_eq!(queue.next_due(after(SECOND - 1)), None);
    let due: Vec<_> = std::iter::from_fn(|| queue.next_due(after(3 * SECOND))).collect();
    assert_eq!(due, [key_of("B", 1), key_of("A", 2), key_of("D", 1)], "all but who has the turn");
    assert!(!queue.withdraw(&first), "it is out");
    assert!(due.iter().all(|key| queue.withdraw(key)));
    assert!(!due.iter().any(|key| queue.withdraw(key)), "once");
    assert_eq!(queue.len(), 3);
    // Its time came while it was out: it is named when it is put aside.
    assert!(queue.pause(&first, Some(after(5 * SECOND)), &Pause::Backoff));
    assert_eq!(queue.next_due(after(3 * SECOND)), Some(first.clone()));
    assert!(queue.withdraw(&first));
    assert_eq!(queue.next_wake(), None, "its time to wake is gone with it");
    let mut left = Vec::new();
    while let Some(key) = queue.take() {
        assert!(queue.finish(&key));
        left.push(key);
    }
    assert_eq!(left, [key_of("C", 1), key_of("A", 3)]);
    assert_eq!((queue.next_expiry(), queue.is_empty()), (None, true));
}

proptest! {
    /// Whatever happens: one of a reference at a time, in arrival order, never more than the
    /// limit, none lost, and at the end all are done.
    #[test]
    fn the_queue_keeps_its_promises(
        limit in 1_usize..4,
        reserved in 0_usize..3,
        steps in prop::collection::vec((0_u8..8, 0_u8..4, 0_i64..50), 0..120),
    ) {
        let mut queue = Queue::new(NonZeroUsize::new(limit).unwrap(), reserved);
        let mut out: Vec<CommandKey> = Vec::new();
        let mut pushed: Vec<CommandKey> = Vec::new();
        let mut done: Vec<CommandKey> = Vec::new();
        let mut withdrawn = 0_u128;
        let mut now = 0;
        for (what, lane, time) in steps {
            let reference = ["A", "B", "C", "D"][usize::from(lane)];
            let pick = (!out.is_empty()).then(|| usize::from(lane) % out.len().max(1));
            match (what, pick) {
                (0 | 1, _) => {
                    let key = key_of(reference, pushed.len() as u128 + withdrawn);
                    let expiry = (time % 2 == 0).then(|| after(now + time));
                    prop_assert!(queue.push(key.clone(), expiry));
                    pushed.push(key);
                }
                (2, Some(pick)) => {
                    let key = out.swap_remove(pick);
                    prop_assert!(queue.finish(&key));
                    done.push(key);
                }
                (3, Some(pick)) => {
                    let key = out.swap_remove(pick);
                    let (until, why) = match time % 4 {
                        0 => (None, BRAKED),
                        1 => (Some(after(now + time)), BRAKED),
                        2 => (Some(after(now + time)), Pause::Doubt),
                        _ => (Some(after(now + time)), Pause::Backoff),
                    };
                    prop_assert!(queue.pause(&key, until, &why));
                }
                (4, _) => {
                    now += time;
                    queue.wake(after(now));
                }
                (6, _) => {
                    while let Some(key) = queue.next_due(after(now)) {
                        prop_assert!(!out.contains(&key));
                        // Some are not over: in doubt, say.
                        if time % 3 != 0 {
                            prop_assert!(queue.withdraw(&key));
                            pushed.retain(|other| *other != key);
                            withdrawn += 1;
                        }
                    }
                }
                _ => queue.wake_braked(),
            }
            while let Some(key) = queue.take() {
                prop_assert!(!out.iter().any(|other| other.reference() == key.reference()));
                out.push(key);
            }
            prop_assert!(out.len() <= limit);
            prop_assert_eq!((queue.running(), queue.len()), (out.len(), pushed.len() - done.len()));
        }
        while !queue.is_empty() {
            queue.wake(Timestamp(i64::MAX));
            queue.wake_braked();
            out.extend(std::iter::from_fn(|| queue.take()));
            let key = out.pop().expect("something is always ready in the end");
            prop_assert!(queue.finish(&key));
            done.push(key);
        }
        let of = |keys: &[CommandKey], no: &str| -> Vec<CommandKey> {
            keys.iter().filter(|key| &*key.reference_no == no).cloned().collect()
        };
        for lane in ["A", "B", "C", "D"] {
            prop_assert_eq!(of(&done, lane), of(&pushed, lane));
        }
    }
}
