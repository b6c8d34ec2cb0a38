//! `kill -9` at any moment, while rows come, come late and are edited.

use std::{fs, thread, time::Duration};

use super::{CONNECTIONS, DEADLINE, Scene, churn::Churn, tail::Tail};
use crate::harness::{random::Random, source::Setup, wait::wait_until};

const KILLS: u64 = 30;
/// Between two changes of the source.
const STEP: Duration = Duration::from_millis(25);

#[test]
fn one_replica_killed_thirty_times_publishes_every_content_once() {
    killed("one replica", 1);
}

#[test]
fn two_replicas_killed_thirty_times_publish_every_content_once() {
    killed("two replicas", 2);
}

fn killed(test: &str, replicas: usize) {
    let mut random = Random::seeded(test);
    let scene = Scene::new("killed");
    let topics = scene.topics();
    let mut tail = Tail::new(&topics);
    let mut churn = Churn::new(&scene.source, &CONNECTIONS, random.fork());
    let setup = Setup { session_ms: 1500, ..scene.setup() };
    let (homes, mut running) = scene.start(&setup, replicas);
    for kill in 1..=KILLS {
        let before = tail.total();
        // Half of the kills hit a start or a restore, the others a process at work.
        let (rows, moments) = match random.below(4) {
            0 => (0, random.below(40)),
            1 => (0, random.below(100)),
            _ => (1 + random.place(40), 0),
        };
        let mut steps = 0;
        wait_until("enough is published, or enough time is gone", DEADLINE, || {
            churn.step(&tail);
            tail.catch_up();
            thread::sleep(STEP);
            steps += 1;
            tail.total() >= before + rows && steps >= moments
        });
        let victim = random.place(replicas);
        running[victim].kill9();
        if kill % 4 == 0 {
            // Not there where it was killed before it had one.
            drop(fs::remove_dir_all(homes[victim].path().join("state")));
        }
        running[victim] = homes[victim].run();
    }
    scene.assert_exactly_once(&churn, &mut tail, &mut running);
}
