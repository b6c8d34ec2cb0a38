//! The writer of one shard: batches of events with the state that proves them, a transaction each.
//!
//! Order within a transaction: events, then chunks of seen rows, then checkpoints.

use std::time::{Duration, Instant};

use crate::{
    config::model::Kafka,
    failpoints::{self, Point},
    kafka::{context::Sent, topics},
};

use super::{
    ahead::Ahead,
    batch::Batch,
    transaction::{Outgoing, Times, Transactions},
};

pub use super::transaction::{INIT_TIMEOUT, Lost};

/// How long a transaction's rows are handed over batch by batch; what is left then goes at once. It is an
/// economy, and must not use up the time that the broker gives a transaction, where it is slow, or the
/// operator's batches are small and their linger long.
const PACED_MAX: Duration = Duration::from_secs(1);

/// A producer that holds the lock of one shard.
#[derive(Debug)]
pub struct Writer {
    transactions: Transactions,
    state_topic: String,
    shard: i32,
}

impl Writer {
    /// Takes the shard's lock, as [`Transactions::lock`] does. Blocks up to [`INIT_TIMEOUT`].
    pub fn lock(kafka: &Kafka, transactional_id: String, shard: i32) -> Result<Self, Lost> {
        Self::lock_while(kafka, transactional_id, shard, || true)
    }

    /// As [`lock`](Self::lock), but gives up, with an error, once it `is_wanted` no more.
    pub fn lock_while(
        kafka: &Kafka,
        transactional_id: String,
        shard: i32,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Self, Lost> {
        let transactions = Transactions::lock_while(kafka, transactional_id, is_wanted)?;
        Ok(Self { transactions, state_topic: kafka.topic(topics::STATE), shard })
    }

    /// First offset and true end (read-uncommitted) of the shard's state partition. From then on a
    /// commit whose state is written below that end is [`Lost`]: the partition was recreated, or cut
    /// at its end.
    pub fn state_watermarks(&self, timeout: Duration) -> Result<(i64, i64), Lost> {
        let (start, end) = self.transactions.watermarks(&self.state_topic, self.shard, timeout)?;
        self.transactions.know_state_end(end);
        Ok((start, end))
    }

    /// The true end of another partition of the state topic.
    pub fn state_end_of(&self, partition: i32, timeout: Duration) -> Result<i64, Lost> {
        let ends = self.transactions.watermarks(&self.state_topic, partition, timeout);
        ends.map(|(_, end)| end)
    }

    /// The id of the cluster, where the broker tells it.
    pub fn cluster_id(&self, timeout: Duration) -> Option<String> {
        self.transactions.cluster_id(timeout)
    }

    /// Commits the batches as one transaction; returns the state topic's next offset, or what was known of
    /// it before where the broker did not say: a batch that it has already is acknowledged without offsets.
    ///
    /// Blocks. After an error the writer must be dropped.
    pub fn commit(&mut self, batches: &[&Batch]) -> Result<i64, Lost> {
        let (state_topic, shard) = (self.state_topic.as_str(), self.shard);
        self.transactions.commit(|open| {
            let mut times = Times::default();
            let mut ahead = Ahead::new(open.batch_limit());
            let paced_until = Instant::now() + PACED_MAX;
            for event in batches.iter().flat_map(|batch| &batch.events) {
                if ahead.must_wait_before(event) {
                    open.pace(paced_until);
                }
                open.send_event(event, &mut times)?;
            }
            failpoints::reach(Point::BeforeState);
            for record in batches.iter().flat_map(|batch| &batch.state) {
                open.send(Outgoing {
                    topic: state_topic,
                    partition: Some(shard),
                    key: Some(record.key.as_bytes()),
                    value: record.value.as_deref(),
                    headers: None,
                    sent: Sent::State,
                })?;
            }
            Ok(())
        })?;
        Ok(self.transactions.state_next_offset())
    }

    /// Which shard.
    pub const fn shard(&self) -> i32 {
        self.shard
    }

    /// The state topic, whole.
    pub fn state_topic(&self) -> &str {
        &self.state_topic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kafka::verdict::Verdict,
        publish::batch::{EventRecord, StateRecord},
        sandbox::broker::Broker,
        telemetry::pulse,
    };

    const TIMEOUT: Duration = Duration::from_secs(15);

    fn batch(key: &str) -> Batch {
        let state = vec![StateRecord { key: key.to_owned(), value: Some(b"v".to_vec()) }];
        Batch { events: Vec::new(), state }
    }

    /// A writer of shard 1, as these lines of a configuration have it.
    fn locked(lines: &str) -> (Broker, Kafka, Writer) {
        let text = format!(
            "connections: [{{id: a, bank_pos: {{app_key_file: k, app_secret_file: s}}}}]\n{lines}"
        );
        let mut kafka = crate::config::parse("c", &text, std::iter::empty()).unwrap().config.kafka;
        let broker = Broker::start().unwrap();
        kafka.bootstrap_servers = broker.bootstrap_servers();
        broker.create_topics(&kafka).unwrap();
        let writer = Writer::lock(&kafka, "t".to_owned(), 1).unwrap();
        (broker, kafka, writer)
    }

    #[test]
    fn a_state_record_below_the_known_end_of_its_partition_is_no_commit() {
        let (_broker, _kafka, mut writer) = locked("");
        assert_eq!(writer.state_watermarks(TIMEOUT).unwrap(), (0, 0));
        assert_eq!(writer.commit(&[&batch("a"), &batch("b")]).unwrap(), 2);
        assert_eq!(writer.state_watermarks(TIMEOUT).unwrap(), (0, 2));
        assert_eq!(writer.commit(&[&batch("c")]).unwrap(), 3);
        assert_eq!(writer.state_end_of(0, TIMEOUT).unwrap(), 0, "another one");
        // As after a partition of five records that was recreated, and has three.
        writer.transactions.know_state_end(5);
        let lost = writer.commit(&[&batch("d")]).unwrap_err();
        assert_eq!((lost.verdict, lost.may_stand()), (Verdict::Failed, false), "{lost}");
        assert!(lost.to_string().contains("offset 3 of a partition that had reached 5"), "{lost}");
    }

    #[test]
    fn rows_of_one_key_wait_for_each_full_batch_and_those_of_many_do_not() {
        let (_broker, kafka, mut writer) =
            locked("kafka: {producer_properties: {batch.num.messages: '2'}}\n");
        let topic: std::sync::Arc<str> = kafka.topic("bank.transactions").into();
        let mut steps = |keys: [&str; 5]| {
            let events = keys.map(|key| EventRecord {
                topic: topic.clone(),
                key: key.to_owned(),
                value: Some(b"v".to_vec()),
                headers: None,
            });
            let batch = Batch { events: events.into(), state: Vec::new() };
            let _followed = pulse::follow("rows of one key", None);
            writer.commit(&[&batch]).unwrap();
            let all = pulse::all().into_iter();
            all.filter(|pulse| pulse.name() == "rows of one key")
                .map(|p| p.now().steps)
                .sum::<u64>()
        };
        // Filling, delivering, committing; and each wait is a step, after which it fills again.
        assert_eq!(steps(["a"; 5]), 3 + 2 * 2);
        assert_eq!(steps(["a", "b", "a", "b", "a"]), 3);
    }
}
