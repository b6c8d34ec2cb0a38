//! Kafka is away: at the start, and in the middle of a run.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use super::stage::{
    DEADLINE, GROWTH_MIB, Stage, assert_waits_for, end, lines_with, memory_mib, probe, ticks, unmet,
};
use crate::harness::{
    kafka::{Broker, BrokerOptions},
    process::Process,
    scrape::Scrape,
    wait::wait_until,
};

/// How long it is looked at.
const AWAY: Duration = Duration::from_secs(12);
/// How soon it must have noticed that Kafka died under it.
const NOTICED: Duration = Duration::from_secs(45);
const UNAVAILABLE: &str = "VOM-KFK-001";

/// Alive, not ready, with flat memory and little work, for as long as Kafka is looked at as away.
fn assert_waits_quietly(connector: &mut Process) {
    let (memory, used) = (memory_mib(connector), ticks(connector));
    let started = Instant::now();
    while started.elapsed() < AWAY {
        assert_eq!(probe(connector, "/livez"), 200);
        assert_eq!(probe(connector, "/readyz"), 503);
        let grown = memory_mib(connector).saturating_sub(memory);
        assert!(grown < GROWTH_MIB, "{grown} MiB more while Kafka is away");
        thread::sleep(Duration::from_millis(500));
    }
    let used = ticks(connector) - used;
    assert!(used < 100 * AWAY.as_secs() / 2, "{used} hundredths of a second in {AWAY:?}");
}

#[test]
fn kafka_that_is_away_at_the_start_or_dies_is_waited_for_and_nothing_is_lost_or_repeated() {
    let mut broker = Broker::start(BrokerOptions::default());
    broker.kill9();
    let stage = Stage::with_broker("outage", &broker.client_bootstrap(), &broker.bootstrap());
    let mut connector = stage.home.run();
    let line = connector.wait_for_line(UNAVAILABLE, DEADLINE);
    assert!(line.contains("retry_in_s") && line.contains(&broker.client_bootstrap()), "{line}");
    assert_waits_for(&mut connector, "kafka", &["schemas", "topics", "group", "shards"]);
    assert_waits_quietly(&mut connector);
    assert_eq!(stage.subjects(), BTreeSet::new(), "a wrong Kafka leaves no schema behind");

    broker.restart();
    connector.wait_for_status("/readyz", 200, DEADLINE);
    stage.wait_for_all();
    stage.assert_exactly_once();

    broker.kill9();
    stage.add_rows(20);
    let started = Instant::now();
    while probe(&mut connector, "/readyz") != 503 {
        assert!(started.elapsed() < NOTICED, "still ready without Kafka: {}", connector.stderr());
        thread::sleep(Duration::from_millis(50));
    }
    wait_until("it says that kafka is what is waited for", NOTICED, || {
        unmet(&mut connector).first().is_some_and(|(name, _)| name == "kafka")
    });
    assert_waits_quietly(&mut connector);
    // What nobody reads must grow stale, also once the group has lost this replica.
    connector.wait_for_line("VOM-SHD-012", DEADLINE);
    let address = connector.address(DEADLINE);
    let bank = [("stream", "bank_transactions")];
    wait_until("its streams are shown as failed", NOTICED, || {
        let failed = [("stream", "bank_transactions"), ("state", "failed")];
        Scrape::of(address).value("vomsis_source_state", &failed) > 0.5
    });
    let age = Scrape::of(address).value("vomsis_source_last_success_timestamp_seconds", &bank);
    assert!(age > 0.0, "nothing says how old the streams are");
    stage.add_rows(20);

    broker.restart();
    stage.wait_for_all();
    connector.wait_for_status("/readyz", 200, DEADLINE);
    end(&mut connector);
    stage.assert_exactly_once();
    let said = lines_with(&connector, "VOM-");
    assert!(said < 120, "{said} lines about one outage: {}", connector.stderr());
}
