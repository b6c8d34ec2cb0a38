//! Topics as a `read_committed` reader sees them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Headers,
    metadata::MetadataPartition,
    types::RDKafkaErrorCode,
};

use super::wait::{GENEROUS, wait_for};

const CALL: Duration = Duration::from_secs(30);
/// `default.replication.factor`.
const AS_THE_BROKER_SAYS: i32 = -1;
const READ: Duration = Duration::from_secs(120);

/// A record that is committed and visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    /// `None` is a tombstone.
    pub(crate) value: Option<Vec<u8>>,
}

/// A topic prefix that no other test and no earlier run on the same broker has used.
pub(crate) fn unique_prefix(test: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{test}-{}-{count}", uuid::Uuid::new_v4().simple())
}

/// An admin client, for what the functions below don't do.
pub(crate) fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap()
}

/// Creates a topic with these configs and the broker's own number of replicas.
#[track_caller]
pub(crate) fn create_topic(
    bootstrap: &str,
    topic: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) {
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(AS_THE_BROKER_SAYS));
    for (key, value) in configs {
        new = new.set(key, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(CALL)).request_timeout(Some(CALL));
    let admin = admin(bootstrap);
    let results = block_on(admin.create_topics([&new], &options)).expect("the broker answers");
    for result in results {
        result.unwrap_or_else(|(topic, code)| panic!("creating {topic}: {code}"));
    }
    // The controller has made it; the broker may learn of it a moment later.
    wait_for(&format!("the broker knows {topic}"), GENEROUS, || {
        let metadata = admin.inner().fetch_metadata(Some(topic), CALL).ok()?;
        let known = metadata.topics().first()?;
        let count = i32::try_from(known.partitions().len()).ok()?;
        (known.error().is_none() && count == partitions).then_some(())
    });
}

/// Runs a future of an async client in a test that is not async.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Every record of a topic up to its end at the time of the call, by partition and offset.
///
/// The end is the high watermark, and a partition is read when an end-of-partition event finds
/// the position there: the first such event alone may come earlier, at an open transaction.
#[track_caller]
pub(crate) fn read_to_end(bootstrap: &str, topic: &str) -> Vec<Record> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "vomsis-test-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "50");
    let ends = high_watermarks(&mut config, topic);
    let consumer: BaseConsumer = config.set("isolation.level", "read_committed").create().unwrap();
    let mut start = TopicPartitionList::new();
    for (&partition, &(low, _)) in &ends {
        start.add_partition_offset(topic, partition, Offset::Offset(low)).unwrap();
    }
    consumer.assign(&start).unwrap();
    let mut open: HashMap<i32, i64> = ends
        .iter()
        .filter(|(_, (low, high))| high > low)
        .map(|(&p, &(_, high))| (p, high))
        .collect();
    let mut records = Vec::new();
    let begin = Instant::now();
    while !open.is_empty() {
        assert!(begin.elapsed() < READ, "{topic} cannot be read to its end: {open:?} are left");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => records.push(record(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                let reached = position(&consumer, topic, partition);
                if open.get(&partition).is_some_and(|&end| reached >= end) {
                    open.remove(&partition);
                }
            }
            // A connection that was lost is made again by the client itself.
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
            )))
            | None => {}
            Some(Err(e)) => panic!("reading {topic}: {e}"),
        }
    }
    records.retain(|r| ends.get(&r.partition).is_some_and(|&(_, high)| r.offset < high));
    records.sort_by_key(|r| (r.partition, r.offset));
    records
}

/// How many partitions a topic has.
#[track_caller]
pub(crate) fn partition_count(bootstrap: &str, topic: &str) -> u32 {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let metadata = client.fetch_metadata(Some(topic), CALL).expect("the broker answers");
    let found = metadata.topics().first().expect("metadata of the topic");
    assert!(found.error().is_none(), "{topic}: {:?}", found.error());
    u32::try_from(found.partitions().len()).unwrap()
}

/// The topics whose name begins so, without their beginning.
#[track_caller]
pub(crate) fn topics_below(bootstrap: &str, prefix: &str) -> BTreeSet<String> {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
    let metadata = client.fetch_metadata(None, CALL).expect("the broker answers");
    let names = metadata.topics().iter();
    names.filter_map(|topic| topic.name().strip_prefix(prefix)).map(str::to_owned).collect()
}

/// Log start and true end of each partition, what is not committed included.
#[track_caller]
pub(crate) fn ends(bootstrap: &str, topic: &str) -> BTreeMap<i32, (i64, i64)> {
    high_watermarks(ClientConfig::new().set("bootstrap.servers", bootstrap), topic)
}

/// Log start and true end (not the last stable offset) of each partition. A topic that was created
/// a moment ago is waited for: its broker may not know it yet.
fn high_watermarks(config: &mut ClientConfig, topic: &str) -> BTreeMap<i32, (i64, i64)> {
    let uncommitted: BaseConsumer =
        config.set("isolation.level", "read_uncommitted").create().unwrap();
    wait_for(&format!("the watermarks of {topic}"), GENEROUS, || {
        let metadata = uncommitted.fetch_metadata(Some(topic), CALL).expect("the broker answers");
        let topic = metadata.topics().first().filter(|topic| topic.error().is_none())?;
        let watermarks = |p: &MetadataPartition| {
            let found = uncommitted.fetch_watermarks(topic.name(), p.id(), CALL).ok()?;
            Some((p.id(), found))
        };
        topic.partitions().iter().map(watermarks).collect()
    })
}

fn position(consumer: &BaseConsumer, topic: &str, partition: i32) -> i64 {
    let positions = consumer.position().unwrap();
    match positions.find_partition(topic, partition).map(|p| p.offset()) {
        Some(Offset::Offset(offset)) => offset,
        _ => -1,
    }
}

/// A message of any consumer.
pub(crate) fn record(message: &impl Message) -> Record {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = message.headers().map(|headers| {
        let pair = |h: rdkafka::message::Header<'_, &[u8]>| {
            (h.key.to_owned(), h.value.map(text).unwrap_or_default())
        };
        headers.iter().map(pair).collect()
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(text),
        headers: headers.unwrap_or_default(),
        value: message.payload().map(<[u8]>::to_vec),
    }
}
