//! Reading the command topic: from where the journal ends, in order, committing nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    thread,
    time::Duration,
};

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
    /// How often its partition had been gone back in when it was read.
    pub round: u32,
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
        "{topic}[{partition}] holds offsets {low} to {high}, the next command to read is {next}: commands were deleted unread, or the topic was recreated. find out which refunds are missing, then set the group's offset with the broker's consumer-groups tool while every replica is stopped, for the broker resets no group that has members; what the journal knows is not executed again"
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

/// Goes back in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// Which.
    pub partition: i32,
    /// To this record.
    pub offset: i64,
    /// That of the records that are read from then on.
    pub round: u32,
}

/// What whoever takes commands in has of the topic.
#[derive(Debug)]
pub struct Source {
    /// The records, in order.
    pub batches: Batches,
    /// Told what of them is in the journal.
    pub lag: Lag,
    /// Takes the wish for records that were read already.
    pub again: mpsc::UnboundedSender<Again>,
}

/// Where to read on in a partition that holds offsets `low` to `high`. The broker forgets the offsets of a
/// topic with the topic; the journal still knows how far its commands came.
///
/// # Errors
/// What should come next, where it is not there.
fn begin_at(next: Option<i64>, arrived: Option<i64>, (low, high): (i64, i64)) -> Result<i64, i64> {
    match (next, arrived) {
        (Some(next), _) if next < low || next > high => Err(next),
        (Some(next), _) => Ok(next),
        (None, Some(arrived)) if arrived >= high => Err(arrived + 1),
        (None, _) => Ok(low),
    }
}

/// Reads on a thread of its own until `stop`. Blocks while it finds the partitions' ends. `arrived` is the
/// offset of the last command of each partition that the journal knows.
///
/// # Errors
/// Where the partitions cannot be read from where the group left off.
pub fn start(
    kafka: &Kafka,
    taken: &[Taken],
    arrived: &BTreeMap<i32, i64>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> Result<Source, Error> {
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
        let next = begin_at(taken.next, arrived.get(&partition).copied(), (low, high))
            .map_err(|next| Error::Unread { topic: topic.clone(), partition, low, high, next })?;
        assignment.add_partition_offset(&topic, partition, Offset::Offset(next)).map_err(failed)?;
        unread.push((partition, high - next));
    }
    consumer.assign(&assignment).map_err(failed)?;
    let (batches, received) = mpsc::channel(QUEUE_BATCHES);
    // Only now that nothing else can fail: it is forgotten with the reader.
    unread.into_iter().for_each(|(partition, records)| lag.begin(partition, records));
    let (again, wished) = mpsc::unbounded_channel();
    let rounds = HashMap::new();
    let reader = Reader { topic: topic.clone(), consumer, batches, wished, rounds, stop };
    let thread = thread::Builder::new().name("sink-intake".into()).spawn(move || {
        let _followed = pulse::follow("sink-intake", None);
        reader.run();
    });
    match thread {
        Ok(_) => Ok(Source { batches: received, lag, again }),
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
    wished: mpsc::UnboundedReceiver<Again>,
    rounds: HashMap<i32, u32>,
    stop: CancellationToken,
}

impl Reader {
    fn run(mut self) {
        self.hand_over();
        pulse::step("closing the reader of commands");
        self.consumer.context().forget();
    }

    fn hand_over(&mut self) {
        while !self.stop.is_cancelled() {
            match self.go_back().and_then(|()| self.gather()) {
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

    /// Reads partitions again from where somebody wants them. One that cannot be gone back in ends
    /// the reader: the owner starts again from the group's offsets, which are not past it.
    fn go_back(&mut self) -> Result<(), KafkaError> {
        while let Ok(Again { partition, offset, round }) = self.wished.try_recv() {
            self.consumer.seek(&self.topic, partition, Offset::Offset(offset), CALL_TIMEOUT)?;
            self.rounds.insert(partition, round);
            self.consumer.context().go_back(partition);
        }
        Ok(())
    }

    /// Waits for a record and takes what else has arrived.
    fn gather(&self) -> Result<Vec<Raw>, KafkaError> {
        let mut batch = Vec::new();
        let mut wait = POLL;
        while batch.len() < BATCH_RECORDS {
            pulse::step("reading commands");
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => batch.push(self.raw(&message)),
                Some(Err(error)) if is_lasting(&error) => return Err(error),
                // Brokers that go away come back; librdkafka goes on where it was.
                Some(Err(error)) => tracing::debug!(%error, "command topic"),
            }
            wait = Duration::ZERO;
        }
        Ok(batch)
    }

    fn raw(&self, message: &BorrowedMessage<'_>) -> Raw {
        let partition = message.partition();
        Raw {
            partition,
            offset: message.offset(),
            round: self.rounds.get(&partition).copied().unwrap_or_default(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        }
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

#[cfg(test)]
mod tests {
    use super::begin_at;

    #[test]
    fn commands_that_were_there_are_missed_by_the_group_and_by_the_journal() {
        for (next, arrived, ends, at) in [
            (Some(5), Some(4), (0, 5), Ok(5)),
            (Some(5), Some(9), (3, 9), Ok(5)),
            (Some(5), Some(4), (6, 9), Err(5)),
            (Some(5), Some(4), (0, 4), Err(5)),
            // A new group, or one whose offsets expired.
            (None, None, (3, 9), Ok(3)),
            (None, Some(8), (3, 9), Ok(3)),
            (None, Some(8), (9, 9), Ok(9)),
            // The topic was made anew, and the group's offsets went with it.
            (None, Some(8), (0, 0), Err(9)),
            (None, Some(8), (0, 8), Err(9)),
        ] {
            assert_eq!(begin_at(next, arrived, ends), at, "{next:?} {arrived:?} {ends:?}");
        }
    }
}
