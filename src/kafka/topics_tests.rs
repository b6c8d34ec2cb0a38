//! What there should be against what there is, and a broker that knows nobody.

use std::net::TcpListener;

use super::*;
use crate::{domain::schemas, kafka::refusing_broker::broker_that_refuses};

fn topic(partitions_fixed: bool) -> Desired {
    Desired {
        name: "vomsis.x".into(),
        key: "connection/id",
        holds: "X",
        partitions: 8,
        partitions_fixed,
        partitions_like: None,
        replication: 1,
        cleanup: Some(Cleanup::Compact),
        min_insync_replicas: Some(2),
        holds_truth: false,
    }
}

fn found(partitions: i32, cleanup: &str) -> BTreeMap<String, Actual> {
    let found = Actual {
        partitions,
        replication: 1,
        cleanup: cleanup.into(),
        min_insync_replicas: Some(1),
    };
    [("vomsis.x".to_owned(), found)].into()
}

#[test]
fn a_missing_topic_is_created_only_where_that_is_allowed() {
    let steps = plan(&[topic(true)], &BTreeMap::new());
    assert_eq!(check(&steps, true).unwrap(), [topic(true)]);
    assert!(matches!(check(&steps, false), Err(Error::Missing(names)) if names == "vomsis.x"));
}

#[test]
fn more_replicas_than_brokers_are_told_of_what_is_missing_alone() {
    let wanted = Desired { replication: 3, ..topic(true) };
    let said = |there: &BTreeMap<String, Actual>, brokers| {
        too_few_brokers(&plan(std::slice::from_ref(&wanted), there)[0], brokers)
    };
    let few = said(&BTreeMap::new(), 1).unwrap();
    assert!(few.contains("wants 3 replicas") && few.contains("1 broker is up"), "{few}");
    assert!(said(&BTreeMap::new(), 2).unwrap().contains("2 brokers are up"));
    assert_eq!(said(&BTreeMap::new(), 3), None);
    assert_eq!(said(&found(8, "compact"), 1), None);
}

#[test]
fn conflicts_name_both_values() {
    let wrong = check(&plan(&[topic(true)], &found(3, "compact")), true).unwrap_err();
    assert!(wrong.to_string().contains("3 partitions"), "{wrong}");
    assert!(wrong.to_string().contains("wants 8"), "{wrong}");
    let wrong = check(&plan(&[topic(true)], &found(8, "delete")), true).unwrap_err();
    assert!(wrong.to_string().contains("cleanup.policy=delete, wanted compact"), "{wrong}");
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_both_values() {
    let other = Desired { name: "vomsis.y".into(), replication: 3, ..topic(true) };
    let mut there = found(3, "delete");
    there.insert("vomsis.y".into(), there["vomsis.x"].clone());
    let wrong = check(&plan(&[topic(true), other], &there), true).unwrap_err().to_string();
    assert_eq!(
        wrong,
        "topic vomsis.x has 3 partitions, kafka.shards wants 8; has cleanup.policy=delete, wanted \
         compact\ntopic vomsis.y has 3 partitions, kafka.shards wants 8; has \
         cleanup.policy=delete, wanted compact; has 1 replica, kafka.replication_factor wants 3"
    );
}

#[test]
fn every_topic_says_what_its_keys_are_and_what_it_holds() {
    for topic in desired(&kafka(1), true) {
        let own = topic.name.contains(".internal.") || topic.name.ends_with(".rejected");
        let record = schemas::ALL.iter().any(|schema| schema.name == topic.holds);
        assert!(record != own && !topic.key.is_empty(), "{topic:?}");
        let list = topic.name.contains(".reference.");
        assert!(list || topic.key != "connection/id", "a guess: {topic:?}");
    }
}

#[test]
fn the_journal_has_as_many_partitions_as_the_commands() {
    let journal = Desired { partitions_like: Some("vomsis.c".into()), ..topic(false) };
    let mut there = found(8, "compact");
    let commands = Actual {
        partitions: 3,
        replication: 1,
        cleanup: "delete".into(),
        min_insync_replicas: None,
    };
    there.insert("vomsis.c".into(), commands);
    let wrong = check(&plan(std::slice::from_ref(&journal), &there), true).unwrap_err().to_string();
    assert!(wrong.contains("has 8 partitions") && wrong.contains("vomsis.c has 3"), "{wrong}");
    there.remove("vomsis.x");
    assert_eq!(check(&plan(&[journal], &there), true).unwrap()[0].partitions, 3);
}

#[test]
fn event_topics_may_have_any_number_of_partitions() {
    let steps = plan(&[topic(false)], &found(3, "compact"));
    assert_eq!(check(&steps, false).unwrap(), []);
}

fn kafka(replication_factor: i32) -> Kafka {
    let text = format!(
        "connections: [{{id: a, bank_pos: {{app_key_file: k, app_secret_file: s}}}}]\n\
         kafka: {{shards: 2, replication_factor: {replication_factor}}}\n"
    );
    crate::config::parse("c", &text, std::iter::empty()).unwrap().config.kafka
}

#[test]
fn topics_with_data_want_two_replicas_in_sync_where_there_are_two() {
    for (factor, wanted) in [(1, 1), (2, 2), (3, 2), (5, 2)] {
        let topics = desired(&kafka(factor), true);
        assert_eq!(topics.len(), 18);
        for topic in topics {
            let wanted = topic.cleanup.map(|_| wanted);
            assert_eq!(topic.min_insync_replicas, wanted, "{}", topic.name);
        }
    }
}

#[test]
fn a_truth_that_one_broker_alone_may_hold_is_worth_a_warning_and_no_more() {
    let topics = desired(&kafka(3), true);
    let weak = |replication: i32, min_insync: i32| {
        let there = topics.iter().map(|topic| {
            let cleanup = topic.cleanup.map_or("delete", Cleanup::as_str).to_owned();
            let min_insync_replicas = Some(min_insync);
            let partitions = topic.partitions;
            (topic.name.clone(), Actual { partitions, replication, cleanup, min_insync_replicas })
        });
        let steps = plan(&topics, &there.collect());
        assert_eq!(check(&steps, false).unwrap(), []);
        steps.iter().filter_map(weakness).collect::<Vec<_>>()
    };
    let said = weak(3, 1);
    let [state, journal] = said.as_slice() else { panic!("{said:?}") };
    assert!(state.contains("vomsis.internal.state has min.insync.replicas=1"), "{state}");
    assert!(journal.contains("vomsis.internal.payment-journal has"), "{journal}");
    assert!(weak(3, 2).is_empty() && weak(2, 1).is_empty() && weak(1, 1).is_empty());
}

#[test]
fn brokers_that_are_still_starting_are_waited_for_and_other_refusals_are_not() {
    use RDKafkaErrorCode as Code;
    let error = not_created("vomsis.x".to_owned(), Code::InvalidReplicationFactor, 3);
    assert!(error.is_transient() && !error.is_refused(), "{error:?}");
    assert_eq!(error.event(), Event::TooFewBrokers);
    let said = error.to_string();
    assert!(said.contains("vomsis.x") && said.contains("wants 3 replicas"), "{said}");
    let error = not_created("vomsis.x".to_owned(), Code::PolicyViolation, 3);
    assert!(!error.is_transient(), "{error:?}");
    assert_eq!(error.event(), Event::TopicMismatch);
}

#[tokio::test]
async fn a_setting_that_librdkafka_refuses_is_not_waited_for() {
    let mut kafka = kafka(1);
    kafka.properties = [("sasl.pasword".to_owned(), "x".to_owned())].into();
    let error = actual(&kafka, &[topic(true)]).await.unwrap_err();
    assert!(matches!(error, Error::Setting { .. }) && !error.is_transient(), "{error:?}");
    assert_eq!(error.event(), Event::KafkaSetting);
    assert!(error.to_string().contains("sasl.pasword"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_missing_is_no_broker_that_does_not_answer() {
    let mut kafka = kafka(1);
    kafka.property_files = [("sasl.password".to_owned(), "/nowhere/password".into())].into();
    let error = actual(&kafka, &[topic(true)]).await.unwrap_err();
    assert!(matches!(error, Error::Unmade { .. }), "{error:?}");
    assert!(error.is_transient() && !error.is_refused(), "it may come while the connector waits");
    assert_eq!(error.event(), Event::KafkaFile);
    let said = error.to_string();
    assert!(said.contains("sasl.password: cannot read /nowhere/password"), "{said}");
    assert!(!said.contains(&kafka.bootstrap_servers), "they were not asked: {said}");
}

#[test]
fn a_right_that_is_missing_is_a_refusal_whichever_it_is() {
    use RDKafkaErrorCode as Code;
    for code in [Code::GroupAuthorizationFailed, Code::TransactionalIdAuthorizationFailed] {
        assert!(is_refusal(code), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_is_told_from_a_broker_that_does_not_answer() {
    let mut kafka = kafka(1);
    let properties = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", "u"),
        ("sasl.password", "p"),
    ];
    kafka.bootstrap_servers = broker_that_refuses();
    kafka.properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let error = actual(&kafka, &[topic(true)]).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && error.is_transient(), "{error:?}");
    assert_eq!(error.event(), Event::KafkaRefused);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    kafka.bootstrap_servers = closed.to_string();
    let error = actual(&kafka, &[topic(true)]).await.unwrap_err();
    assert!(matches!(error, Error::Kafka { .. }) && !error.is_refused(), "{error:?}");
    assert_eq!(error.event(), Event::KafkaUnavailable);
}
