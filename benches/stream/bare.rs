//! The limit to compare with: a producer that sends ready bytes in transactions, and nothing else.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::harness::topics::Record;

const CALL: Duration = Duration::from_secs(60);
/// Records of a transaction, as the issue names it.
const TRANSACTION: usize = 5_000;

/// Sends the records to `topic`; how long it took from the first one to the last commit.
pub(crate) fn produce(bootstrap: &str, topic: &str, records: &[Record]) -> Duration {
    // The connector's own producer settings, so that only its work beyond sending differs; how many
    // records a batch takes is librdkafka's own.
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", topic)
        .set("compression.type", "lz4")
        .set("linger.ms", "2")
        .set("queue.buffering.max.kbytes", "65536")
        .create()
        .unwrap();
    producer.init_transactions(CALL).unwrap();
    let started = Instant::now();
    for transaction in records.chunks(TRANSACTION) {
        producer.begin_transaction().unwrap();
        for record in transaction {
            send(&producer, topic, record);
        }
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::ZERO);
            std::thread::sleep(Duration::from_micros(200));
        }
        producer.commit_transaction(CALL).unwrap();
    }
    started.elapsed()
}

fn send(producer: &BaseProducer, topic: &str, record: &Record) {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: Some(value.as_str()) });
    }
    let key = record.key.as_deref().unwrap();
    let value = record.value.as_deref().unwrap();
    let mut message = BaseRecord::to(topic).key(key).payload(value).headers(headers);
    while let Err((_, back)) = producer.send(message) {
        // Only a full queue is expected; anything else shows in the commit.
        message = back;
        producer.poll(Duration::ZERO);
    }
}
