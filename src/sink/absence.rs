//! How long the brokers have not known a topic of the sink: for a moment, or because it is gone.
//!
//! A broker that has just started, or has lost its controller, answers for a moment that there is no such
//! topic. A journal that is gone is as bad as an empty one, and only a person can help then.

use std::time::{Duration, Instant};

use super::lock::Error;

/// Brokers that come back know their topics long before.
const PASSING_MAX: Duration = Duration::from_secs(60);

/// Since when every try found a topic missing; nothing where the last one did not.
#[derive(Debug, Default)]
pub struct Absence(Option<Instant>);

impl Absence {
    /// Whether an operator must help after this failure, now.
    pub fn needs_operator(&mut self, error: &Error, now: Instant) -> bool {
        if !error.is_missing_topic() {
            self.end();
            return error.needs_operator();
        }
        let since = *self.0.get_or_insert(now);
        now.saturating_duration_since(since) >= PASSING_MAX
    }

    /// The topics are there.
    pub const fn end(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

    use super::*;
    use crate::kafka::reading;

    fn failed(code: RDKafkaErrorCode) -> Error {
        let (topic, source) = ("journal".to_owned(), KafkaError::MetadataFetch(code));
        Error::Read(reading::Error::Kafka { topic, partition: 0, source })
    }

    #[test]
    fn a_topic_is_gone_only_where_it_has_been_missing_for_a_minute_without_a_break() {
        let missing = || failed(RDKafkaErrorCode::UnknownTopicOrPartition);
        let silent = failed(RDKafkaErrorCode::AllBrokersDown);
        let born = Instant::now();
        let at = |seconds| born + Duration::from_secs(seconds);
        let mut absence = Absence::default();
        for seconds in [0, 1, 3, 31, 59] {
            assert!(!absence.needs_operator(&missing(), at(seconds)), "{seconds}");
        }
        assert!(absence.needs_operator(&missing(), at(60)));
        // It was there, or nobody could tell: counted anew.
        assert!(!absence.needs_operator(&silent, at(61)));
        assert!(!absence.needs_operator(&missing(), at(62)));
        absence.end();
        assert!(!absence.needs_operator(&missing(), at(125)));
        assert!(absence.needs_operator(&missing(), at(185)));
    }

    #[test]
    fn what_no_waiting_mends_is_not_waited_for() {
        let partitions = Error::Partitions { journal: "journal".into(), found: 2, wanted: 3 };
        assert!(Absence::default().needs_operator(&partitions, Instant::now()));
        assert!(!Absence::default().needs_operator(&Error::GivenBack, Instant::now()));
    }
}
