//! SIGTERM while the broker does not answer: the process ends within its grace period.

use std::time::{Duration, Instant};

use super::stage::{DEADLINE, Stage, lines_with};
use crate::harness::{
    kafka::{Broker, BrokerOptions},
    process::Process,
    proxy::{Action, Direction, END_TXN, Rule},
    wait::wait_until,
};

/// Kafka's API key of `Fetch`.
const FETCH: i16 = 1;
/// Kubernetes kills after 60 s; the drain budget is 45 s.
const GRACE: Duration = Duration::from_secs(60);

/// SIGTERM, and how long it takes to end well.
#[track_caller]
fn assert_ends(connector: &mut Process, case: &str) {
    let started = Instant::now();
    connector.sigterm();
    let code = connector.wait(GRACE);
    println!("{case}: ended after {:?}", started.elapsed());
    assert_eq!(code, 0, "{case}: {}", connector.stderr());
    assert_eq!(lines_with(connector, "VOM-APP-003"), 1, "{case}: it says that it stopped");
}

#[test]
fn a_broker_that_hangs_does_not_hold_the_end_back() {
    let broker = Broker::start(BrokerOptions { proxied: true, ..BrokerOptions::default() });
    let stage = Stage::with_broker("hanging", &broker.client_bootstrap(), &broker.bootstrap());
    let hold = |rule: Rule| broker.proxy().apply(rule);
    let requests = || Rule::new(Direction::Requests, Action::Hold);
    let let_go = || {
        broker.proxy().clear();
        broker.proxy().cut();
    };

    // in the middle of a transaction: its records are there, its end is held, then everything
    let mut connector = stage.start();
    stage.wait_for_all();
    hold(requests().of(END_TXN));
    let hits = broker.proxy().hits();
    stage.add_rows(5);
    wait_until("a commit is under way", DEADLINE, || broker.proxy().hits() > hits);
    hold(requests());
    assert_ends(&mut connector, "in a transaction");
    let_go();
    assert_eq!(stage.most_repeated(), 1);

    // while the shards are being restored: their records do not come
    std::fs::remove_dir_all(stage.home.path().join("state")).unwrap();
    hold(requests().of(FETCH));
    let mut connector = stage.home.run();
    connector.wait_for_line("VOM-SHD-007", DEADLINE);
    assert_ends(&mut connector, "in a restore");
    let_go();

    // at the start: not even the topics are known
    hold(requests());
    let mut connector = stage.home.run();
    connector.wait_for_line("VOM-HTP-001", DEADLINE);
    assert_ends(&mut connector, "at the start");
    let_go();

    // idle, with nothing in flight
    let mut connector = stage.start();
    stage.wait_for_all();
    hold(requests());
    assert_ends(&mut connector, "idle");
    let_go();

    // what was under way in the first of them was committed or is read again, once
    let mut connector = stage.start();
    stage.wait_for_all();
    assert_ends(&mut connector, "nothing held");
    stage.assert_exactly_once();
}
