//! Results as they become visible, for waiting; `checker` reads the topic anew.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use serde_json::Value;

use super::{DEADLINE, orders::Order, stage::PARTITIONS};
use crate::harness::{avro::Decoder, registry::shared_registry, wait::wait_until};

const POLL: Duration = Duration::from_millis(20);

/// A `read_committed` reader of results.
pub(super) struct Feed {
    consumer: BaseConsumer,
    decoder: Decoder,
    topic: String,
    assigned: bool,
    /// By command id, in the order in which they came.
    seen: BTreeMap<String, Vec<Value>>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Feed {
    pub(super) fn new(brokers: &str, topic: &str) -> Self {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", "vomsis-test-feed")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "50")
            .set("isolation.level", "read_committed")
            .create()
            .unwrap();
        let decoder = Decoder::new(shared_registry().url());
        let topic = topic.to_owned();
        Self { consumer, decoder, topic, assigned: false, seen: BTreeMap::new() }
    }

    /// Takes what has become visible since; nothing while there is no topic.
    pub(super) fn catch_up(&mut self) {
        if !self.assigned && !self.assign() {
            return;
        }
        while let Some(message) = self.consumer.poll(POLL) {
            let message = match message {
                Ok(message) => message,
                // It connects again by itself; what does not come is missed by who waits for it.
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
                )) => continue,
                Err(error) => panic!("reading the results of the test: {error}"),
            };
            let result = self.decoder.decode(message.payload().expect("no tombstone here"));
            let id = result["command_id"].as_str().unwrap().to_owned();
            self.seen.entry(id).or_default().push(result);
        }
    }

    fn assign(&mut self) -> bool {
        let call = Duration::from_secs(30);
        let found = self.consumer.fetch_metadata(Some(&self.topic), call).unwrap();
        let count = found.topics().first().map_or(0, |topic| topic.partitions().len());
        if i32::try_from(count).unwrap() < PARTITIONS {
            return false;
        }
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(&self.topic, partition, Offset::Beginning).unwrap();
        }
        self.consumer.assign(&all).unwrap();
        self.assigned = true;
        true
    }

    /// What a command's results say, in order: `SUCCEEDED`.
    pub(super) fn outcomes(&self, order: &Order) -> Vec<&str> {
        self.results(order).iter().map(|result| result["outcome"].as_str().unwrap()).collect()
    }

    /// A command's results, in the order in which they came.
    pub(super) fn results(&self, order: &Order) -> &[Value] {
        self.seen.get(&order.id).map_or(&[][..], Vec::as_slice)
    }

    /// The newest of a command's own results.
    pub(super) fn newest(&self, order: &Order) -> Option<&Value> {
        self.seen.get(&order.id)?.iter().max_by_key(|result| result["sequence"].as_i64())
    }

    /// How many of these commands have no final result yet.
    pub(super) fn unfinished(&self, orders: &[Order]) -> usize {
        let is_final = |order| self.newest(order).is_some_and(|result| result["final"] == true);
        orders.iter().filter(|order| !is_final(order)).count()
    }

    /// Waits until every command has a final result; the deadline is one for the next of them, as
    /// thousands take as long as the machine wants.
    #[track_caller]
    pub(super) fn wait_for_final(&mut self, orders: &[Order]) {
        let mut left = self.unfinished(orders);
        while left > 0 {
            wait_until("one more command has its final result", DEADLINE, || {
                self.catch_up();
                self.unfinished(orders) < left
            });
            left = self.unfinished(orders);
        }
    }

    /// Waits until a command's newest result has this outcome; returns it. Another end fails the
    /// test at once: no result comes after it, but for a parked command that a person decides.
    #[track_caller]
    pub(super) fn wait_for(&mut self, order: &Order, outcome: &str) -> Value {
        wait_until(&format!("{} {} is {outcome}", order.kind, order.id), DEADLINE, || {
            self.catch_up();
            let Some(newest) = self.newest(order) else { return false };
            let is_meant = newest["outcome"] == outcome;
            let is_over = newest["final"] == true && newest["outcome"] != "PARKED";
            assert!(is_meant || !is_over, "{outcome} was expected: {newest}");
            is_meant
        });
        self.newest(order).unwrap().clone()
    }
}
