//! The writer of one shard: batches of events with the state that proves them, a transaction each.
//!
//! Order within a transaction: events, then chunks of seen rows, then checkpoints.

use std::time::Duration;

use crate::{
    config::model::Kafka,
    failpoints::{self, Point},
    kafka::{context::Sent, topics},
};

use super::{
    batch::Batch,
    transaction::{Outgoing, Times, Transactions},
};

pub use super::transaction::{INIT_TIMEOUT, Lost};

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
        let transactions = Transactions::lock(kafka, transactional_id)?;
        Ok(Self { transactions, state_topic: kafka.topic(topics::STATE), shard })
    }

    /// First offset and true end (read-uncommitted) of the shard's state partition.
    pub fn state_watermarks(&self, timeout: Duration) -> Result<(i64, i64), Lost> {
        self.transactions.watermarks(&self.state_topic, self.shard, timeout)
    }

    /// The id of the cluster, where the broker tells it.
    pub fn cluster_id(&self, timeout: Duration) -> Option<String> {
        self.transactions.cluster_id(timeout)
    }

    /// Commits the batches as one transaction; returns the state topic's next offset.
    ///
    /// Blocks. After an error the writer must be dropped.
    pub fn commit(&mut self, batches: &[&Batch]) -> Result<i64, Lost> {
        let (state_topic, shard) = (self.state_topic.as_str(), self.shard);
        self.transactions.commit(|open| {
            let mut times = Times::default();
            for event in batches.iter().flat_map(|batch| &batch.events) {
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
