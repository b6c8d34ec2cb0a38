//! How many commands wait in their topic, from what the client counts by itself.
//!
//! To ask the broker for the end of a partition would wait behind the fetch that is on its way, for
//! half a second a partition, and the commands that arrive meanwhile with it.

use std::sync::Arc;

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
}

impl Lag {
    /// Of this topic.
    pub const fn new(topic: String, metrics: Arc<Metrics>) -> Self {
        Self { topic, metrics }
    }

    fn show(&self, topic: &Topic) {
        for partition in topic.partitions.values() {
            let Some(lag) = lag_of(partition) else { continue };
            let labels = [self.topic.as_str(), &partition.partition.to_string()];
            self.metrics.command_consumer_lag.with_label_values(&labels).set(lag);
        }
    }

    /// A replica that reads no commands shows none that wait: whoever reads them does.
    pub fn forget(&self) {
        let gauges = &self.metrics.command_consumer_lag;
        gauges.reset();
        gauges.with_label_values(&[self.topic.as_str(), "0"]).set(0);
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
        let topics = [("v.payment.commands".to_owned(), topic(7)), ("other".to_owned(), topic(99))];
        lag.stats(Statistics { topics: topics.into(), ..<_>::default() });
        let gauge = || metrics.command_consumer_lag.with_label_values(&["v.payment.commands", "1"]);
        assert_eq!(gauge().get(), 3);
        lag.forget();
        assert_eq!(gauge().get(), 0);
    }
}
