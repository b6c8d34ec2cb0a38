//! Where every entity stands, for metrics, the status page and `status`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    domain::{ids::EntityKey, time::Timestamp},
    telemetry::metrics::Metrics,
};

/// What a poller is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Polling on schedule.
    Running,
    /// Reading history.
    Backfilling,
    /// Told to wait by an operator.
    Paused,
    /// Closed at the source, or stopped.
    Stopped,
    /// Cannot go on for now.
    Failed,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 5] =
        [Self::Running, Self::Backfilling, Self::Paused, Self::Stopped, Self::Failed];

    /// The label of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Backfilling => "backfilling",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// The last error of an entity, in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// A stable code.
    pub code: &'static str,
    /// What to read.
    pub message: String,
}

/// One entity's row on the board.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// What its poller is doing.
    pub phase: Phase,
    /// Last poll that went well.
    pub last_success: Option<Timestamp>,
    /// Business time of the newest row.
    pub newest_at: Option<Timestamp>,
    /// Every row before this instant has been read.
    pub read_through: Option<Timestamp>,
    /// Last time the checkpoint was true: committed, or nothing to commit.
    pub committed_at: Option<Timestamp>,
    /// Next poll.
    pub next_poll: Option<Timestamp>,
    /// Share of the backfill.
    pub backfill_ratio: f64,
    /// What went wrong last; gone after a success.
    pub last_error: Option<LastError>,
    /// Rows published since start.
    pub rows: u64,
}

impl Standing {
    const fn new() -> Self {
        Self {
            phase: Phase::Running,
            last_success: None,
            newest_at: None,
            read_through: None,
            committed_at: None,
            next_poll: None,
            backfill_ratio: 0.0,
            last_error: None,
            rows: 0,
        }
    }
}

/// All standings of the process.
#[derive(Debug, Default)]
pub struct Board {
    standings: Mutex<BTreeMap<EntityKey, Standing>>,
}

impl Board {
    /// Changes one row, making it where it is missing.
    pub fn update(&self, key: &EntityKey, change: impl FnOnce(&mut Standing)) {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        match standings.get_mut(key) {
            Some(standing) => change(standing),
            None => change(standings.entry(key.clone()).or_insert_with(Standing::new)),
        }
    }

    /// Takes entities of a connection off, when its shard goes elsewhere.
    pub fn forget(&self, connection: &crate::domain::ids::ConnectionId) {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        standings.retain(|key, _| key.connection != *connection);
    }

    /// A copy of everything.
    pub fn snapshot(&self) -> BTreeMap<EntityKey, Standing> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the gauges of every stream: the entity that is furthest behind speaks for its stream.
    pub fn export(&self, metrics: &Metrics, process_start: Timestamp) {
        let standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut streams: BTreeMap<(&str, &str), Vec<&Standing>> = BTreeMap::new();
        for (key, standing) in standings.iter() {
            let name = (key.connection.as_str(), key.stream.name());
            streams.entry(name).or_default().push(standing);
        }
        let seconds = |t: Option<Timestamp>| t.unwrap_or(process_start).0 as f64 / 1000.0;
        for ((connection, stream), all) in streams {
            let labels = [connection, stream];
            let active = || all.iter().filter(|s| s.phase != Phase::Stopped);
            let oldest = |of: fn(&Standing) -> Option<Timestamp>| {
                active().map(|s| of(s).unwrap_or(process_start)).min()
            };
            let set = |gauge: &prometheus::GaugeVec, value: f64| {
                gauge.with_label_values(&labels).set(value);
            };
            set(&metrics.source_last_success, seconds(oldest(|s| s.last_success)));
            set(&metrics.source_checkpoint_commit, seconds(oldest(|s| s.committed_at)));
            set(&metrics.source_checkpoint_position, seconds(oldest(|s| s.read_through)));
            set(
                &metrics.source_newest_record,
                seconds(all.iter().filter_map(|s| s.newest_at).max()),
            );
            let ratio = all.iter().map(|s| s.backfill_ratio).sum::<f64>() / all.len().max(1) as f64;
            set(&metrics.source_backfill_progress, ratio);
            let phase = phase_of_stream(&all);
            for shown in Phase::ALL {
                let gauge =
                    metrics.source_state.with_label_values(&[connection, stream, shown.as_str()]);
                gauge.set(i64::from(shown == phase));
            }
        }
    }
}

/// A failing entity must not hide behind running ones, nor a backfill behind live polls.
fn phase_of_stream(all: &[&Standing]) -> Phase {
    let has = |phase| all.iter().any(|s| s.phase == phase);
    [Phase::Failed, Phase::Backfilling, Phase::Paused, Phase::Running]
        .into_iter()
        .find(|phase| has(*phase))
        .unwrap_or(Phase::Stopped)
}
