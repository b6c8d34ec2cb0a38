//! Reading a partition to its true end.

use std::{
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
    metadata::MetadataPartition,
};

use crate::{config::model::Kafka, telemetry::pulse};

use super::{
    context::Logging,
    settings::{Role, client_config, is_unmade},
    topics::is_refusal,
};

const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// Events of a client that are looked through for the reason of a failed call.
const EVENTS_MAX: usize = 100;
const LEADER_PAUSE: Duration = Duration::from_millis(100);

/// Why a partition could not be read to its end. Never taken for an empty partition.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Kafka refused or did not answer.
    #[error("cannot read {topic}[{partition}]: {source}")]
    Kafka {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What Kafka says.
        source: KafkaError,
    },
    /// Nothing more came before the end was reached.
    #[error(
        "{topic}[{partition}] could not be read to offset {end}: nothing more came for {seconds} s at {reached}; an open transaction of another producer holds its end back, or the broker is slow; docs/runbooks/VomsisRestoreSlow.md says how to see which and what to do"
    )]
    Deadline {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The true end.
        end: i64,
        /// Where reading stopped.
        reached: i64,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A record cannot be understood.
    #[error("{topic}[{partition}] offset {offset}: {reason}")]
    Record {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where it lies.
        offset: i64,
        /// Why.
        reason: String,
    },
}

/// How far a stretch was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// To its end.
    End,
    /// Not further than it was wanted.
    Early,
    /// An open transaction begins at this offset, and has not ended for as long as was asked.
    Held(i64),
}

/// Which records are read, and how long for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Those of open and aborted transactions too.
    pub uncommitted: bool,
    /// How long reading may stand still. The end was taken before, so what moves arrives, however long a
    /// large partition takes: one that began anew at a deadline for all of it would never be read.
    pub deadline: Duration,
    /// How long an open transaction may hold the end back; without it, until the deadline.
    pub held_max: Option<Duration>,
}

/// How far reading has come, and since when it stands there.
#[derive(Debug, Clone, Copy)]
struct Headway {
    reached: i64,
    since: Instant,
}

impl Headway {
    /// Notes a position; one that is not further is no headway.
    const fn note(&mut self, reached: i64, now: Instant) {
        if reached > self.reached {
            *self = Self { reached, since: now };
        }
    }

    fn stands_still(&self, deadline: Duration, now: Instant) -> bool {
        now.duration_since(self.since) > deadline
    }
}

/// A stretch of one partition to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// First offset wanted.
    pub from: i64,
    /// The true end (read-uncommitted high watermark), taken before reading.
    pub end: i64,
}

impl Stretch {
    fn stood_still(&self, reached: i64, deadline: Duration) -> Error {
        Error::Deadline {
            topic: self.topic.clone(),
            partition: self.partition,
            end: self.end,
            reached,
            seconds: deadline.as_secs(),
        }
    }
}

/// Every partition of a topic from its first record to its true end. Blocks.
pub fn stretches(kafka: &Kafka, topic: &str) -> Result<Vec<Stretch>, Error> {
    let failed = |partition: i32, source| Error::Kafka { topic: topic.into(), partition, source };
    let mut config = client_config(kafka, &Role::StateReader).map_err(|e| failed(0, e))?;
    // A read-committed client is told the end that an open transaction holds back.
    config.set("isolation.level", "read_uncommitted");
    pulse::step("looking for the partitions of a topic");
    let consumer: BaseConsumer<Logging> =
        config.create_with_context(Logging).map_err(|e| failed(0, e))?;
    let metadata = consumer
        .fetch_metadata(Some(topic), METADATA_TIMEOUT)
        .map_err(|error| failed(0, refusal_behind(&consumer).unwrap_or(error)))?;
    let mut found = Vec::new();
    for topic in metadata.topics() {
        if let Some(code) = topic.error() {
            return Err(failed(0, KafkaError::MetadataFetch(code.into())));
        }
        for partition in topic.partitions().iter().map(MetadataPartition::id) {
            let (from, end) =
                watermarks(&consumer, topic.name(), partition).map_err(|e| failed(partition, e))?;
            found.push(Stretch { topic: topic.name().to_owned(), partition, from, end });
        }
    }
    found.sort_by_key(|stretch| stretch.partition);
    Ok(found)
}

/// When the first record was written that still lies in these partitions of a topic, in milliseconds;
/// nothing where they hold none. Blocks.
///
/// # Errors
/// Where a partition cannot be read.
pub fn oldest_record(
    kafka: &Kafka,
    topic: &str,
    is_meant: impl Fn(i32) -> bool,
    deadline: Duration,
) -> Result<Option<i64>, Error> {
    let mut oldest = None;
    for stretch in stretches(kafka, topic)?.iter().filter(|stretch| is_meant(stretch.partition)) {
        let first = first_record(kafka, stretch, deadline)?;
        oldest = [oldest, first].into_iter().flatten().min();
    }
    Ok(oldest)
}

fn first_record(
    kafka: &Kafka,
    stretch: &Stretch,
    deadline: Duration,
) -> Result<Option<i64>, Error> {
    let Stretch { from, end, .. } = *stretch;
    if from >= end {
        return Ok(None);
    }
    let (topic, partition) = (stretch.topic.clone(), stretch.partition);
    let failed = |source| Error::Kafka { topic: topic.clone(), partition, source };
    let terms = Terms { uncommitted: false, deadline, held_max: None };
    let consumer = open(kafka, stretch, terms).map_err(failed)?;
    let started = Instant::now();
    while started.elapsed() <= deadline {
        pulse::step("reading a partition");
        match consumer.poll(Duration::from_millis(100)) {
            // One that tells no time may be of any.
            Some(Ok(message)) => return Ok(Some(message.timestamp().to_millis().unwrap_or(0))),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
            Some(Err(error)) if !is_transient(&error) => return Err(failed(error)),
            Some(Err(_)) | None => {}
        }
    }
    Err(Error::Deadline { topic, partition, end, reached: from, seconds: deadline.as_secs() })
}

/// Whether a topic holds a record that is not older than this, in milliseconds. Blocks.
///
/// # Errors
/// Where Kafka does not tell.
pub fn holds_since(kafka: &Kafka, topic: &str, since: i64) -> Result<bool, Error> {
    let failed = |partition, source| Error::Kafka { topic: topic.into(), partition, source };
    let mut asked = TopicPartitionList::new();
    for Stretch { partition, .. } in stretches(kafka, topic)? {
        let since = Offset::Offset(since);
        asked
            .add_partition_offset(topic, partition, since)
            .map_err(|error| failed(partition, error))?;
    }
    let config = client_config(kafka, &Role::StateReader).map_err(|e| failed(0, e))?;
    let consumer: BaseConsumer<Logging> =
        config.create_with_context(Logging).map_err(|e| failed(0, e))?;
    pulse::step("looking for the newest records of a topic");
    let found =
        consumer.offsets_for_times(asked, METADATA_TIMEOUT).map_err(|error| failed(0, error))?;
    for element in found.elements() {
        element.error().map_err(|error| failed(element.partition(), error))?;
        if matches!(element.offset(), Offset::Offset(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// First offset and end of a partition. The leader of a topic that was just created may not know
/// yet that it is the leader: that passes.
fn watermarks(
    consumer: &BaseConsumer<Logging>,
    topic: &str,
    partition: i32,
) -> Result<(i64, i64), KafkaError> {
    let started = Instant::now();
    loop {
        pulse::step("reading the ends of a partition");
        match consumer.fetch_watermarks(topic, partition, METADATA_TIMEOUT) {
            Err(error) if is_without_leader(&error) && started.elapsed() < METADATA_TIMEOUT => {
                thread::sleep(LEADER_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn is_without_leader(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable)
    )
}

/// What a client was told of a refused login: the call that waits for a broker only sees that none
/// can be used.
pub(super) fn refusal_behind<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<KafkaError> {
    let events = (0..EVENTS_MAX).map_while(|_| consumer.poll(Duration::from_millis(10)));
    events.filter_map(Result::err).find(refuses)
}

/// Whether Kafka refuses who asks, or what is asked for: waiting does not help against it.
pub fn refuses(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    let refused = |code| is_refusal(code) || matches!(code, Code::GroupAuthorizationFailed);
    error.rdkafka_error_code().is_some_and(refused)
}

impl Error {
    /// Whether Kafka refused the login or a right.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Kafka { source, .. } if refuses(source))
    }

    /// Whether no client could be made of the settings and the files that they name.
    pub const fn is_unmade(&self) -> bool {
        matches!(self, Self::Kafka { source, .. } if is_unmade(source))
    }

    /// Whether the topic does not exist.
    pub fn is_missing_topic(&self) -> bool {
        use rdkafka::types::RDKafkaErrorCode as Code;
        let Self::Kafka { source, .. } = self else { return false };
        matches!(
            source.rdkafka_error_code(),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
        )
    }
}

/// Reads the committed records of a stretch; `each` gets offset, key and value and may stop early.
///
/// EOF alone is not the end: it comes at the last stable offset, which an open transaction of any
/// producer holds back, and records committed after that point would be missed. `position()` at
/// the EOF event counts markers and aborted records, so reading ends when it reaches `end`.
pub fn read_committed(
    kafka: &Kafka,
    stretch: &Stretch,
    deadline: Duration,
    each: impl FnMut(i64, &[u8], Option<&[u8]>) -> Result<ControlFlow<()>, String>,
) -> Result<(), Error> {
    read_committed_while(kafka, stretch, deadline, || true, each)
}

/// As [`read_committed`], but ends early, and without an error, once it `is_wanted` no more, also
/// while it waits for another producer's open transaction: what was read is the whole only where it
/// is wanted still.
pub fn read_committed_while(
    kafka: &Kafka,
    stretch: &Stretch,
    deadline: Duration,
    is_wanted: impl Fn() -> bool,
    each: impl FnMut(i64, &[u8], Option<&[u8]>) -> Result<ControlFlow<()>, String>,
) -> Result<(), Error> {
    let terms = Terms { uncommitted: false, deadline, held_max: None };
    read_while(kafka, stretch, terms, is_wanted, each).map(drop)
}

/// Reads the records of a stretch on these terms, for as long as it `is_wanted`; `each` gets offset,
/// key and value and may stop early.
pub fn read_while(
    kafka: &Kafka,
    stretch: &Stretch,
    terms: Terms,
    is_wanted: impl Fn() -> bool,
    mut each: impl FnMut(i64, &[u8], Option<&[u8]>) -> Result<ControlFlow<()>, String>,
) -> Result<Reached, Error> {
    if stretch.from >= stretch.end {
        return Ok(Reached::End);
    }
    let deadline = terms.deadline;
    let failed = |source| Error::Kafka {
        topic: stretch.topic.clone(),
        partition: stretch.partition,
        source,
    };
    let consumer = open(kafka, stretch, terms).map_err(failed)?;
    let mut headway = Headway { reached: stretch.from, since: Instant::now() };
    // Where and since when nothing more comes.
    let mut held: Option<(i64, Instant)> = None;
    while is_wanted() {
        pulse::step("reading a partition");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                held = None;
                headway.note(message.offset() + 1, Instant::now());
                let key = message.key().unwrap_or_default();
                let flow = each(message.offset(), key, message.payload()).map_err(|reason| {
                    Error::Record {
                        topic: stretch.topic.clone(),
                        partition: stretch.partition,
                        offset: message.offset(),
                        reason,
                    }
                })?;
                if flow.is_break() {
                    return Ok(Reached::Early);
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) => {
                headway.note(position(&consumer, stretch).map_err(failed)?, Instant::now());
                if headway.reached >= stretch.end {
                    return Ok(Reached::End);
                }
                if held.is_none_or(|(from, _)| from < headway.reached) {
                    held = Some((headway.reached, Instant::now()));
                }
            }
            // Brokers that come back are worth waiting for until the deadline.
            Some(Err(error)) if is_transient(&error) => held = None,
            Some(Err(error)) => return Err(failed(error)),
            None => {}
        }
        if let (Some((from, since)), Some(max)) = (held, terms.held_max)
            && since.elapsed() > max
        {
            return Ok(Reached::Held(from));
        }
        if headway.stands_still(deadline, Instant::now()) {
            // Records of aborted transactions are passed over without a word.
            headway.note(position(&consumer, stretch).map_err(failed)?, Instant::now());
        }
        if headway.stands_still(deadline, Instant::now()) {
            return Err(stretch.stood_still(headway.reached, deadline));
        }
    }
    Ok(Reached::Early)
}

/// A reader of the stretch, at its beginning.
fn open(
    kafka: &Kafka,
    stretch: &Stretch,
    terms: Terms,
) -> Result<BaseConsumer<Logging>, KafkaError> {
    let mut config = client_config(kafka, &Role::StateReader)?;
    if terms.uncommitted {
        config.set("isolation.level", "read_uncommitted");
    }
    let consumer: BaseConsumer<Logging> = config.create_with_context(Logging)?;
    pulse::step("reading the ends of a partition");
    // Connects and finds the leader: without it assign() costs 500 ms more.
    consumer.fetch_watermarks(&stretch.topic, stretch.partition, terms.deadline)?;
    let mut assignment = TopicPartitionList::new();
    let from = Offset::Offset(stretch.from);
    assignment.add_partition_offset(&stretch.topic, stretch.partition, from)?;
    consumer.assign(&assignment)?;
    Ok(consumer)
}

fn position(consumer: &BaseConsumer<Logging>, stretch: &Stretch) -> Result<i64, KafkaError> {
    let positions = consumer.position()?;
    let offset = positions
        .find_partition(&stretch.topic, stretch.partition)
        .map_or(Offset::Invalid, |element| element.offset());
    Ok(match offset {
        Offset::Offset(next) => next,
        _ => -1,
    })
}

fn is_transient(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::NetworkException
                | Code::Resolve
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_that_moves_may_take_long_and_one_that_stands_still_may_not() {
        let deadline = Duration::from_secs(120);
        let mut now = Instant::now();
        let mut headway = Headway { reached: 7, since: now };
        for reached in 8..20 {
            now += deadline;
            assert!(!headway.stands_still(deadline, now), "at {reached}");
            headway.note(reached, now);
        }
        now += deadline;
        // It is told the same position again, or none.
        headway.note(19, now);
        headway.note(-1, now);
        assert!(headway.stands_still(deadline, now + Duration::from_millis(1)));
        assert_eq!(headway.reached, 19);
    }
}
