//! An upgrade as a StatefulSet does it: SIGTERM, the old process drains and ends, a new one starts on
//! the same volume. Rows keep coming meanwhile.

use std::time::{Duration, Instant};

use super::{CONNECTIONS, DEADLINE, Scene, churn::Churn, tail::Tail};
use crate::harness::{random::Random, wait::wait_until};

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
    let scene = Scene::new("upgrade");
    let topics = scene.topics();
    let mut tail = Tail::new(&topics);
    let mut churn = Churn::new(&scene.source, &CONNECTIONS, random.fork());
    let (homes, mut running) = scene.start(&scene.setup(), replicas);
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
    scene.assert_exactly_once(&churn, &mut tail, &mut running);
}
