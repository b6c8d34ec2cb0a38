//! The schema registry refuses, errs, falls silent, disagrees, and goes away once it is known.

use std::{collections::BTreeSet, net::SocketAddr};

use serde_json::json;

use super::stage::{DEADLINE, GROWTH_MIB, Stage, assert_waits_for, end, memory_mib, probe};
use crate::harness::{
    gate::{Gate, Way},
    http,
    kafka::{Broker, BrokerOptions, shared_broker},
    registry::{register, shared_registry},
    topics::{create_topic, read_to_end},
    wait::wait_until,
};

const KAFKA_AWAY: &str = "VOM-KFK-001";
const UNAVAILABLE: &str = "VOM-REG-001";
const ERROR: &str = "500 Internal Server Error\r\nContent-Type: application/json";

/// The shared registry's address and the base path of its API.
fn shared() -> (SocketAddr, &'static str) {
    let rest = shared_registry().url().strip_prefix("http://").unwrap();
    let (host, base) = rest.split_at(rest.find('/').unwrap());
    (host.parse().unwrap(), base)
}

#[test]
fn a_registry_that_refuses_errs_or_is_silent_is_asked_until_it_answers() {
    let (address, base) = shared();
    let gate = Gate::before(address, |_| Way::Closed);
    let stage = Stage::new("registry");
    stage.change_registry(&format!("http://{}{base}", gate.address()));
    let mut connector = stage.home.run();
    let line = connector.wait_for_line(UNAVAILABLE, DEADLINE);
    assert!(line.contains("retry_in_s") && line.contains(&gate.address().to_string()), "{line}");
    assert_eq!((probe(&mut connector, "/livez"), probe(&mut connector, "/readyz")), (200, 503));
    assert_waits_for(&mut connector, "schemas", &["topics", "group", "shards"]);
    let status = http::get(connector.address(DEADLINE), "/api/v1/status").unwrap().json();
    assert_eq!(status["verdict"], "not ready: the schema registry has not answered yet");

    let error = json!({"error_code": 50001, "message": "try again"}).to_string();
    gate.set(move |_| Way::Answer(ERROR, error.clone()));
    connector.wait_for_lines("500", 1, DEADLINE);
    gate.set(|_| Way::Silence);
    let memory = memory_mib(&connector);
    let before = connector.stderr().matches(UNAVAILABLE).count();
    wait_until("its silence is noticed", DEADLINE, || {
        connector.stderr().matches(UNAVAILABLE).count() > before
    });
    let grown = memory_mib(&connector).saturating_sub(memory);
    assert!(grown < GROWTH_MIB, "{grown} MiB more while the registry is silent");
    assert_eq!((probe(&mut connector, "/livez"), probe(&mut connector, "/readyz")), (200, 503));
    assert_eq!(stage.topics(), BTreeSet::new(), "a wrong registry leaves nothing behind");

    gate.set(|_| Way::Through);
    connector.wait_for_status("/readyz", 200, DEADLINE);
    stage.wait_for_all();
    // once its ids are known nobody asks it any more
    gate.set(|_| Way::Closed);
    stage.add_rows(5);
    stage.wait_for_all();
    end(&mut connector);
    stage.assert_exactly_once();
}

#[test]
fn kafka_and_the_registry_are_both_away_and_come_back_one_after_the_other() {
    let (address, base) = shared();
    let gate = Gate::before(address, |_| Way::Silence);
    let mut broker = Broker::start(BrokerOptions::default());
    broker.kill9();
    let stage = Stage::with_broker("both", &broker.client_bootstrap(), &broker.bootstrap());
    stage.change_registry(&format!("http://{}{base}", gate.address()));
    let mut connector = stage.home.run();
    connector.wait_for_line(KAFKA_AWAY, DEADLINE);
    let memory = memory_mib(&connector);
    broker.restart();
    connector.wait_for_line(UNAVAILABLE, DEADLINE);
    assert_eq!((probe(&mut connector, "/livez"), probe(&mut connector, "/readyz")), (200, 503));
    let grown = memory_mib(&connector).saturating_sub(memory);
    assert!(grown < GROWTH_MIB, "{grown} MiB more while both are away");
    gate.set(|_| Way::Through);
    connector.wait_for_status("/readyz", 200, DEADLINE);
    stage.wait_for_all();

    gate.set(|_| Way::Closed);
    broker.kill9();
    stage.add_rows(10);
    wait_until("it is not ready without kafka", DEADLINE, || {
        probe(&mut connector, "/readyz") == 503
    });
    broker.restart();
    stage.wait_for_all();
    connector.wait_for_status("/readyz", 200, DEADLINE);
    end(&mut connector);
    stage.assert_exactly_once();
}

#[test]
fn a_start_beside_a_registry_that_is_away_publishes_nothing_and_goes_on_by_itself() {
    let (address, base) = shared();
    let gate = Gate::before(address, |_| Way::Through);
    let stage = Stage::new("warm");
    stage.change_registry(&format!("http://{}{base}", gate.address()));
    let mut connector = stage.start();
    stage.wait_for_all();
    end(&mut connector);
    let published = stage.count();

    gate.set(|_| Way::Silence);
    stage.add_rows(3);
    let mut connector = stage.home.run();
    connector.wait_for_line(UNAVAILABLE, DEADLINE);
    assert_eq!((probe(&mut connector, "/livez"), probe(&mut connector, "/readyz")), (200, 503));
    assert_eq!(stage.count(), published, "what was known to an earlier process counts for nothing");
    gate.set(|_| Way::Through);
    stage.wait_for_all();
    end(&mut connector);
    stage.assert_exactly_once();
    assert_eq!(
        read_to_end(stage.brokers(), &stage.topic("quarantine")),
        [],
        "nothing is put aside"
    );
}

#[test]
fn one_error_at_the_start_is_forgotten() {
    let (address, base) = shared();
    let error = json!({"error_code": 50001, "message": "once"}).to_string();
    let mut first = true;
    let gate = Gate::before(address, move |_| match std::mem::take(&mut first) {
        true => Way::Answer(ERROR, error.clone()),
        false => Way::Through,
    });
    let stage = Stage::new("once");
    stage.change_registry(&format!("http://{}{base}", gate.address()));
    let mut connector = stage.start();
    connector.wait_for_line(UNAVAILABLE, DEADLINE);
    stage.wait_for_all();
    end(&mut connector);
    stage.assert_exactly_once();
}

#[test]
fn another_schema_under_the_subject_and_a_missing_one_end_it_with_their_names() {
    let (address, base) = shared();
    let stage = Stage::new("wrong");
    let subject = format!("{}-value", stage.topic("bank.transactions"));
    let other = r#"{"type":"record","name":"Other","fields":[{"name":"x","type":"int"}]}"#;
    register(shared_registry().url(), &subject, other);
    let strict = Some(("application/json", r#"{"compatibility":"FULL_TRANSITIVE"}"#));
    let answer = http::request(address, "PUT", &format!("{base}/config/{subject}"), strict);
    assert_eq!(answer.unwrap().status, 200);
    let mut connector = stage.home.run();
    assert_eq!(connector.wait(DEADLINE), 1, "{}", connector.stderr());
    let said = connector.stderr();
    assert!(said.contains("VOM-REG-002") && said.contains(&subject), "{said}");
    assert_eq!(stage.topics(), BTreeSet::new(), "nor does a registry that refuses");

    let stage = Stage::new("missing");
    stage.change("schema_registry", "}", ", mode: verify}");
    let mut connector = stage.home.run();
    assert_eq!(connector.wait(DEADLINE), 1, "{}", connector.stderr());
    let said = connector.stderr();
    assert!(said.contains("VOM-REG-003") && said.contains("schemas register"), "{said}");
    assert_eq!(stage.topics(), BTreeSet::new(), "nor does one without the schemas");
}

#[test]
fn a_topic_that_is_wrong_ends_it_before_anything_is_registered_or_created() {
    let stage = Stage::new("conflict");
    let policy = [("cleanup.policy", "compact")];
    create_topic(shared_broker().bootstrap(), &stage.topic("internal.state"), 5, &policy);
    let mut connector = stage.home.run();
    assert_eq!(connector.wait(DEADLINE), 1, "{}", connector.stderr());
    assert!(connector.stderr().contains("VOM-KFK-004"), "{}", connector.stderr());
    assert_eq!(stage.subjects(), BTreeSet::new());
    assert_eq!(stage.topics(), BTreeSet::from(["internal.state".to_owned()]));
}
