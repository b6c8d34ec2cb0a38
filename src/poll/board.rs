//! Where every entity stands, for metrics, the status page and `status`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    domain::{
        ids::{ConnectionId, EntityKey},
        time::{Day, Timestamp},
    },
    state::position::Checkpoint,
    telemetry::clock::now,
};

use super::{plan::Schedule, series::SETTLE};

/// What a poller is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Polling on schedule.
    Running,
    /// Reading history.
    Backfilling,
    /// Closed at the source, or stopped.
    Stopped,
    /// Cannot go on for now.
    Failed,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 4] = [Self::Running, Self::Backfilling, Self::Stopped, Self::Failed];

    /// The label of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Backfilling => "backfilling",
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
    /// Since when something is promised of it: it was made, or left [`Phase::Stopped`].
    pub watched_since: Timestamp,
    /// Last good answer of the API.
    pub last_success: Option<Timestamp>,
    /// Business time of the newest row.
    pub newest_at: Option<Timestamp>,
    /// Every row before this instant has been read.
    pub read_through: Option<Timestamp>,
    /// Last time the checkpoint was true: committed, or nothing to commit.
    pub committed_at: Option<Timestamp>,
    /// Next poll; nothing while one is under way, or where only a person or a secret brings it.
    pub next_poll: Option<Timestamp>,
    /// Share of the backfill.
    pub backfill_ratio: f64,
    /// What went wrong last; gone after a success.
    pub last_error: Option<LastError>,
    /// Rows published lately.
    pub rows: LastDay,
}

/// Rows by when they were published, whatever day they are of: those of the hour of the clock that
/// runs and of the 23 before. What another process published is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastDay {
    /// When this process took the entity over.
    begun: Timestamp,
    hour: i64,
    by_hour: [u64; LastDay::HOURS],
}

impl LastDay {
    const HOURS: usize = 24;
    const HOUR_MS: i64 = 3_600_000;

    /// Nothing was published yet.
    pub const fn new(begun: Timestamp) -> Self {
        Self { begun, hour: 0, by_hour: [0; Self::HOURS] }
    }

    /// Adds rows.
    pub fn add(&mut self, at: Timestamp, rows: u64) {
        self.advance(at);
        if let Some(hour) = self.by_hour.first_mut() {
            *hour += rows;
        }
    }

    /// How many there are.
    pub fn total(mut self, now: Timestamp) -> u64 {
        self.advance(now);
        self.by_hour.iter().sum()
    }

    /// Since when they are counted: the full hour some 23 hours ago, or when the entity was taken
    /// over.
    pub fn since(mut self, now: Timestamp) -> Timestamp {
        self.advance(now);
        let oldest = self.hour.saturating_sub(Self::HOURS as i64 - 1);
        self.begun.max(Timestamp(oldest.saturating_mul(Self::HOUR_MS)))
    }

    /// The newest hour stands first.
    fn advance(&mut self, now: Timestamp) {
        let hour = now.0.div_euclid(Self::HOUR_MS);
        let passed = usize::try_from(hour - self.hour).unwrap_or(0).min(Self::HOURS);
        self.by_hour.rotate_right(passed % Self::HOURS);
        self.by_hour.iter_mut().take(passed).for_each(|old| *old = 0);
        self.hour = self.hour.max(hour);
    }
}

impl Standing {
    /// Taken over now, and nothing is known yet.
    pub const fn new(begun: Timestamp) -> Self {
        Self {
            phase: Phase::Running,
            watched_since: begun,
            last_success: None,
            newest_at: None,
            read_through: None,
            committed_at: None,
            next_poll: None,
            backfill_ratio: 0.0,
            last_error: None,
            rows: LastDay::new(begun),
        }
    }
}

/// All standings of the process, and whose streams it answers for.
#[derive(Debug, Default)]
pub struct Board {
    standings: Mutex<BTreeMap<EntityKey, Standing>>,
    answering: Mutex<Answering>,
}

#[derive(Debug, Default)]
struct Answering {
    connections: BTreeMap<ConnectionId, Answer>,
    first_grant: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    since: Timestamp,
    granted: bool,
    /// The group has lost this replica: nobody is known to have taken the connection over.
    lost: bool,
}

impl Board {
    /// Answers for all of these until it is known which of them are this replica's.
    pub fn new<'a>(
        connections: impl Iterator<Item = &'a ConnectionId>,
        started_at: Timestamp,
    ) -> Self {
        let answer = Answer { since: started_at, granted: false, lost: false };
        let connections = connections.map(|id| (id.clone(), answer)).collect();
        let answering = Mutex::new(Answering { connections, first_grant: None });
        Self { answering, ..Self::default() }
    }

    /// Takes over what was restored of an entity, or that it is new.
    pub fn adopt(&self, key: &EntityKey, checkpoint: Option<&Checkpoint>, today: Day) {
        self.update(key, |standing| {
            let backfills = match checkpoint {
                Some(checkpoint) => checkpoint.backfill_next.is_some(),
                None => starts_with_history(key),
            };
            standing.phase = if backfills { Phase::Backfilling } else { Phase::Running };
            let Some(checkpoint) = checkpoint else { return };
            standing.backfill_ratio = checkpoint.backfill_ratio(today);
            standing.newest_at = standing.newest_at.max(checkpoint.newest_at);
            let read_through = checkpoint.backfill_next.map_or(checkpoint.covered_at, Day::start);
            standing.read_through = standing.read_through.max(Some(read_through));
        });
    }

    /// Changes one row, making it where it is missing.
    pub fn update(&self, key: &EntityKey, change: impl FnOnce(&mut Standing)) {
        let mut standings = self.standings();
        match standings.get_mut(key) {
            Some(standing) => {
                let was_stopped = standing.phase == Phase::Stopped;
                change(standing);
                if was_stopped && standing.phase != Phase::Stopped {
                    standing.watched_since = now();
                }
            }
            None => change(standings.entry(key.clone()).or_insert_with(|| Standing::new(now()))),
        }
    }

    /// Takes entities of a connection off, when its shard goes elsewhere.
    pub fn forget(&self, connection: &ConnectionId) {
        self.standings().retain(|key, _| key.connection != *connection);
        self.answering().connections.remove(connection);
    }

    /// Keeps entities of a connection as they stood, when this replica has lost its shard and
    /// nobody is known to have it: with Kafka away there may be no other, and a stream that nobody
    /// reads must grow stale and not vanish. Until the group says more, as at the start.
    pub fn lose(&self, connection: &ConnectionId, why: &LastError) {
        for (key, standing) in self.standings().iter_mut() {
            if key.connection == *connection && standing.phase != Phase::Stopped {
                standing.phase = Phase::Failed;
                standing.next_poll = None;
                standing.last_error = Some(why.clone());
            }
        }
        if let Some(answer) = self.answering().connections.get_mut(connection) {
            (answer.granted, answer.lost) = (false, true);
        }
    }

    /// The group has lost this replica: whose connections are whose is not known until it has shards
    /// again.
    pub fn unsettle(&self) {
        self.answering().first_grant = None;
    }

    /// A shard was given to this replica, with or without connections.
    pub fn note_grant(&self, now: Timestamp) {
        self.answering().first_grant.get_or_insert(now);
    }

    /// Pollers of the connection start. What stood there when the group lost this replica is told
    /// anew: others may have closed entities since, and published rows.
    pub fn begin(&self, connection: &ConnectionId, now: Timestamp) {
        let was_lost = self.answering().connections.get_mut(connection).is_some_and(|answer| {
            let was_lost = std::mem::take(&mut answer.lost);
            if was_lost {
                answer.since = now;
            }
            was_lost
        });
        if was_lost {
            self.standings().retain(|key, _| key.connection != *connection);
        }
    }

    /// A copy of everything.
    pub fn snapshot(&self) -> BTreeMap<EntityKey, Standing> {
        self.standings().clone()
    }

    /// From now on this replica answers for the connection: one of its shards has it.
    pub fn answer_for(&self, connection: &ConnectionId, now: Timestamp) {
        let mut answering = self.answering();
        let whose = answering.connections.entry(connection.clone());
        whose.or_insert(Answer { since: now, granted: true, lost: false }).granted = true;
    }

    /// Connections that were not given to this replica, or not again, are another's, once it has its
    /// shards.
    pub(super) fn settle(&self, now: Timestamp) {
        let mut answering = self.answering();
        let settled = answering.first_grant.is_some_and(|at| {
            u128::try_from(now.0 - at.0).is_ok_and(|age| age >= SETTLE.as_millis())
        });
        if !settled {
            return;
        }
        let others = answering.connections.extract_if(.., |_, answer| !answer.granted);
        let others: BTreeSet<ConnectionId> = others.map(|(id, _)| id).collect();
        drop(answering);
        if !others.is_empty() {
            self.standings().retain(|key, _| !others.contains(&key.connection));
        }
    }

    /// The connections that this replica answers for, since when.
    pub fn answered(&self) -> BTreeMap<ConnectionId, Timestamp> {
        let answering = self.answering();
        answering.connections.iter().map(|(id, answer)| (id.clone(), answer.since)).collect()
    }

    fn answering(&self) -> MutexGuard<'_, Answering> {
        self.answering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standings(&self) -> MutexGuard<'_, BTreeMap<EntityKey, Standing>> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accounts, terminals and institutions do; lists and the connection-wide feed do not.
pub(super) fn starts_with_history(key: &EntityKey) -> bool {
    Schedule::asks_by_days(key.stream) && &*key.entity != EntityKey::WHOLE
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn rows_are_those_of_the_last_day_and_no_more() {
        let begun = Timestamp(30 * 60_000);
        let mut rows = LastDay::new(begun);
        rows.add(Timestamp(0), 5);
        rows.add(Timestamp(HOUR), 7);
        assert_eq!(rows.total(Timestamp(HOUR)), 12);
        assert_eq!(rows.total(Timestamp(23 * HOUR + HOUR - 1)), 12);
        assert_eq!(rows.total(Timestamp(24 * HOUR)), 7);
        rows.add(Timestamp(25 * HOUR), 1);
        assert_eq!(rows.total(Timestamp(25 * HOUR)), 1);
        assert_eq!(rows.total(Timestamp(1_000 * HOUR)), 0);
        rows.add(Timestamp(24 * HOUR), 1);
        assert_eq!(rows.total(Timestamp(25 * HOUR)), 2, "a clock that went back adds to now");
        for (now, since) in [(HOUR, begun.0), (23 * HOUR, begun.0), (24 * HOUR, HOUR)] {
            let mut rows = LastDay::new(begun);
            rows.add(Timestamp(HOUR), 7);
            assert_eq!(rows.since(Timestamp(now)), Timestamp(since), "{now}");
        }
        assert_eq!(rows.since(Timestamp(100 * HOUR + 5)), Timestamp(77 * HOUR));
    }
}
