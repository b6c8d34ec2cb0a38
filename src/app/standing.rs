//! What the status page and `status` are told, made from the board and the shards.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    app::Shown,
    config::model::Config,
    domain::{
        ids::{ConnectionId, EntityKey, Stream},
        time::Timestamp,
    },
    http::{
        Health, StatusSource,
        status::{LastError, ShardStatus, SinkStatus, Status, StreamStatus},
    },
    poll::{
        board::{Phase, Standing},
        series::polled,
    },
    shards::placement::shard_of,
    telemetry::clock::now,
};

/// Answers `/api/v1/status` from what the running program shows.
#[derive(Debug)]
pub struct Source {
    /// What it shows.
    pub shown: Shown,
    /// Whether it is ready, and what it waits for.
    pub health: Arc<Health>,
    /// Which connections there are.
    pub config: Arc<Config>,
    /// Which configuration is in force.
    pub config_hash: String,
}

impl StatusSource for Source {
    fn status(&self) -> Status {
        let standings = self.shown.board.snapshot();
        let shards = self.shards();
        let sink = self.sink();
        let promises = Promises::of(&self.config);
        let now = now();
        let late = standings.iter().filter(|(key, standing)| promises.late(key, standing, now));
        let late = late.count();
        let uptime = now.0.saturating_sub(self.shown.started_at.0) / 1000;
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: u64::try_from(uptime).unwrap_or(0),
            config_hash: self.config_hash.clone(),
            verdict: verdict(&self.unready(), (&standings, late), &shards, sink.as_ref()),
            shards,
            sink,
            streams: standings
                .iter()
                .map(|(key, standing)| {
                    stream(key, standing, (promises.late(key, standing, now), now))
                })
                .collect(),
        }
    }
}

impl Source {
    /// What readiness waits for; the shards and the sink are told apart.
    fn unready(&self) -> Vec<String> {
        let checks = self.health.common_checks().into_iter();
        // What waits for another condition says nothing more than that one.
        checks.filter(|check| !check.ok && !check.pending).map(|check| check.detail).collect()
    }

    fn sink(&self) -> Option<SinkStatus> {
        if !self.config.sink.enabled {
            return None;
        }
        let tally = &self.shown.tally;
        let (standing, commands) = (tally.standing(), tally.commands());
        Some(SinkStatus {
            state: standing.phase.as_str().to_owned(),
            why: standing.why,
            in_doubt: commands.in_doubt,
            oldest_in_doubt: commands.oldest_in_doubt.map(Timestamp::to_rfc3339),
            waiting: commands.waiting,
        })
    }

    fn shards(&self) -> Vec<ShardStatus> {
        let phases: BTreeMap<_, _> =
            self.shown.shards.borrow().iter().map(|(shard, phase)| (*shard, *phase)).collect();
        let count = self.config.kafka.shards;
        let of = |shard| {
            let connections = self.config.connections.iter();
            let own = connections.filter(|c| shard_of(&c.id, count) == shard);
            own.map(|c| c.id.to_string()).collect()
        };
        phases
            .into_iter()
            .map(|(shard, phase)| ShardStatus {
                shard,
                state: phase.as_str().to_owned(),
                connections: of(shard),
            })
            .collect()
    }
}

/// What is promised of how fresh each stream is.
struct Promises(BTreeMap<(ConnectionId, Stream), Duration>);

impl Promises {
    fn of(config: &Config) -> Self {
        let promised = config.connections.iter().flat_map(|connection| {
            let streams = polled(connection).into_iter();
            streams.map(|polled| ((connection.id.clone(), polled.stream), polled.slo.freshness))
        });
        Self(promised.collect())
    }

    /// Whether it is polled well, but too seldom: the last success is longer ago than `freshness_slo`,
    /// of which zero says that nothing is promised.
    fn late(&self, key: &EntityKey, standing: &Standing, now: Timestamp) -> bool {
        let promise = self.0.get(&(key.connection.clone(), key.stream));
        let Some((promise, success)) = promise.zip(standing.last_success) else { return false };
        let age = u128::try_from(now.0.saturating_sub(success.0)).unwrap_or(0);
        standing.phase == Phase::Running && !promise.is_zero() && age > promise.as_millis()
    }
}

fn verdict(
    unready: &[String],
    (standings, late): (&BTreeMap<EntityKey, Standing>, usize),
    shards: &[ShardStatus],
    sink: Option<&SinkStatus>,
) -> String {
    let failing = standings.values().filter(|s| s.phase == Phase::Failed).count();
    let backfilling = standings.values().filter(|s| s.phase == Phase::Backfilling).count();
    let unowned = shards.iter().filter(|shard| shard.state != "owned").count();
    let mut parts = Vec::new();
    if !unready.is_empty() {
        parts.push(format!("not ready: {}", unready.join(", ")));
    }
    let shards = if unowned == 1 { "shard not running" } else { "shards not running" };
    let counts =
        [(failing, "failing"), (late, "late"), (unowned, shards), (backfilling, "backfilling")];
    for (count, words) in counts.into_iter().filter(|(count, _)| *count > 0) {
        parts.push(format!("{count} {words}"));
    }
    // The others are how a healthy sink stands; these come with a reason.
    if let Some(SinkStatus { state, why: Some(_), .. }) = sink {
        parts.push(format!("payment sink {state}"));
    }
    if let Some(SinkStatus { in_doubt: count @ 1.., .. }) = sink {
        let commands = if *count == 1 { "payment command" } else { "payment commands" };
        parts.push(format!("{count} {commands} in doubt or parked"));
    }
    if parts.is_empty() { "healthy".to_owned() } else { parts.join(", ") }
}

fn stream(key: &EntityKey, standing: &Standing, (is_late, now): (bool, Timestamp)) -> StreamStatus {
    let text = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    StreamStatus {
        connection: key.connection.to_string(),
        stream: key.stream.to_string(),
        entity: key.entity.to_string(),
        state: words(standing, is_late),
        last_success: text(standing.last_success),
        newest_record: text(standing.newest_at),
        checkpoint: text(standing.read_through),
        next_poll: text(standing.next_poll),
        last_error: standing.last_error.as_ref().map(|error| LastError {
            time: error.at.to_rfc3339(),
            code: error.code.to_owned(),
            message: error.message.clone(),
        }),
        rows_24h: standing.rows.total(now),
        rows_24h_since: text(Some(standing.rows.since(now))),
    }
}

fn words(standing: &Standing, is_late: bool) -> String {
    match standing.phase {
        Phase::Failed => "failing".to_owned(),
        Phase::Stopped => "stopped".to_owned(),
        Phase::Backfilling => {
            format!("backfilling {:.0} %", (standing.backfill_ratio * 100.0).floor())
        }
        Phase::Running if standing.last_success.is_none() => "never synced".to_owned(),
        Phase::Running if is_late => "late".to_owned(),
        Phase::Running => "healthy".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_counts_in_words_that_fit() {
        let said = |in_doubt: u64, fenced: i32| {
            let sink = SinkStatus {
                state: "owned".to_owned(),
                why: None,
                in_doubt,
                oldest_in_doubt: None,
                waiting: 0,
            };
            let shard =
                |shard| ShardStatus { shard, state: "fenced".to_owned(), connections: Vec::new() };
            let shards: Vec<_> = (0..fenced).map(shard).collect();
            verdict(&[], (&BTreeMap::new(), 0), &shards, Some(&sink))
        };
        assert_eq!(said(0, 0), "healthy");
        assert_eq!(said(1, 1), "1 shard not running, 1 payment command in doubt or parked");
        assert_eq!(said(2, 3), "3 shards not running, 2 payment commands in doubt or parked");
    }

    #[test]
    fn a_stream_that_is_polled_too_seldom_is_late_and_not_healthy() {
        let connection = ConnectionId::try_new("acme").unwrap();
        let key = |stream| EntityKey { connection: connection.clone(), stream, entity: "1".into() };
        let (bank, pos) = (key(Stream::BankTransactions), key(Stream::PosTransactions));
        let promise = |key: &EntityKey, seconds| {
            ((key.connection.clone(), key.stream), Duration::from_secs(seconds))
        };
        let promises = Promises([promise(&bank, 960), promise(&pos, 0)].into());
        let now = Timestamp(1_646_900_000_000);
        let mut standing = Standing::new(now);
        standing.phase = Phase::Running;
        for (seconds, is_late) in [(960, false), (961, true)] {
            standing.last_success = Some(Timestamp(now.0 - seconds * 1000));
            assert_eq!(promises.late(&bank, &standing, now), is_late, "{seconds}");
            assert!(!promises.late(&pos, &standing, now), "nothing is promised");
        }
        assert_eq!(words(&standing, true), "late");
        assert_eq!(verdict(&[], (&BTreeMap::new(), 2), &[], None), "2 late");
        standing.phase = Phase::Failed;
        assert!(!promises.late(&bank, &standing, now) && words(&standing, false) == "failing");
        standing.phase = Phase::Running;
        standing.last_success = None;
        assert!(!promises.late(&bank, &standing, now));
        assert_eq!(words(&standing, false), "never synced");
    }
}
