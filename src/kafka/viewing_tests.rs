//! A reader for people against brokers that refuse, go away and come back.

use std::net::TcpListener;

use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use super::*;
use crate::kafka::{reading, refusing_broker::broker_that_refuses};

const TOPIC: &str = "vomsis.quarantine";
const DEADLINE: Duration = Duration::from_secs(120);

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    cluster
}

fn kafka(brokers: &str, properties: &[(&str, &str)]) -> Kafka {
    let text = "connections: [{id: a, bank_pos: {app_key_file: k, app_secret_file: s}}]\n";
    let mut kafka = crate::config::parse("c", text, std::iter::empty()).unwrap().config.kafka;
    kafka.bootstrap_servers = brokers.to_owned();
    kafka.properties =
        properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    kafka
}

fn viewer(cluster: &MockCluster<'_, DefaultProducerContext>) -> Viewer {
    let kafka = kafka(&cluster.bootstrap_servers(), &[]);
    Viewer::open(&kafka, &[TOPIC.to_owned()], From::Beginning).unwrap()
}

/// What the reader fails with.
fn failure(viewer: &mut Viewer) -> KafkaError {
    let started = Instant::now();
    loop {
        match viewer.next(Duration::from_millis(100)) {
            Ok(found) => assert!(started.elapsed() < DEADLINE, "no failure, but {found:?}"),
            Err(error) => return error,
        }
    }
}

fn news(viewer: &mut Viewer) -> News {
    let started = Instant::now();
    loop {
        assert_eq!(viewer.next(Duration::from_millis(100)).unwrap(), None);
        if let Some(news) = viewer.news() {
            return news;
        }
        assert!(started.elapsed() < DEADLINE, "no news");
    }
}

#[test]
fn a_right_to_read_that_is_missing_ends_it() {
    let cluster = cluster();
    let mut viewer = viewer(&cluster);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Fetch, &[denied; 20]);
    let error = failure(&mut viewer);
    assert!(refuses(&error), "{error:?}");
}

#[test]
fn a_right_to_see_the_topic_that_is_missing_is_a_refusal() {
    let cluster = cluster();
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.topic_error(TOPIC, denied).unwrap();
    let kafka = kafka(&cluster.bootstrap_servers(), &[]);
    let error = Viewer::open(&kafka, &[TOPIC.to_owned()], From::End).unwrap_err();
    assert!(error.is_refused(), "{error:?}");
    let error = reading::stretches(&kafka, TOPIC).unwrap_err();
    assert!(error.is_refused() && !error.is_missing_topic(), "{error:?}");
}

#[test]
fn brokers_that_are_away_are_told_while_it_waits_and_so_is_their_return() {
    let cluster = cluster();
    let mut viewer = viewer(&cluster);
    assert_eq!(viewer.news(), None);
    cluster.broker_down(1).unwrap();
    assert!(matches!(news(&mut viewer), News::Away(said) if !said.is_empty()));
    assert_eq!(viewer.news(), None, "not at every look");
    cluster.broker_up(1).unwrap();
    viewer.away = Some(Instant::now().checked_sub(LOOK));
    let started = Instant::now();
    while viewer.news() != Some(News::Back) {
        assert!(started.elapsed() < DEADLINE, "it is back");
        viewer.away = Some(Instant::now().checked_sub(LOOK));
    }
    assert_eq!(viewer.news(), None);
}

#[test]
fn a_login_that_is_refused_is_told_from_brokers_that_do_not_answer() {
    let login = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "u"),
        ("sasl.password", "p"),
    ];
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (brokers, refused) in [(broker_that_refuses(), true), (closed, false)] {
        let kafka = kafka(&brokers, &login);
        let error = Viewer::open(&kafka, &[TOPIC.to_owned()], From::End).unwrap_err();
        assert_eq!(error.is_refused(), refused, "{error:?}");
        let error = reading::stretches(&kafka, TOPIC).unwrap_err();
        assert_eq!(error.is_refused(), refused, "{error:?}");
    }
}
