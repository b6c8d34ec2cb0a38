//! An upgrade as a StatefulSet does it: SIGTERM, the old process drains and ends, a new one starts on
//! the same volume. Rows keep coming meanwhile.

use std::time::{Duration, Instant};

use super::{
    DEADLINE,
    checker::Late,
    churn::{Churn, SMALL},
    settle,
    tail::Tail,
    topics,
};
use crate::harness::{
    process::{Home, Process},
    random::Random,
    source::{Setup, Source},
    topics::unique_prefix,
    wait::wait_until,
};

const CONNECTIONS: [&str; 1] = ["acme"];
const ROUNDS: usize = 3;
/// From the old process's SIGTERM until the new one is ready and nothing is left to be committed.
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn one_replica_is_upgraded_within_thirty_seconds_and_repeats_nothing() {
    upgraded("upgrade of one", 1);
}

#[test]
fn two_replicas_are_upgraded_one_by_one_and_repeat_nothing() {
    upgraded("upgrade of two", 2);
}

fn upgraded(test: &str, replicas: usize) {
    let mut random = Random::seeded(test);
    let source = Source::loaded(&SMALL);
    let prefix = unique_prefix("upgrade");
    let topics = topics(&prefix);
    let mut tail = Tail::new(&topics);
    let mut churn = Churn::new(&source, &CONNECTIONS, random.fork());
    let setup = Setup::new(&prefix);
    let homes: Vec<Home> = (0..replicas).map(|_| source.home_of(&setup)).collect();
    let mut running: Vec<Process> = homes.iter().map(Home::run).collect();
    wait_until("rows are published", DEADLINE, || {
        tail.catch_up();
        tail.total() > 0
    });
    for round in 0..ROUNDS {
        // As the controller does it: the highest ordinal first, the next one when it is ready.
        for ordinal in (0..replicas).rev() {
            let began = Instant::now();
            running[ordinal].sigterm();
            churn.flood(5);
            let code = running[ordinal].wait(LIMIT);
            assert_eq!(code, 0, "it drains and ends: {}", running[ordinal].stderr());
            running[ordinal] = homes[ordinal].run();
            running[ordinal].wait_for_status("/readyz", 200, LIMIT);
            // With one replica only the new process can have published these.
            churn.step(&tail);
            let wanted = churn.wanted();
            wait_until("all that came meanwhile is published", LIMIT, || {
                tail.catch_up();
                tail.total() >= wanted
            });
            let took = began.elapsed();
            println!("{test}, round {round}, replica {ordinal}: {took:?}");
            assert!(took <= LIMIT, "{took:?} from SIGTERM to the last commit");
        }
    }
    settle(&source, &churn, &mut tail);
    topics.assert_exactly_once(&source, &CONNECTIONS, Late::Sometimes);
    assert!(running.iter_mut().all(Process::is_running));
}
