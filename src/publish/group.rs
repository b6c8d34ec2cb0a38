//! Group commit: batches of many pollers of a shard in one transaction.
//!
//! The loop runs on the shard's own OS thread, because every transaction call blocks. While one
//! transaction is on its way to the broker the next batches queue up, so the busier the shard,
//! the larger its transactions, up to [`ROWS_MAX`] records or [`BYTES_MAX`] bytes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use crate::{
    failpoints::{self, Point},
    state::keeper::Keeper,
    telemetry::{metrics::Metrics, pulse},
};

use super::{
    batch::Batch,
    cache::Cache,
    writer::{Lost, Writer},
};

/// Records after which a transaction takes no further batch.
pub const ROWS_MAX: usize = 5_000;
/// Bytes after which a transaction takes no further batch.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Batches that may wait; pollers beyond that wait themselves, so memory stays flat.
const QUEUE_BATCHES: usize = 32;

/// The shard's writer is gone: what was handed to it may or may not be committed, and only a
/// restore tells. Pollers end with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shard was lost before the commit was confirmed")]
pub struct Gone;

/// What may wait for a transaction.
pub trait Grouped {
    /// Records of any kind.
    fn records(&self) -> usize;
    /// Keys and values, without Kafka's own overhead.
    fn bytes(&self) -> usize;
}

impl Grouped for Batch {
    fn records(&self) -> usize {
        self.len()
    }

    fn bytes(&self) -> usize {
        Self::bytes(self)
    }
}

/// A batch and whoever waits for its commit.
#[derive(Debug)]
pub struct Request<B> {
    /// What is to be written.
    pub batch: B,
    committed: oneshot::Sender<()>,
}

impl<B> Request<B> {
    /// Tells that the batch is committed.
    pub fn confirm(self) -> B {
        // Whoever was cancelled meanwhile no longer waits; the commit stands.
        self.committed.send(()).unwrap_or_default();
        self.batch
    }
}

/// Hands batches to the thread that commits them; cheap to clone.
#[derive(Debug)]
pub struct Publisher<B = Batch> {
    requests: mpsc::Sender<Request<B>>,
}

impl<B> Clone for Publisher<B> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone() }
    }
}

/// The other end: what that thread takes batches from.
#[derive(Debug)]
pub struct Inbox<B = Batch> {
    requests: mpsc::Receiver<Request<B>>,
}

/// A publisher and its inbox.
pub fn channel<B>() -> (Publisher<B>, Inbox<B>) {
    let (sender, receiver) = mpsc::channel(QUEUE_BATCHES);
    (Publisher { requests: sender }, Inbox { requests: receiver })
}

impl<B: Grouped> Publisher<B> {
    /// Returns once the batch is committed. An empty batch opens no transaction.
    pub async fn publish(&self, batch: B) -> Result<(), Gone> {
        if batch.records() == 0 {
            return Ok(());
        }
        let (committed, confirmed) = oneshot::channel();
        self.requests.send(Request { batch, committed }).await.map_err(|_| Gone)?;
        confirmed.await.map_err(|_| Gone)
    }
}

impl<B: Grouped> Inbox<B> {
    /// Waits for a batch and takes what else is there already; nothing once every publisher is
    /// dropped. Blocks.
    pub fn gather(&mut self) -> Option<Vec<Request<B>>> {
        pulse::idle();
        let Some(first) = self.requests.blocking_recv() else {
            pulse::step("ending");
            return None;
        };
        pulse::step("gathering batches");
        let (mut records, mut bytes) = (first.batch.records(), first.batch.bytes());
        let mut requests = vec![first];
        while records < ROWS_MAX && bytes < BYTES_MAX {
            let Ok(next) = self.requests.try_recv() else { break };
            records += next.batch.records();
            bytes += next.batch.bytes();
            requests.push(next);
        }
        Some(requests)
    }
}

/// Where confirmed ends are told.
pub trait CommitObserver: Send {
    /// The state partition is committed up to before this offset.
    fn committed(&self, state_end: i64);
}

/// Commits what arrives until every publisher is dropped, or the writer is lost.
///
/// The local cache is written after the commit only, and its failure costs the cache, not rows.
pub fn run(
    mut writer: Writer,
    cache: Option<Keeper>,
    mut inbox: Inbox,
    observer: &impl CommitObserver,
    metrics: &Arc<Metrics>,
) -> Result<(), Lost> {
    let mut cache = Cache::new(cache, writer.shard(), metrics);
    while let Some(requests) = inbox.gather() {
        let batches: Vec<&Batch> = requests.iter().map(|request| &request.batch).collect();
        let started = Instant::now();
        let queued: usize = batches.iter().map(|batch| batch.len()).sum();
        metrics.kafka_producer_queue.add(i64::try_from(queued).unwrap_or(0));
        let outcome = writer.commit(&batches);
        metrics.kafka_producer_queue.sub(i64::try_from(queued).unwrap_or(0));
        let failure = outcome.as_ref().err();
        count(metrics, writer.state_topic(), &batches, started.elapsed(), failure);
        let state_end = outcome?;
        cache.write(&batches, state_end);
        failpoints::reach(Point::Cached);
        observer.committed(state_end);
        for request in requests {
            request.confirm();
        }
        cache.flush_at_times();
    }
    cache.flush();
    Ok(())
}

fn count(
    metrics: &Metrics,
    state_topic: &str,
    batches: &[&Batch],
    took: Duration,
    lost: Option<&Lost>,
) {
    metrics.transaction_duration.observe(took.as_secs_f64());
    let mut by_topic: std::collections::BTreeMap<&str, u64> = Default::default();
    for batch in batches {
        for event in &batch.events {
            *by_topic.entry(&event.topic).or_default() += 1;
        }
        if !batch.state.is_empty() {
            *by_topic.entry(state_topic).or_default() += batch.state.len() as u64;
        }
    }
    for (topic, records) in by_topic {
        match lost {
            None => {
                metrics.kafka_produced_records.with_label_values(&[topic]).inc_by(records);
                let duration = metrics.kafka_produce_duration.with_label_values(&[topic]);
                duration.observe(took.as_secs_f64());
            }
            Some(lost) => {
                let labels = [topic, lost.verdict.as_str()];
                metrics.kafka_produce_errors.with_label_values(&labels).inc();
            }
        }
    }
}

/// A shard's thread that writes nowhere.
#[cfg(test)]
impl Inbox {
    /// Hands out batches in order; one that `confirms` refuses is lost with all that follow.
    pub(crate) async fn serve(mut self, mut confirms: impl FnMut(Batch) -> bool) {
        while let Some(request) = self.requests.recv().await {
            if !confirms(request.batch) {
                return;
            }
            request.committed.send(()).unwrap_or_default();
        }
    }
}
