//! A replica that stands still in the middle of a transaction, and wakes up when its shard is no
//! longer its own.

use std::{thread, time::Duration};

use super::{
    DEADLINE, STREAMS,
    checker::{Late, Topics},
    churn::{Churn, SMALL},
    settle,
    tail::Tail,
    topics,
};
use crate::harness::{
    process::Process,
    random::Random,
    scrape::Scrape,
    source::{Setup, Source},
    topics::unique_prefix,
    wait::wait_until,
};

const RESTORED: &str = "VOM-SHD-002";
const FENCED: &str = "VOM-SHD-004";
const UNKNOWN: &str = "VOM-KFK-003";
const CONNECTIONS: [&str; 1] = ["acme"];
/// How often the shard goes from one replica to the other.
const ROUNDS: usize = 3;
/// Longer than a commit that is on its way to the broker takes.
const ARRIVED: Duration = Duration::from_millis(300);

#[test]
fn a_replica_that_wakes_up_after_a_takeover_publishes_nothing_more() {
    let mut random = Random::seeded("takeover");
    let source = Source::loaded(&SMALL);
    let prefix = unique_prefix("takeover");
    let topics = topics(&prefix);
    let mut tail = Tail::new(&topics);
    let mut churn = Churn::new(&source, &CONNECTIONS, random.fork());
    let setup = Setup { session_ms: 1500, shards: 1, ..Setup::new(&prefix) };
    let homes = [source.home_of(&setup), source.home_of(&setup)];
    let mut sleeper = homes[0].run();
    sleeper.wait_for_line(RESTORED, DEADLINE);
    let mut heir = homes[1].run();

    stop_in_a_transaction(&mut sleeper, &mut random, &churn, &mut tail);
    tail.catch_up();
    let committed = tail.total();
    heir.wait_for_line(RESTORED, DEADLINE);
    wait_until("the heir publishes", DEADLINE, || {
        tail.catch_up();
        tail.total() > committed
    });
    sleeper.sigcont();
    sleeper.wait_for_line(FENCED, DEADLINE);
    for _ in 0..40 {
        churn.step(&tail);
        tail.catch_up();
    }
    settle(&source, &churn, &mut tail);

    topics.assert_exactly_once(&source, &CONNECTIONS, Late::Sometimes);
    assert_eq!(published_by(&mut sleeper, &topics), committed, "nothing more from the old epoch");
    assert_eq!(published_by(&mut heir, &topics), tail.total() - committed);
    assert!(fenced(&mut sleeper) >= 1.0, "it says that it was fenced");
    assert!(sleeper.is_running() && heir.is_running(), "both go on");
}

#[test]
fn a_replica_that_slept_between_two_transactions_does_not_write_what_it_missed() {
    let mut random = Random::seeded("slept");
    let source = Source::loaded(&SMALL);
    let prefix = unique_prefix("slept");
    let topics = topics(&prefix);
    let mut tail = Tail::new(&topics);
    let churn = Churn::new(&source, &CONNECTIONS, random.fork());
    let setup = Setup { session_ms: 1500, shards: 1, ..Setup::new(&prefix) };
    let homes = [source.home_of(&setup), source.home_of(&setup)];
    let mut owner = homes[0].run();
    owner.wait_for_line(RESTORED, DEADLINE);
    let mut heir = homes[1].run();
    for _ in 0..ROUNDS {
        wait_until("all is published, nothing is under way", DEADLINE, || {
            tail.catch_up();
            tail.total() >= churn.wanted() && !tail.is_transaction_open()
        });
        let restores = heir.stderr().matches(RESTORED).count();
        owner.sigstop();
        churn.flood(20);
        heir.wait_for_lines(RESTORED, restores + 1, DEADLINE);
        wait_until("the heir publishes it", DEADLINE, || {
            tail.catch_up();
            tail.total() >= churn.wanted()
        });
        // Its polls are all due now, and for it these rows are new.
        owner.sigcont();
        std::mem::swap(&mut owner, &mut heir);
    }
    settle(&source, &churn, &mut tail);
    topics.assert_exactly_once(&source, &CONNECTIONS, Late::Never);
    let counted = published_by(&mut owner, &topics) + published_by(&mut heir, &topics);
    assert_eq!(counted, tail.total(), "each event stands in one confirmed commit");
}

#[test]
fn a_transaction_that_the_broker_timed_out_is_written_once_more_and_seen_once() {
    let mut random = Random::seeded("timed out");
    let source = Source::loaded(&SMALL);
    let prefix = unique_prefix("timed-out");
    let topics = topics(&prefix);
    let mut tail = Tail::new(&topics);
    let churn = Churn::new(&source, &CONNECTIONS, random.fork());
    let home = source.home_of(&Setup { shards: 1, ..Setup::new(&prefix) });
    let mut connector = home.run();
    connector.wait_for_line(RESTORED, DEADLINE);

    stop_in_a_transaction(&mut connector, &mut random, &churn, &mut tail);
    wait_until("the broker aborts it", DEADLINE, || !tail.is_transaction_open());
    connector.sigcont();
    // The code of a takeover, though nobody took over: the broker says no more than that. Where the
    // process slept for longer than its records may wait, the client gives them up before it asks.
    wait_until("the shard is given up", DEADLINE, || {
        let said = connector.stderr();
        said.contains(FENCED) || said.contains(UNKNOWN)
    });
    settle(&source, &churn, &mut tail);
    topics.assert_exactly_once(&source, &CONNECTIONS, Late::Never);
    let was_fenced = connector.stderr().contains(FENCED);
    assert_eq!(fenced(&mut connector) >= 1.0, was_fenced);
}

/// Rows come until a stop finds a transaction begun and not ended.
fn stop_in_a_transaction(
    connector: &mut Process,
    random: &mut Random,
    churn: &Churn<'_>,
    tail: &mut Tail<'_>,
) {
    wait_until("it is stopped in an open transaction", DEADLINE, || {
        churn.flood(60);
        tail.catch_up();
        // How long it takes from its poll to its transaction depends on the machine: any moment.
        thread::sleep(Duration::from_millis(random.below(200)));
        connector.sigstop();
        let caught = tail.is_transaction_open() && {
            thread::sleep(ARRIVED);
            tail.is_transaction_open()
        };
        if !caught {
            connector.sigcont();
        }
        caught
    });
}

/// Events of rows in confirmed commits of this process.
fn published_by(connector: &mut Process, topics: &Topics<'_>) -> usize {
    let scrape = Scrape::of(connector.address(DEADLINE));
    let count = |stream| {
        let topic = topics.name(stream);
        let labels = [("topic", topic.as_str())];
        scrape.of_name("vomsis_kafka_produced_records_total", &labels).map(|s| s.value).sum::<f64>()
    };
    let sum: f64 = STREAMS.into_iter().map(count).sum();
    format!("{sum:.0}").parse().unwrap()
}

fn fenced(connector: &mut Process) -> f64 {
    let scrape = Scrape::of(connector.address(DEADLINE));
    scrape.of_name("vomsis_shard_fenced_total", &[]).map(|sample| sample.value).sum()
}
