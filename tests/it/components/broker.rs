//! The broker: transactions, faults in front of it, restarts.

use std::{ops::ControlFlow, sync::mpsc, thread, time::Duration};

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use vomsis_connect::{
    config,
    kafka::reading::{read_committed, stretches},
};

use crate::harness::{
    kafka::{Broker, BrokerOptions, shared_broker},
    proxy::{Action, Direction, END_TXN, Rule},
    topics::{create_topic, read_to_end, unique_prefix},
    wait::{GENEROUS, wait_until},
};

fn producer(bootstrap: &str, transactional_id: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", transactional_id)
        .create()
        .unwrap();
    producer.init_transactions(GENEROUS).unwrap();
    producer
}

fn send(producer: &BaseProducer, topic: &str, key: &str, value: &str) {
    let headers = OwnedHeaders::new().insert(Header { key: "ce_id", value: Some(key) });
    let record = BaseRecord::to(topic).key(key).payload(value).headers(headers);
    producer.send(record).map_err(|(e, _)| e).unwrap();
}

fn drain(producer: &BaseProducer) {
    wait_until("every record is delivered", GENEROUS, || {
        producer.poll(Duration::from_millis(10));
        producer.in_flight_count() == 0
    });
}

fn values(bootstrap: &str, topic: &str) -> Vec<String> {
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap()).unwrap();
    read_to_end(bootstrap, topic).into_iter().map(|record| text(record.value)).collect()
}

#[test]
fn the_shared_broker_shows_committed_records_only() {
    let bootstrap = shared_broker().bootstrap();
    let topic = unique_prefix("visible");
    create_topic(bootstrap, &topic, 2, &[("cleanup.policy", "compact")]);
    let producer = producer(bootstrap, &topic);
    producer.begin_transaction().unwrap();
    send(&producer, &topic, "kept", "1");
    producer.commit_transaction(GENEROUS).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, &topic, "lost", "2");
    drain(&producer);
    producer.abort_transaction(GENEROUS).unwrap();
    let records = read_to_end(bootstrap, &topic);
    assert_eq!(records.len(), 1, "{records:?}");
    let record = records.first().unwrap();
    assert_eq!(record.key.as_deref(), Some("kept"));
    assert_eq!(record.value.as_deref(), Some(b"1".as_slice()));
    assert_eq!(record.headers.get("ce_id").map(String::as_str), Some("kept"));
}

/// A reader must come to the end of a topic whose first record belongs to an open transaction, behind which
/// another one is committed; it shows both once the first one is too, and nothing before.
#[track_caller]
fn assert_waits_for_the_open_transaction(
    name: &str,
    read: impl FnOnce(&str, &str) -> Vec<String> + Send + 'static,
) {
    let bootstrap = shared_broker().bootstrap();
    let topic = unique_prefix(name);
    create_topic(bootstrap, &topic, 1, &[]);
    let (open, other) =
        (producer(bootstrap, &format!("{topic}-1")), producer(bootstrap, &format!("{topic}-2")));
    open.begin_transaction().unwrap();
    send(&open, &topic, "k", "first");
    drain(&open);
    other.begin_transaction().unwrap();
    send(&other, &topic, "k", "second");
    other.commit_transaction(GENEROUS).unwrap();
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(read(bootstrap, &topic)));
    // long enough for a reader that trusts the first end-of-partition event to come back empty
    result.recv_timeout(Duration::from_secs(3)).unwrap_err();
    open.commit_transaction(GENEROUS).unwrap();
    assert_eq!(result.recv_timeout(GENEROUS).unwrap(), ["first", "second"]);
}

#[test]
fn a_reader_waits_for_the_open_transaction_before_the_end() {
    assert_waits_for_the_open_transaction("open", values);
}

/// The connector's own way to read: what it restores is read by it.
#[test]
fn the_connectors_reader_waits_for_the_open_transaction_before_the_end() {
    let text = "connections: [{id: a, bank_pos: {app_key_file: k, app_secret_file: s}}]\n";
    let mut kafka = config::parse("c", text, std::iter::empty()).unwrap().config.kafka;
    assert_waits_for_the_open_transaction("open-own", move |bootstrap, topic| {
        bootstrap.clone_into(&mut kafka.bootstrap_servers);
        let stretch = stretches(&kafka, topic).unwrap().remove(0);
        let mut read = Vec::new();
        let take = |_, _: &[u8], value: Option<&[u8]>| {
            read.push(String::from_utf8_lossy(value.unwrap()).into_owned());
            Ok(ControlFlow::Continue(()))
        };
        read_committed(&kafka, &stretch, GENEROUS, take).unwrap();
        read
    });
}

#[test]
fn a_held_commit_reply_leaves_the_outcome_unknown_and_data_survive_restarts() {
    let mut broker = Broker::start(BrokerOptions {
        proxied: true,
        properties: vec![("message.max.bytes".into(), "2000000".into())],
    });
    let topic = unique_prefix("held");
    create_topic(&broker.bootstrap(), &topic, 1, &[]);
    let first = producer(&broker.client_bootstrap(), &topic);
    broker.proxy().apply(Rule::new(Direction::Replies, Action::Hold).of(END_TXN));
    first.begin_transaction().unwrap();
    send(&first, &topic, "k", "held");
    drain(&first);
    first.commit_transaction(Duration::from_millis(500)).unwrap_err();
    wait_until("the reply is held", GENEROUS, || broker.proxy().hits() >= 1);
    // committed all the same: the transaction's marker is in the log before the reply is let go
    assert_eq!(values(&broker.bootstrap(), &topic), ["held"]);
    broker.proxy().clear();
    first.commit_transaction(GENEROUS).unwrap();

    broker.kill9();
    broker.restart();
    assert_eq!(values(&broker.bootstrap(), &topic), ["held"]);
    let second = producer(&broker.client_bootstrap(), &topic);
    second.begin_transaction().unwrap();
    send(&second, &topic, "k", "after");
    second.commit_transaction(GENEROUS).unwrap();
    broker.stop();
    broker.restart();
    assert_eq!(values(&broker.bootstrap(), &topic), ["held", "after"]);
}
