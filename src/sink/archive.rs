//! Finished stories, read again from the journal when their command comes again.

use std::time::{Duration, Instant};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

use crate::{
    config::model::Kafka,
    kafka::{
        context::Logging,
        settings::{Role, client_config},
        topics,
    },
};

use super::{
    finished::Place,
    journal::{
        Entry,
        codec::{self, Record},
    },
};

const READ_DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Reads single records of the journal by their places.
pub struct Archive {
    topic: String,
    consumer: BaseConsumer<Logging>,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Archive {
    /// Connects lazily.
    ///
    /// # Errors
    /// Where the client cannot be made.
    pub fn open(kafka: &Kafka) -> Result<Self, KafkaError> {
        let config = client_config(kafka, &Role::StateReader)?;
        let consumer = config.create_with_context(Logging)?;
        Ok(Self { topic: kafka.topic(topics::JOURNAL), consumer })
    }

    /// The story at a place. Blocks.
    ///
    /// # Errors
    /// In words: what was found instead.
    pub fn read(&self, place: Place) -> Result<Entry, String> {
        let Place { partition, offset } = place;
        let at = |what: &dyn std::fmt::Display| {
            format!("{}[{partition}] offset {offset}: {what}", self.topic)
        };
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(&self.topic, partition, Offset::Offset(offset))
            .and_then(|()| self.consumer.assign(&assignment))
            .map_err(|error| at(&error))?;
        let started = Instant::now();
        while started.elapsed() < READ_DEADLINE {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) if message.offset() == offset => {
                    let key = std::str::from_utf8(message.key().unwrap_or_default())
                        .map_err(|error| at(&error))?;
                    let value = message.payload().ok_or_else(|| at(&"a tombstone"))?;
                    return match codec::decode(key, value).map_err(|error| at(&error))? {
                        Record::Command(entry) => Ok(*entry),
                        Record::Identity(_)
                        | Record::Owner(_)
                        | Record::Stop(_)
                        | Record::Resolve(..) => Err(at(&"no command")),
                    };
                }
                Some(Ok(message)) => {
                    return Err(at(&format!("gone, the next is {}", message.offset())));
                }
                // The last stable offset may be short of it for a moment.
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                // A broker that goes away comes back until the deadline.
                Some(Err(error)) => tracing::debug!(%error, "journal"),
            }
        }
        Err(at(&"not readable in time"))
    }
}
