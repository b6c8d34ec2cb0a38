//! Reading topics for people: from the beginning, the end or a time, never committing anything.

use std::time::{Duration, Instant};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Headers,
    types::RDKafkaErrorCode,
};

use crate::config::model::Kafka;

use super::{
    context::Logging,
    reading::{refusal_behind, refuses},
    settings::{Role, client_config, is_unmade},
};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks whether brokers that went away are back.
const LOOK: Duration = Duration::from_secs(20);
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Where reading starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At the oldest record.
    Beginning,
    /// At what comes next.
    End,
    /// At the first record of this instant (milliseconds since 1970) or later.
    Time(i64),
}

/// A record as it lies in Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewed {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key, as text.
    pub key: String,
    /// Its headers, as text.
    pub headers: Vec<(String, String)>,
    /// Its bytes; a tombstone has none.
    pub value: Option<Vec<u8>>,
}

/// Why a reader cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// A topic that does not exist.
    #[error("there is no topic {0}")]
    NoTopic(String),
    /// Kafka does not answer, or refuses.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

impl Unopened {
    /// Whether Kafka refused the login or a right.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Kafka(error) if refuses(error))
    }

    /// Whether no client could be made of the settings and the files that they name.
    pub const fn is_unmade(&self) -> bool {
        matches!(self, Self::Kafka(error) if is_unmade(error))
    }
}

/// A reader of one or more topics.
pub struct Viewer {
    consumer: BaseConsumer<Logging>,
    /// One of its topics.
    topic: String,
    /// Since brokers went away: when it was looked for them last; nothing before the first look.
    away: Option<Option<Instant>>,
}

/// What whoever waits for records ought to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Brokers do not answer; what they failed with.
    Away(String),
    /// They answer again.
    Back,
}

impl std::fmt::Debug for Viewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Viewer").finish_non_exhaustive()
    }
}

impl Viewer {
    /// Assigns all partitions of the topics. Blocks while it looks them up.
    pub fn open(kafka: &Kafka, topics: &[String], from: From) -> Result<Self, Unopened> {
        let consumer: BaseConsumer<Logging> =
            client_config(kafka, &Role::Viewer)?.create_with_context(Logging)?;
        let mut assignment = TopicPartitionList::new();
        for topic in topics {
            let metadata = consumer
                .fetch_metadata(Some(topic), CALL_TIMEOUT)
                .map_err(|error| refusal_behind(&consumer).unwrap_or(error))?;
            for found in metadata.topics() {
                match found.error().map(RDKafkaErrorCode::from) {
                    None => {}
                    Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                        return Err(Unopened::NoTopic(topic.clone()));
                    }
                    Some(error) => return Err(KafkaError::MetadataFetch(error).into()),
                }
                for partition in found.partitions() {
                    let offset = match from {
                        From::Beginning => Offset::Beginning,
                        From::End => Offset::End,
                        From::Time(millis) => Offset::Offset(millis),
                    };
                    assignment.add_partition_offset(topic, partition.id(), offset)?;
                }
            }
        }
        if let From::Time(_) = from {
            assignment = consumer.offsets_for_times(assignment, CALL_TIMEOUT)?;
        }
        consumer.assign(&assignment)?;
        Ok(Self { consumer, topic: topics.first().cloned().unwrap_or_default(), away: None })
    }

    /// The next record, or nothing within the time.
    ///
    /// # Errors
    /// What does not pass by itself: a refused login, a missing right, a topic that is gone.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Viewed>, KafkaError> {
        let started = Instant::now();
        loop {
            let left = wait.saturating_sub(started.elapsed());
            match self.consumer.poll(left) {
                None => return Ok(None),
                Some(Ok(message)) => return Ok(Some(view(&message))),
                // The end of a partition, for now.
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) if lasts(&error) => return Err(error),
                // A broker that goes away comes back.
                Some(Err(error)) => {
                    tracing::debug!(%error, "viewer");
                    self.away.get_or_insert(None);
                }
            }
            if started.elapsed() >= wait {
                return Ok(None);
            }
        }
    }

    /// Whether brokers are away, now and then while they are, and once when they are back. Blocks for
    /// two seconds at most.
    pub fn news(&mut self) -> Option<News> {
        let looked = self.away?;
        if looked.is_some_and(|at| at.elapsed() < LOOK) {
            return None;
        }
        match self.consumer.fetch_metadata(Some(&self.topic), LOOK_TIMEOUT) {
            Err(error) => {
                self.away = Some(Some(Instant::now()));
                Some(News::Away(error.to_string()))
            }
            Ok(_) => {
                self.away = None;
                // A connection that was idle for long is closed, and another one opened: no news.
                looked.map(|_| News::Back)
            }
        }
    }
}

/// Whether waiting does not help against an error.
fn lasts(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let gone = matches!(
        error.rdkafka_error_code(),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
    );
    gone || refuses(error)
}

fn view(message: &rdkafka::message::BorrowedMessage<'_>) -> Viewed {
    let text = |bytes: Option<&[u8]>| {
        bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    };
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
    });
    Viewed {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key()),
        headers: headers.unwrap_or_default(),
        value: message.payload().map(<[u8]>::to_vec),
    }
}

#[cfg(test)]
#[path = "viewing_tests.rs"]
mod tests;
