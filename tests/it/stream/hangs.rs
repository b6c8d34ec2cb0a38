//! A thread of a replica hangs for ever: the process ends by itself, and another replica goes on.

use std::{thread, time::Duration};

use super::{
    CONNECTIONS, DEADLINE,
    checker::Late,
    churn::{Churn, SMALL},
    settle,
    tail::Tail,
    topics,
};
use crate::harness::{
    process::Process,
    random::Random,
    source::{Setup, Source},
    topics::unique_prefix,
    wait::wait_until,
};

const RESTORED: &str = "VOM-SHD-002";
const HANGS: &str = "VOM-APP-006";
const SIGABRT: i32 = 128 + 6;
const STEP: Duration = Duration::from_millis(25);
/// A quarter of a minute of patience with a step.
const HURRY: &str = "12";

/// Where a thread hangs, and how the log names thread and step.
const HANGING: [(&str, &str, &str); 3] = [
    // a commit that the poller never hears of
    ("committed:4:pause", "shard", "committing a transaction"),
    // a transaction that is never ended
    ("sent:200:pause", "shard", "filling a transaction"),
    // nobody says any more what is taken away
    ("group-turn:40:pause", "assignment", "polling the group"),
];

#[test]
#[cfg_attr(
    not(feature = "failpoints"),
    ignore = "needs a connector built with --features failpoints, as `make test` does"
)]
fn a_replica_with_a_thread_that_hangs_ends_by_itself_and_another_one_goes_on() {
    let mut random = Random::seeded("hangs");
    thread::scope(|scope| {
        for (point, named, doing) in HANGING {
            let random = random.fork();
            scope.spawn(move || hangs_at(point, named, doing, random));
        }
    });
}

fn hangs_at(point: &str, named: &str, doing: &str, mut random: Random) {
    let source = Source::loaded(&SMALL);
    let prefix = unique_prefix("hangs");
    let topics = topics(&prefix);
    let mut tail = Tail::new(&topics);
    let mut churn = Churn::new(&source, &CONNECTIONS, random.fork());
    let setup = Setup { session_ms: 1500, shards: 1, ..Setup::new(&prefix) };
    let homes = [source.home_of(&setup), source.home_of(&setup)];
    let mut stuck = homes[0].run_with(&[("VOMSIS_FAILPOINT", point), ("VOMSIS_HURRY", HURRY)]);
    stuck.wait_for_line(RESTORED, DEADLINE);
    let mut heir = homes[1].run();
    let mut until = |what: &str, condition: &mut dyn FnMut(&mut Process) -> bool| {
        wait_until(&format!("{point}: {what}"), DEADLINE, || {
            churn.step(&tail);
            tail.catch_up();
            thread::sleep(STEP);
            condition(&mut stuck)
        });
    };
    until("a thread hangs", &mut |stuck: &mut Process| {
        stuck.stderr().contains("this thread stands still")
    });
    until("the process ends", &mut |stuck: &mut Process| !stuck.is_running());

    assert_eq!(stuck.wait(DEADLINE), SIGABRT, "{point}: {}", stuck.stderr());
    let line = stuck.wait_for_line(HANGS, DEADLINE);
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&said["thread"], &said["doing"]), (&named.into(), &doing.into()), "{line}");
    assert_eq!(said["shard"], if named == "shard" { 0.into() } else { serde_json::Value::Null });
    heir.wait_for_line(RESTORED, DEADLINE);
    settle(&source, &churn, &mut tail);
    topics.assert_exactly_once(&source, &CONNECTIONS, Late::Sometimes);
    assert!(heir.is_running() && !heir.stderr().contains(HANGS), "{}", heir.stderr());
}
