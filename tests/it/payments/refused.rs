//! Journal, offsets or topics are not as they must be: the sink says what and what to do, and sends
//! nothing.

use std::fs;

use rdkafka::Offset;

use super::{
    DEADLINE,
    again::{committed, delete_the_group, reset_to_the_earliest},
    orders::{Order, produce},
    stage::{OWNED, PARTITIONS, STOPPED, Stage, change, end},
};
use crate::harness::{
    damage, http,
    process::{Home, Process},
    scrape::Scrape,
    topics::create_topic,
    wait::wait_until,
};

const JOURNAL: &str = "internal.payment-journal";
const COMMANDS: &str = "payment.commands";
/// The program does not start with such topics.
const FAILED: i32 = 1;

/// A deployment that has executed some commands and ended; one more command waits.
#[derive(Debug)]
pub(super) struct Paid {
    pub(super) stage: Stage,
    pub(super) home: Home,
    pub(super) orders: Vec<Order>,
}

impl Paid {
    pub(super) fn new(test: &str) -> Self {
        let stage = Stage::new(test);
        stage.pay(&["A", "B", "C", "D"], "100.00");
        let home = stage.home();
        let mut orders: Vec<Order> =
            ["A", "B", "C", "D"].iter().map(|reference| Order::refund(reference, 100)).collect();
        stage.shop.send(&orders);
        let mut connector = home.run();
        stage.feed().wait_for_final(&orders);
        // Its last word before it ends is how far it came.
        end(&mut connector);
        let waiting = Order::refund("A", 999);
        stage.shop.send([&waiting]);
        orders.push(waiting);
        Self { stage, home, orders }
    }

    /// The sink stops, saying all of this, and is not ready; the process lives.
    #[track_caller]
    pub(super) fn assert_stops(&self, words: &[&str]) -> Process {
        let mut connector = self.home.run();
        let line = connector.wait_for_line(STOPPED, DEADLINE);
        for word in words {
            assert!(line.contains(word), "{word:?} is not said: {line}");
        }
        let address = connector.address(DEADLINE);
        let ready = http::get(address, "/readyz?verbose").unwrap();
        assert_eq!(ready.status, 503, "{}", ready.body);
        assert_eq!(http::get(address, "/livez").unwrap().status, 200);
        let status = http::get(address, "/api/v1/status").unwrap().body;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert_eq!(status["sink"]["state"], "stopped", "{status}");
        assert!(status["verdict"].as_str().unwrap().contains("payment sink stopped"), "{status}");
        for (state, expected) in [("stopped", 1.0_f64), ("owned", 0.0)] {
            let shown = Scrape::of(address).value("vomsis_sink_state", &[("state", state)]);
            assert!((shown - expected).abs() < f64::EPSILON, "{state} {shown}");
        }
        self.assert_nothing_sent();
        connector
    }

    #[track_caller]
    fn assert_nothing_sent(&self) {
        assert_eq!(self.stage.posts().iter().count(), self.orders.len() - 1, "nothing is sent");
    }

    /// The program ends at its start, saying all of this.
    #[track_caller]
    fn assert_ends(&self, words: &[&str]) {
        let mut connector = self.home.run();
        assert_eq!(connector.wait(DEADLINE), FAILED, "{}", connector.stderr());
        for word in words {
            assert!(connector.stderr().contains(word), "{word:?}: {}", connector.stderr());
        }
        self.assert_nothing_sent();
    }
}

#[test]
fn an_emptied_journal_stops_the_sink() {
    let paid = Paid::new("pay-emptied");
    let (brokers, topic) = (paid.stage.brokers(), paid.stage.topic(JOURNAL));
    damage::cut(brokers, &topic, PARTITIONS, Offset::End);
    let words = ["JOURNAL_REGRESSION", topic.as_str(), "restore", "docs/payments.md"];
    let mut connector = paid.assert_stops(&words);
    end(&mut connector);
    // Not even a second try goes on.
    paid.assert_stops(&words);
}

#[test]
fn a_cut_journal_stops_the_sink() {
    let paid = Paid::new("pay-cut");
    let topic = paid.stage.topic(JOURNAL);
    damage::cut(paid.stage.brokers(), &topic, PARTITIONS, Offset::Offset(2));
    paid.assert_stops(&["JOURNAL_REGRESSION", &topic, "restore"]);
}

#[test]
fn a_journal_that_is_missing_or_made_anew_stops_the_sink() {
    let paid = Paid::new("pay-missing");
    let (brokers, topic) = (paid.stage.brokers(), paid.stage.topic(JOURNAL));
    damage::delete(brokers, &topic);
    change(&paid.home, "replication_factor: 1", "replication_factor: 1\n  manage_topics: false");
    paid.assert_ends(&["missing topics", &topic, "topics apply"]);
    // Where topics are made by themselves, the new one is empty.
    change(&paid.home, "manage_topics: false", "manage_topics: true");
    paid.assert_stops(&["JOURNAL_REGRESSION", &topic, "restore"]);
}

/// A tool sets offsets without the note of how far the journal went.
#[test]
fn a_journal_that_is_made_anew_stops_the_sink_though_a_tool_has_set_the_groups_offsets() {
    let paid = Paid::new("pay-set-anew");
    let topic = paid.stage.topic(JOURNAL);
    damage::recreate(paid.stage.brokers(), &topic, PARTITIONS, "compact");
    reset_to_the_earliest(&paid.stage);
    paid.assert_stops(&["JOURNAL_REGRESSION", &topic, "is empty, but the group has taken"]);
}

#[test]
fn a_journal_that_is_lost_together_with_the_groups_offsets_stops_the_sink() {
    let paid = Paid::new("pay-forgotten");
    let brokers = paid.stage.brokers();
    let (journal, commands) = (paid.stage.topic(JOURNAL), paid.stage.topic(COMMANDS));
    damage::recreate(brokers, &journal, PARTITIONS, "compact");
    delete_the_group(&paid.stage);
    let results = paid.stage.topic("payment.results");
    let words = ["JOURNAL_REGRESSION", &journal, &results, &commands, "restore", "payments.md"];
    end(&mut paid.assert_stops(&words));
    // Not even a second try goes on; with the commands gone too it is a new beginning.
    end(&mut paid.assert_stops(&words));
    damage::recreate(brokers, &commands, PARTITIONS, "delete");
    let next = Order::refund("B", 50);
    paid.stage.shop.send([&next]);
    let mut connector = paid.home.run();
    paid.stage.feed().wait_for(&next, "SUCCEEDED");
    end(&mut connector);
    assert_eq!(paid.stage.posts().iter().count(), paid.orders.len(), "the new one alone");
}

#[test]
fn a_partition_of_the_journal_that_is_lost_together_with_the_groups_offsets_stops_the_sink() {
    let paid = Paid::new("pay-forgotten-part");
    let brokers = paid.stage.brokers();
    let (journal, commands) = (paid.stage.topic(JOURNAL), paid.stage.topic(COMMANDS));
    // As after a backup that lacks a partition: of the first one nothing is left.
    let sent = paid.stage.records(COMMANDS);
    assert!(sent.iter().any(|record| record.partition == 0), "what would be sent again lies there");
    let kept = paid.stage.records(JOURNAL).into_iter().filter(|record| record.partition != 0);
    let kept: Vec<_> = kept.collect();
    damage::recreate(brokers, &journal, PARTITIONS, "compact");
    for record in &kept {
        let (key, value) = (record.key.as_ref().unwrap(), record.value.as_ref().unwrap());
        produce(brokers, &journal, record.partition, key, value);
    }
    delete_the_group(&paid.stage);
    let words =
        ["JOURNAL_REGRESSION", &format!("{journal}[0]"), &format!("{commands}[0]"), "restore"];
    end(&mut paid.assert_stops(&words));
    // Not even a second try goes on.
    end(&mut paid.assert_stops(&words));
}

#[test]
fn a_journal_that_lost_its_tail_stops_the_sink() {
    let paid = Paid::new("pay-tail");
    let (brokers, topic) = (paid.stage.brokers(), paid.stage.topic(JOURNAL));
    // As after a leader that had not got everything: the same journal, without its newest records.
    let records = paid.stage.records(JOURNAL);
    damage::recreate(brokers, &topic, PARTITIONS, "compact");
    for partition in 0..PARTITIONS {
        let mine: Vec<_> = records.iter().filter(|r| r.partition == partition).collect();
        let (_, kept) = mine.split_last().expect("each partition has its identity at least");
        for record in kept.iter().chain(mine.first().filter(|_| kept.is_empty())) {
            let (key, value) = (record.key.as_ref().unwrap(), record.value.as_ref().unwrap());
            produce(brokers, &topic, partition, key, value);
        }
    }
    paid.assert_stops(&["JOURNAL_REGRESSION", &topic, "it ends at", "the group noted", "restore"]);
}

#[test]
fn a_journal_that_disappears_while_it_runs_stops_the_sink() {
    let paid = Paid::new("pay-disappears");
    let mut connector = paid.home.run();
    paid.stage.feed().wait_for_final(&paid.orders);
    damage::delete(paid.stage.brokers(), &paid.stage.topic(JOURNAL));
    let unpaid = Order::refund("B", 999);
    paid.stage.shop.send([&unpaid]);
    let line = connector.wait_for_line(STOPPED, DEADLINE);
    assert!(line.contains(&paid.stage.topic(JOURNAL)), "{line}");
    assert_eq!(paid.stage.posts().iter().count(), paid.orders.len(), "it never got a permission");
}

#[test]
fn commands_that_were_deleted_unread_stop_the_sink() {
    let paid = Paid::new("pay-unread");
    let (brokers, topic) = (paid.stage.brokers(), paid.stage.topic(COMMANDS));
    damage::delete_records(brokers, &topic, PARTITIONS, Offset::End);
    paid.assert_stops(&[&topic, "deleted unread", "consumer-groups", "not executed again"]);
}

#[test]
fn a_recreated_command_topic_executes_nothing_again() {
    let paid = Paid::new("pay-recreated");
    let (brokers, topic) = (paid.stage.brokers(), paid.stage.topic(COMMANDS));
    // The broker forgets the group's offsets with the topic; the journal knows every command.
    damage::recreate(brokers, &topic, PARTITIONS, "delete");
    paid.stage.shop.send(&paid.orders);
    let mut connector = paid.home.run();
    paid.stage.feed().wait_for_final(&paid.orders);
    wait_until("all are read", DEADLINE, || committed(&paid.stage) == paid.orders.len());
    end(&mut connector);
    assert_eq!(paid.stage.posts().iter().count(), paid.orders.len());
    paid.stage.check(&paid.orders);
}

#[test]
fn unread_commands_that_went_with_their_topic_stop_the_sink() {
    let paid = Paid::new("pay-went");
    let (brokers, topic) = (paid.stage.brokers(), paid.stage.topic(COMMANDS));
    damage::recreate(brokers, &topic, PARTITIONS, "delete");
    paid.assert_stops(&[&topic, "holds offsets 0 to 0", "recreated", "consumer-groups"]);
}

#[test]
fn commands_and_journal_of_unequal_partitions_are_refused() {
    let paid = Paid::new("pay-unequal");
    let topic = paid.stage.topic(COMMANDS);
    damage::widen(paid.stage.brokers(), &topic, 3);
    let journal = format!("topic {} has 2 partitions", paid.stage.topic(JOURNAL));
    paid.assert_ends(&["VOM-KFK-004", &journal, &format!("{topic} has 3"), "as many"]);
}

#[test]
fn commands_that_are_compacted_are_refused() {
    let paid = Paid::new("pay-compacted");
    let topic = paid.stage.topic(COMMANDS);
    damage::set_policy(paid.stage.brokers(), &topic, "compact");
    let said = format!("topic {topic} has cleanup.policy=compact, wanted delete");
    paid.assert_ends(&["VOM-KFK-004", &said]);
    damage::set_policy(paid.stage.brokers(), &topic, "compact,delete");
    paid.assert_ends(&["VOM-KFK-004", "cleanup.policy=compact,delete, wanted delete"]);
}

#[test]
fn the_journal_of_another_deployment_is_refused_while_the_first_goes_on() {
    let paid = Paid::new("pay-others");
    let prefix = &paid.stage.prefix;
    let mut first = paid.home.run();
    paid.stage.feed().wait_for_final(&paid.orders);
    for (env, group) in [("other", prefix.clone()), ("test", format!("{prefix}-2"))] {
        let home = paid.stage.home_of(env, &group);
        // One group would only place the two: stopped, the first one gives its place away.
        if group == *prefix {
            first.sigstop();
        }
        let mut second = home.run();
        let line = second.wait_for_line(STOPPED, DEADLINE);
        let ours = format!("{env}.{prefix}.{group}.sink.v1");
        let theirs = format!("test.{prefix}.{prefix}.sink.v1");
        for word in ["belongs to the deployment", &ours, &theirs, "one command topic"] {
            assert!(line.contains(word), "{word:?} is not said: {line}");
        }
        assert_eq!(paid.stage.posts().iter().count(), paid.orders.len());
        end(&mut second);
        first.sigcont();
    }
    let next = Order::refund("C", 999);
    paid.stage.shop.send([&next]);
    paid.stage.feed().wait_for(&next, "SUCCEEDED");
    let mut orders = paid.orders.clone();
    orders.push(next);
    paid.stage.check(&orders);
    assert!(first.is_running());
}

#[test]
fn damaged_newer_or_foreign_records_of_the_journal_stop_the_sink() {
    type Spoil = fn(&mut String, &mut Vec<u8>);
    let ways: [(Spoil, &[&str]); 3] = [
        (|_, value| value[1] = 9, &["format version 9", "newer program"]),
        (|_, value| value.truncate(9), &["damaged", "do not delete"]),
        (|key, _| "what/is-this".clone_into(key), &["what/is-this", "none of this program's"]),
    ];
    for (spoil, words) in ways {
        let paid = Paid::new("pay-damaged");
        let topic = paid.stage.topic(JOURNAL);
        let record = paid.stage.records(JOURNAL).pop().unwrap();
        let (mut key, mut value) = (record.key.unwrap(), record.value.unwrap());
        spoil(&mut key, &mut value);
        produce(paid.stage.brokers(), &topic, record.partition, &key, &value);
        paid.assert_stops(&[&[topic.as_str()], words].concat());
    }
}

#[test]
fn a_first_start_beside_an_empty_journal_is_none_of_these() {
    let stage = Stage::new("pay-first");
    stage.pay(&["A"], "10.00");
    create_topic(
        stage.brokers(),
        &stage.topic(JOURNAL),
        PARTITIONS,
        &[("cleanup.policy", "compact")],
    );
    let home = stage.home();
    let order = Order::refund("A", 100);
    stage.shop.send([&order]);
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    stage.feed().wait_for(&order, "SUCCEEDED");
    // Whatever the local disk says: the journal is in Kafka.
    end(&mut connector);
    fs::remove_dir_all(home.path().join("state")).unwrap();
    let mut connector = home.run();
    stage.shop.send([&order]);
    wait_until("it is told again", DEADLINE, || {
        let mut feed = stage.feed();
        feed.catch_up();
        feed.outcomes(&order).len() == 2
    });
    end(&mut connector);
    stage.check(&[order]);
}
