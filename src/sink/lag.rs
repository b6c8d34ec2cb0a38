//! How many commands wait in their topic, from what the client counts by itself.
//!
//! What was handed over and is not in the journal yet waits too: while a partition waits for the
//! registry, or the journal is slow, nothing else shows it.
//!
//! To ask the broker for the end of a partition would wait behind the fetch that is on its way, for
//! half a second a partition, and the commands that arrive meanwhile with it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rdkafka::{
    ClientContext, Statistics,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::KafkaError,
    statistics::{Partition, Topic},
};

use crate::{kafka::context::Logging, telemetry::metrics::Metrics};

/// Shows the lag of the command topic whenever librdkafka tells its statistics.
#[derive(Debug, Clone)]
pub struct Lag {
    topic: String,
    metrics: Arc<Metrics>,
    partitions: Arc<Mutex<Partitions>>,
}

/// What waits of each partition.
#[derive(Debug, Default)]
struct Partitions {
    waiting: BTreeMap<i32, Waiting>,
    /// Nobody reads here any more: what the client still tells, or whoever took commands in, is late.
    forgotten: bool,
}

/// What waits of one partition.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    /// In the topic, as the client told last.
    unread: i64,
    /// Handed over, and not in the journal yet.
    held: i64,
}

impl Lag {
    /// Of this topic.
    pub fn new(topic: String, metrics: Arc<Metrics>) -> Self {
        Self { topic, metrics, partitions: Arc::default() }
    }

    /// A partition is read from now on, and so many of its records wait.
    pub fn begin(&self, partition: i32, unread: i64) {
        self.change(partition, |waiting| *waiting = Waiting { unread, held: 0 });
    }

    /// So many more records were handed over; fewer, where they are in the journal.
    pub fn hold(&self, partition: i32, records: i64) {
        self.change(partition, |waiting| waiting.held += records);
    }

    /// A partition is gone back in, to the first of those that were handed over and are not in the
    /// journal: they will be handed over once more.
    pub fn go_back(&self, partition: i32) {
        self.change(partition, |waiting| {
            *waiting = Waiting { unread: waiting.unread + waiting.held.max(0), held: 0 };
        });
    }

    fn show(&self, topic: &Topic) {
        for partition in topic.partitions.values() {
            let Some(lag) = lag_of(partition) else { continue };
            self.change(partition.partition, |waiting| waiting.unread = lag);
        }
    }

    fn change(&self, partition: i32, change: impl FnOnce(&mut Waiting)) {
        let mut partitions = self.partitions();
        if partitions.forgotten {
            return;
        }
        let waiting = partitions.waiting.entry(partition).or_default();
        change(waiting);
        let labels = [self.topic.as_str(), &partition.to_string()];
        let gauge = self.metrics.command_consumer_lag.with_label_values(&labels);
        gauge.set(waiting.unread + waiting.held.max(0));
    }

    fn partitions(&self) -> MutexGuard<'_, Partitions> {
        // Every change is whole before the guard is dropped.
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A replica that reads no commands shows none that wait: whoever reads them does. For good: who
    /// reads again does so with another of these.
    pub fn forget(&self) {
        let mut partitions = self.partitions();
        *partitions = Partitions { waiting: BTreeMap::new(), forgotten: true };
        let gauges = &self.metrics.command_consumer_lag;
        gauges.reset();
        gauges.with_label_values(&[self.topic.as_str(), "0"]).set(0);
        drop(partitions);
    }
}

impl ClientContext for Lag {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logging.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        if let Some(topic) = statistics.topics.get(&self.topic) {
            self.show(topic);
        }
    }
}

impl ConsumerContext for Lag {}

/// Records between what was handed over and the end; nothing before the first answer to a fetch.
///
/// | client's queue | counts from                    | because                                   |
/// |----------------|--------------------------------|-------------------------------------------|
/// | empty          | where it fetches next          | the mark of a transaction is no command   |
/// | not empty      | behind the last one handed over | what is fetched is not taken yet         |
fn lag_of(partition: &Partition) -> Option<i64> {
    let Partition { hi_offset, next_offset, app_offset, fetchq_cnt, .. } = partition;
    let taken = match (*fetchq_cnt, *app_offset) {
        (0, _) => *next_offset,
        // Nothing of this partition was handed over yet, and what waits may be of another.
        (_, ..0) => return None,
        (_, app_offset) => app_offset,
    };
    (*hi_offset >= 0 && taken >= 0).then(|| (hi_offset - taken).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What librdkafka says where it knows no offset.
    const INVALID: i64 = -1001;

    fn partition(hi_offset: i64, next_offset: i64, app_offset: i64, fetchq_cnt: i64) -> Partition {
        Partition { partition: 1, hi_offset, next_offset, app_offset, fetchq_cnt, ..<_>::default() }
    }

    #[test]
    fn what_was_not_handed_over_waits() {
        for (partition, expected) in [
            (partition(INVALID, INVALID, INVALID, 0), None),
            (partition(7, INVALID, INVALID, 0), None),
            (partition(7, 7, INVALID, 2), None),
            (partition(7, 7, 7, 0), Some(0)),
            (partition(7, 4, 4, 0), Some(3)),
            (partition(7, 7, 4, 3), Some(3)),
            // The commit mark of whoever sends commands in transactions stands at 6.
            (partition(7, 7, 6, 0), Some(0)),
            // The end was told by an older answer.
            (partition(7, 9, 9, 0), Some(0)),
        ] {
            assert_eq!(lag_of(&partition), expected, "{partition:?}");
        }
    }

    #[test]
    fn the_gauge_shows_the_command_topic_alone_until_nobody_reads_it() {
        let metrics = Arc::new(Metrics::new());
        let lag = Lag::new("v.payment.commands".into(), Arc::clone(&metrics));
        let topic =
            |hi: i64| Topic { partitions: [(1, partition(hi, 4, 4, 0))].into(), ..<_>::default() };
        let tell = || {
            let topics =
                [("v.payment.commands".to_owned(), topic(7)), ("other".to_owned(), topic(99))];
            lag.stats(Statistics { topics: topics.into(), ..<_>::default() });
        };
        tell();
        let gauge = || metrics.command_consumer_lag.with_label_values(&["v.payment.commands", "1"]);
        assert_eq!(gauge().get(), 3);
        lag.hold(1, 2);
        assert_eq!(gauge().get(), 5, "what was handed over waits until it is in the journal");
        lag.hold(1, -1);
        assert_eq!(gauge().get(), 4);
        lag.hold(1, 3);
        lag.go_back(1);
        assert_eq!(gauge().get(), 7, "what was handed over and comes again waits still");
        lag.hold(1, 1);
        lag.hold(1, -1);
        assert_eq!(gauge().get(), 7, "until the client tells where it reads");
        lag.begin(0, 9);
        let first = || metrics.command_consumer_lag.with_label_values(&["v.payment.commands", "0"]);
        assert_eq!(first().get(), 9, "before the client has told anything");
        lag.forget();
        assert_eq!(gauge().get(), 0);
        // While the client is closed, and from whoever still has a batch.
        tell();
        lag.hold(1, 1);
        lag.go_back(1);
        assert_eq!((gauge().get(), first().get()), (0, 0), "told too late");
    }
}
