//! What people write: commands into their topic, and their words about commands into the journal.
//!
//! Their records are no transactions and take no lock: the owner reads them and acts.

use std::time::Duration;

use rdkafka::{
    error::KafkaError,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};

use crate::{
    config::model::Kafka,
    kafka::{
        settings::{Role, client_config},
        topics,
    },
};

use super::{
    command::CommandKey,
    journal::{
        codec,
        records::{Resolve, Stop},
    },
    lock::HEAD_PARTITION,
    text::clean,
};

const DELIVERY: Duration = Duration::from_secs(30);

/// What somebody typed as it is shown again: as it would be kept, without card numbers.
pub fn shown(text: &str) -> String {
    clean(text)
}

/// Turns the kill switch on or off, wherever the owner is.
///
/// # Errors
/// Where the record is not acknowledged.
pub async fn say_stop(kafka: &Kafka, stop: &Stop) -> Result<(), KafkaError> {
    // Words of people may hold what nobody may keep.
    let Stop { stopped, actor, reason, at } = stop;
    let (actor, reason) = (clean(actor), clean(reason));
    let value = codec::encode_stop(&Stop { stopped: *stopped, actor, reason, at: *at });
    let journal = kafka.topic(topics::JOURNAL);
    write(kafka, &journal, Some(HEAD_PARTITION), codec::STOP_KEY, &value).await
}

/// Decides about a parked command whose story lies in this partition.
///
/// # Errors
/// Where the record is not acknowledged.
pub async fn say_resolved(
    kafka: &Kafka,
    partition: i32,
    key: &CommandKey,
    decision: &Resolve,
) -> Result<(), KafkaError> {
    let Resolve { outcome, evidence, actor, at } = decision;
    let (evidence, actor) = (clean(evidence), clean(actor));
    let value = codec::encode_resolve(&Resolve { outcome: *outcome, evidence, actor, at: *at });
    let journal = kafka.topic(topics::JOURNAL);
    write(kafka, &journal, Some(partition), &codec::resolve_key(key), &value).await
}

/// Puts a command (Avro in the Confluent wire format) into its topic.
///
/// # Errors
/// Where the record is not acknowledged: it may have arrived, so the same bytes with the same
/// `command_id` may be sent again.
pub async fn submit(kafka: &Kafka, key: &str, value: &[u8]) -> Result<(), KafkaError> {
    write(kafka, &kafka.topic(topics::COMMANDS), None, key, value).await
}

async fn write(
    kafka: &Kafka,
    topic: &str,
    partition: Option<i32>,
    key: &str,
    value: &[u8],
) -> Result<(), KafkaError> {
    let producer: FutureProducer = client_config(kafka, &Role::Speaker)?.create()?;
    let mut record = FutureRecord::to(topic).key(key).payload(value);
    record.partition = partition;
    let sent = producer.send(record, Timeout::After(DELIVERY)).await;
    sent.map(drop).map_err(|(error, _)| error)
}
