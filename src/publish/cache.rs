//! The local cache of one shard, as its writer keeps it: it follows the commits for as long as it can.

use std::time::{Duration, Instant};

use crate::{
    log_event,
    state::{keeper::Keeper, store},
    telemetry::{clock::now, events::Event, metrics::Metrics, pulse},
};

use super::batch::Batch;

/// How often it is asked to reach the disk.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// The cache, or the lack of one, which the metrics show.
pub(super) struct Cache<'a> {
    keeper: Option<Keeper>,
    shard: i32,
    metrics: &'a Metrics,
    flushed: Instant,
}

impl<'a> Cache<'a> {
    /// What was restored or filled; nothing where there is none.
    pub(super) fn new(keeper: Option<Keeper>, shard: i32, metrics: &'a Metrics) -> Self {
        if keeper.is_none() {
            metrics.state_shards_without_cache.inc();
        }
        Self { keeper, shard, metrics, flushed: Instant::now() }
    }

    /// Writes what was just committed.
    pub(super) fn write(&mut self, batches: &[&Batch], state_end: i64) {
        let Some(keeper) = &self.keeper else { return };
        pulse::step("writing to the local cache");
        let started = Instant::now();
        let records = batches.iter().flat_map(|batch| batch.state.iter());
        let records = records.map(|record| (record.key.clone(), record.value.clone())).collect();
        let written = keeper.write(records, state_end, now());
        self.metrics.state_flush_duration.observe(started.elapsed().as_secs_f64());
        self.keep(written);
    }

    /// Asks the disk to keep what was written, where it has not for a while.
    pub(super) fn flush_at_times(&mut self) {
        if self.flushed.elapsed() >= FLUSH_INTERVAL {
            self.flushed = Instant::now();
            self.flush();
        }
    }

    /// Asks the disk to keep what was written.
    pub(super) fn flush(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        pulse::step("flushing the local cache");
        let flushed = keeper.flush();
        self.keep(flushed);
    }

    /// A cache that has failed once is gone until the next restore.
    fn keep(&mut self, outcome: Result<(), store::Error>) {
        let Err(error) = outcome else { return };
        self.keeper = None;
        self.metrics.state_flush_errors.inc();
        self.metrics.state_shards_without_cache.inc();
        log_event!(
            Event::CacheWriteFailed,
            shard = self.shard,
            %error,
            "the local cache cannot be written, going on without it until the next restore: check the disk"
        );
    }
}

impl Drop for Cache<'_> {
    fn drop(&mut self) {
        if self.keeper.is_none() {
            self.metrics.state_shards_without_cache.dec();
        }
    }
}
