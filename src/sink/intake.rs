//! Reading the command topic: from where the journal ends, in order, committing nothing.

use std::{sync::Arc, thread, time::Duration};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::BorrowedMessage,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    config::model::Kafka,
    kafka::{
        settings::{Role, client_config},
        topics,
    },
    log_event,
    telemetry::{events::Event, metrics::Metrics, pulse},
};

use super::{lag::Lag, ownership::Taken};

/// Records handed over at once: they share one transaction of the journal.
const BATCH_RECORDS: usize = 500;
/// Batches that may wait for the journal.
const QUEUE_BATCHES: usize = 2;
const POLL: Duration = Duration::from_millis(100);
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// A record of the command topic, as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

/// Why commands cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Kafka refused or did not answer.
    #[error("reading {topic}: {source}")]
    Kafka {
        /// The topic.
        topic: String,
        /// What it says.
        source: KafkaError,
    },
    /// Commands that nobody has read are gone, or the topic is another one.
    #[error(
        "{topic}[{partition}] holds offsets {low} to {high}, the next command to read is {next}: commands were deleted unread, or the topic was recreated. find out which refunds are missing, then set the group's offset with the broker's consumer-groups tool while the sink is stopped; what the journal knows is not executed again"
    )]
    Unread {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// First offset that is there.
        low: i64,
        /// The end.
        high: i64,
        /// What should come next.
        next: i64,
    },
}

impl Error {
    /// Whether trying again by itself cannot help.
    pub const fn needs_operator(&self) -> bool {
        match self {
            Self::Unread { .. } => true,
            Self::Kafka { .. } => false,
        }
    }
}

/// Where batches come out, and the thread's end.
pub type Batches = mpsc::Receiver<Vec<Raw>>;

/// Reads on a thread of its own until `stop`; who takes batches out tells the lag what of them is
/// in the journal. Blocks while it finds the partitions' ends.
///
/// # Errors
/// Where the partitions cannot be read from where the group left off.
pub fn start(
    kafka: &Kafka,
    taken: &[Taken],
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> Result<(Batches, Lag), Error> {
    let topic = kafka.topic(topics::COMMANDS);
    let failed = |source| Error::Kafka { topic: topic.clone(), source };
    let lag = Lag::new(topic.clone(), metrics);
    let consumer: BaseConsumer<Lag> = client_config(kafka, &Role::CommandReader)
        .and_then(|config| config.create_with_context(lag.clone()))
        .map_err(failed)?;
    let mut assignment = TopicPartitionList::new();
    let mut unread = Vec::with_capacity(taken.len());
    for taken in taken {
        let partition = taken.partition;
        pulse::step("reading the ends of the command topic");
        let (low, high) =
            consumer.fetch_watermarks(&topic, partition, CALL_TIMEOUT).map_err(failed)?;
        let next = taken.next.unwrap_or(low);
        if next < low || next > high {
            return Err(Error::Unread { topic: topic.clone(), partition, low, high, next });
        }
        assignment.add_partition_offset(&topic, partition, Offset::Offset(next)).map_err(failed)?;
        unread.push((partition, high - next));
    }
    consumer.assign(&assignment).map_err(failed)?;
    let (batches, received) = mpsc::channel(QUEUE_BATCHES);
    // Only now that nothing else can fail: it is forgotten with the reader.
    unread.into_iter().for_each(|(partition, records)| lag.begin(partition, records));
    let reader = Reader { topic: topic.clone(), consumer, batches, stop };
    let thread = thread::Builder::new().name("sink-intake".into()).spawn(move || {
        let _followed = pulse::follow("sink-intake", None);
        reader.run();
    });
    match thread {
        Ok(_) => Ok((received, lag)),
        Err(error) => {
            lag.forget();
            Err(failed(KafkaError::ClientCreation(error.to_string())))
        }
    }
}

struct Reader {
    topic: String,
    consumer: BaseConsumer<Lag>,
    batches: mpsc::Sender<Vec<Raw>>,
    stop: CancellationToken,
}

impl Reader {
    fn run(self) {
        self.hand_over();
        pulse::step("closing the reader of commands");
        self.consumer.context().forget();
    }

    fn hand_over(&self) {
        while !self.stop.is_cancelled() {
            match self.gather() {
                Ok(batch) if batch.is_empty() => {}
                // Full while the journal is busy, gone when the owner is.
                Ok(batch) => {
                    let lag = self.consumer.context();
                    batch.iter().for_each(|raw| lag.hold(raw.partition, 1));
                    pulse::idle();
                    if self.batches.blocking_send(batch).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    // The owner sees the closed channel and starts again from the group's offsets.
                    log_event!(Event::CommandsUnreadable, topic = self.topic, %error, "the command topic cannot be read on");
                    return;
                }
            }
        }
    }

    /// Waits for a record and takes what else has arrived.
    fn gather(&self) -> Result<Vec<Raw>, KafkaError> {
        let mut batch = Vec::new();
        let mut wait = POLL;
        while batch.len() < BATCH_RECORDS {
            pulse::step("reading commands");
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => batch.push(raw(&message)),
                Some(Err(error)) if is_lasting(&error) => return Err(error),
                // Brokers that go away come back; librdkafka goes on where it was.
                Some(Err(error)) => tracing::debug!(%error, "command topic"),
            }
            wait = Duration::ZERO;
        }
        Ok(batch)
    }
}

fn raw(message: &BorrowedMessage<'_>) -> Raw {
    Raw {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
    }
}

/// What waiting does not mend: offsets that are gone, rights that are missing, a topic that is.
pub(super) fn is_lasting(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::Fatal
        )
    )
}
