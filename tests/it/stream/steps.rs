//! Killed at every step of a row's way, from its fetch to the poller's memory.

use std::{fs, thread, time::Duration};

use vomsis_connect::failpoints::Point;

use super::{
    DEADLINE,
    checker::Late,
    churn::{Churn, SMALL},
    settle,
    tail::Tail,
    topics,
};
use crate::harness::{
    components::environment,
    random::Random,
    source::{Setup, Source},
    topics::unique_prefix,
    wait::wait_until,
};

/// Lives of a connector that each die at every step once; `VOMSIS_ROW_LIVES` asks for more.
const LIVES: usize = 3;
const LIVES_VARIABLE: &str = "VOMSIS_ROW_LIVES";
/// Lives side by side.
const AT_ONCE: usize = 3;
const CONNECTIONS: [&str; 1] = ["acme"];
const STEP: Duration = Duration::from_millis(25);
const SIGABRT: i32 = 128 + 6;

#[test]
#[cfg_attr(
    not(feature = "failpoints"),
    ignore = "needs a connector built with --features failpoints, as `make test` does"
)]
fn killed_at_every_step_it_publishes_every_content_once() {
    let mut random = Random::seeded("every step");
    let lives = environment(LIVES_VARIABLE).map_or(LIVES, |text| text.parse().unwrap());
    let mut left: Vec<Random> = (0..lives).map(|_| random.fork()).collect();
    while !left.is_empty() {
        thread::scope(|scope| {
            for random in left.drain(..AT_ONCE.min(left.len())) {
                scope.spawn(|| dies_at_every_step(random));
            }
        });
    }
}

fn dies_at_every_step(mut random: Random) {
    let source = Source::loaded(&SMALL);
    let prefix = unique_prefix("steps");
    let topics = topics(&prefix);
    let mut tail = Tail::new(&topics);
    let mut churn = Churn::new(&source, &CONNECTIONS, random.fork());
    let home = source.home_of(&Setup { session_ms: 1500, ..Setup::new(&prefix) });
    for point in random.shuffled(Point::OF_ROWS.to_vec()) {
        let name = format!("{}:{}", point.name(), 1 + random.below(hits_max(point)));
        let mut connector = home.run_with(&[("VOMSIS_FAILPOINT", &name)]);
        wait_until(&format!("the process ends at {name}"), DEADLINE, || {
            churn.step(&tail);
            tail.catch_up();
            thread::sleep(STEP);
            !connector.is_running()
        });
        assert_eq!(connector.wait(DEADLINE), SIGABRT, "{name}: {}", connector.stderr());
        let said = format!("failpoint {} reached", point.name());
        assert!(connector.stderr().contains(&said), "{name}: {}", connector.stderr());
        if random.below(3) == 0 {
            // Not there where it was killed before it had one.
            drop(fs::remove_dir_all(home.path().join("state")));
        }
    }
    let _connector = home.run();
    settle(&source, &churn, &mut tail);
    topics.assert_exactly_once(&source, &CONNECTIONS, Late::Sometimes);
}

/// What one run reaches for certain, two shards being locked and rows coming all the time.
const fn hits_max(point: Point) -> u64 {
    match point {
        Point::Locked | Point::CacheFilling => 2,
        Point::Sent => 60,
        Point::Fetched => 30,
        _ => 8,
    }
}
