//! A replica that comes and goes while history is being read.

use super::{
    DEADLINE,
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
};

const RESTORED: &str = "VOM-SHD-002";
const FENCED: &str = "VOM-SHD-004";
const VISITS: usize = 5;
const SHARDS: u32 = 8;
/// They lie on different shards, so that each visit moves somebody's work.
const CONNECTIONS: [&str; 4] = ["acme", "beta", "gamma", "delta"];

#[test]
fn a_replica_that_comes_and_goes_repeats_nothing() {
    let mut random = Random::seeded("storm");
    let source = Source::loaded(&SMALL);
    let prefix = unique_prefix("storm");
    let topics = topics(&prefix);
    let mut tail = Tail::new(&topics);
    let mut churn = Churn::new(&source, &CONNECTIONS, random.fork());
    let setup = Setup {
        connections: &CONNECTIONS,
        shards: SHARDS,
        session_ms: 2000,
        ..Setup::new(&prefix)
    };
    let homes = [source.home_of(&setup), source.home_of(&setup), source.home_of(&setup)];
    let mut steady = [homes[0].run(), homes[1].run()];
    for process in &mut steady {
        process.wait_for_line(RESTORED, DEADLINE);
    }
    for visit in 0..VISITS {
        churn.flood(10);
        let mut guest = homes[2].run();
        guest.wait_for_line(RESTORED, DEADLINE);
        churn.flood(10);
        churn.step(&tail);
        tail.catch_up();
        if visit % 2 == 0 {
            guest.sigterm();
            assert_eq!(guest.wait(DEADLINE), 0, "it leaves well");
        } else {
            guest.kill9();
        }
    }
    settle(&source, &churn, &mut tail);
    topics.assert_exactly_once(&source, &CONNECTIONS, Late::Sometimes);
    assert!(steady.iter_mut().all(Process::is_running), "the others go on");
    // A shard moves once when the guest comes and once when it is gone; anything beyond twice
    // that would be replicas taking shards from each other.
    let said = |code: &str| -> usize {
        steady.iter().map(|process| process.stderr().matches(code).count()).sum()
    };
    let moves = SHARDS as usize * (2 * VISITS + 2);
    assert!(said(RESTORED) <= moves, "{} restores, {} fences", said(RESTORED), said(FENCED));
}
