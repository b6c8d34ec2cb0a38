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
        reading::refuses,
        settings::{Role, client_config, is_unmade},
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

/// Why a record is not acknowledged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// It was not written.
    #[error("nothing was written: {0}")]
    Refused(KafkaError),
    /// Nobody knows: it may be that the acknowledgement alone was lost.
    #[error("not known to be written: {0}")]
    Unknown(KafkaError),
}

impl Error {
    fn of(error: KafkaError) -> Self {
        use rdkafka::types::RDKafkaErrorCode as Code;
        let is_refused = match &error {
            unmade if is_unmade(unmade) => true,
            KafkaError::MessageProduction(
                Code::QueueFull
                | Code::MessageSizeTooLarge
                | Code::InvalidMessageSize
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::UnknownTopicOrPartition
                | Code::InvalidTopic
                | Code::InvalidRecord
                | Code::PolicyViolation,
            ) => true,
            other => refuses(other),
        };
        if is_refused { Self::Refused(error) } else { Self::Unknown(error) }
    }

    /// Whether Kafka refused the login or a right: waiting does not help against it.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Refused(error) if refuses(error))
    }

    /// Whether no client could be made of the settings, whatever the brokers do.
    pub const fn is_setting(&self) -> bool {
        matches!(self, Self::Refused(error) if is_unmade(error))
    }
}

/// What somebody typed as it is shown again: as it would be kept, without card numbers.
pub fn shown(text: &str) -> String {
    clean(text)
}

/// Turns the kill switch on or off, wherever the owner is.
///
/// # Errors
/// Where the record is not acknowledged; it may be written all the same.
pub async fn say_stop(kafka: &Kafka, stop: &Stop) -> Result<(), Error> {
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
/// Where the record is not acknowledged; it may be written all the same.
pub async fn say_resolved(
    kafka: &Kafka,
    partition: i32,
    key: &CommandKey,
    decision: &Resolve,
) -> Result<(), Error> {
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
pub async fn submit(kafka: &Kafka, key: &str, value: &[u8]) -> Result<(), Error> {
    write(kafka, &kafka.topic(topics::COMMANDS), None, key, value).await
}

async fn write(
    kafka: &Kafka,
    topic: &str,
    partition: Option<i32>,
    key: &str,
    value: &[u8],
) -> Result<(), Error> {
    let config = client_config(kafka, &Role::Speaker).map_err(Error::of)?;
    let producer: FutureProducer = config.create().map_err(Error::of)?;
    let mut record = FutureRecord::to(topic).key(key).payload(value);
    record.partition = partition;
    let sent = producer.send(record, Timeout::After(DELIVERY)).await;
    sent.map(drop).map_err(|(error, _)| Error::of(error))
}

#[cfg(test)]
mod tests {
    use rdkafka::types::RDKafkaErrorCode as Code;

    use super::*;

    #[test]
    fn only_what_was_surely_not_written_is_told_so() {
        let of = |code| Error::of(KafkaError::MessageProduction(code));
        for code in [Code::QueueFull, Code::TopicAuthorizationFailed, Code::UnknownTopicOrPartition]
        {
            assert!(matches!(of(code), Error::Refused(_)), "{code}");
            assert!(of(code).to_string().starts_with("nothing was written: "), "{code}");
        }
        // The last one was appended by its leader.
        for code in [
            Code::MessageTimedOut,
            Code::BrokerTransportFailure,
            Code::NotEnoughReplicasAfterAppend,
        ] {
            assert!(matches!(of(code), Error::Unknown(_)), "{code}");
            assert!(of(code).to_string().starts_with("not known to be written: "), "{code}");
        }
        assert!(matches!(Error::of(KafkaError::Canceled), Error::Unknown(_)));
        let unmade = Error::of(KafkaError::ClientCreation("no file".to_owned()));
        assert!(matches!(unmade, Error::Refused(_)) && unmade.is_setting() && !unmade.is_denied());
        let denied = of(Code::TopicAuthorizationFailed);
        assert!(denied.is_denied() && !denied.is_setting());
        assert!(!of(Code::QueueFull).is_denied() && !of(Code::MessageTimedOut).is_setting());
    }
}
