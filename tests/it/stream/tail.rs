//! The topics of rows as they grow, and whether a transaction is open on them.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use vomsis_connect::domain::ids::Stream;

use super::{STREAMS, checker::Topics};
use crate::harness::{avro::Decoder, topics::record};

const CALL: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A `read_committed` reader that remembers how many versions of each row it has seen.
pub(super) struct Tail<'a> {
    topics: &'a Topics<'a>,
    committed: BaseConsumer,
    uncommitted: BaseConsumer,
    decoder: Decoder,
    partitions: BTreeMap<Stream, i32>,
    versions: HashMap<(String, Stream, String), usize>,
    total: usize,
}

impl<'a> Tail<'a> {
    pub(super) fn new(topics: &'a Topics<'a>) -> Self {
        let client = |isolation: &str| -> BaseConsumer {
            ClientConfig::new()
                .set("bootstrap.servers", topics.brokers)
                .set("group.id", "vomsis-test-tail")
                .set("enable.auto.commit", "false")
                .set("auto.offset.reset", "error")
                .set("fetch.wait.max.ms", "20")
                .set("isolation.level", isolation)
                .create()
                .unwrap()
        };
        Self {
            topics,
            committed: client("read_committed"),
            uncommitted: client("read_uncommitted"),
            decoder: Decoder::new(topics.registry),
            partitions: BTreeMap::new(),
            versions: HashMap::new(),
            total: 0,
        }
    }

    /// Takes what has become visible since; nothing while the topics do not exist.
    pub(super) fn catch_up(&mut self) {
        if self.partitions.is_empty() && !self.assign() {
            return;
        }
        while let Some(message) = self.committed.poll(POLL) {
            let message = match message {
                Ok(message) => message,
                // It connects again by itself; what does not come is missed by who waits for it.
                Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
                )) => continue,
                Err(error) => panic!("reading the topics of the test: {error}"),
            };
            let record = record(&message);
            let event = self.decoder.decode(record.value.as_ref().expect("no tombstone here"));
            let stream = STREAMS.into_iter().find(|s| self.topics.name(*s) == message.topic());
            let text = |name: &str| event["meta"][name].as_str().unwrap().to_owned();
            let key = (text("connection_id"), stream.expect("a topic of rows"), text("source_id"));
            *self.versions.entry(key).or_default() += 1;
            self.total += 1;
        }
    }

    /// Events seen so far.
    pub(super) const fn total(&self) -> usize {
        self.total
    }

    /// Versions of a row that were seen so far.
    pub(super) fn versions(&self, connection: &str, stream: Stream, id: i64) -> usize {
        let key = (connection.to_owned(), stream, id.to_string());
        self.versions.get(&key).copied().unwrap_or_default()
    }

    /// Whether bank rows lie behind the last stable offset of their topic.
    pub(super) fn is_transaction_open(&self) -> bool {
        let topic = self.topics.name(Stream::BankTransactions);
        let count = self.partitions.get(&Stream::BankTransactions).copied().unwrap_or_default();
        (0..count).any(|partition| {
            let end = |of: &BaseConsumer| of.fetch_watermarks(&topic, partition, CALL).unwrap().1;
            // In this order: a transaction that ends in between is none.
            let all = end(&self.uncommitted);
            end(&self.committed) < all
        })
    }

    fn assign(&mut self) -> bool {
        let mut start = TopicPartitionList::new();
        let mut partitions = BTreeMap::new();
        for stream in STREAMS {
            let name = self.topics.name(stream);
            let metadata = self.committed.fetch_metadata(Some(&name), CALL).unwrap();
            let topic = metadata.topics().first().expect("metadata of the topic");
            if topic.error().is_some() || topic.partitions().is_empty() {
                return false;
            }
            let count = i32::try_from(topic.partitions().len()).unwrap();
            for partition in 0..count {
                start.add_partition_offset(&name, partition, Offset::Beginning).unwrap();
            }
            partitions.insert(stream, count);
        }
        self.committed.assign(&start).unwrap();
        self.partitions = partitions;
        true
    }
}
