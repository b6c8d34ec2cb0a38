//! The series of every stream: made to exist at start, then set from the board.
//!
//! A replica shows the gauges of the connections that it answers for: all of them until it knows
//! its shards, so that a start that never gets that far looks stale, then those of its shards.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    config::model::{Connection, Slo},
    domain::{
        ids::{ConnectionId, EntityKey, Stream},
        time::Timestamp,
        vocabulary::RejectionReason,
    },
    log_event,
    telemetry::{events::Event, metrics::Metrics},
};

use super::{
    board::{Board, Phase, Standing},
    connection::DISCOVERY_INTERVAL,
    history::{Begun, History},
};

/// Between two lines about the same backfill.
const PROGRESS_INTERVAL_MS: i64 = 10_000;
const OUTCOMES: [&str; 3] = ["success", "empty", "error"];
const KINDS: [&str; 4] = ["new", "changed", "unchanged", "deleted"];

/// A stream that is polled for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polled {
    /// Which.
    pub stream: Stream,
    /// What is promised of it.
    pub slo: Slo,
}

/// The series of all connections.
#[derive(Debug, Clone)]
pub struct Series {
    metrics: Arc<Metrics>,
    connections: Vec<(ConnectionId, Vec<Polled>)>,
    backfills: BTreeMap<(ConnectionId, Stream), Backfill>,
}

/// A backfill, and when it was last spoken of.
#[derive(Debug, Clone, Copy)]
struct Backfill {
    said_at: Timestamp,
    begun: Begun,
}

/// Where a whole stream stands.
struct Summary {
    phase: Option<Phase>,
    last_success: Timestamp,
    newest_at: Timestamp,
    read_through: Timestamp,
    committed_at: Timestamp,
    backfill_ratio: f64,
    history: Option<History>,
}

/// What is polled for a connection, as `connection::run` starts it.
pub fn polled(config: &Connection) -> Vec<Polled> {
    let streams = &config.streams;
    let (bank, pos) = (&streams.bank_transactions, &streams.pos_transactions);
    let reference = streams.reference.as_ref().map(|reference| reference.slo);
    let discovery = Slo::of_interval(DISCOVERY_INTERVAL);
    let discovered = |wanted: bool| reference.or_else(|| wanted.then_some(discovery));
    let mut found = Vec::new();
    let mut add = |stream, slo: Option<Slo>| found.extend(slo.map(|slo| Polled { stream, slo }));
    if config.bank_pos.is_some() {
        add(Stream::BankTransactions, bank.as_ref().map(|s| s.following.slo));
        add(Stream::PosTransactions, pos.as_ref().map(|s| s.following.slo));
        add(Stream::Banks, reference);
        add(Stream::TransactionTypes, reference);
        add(Stream::Accounts, discovered(bank.is_some()));
        add(Stream::Terminals, discovered(pos.is_some()));
    }
    if config.virtual_pos.is_some() {
        let list = streams.virtual_pos_transactions.as_ref();
        add(Stream::VirtualPosTransactions, list.map(|s| s.slo));
        add(Stream::Installments, reference);
        add(Stream::Customers, reference);
    }
    if config.tos.is_some() {
        add(Stream::TosPayments, streams.tos_payments.as_ref().map(|s| s.following.slo));
    }
    found
}

/// The list that says which entities a stream has: with none of them, it speaks for the stream.
const fn list_of(stream: Stream) -> Option<Stream> {
    match stream {
        Stream::BankTransactions => Some(Stream::Accounts),
        Stream::PosTransactions => Some(Stream::Terminals),
        _ => None,
    }
}

impl Series {
    /// Makes every counter exist; `quarantine` is the full name of that topic.
    pub fn new(connections: &[Arc<Connection>], quarantine: &str, metrics: Arc<Metrics>) -> Self {
        let connections: Vec<_> =
            connections.iter().map(|config| (config.id.clone(), polled(config))).collect();
        for (connection, streams) in &connections {
            for polled in streams {
                seed(&metrics, quarantine, connection.as_str(), polled.stream.name());
            }
        }
        Self { metrics, connections, backfills: BTreeMap::new() }
    }

    /// Sets the gauges of the connections that the board answers for, and removes the others.
    pub fn export(&mut self, board: &Board, now: Timestamp) {
        board.settle(now);
        let standings = board.snapshot();
        let answered = board.answered();
        for (connection, streams) in &self.connections {
            let since = answered.get(connection).copied();
            for polled in streams {
                let labels = [connection.as_str(), polled.stream.name()];
                let Some(since) = since else {
                    remove(&self.metrics, labels);
                    self.backfills.remove(&(connection.clone(), polled.stream));
                    continue;
                };
                let summary = summarize(&standings, connection, polled.stream, (since, now));
                set(&self.metrics, labels, polled.slo, &summary);
                let key = (connection.clone(), polled.stream);
                tell(&mut self.backfills, key, &summary, now);
            }
        }
    }
}

fn seed(metrics: &Metrics, quarantine: &str, connection: &str, stream: &str) {
    for outcome in OUTCOMES {
        metrics.source_polls.with_label_values(&[connection, stream, outcome]);
    }
    for kind in KINDS {
        metrics.source_records.with_label_values(&[connection, stream, kind]);
    }
    for reason in RejectionReason::ALL {
        let labels = [connection, stream, quarantine, reason.as_str()];
        metrics.dlq_records.with_label_values(&labels);
    }
    metrics.source_poll_duration.with_label_values(&[connection, stream]);
}

fn set(metrics: &Metrics, labels: [&str; 2], slo: Slo, summary: &Summary) {
    for (gauge, value) in [
        (&metrics.source_last_success, summary.last_success.seconds()),
        (&metrics.source_newest_record, summary.newest_at.seconds()),
        (&metrics.source_checkpoint_position, summary.read_through.seconds()),
        (&metrics.source_checkpoint_commit, summary.committed_at.seconds()),
        (&metrics.source_backfill_progress, summary.backfill_ratio),
        (&metrics.source_freshness_slo, slo.freshness.as_secs_f64()),
        (&metrics.source_quiet_slo, slo.quiet.as_secs_f64()),
    ] {
        gauge.with_label_values(&labels).set(value);
    }
    for phase in Phase::ALL {
        let gauge = metrics.source_state.with_label_values(&[labels[0], labels[1], phase.as_str()]);
        gauge.set(i64::from(Some(phase) == summary.phase));
    }
}

/// What is not there cannot be removed, which is as good.
fn remove(metrics: &Metrics, labels: [&str; 2]) {
    for gauge in [
        &metrics.source_last_success,
        &metrics.source_newest_record,
        &metrics.source_checkpoint_position,
        &metrics.source_checkpoint_commit,
        &metrics.source_backfill_progress,
        &metrics.source_freshness_slo,
        &metrics.source_quiet_slo,
    ] {
        drop(gauge.remove_label_values(&labels));
    }
    for phase in Phase::ALL {
        let labels = [labels[0], labels[1], phase.as_str()];
        drop(metrics.source_state.remove_label_values(&labels));
    }
}

fn of<'a>(
    standings: &'a BTreeMap<EntityKey, Standing>,
    connection: &ConnectionId,
    stream: Stream,
) -> Vec<(&'a EntityKey, &'a Standing)> {
    let own = |key: &EntityKey| key.connection == *connection && key.stream == stream;
    standings.iter().filter(|(key, _)| own(key)).collect()
}

/// Those of whom something is promised. Not what is stopped, nor the connection-wide feed beside its
/// accounts: it tells them of its answers, and while its call fails each of them asks for itself.
fn watched<'a>(all: &[(&EntityKey, &'a Standing)]) -> Vec<&'a Standing> {
    let active = || all.iter().filter(|(_, standing)| standing.phase != Phase::Stopped);
    let is_account = |key: &EntityKey| {
        key.stream == Stream::BankTransactions && &*key.entity != EntityKey::WHOLE
    };
    let has_accounts = active().any(|(key, _)| is_account(key));
    let watched = active().filter(|(key, _)| !has_accounts || is_account(key));
    watched.map(|(_, standing)| *standing).collect()
}

/// The entity that is furthest behind speaks for its stream.
fn summarize(
    standings: &BTreeMap<EntityKey, Standing>,
    connection: &ConnectionId,
    stream: Stream,
    (since, now): (Timestamp, Timestamp),
) -> Summary {
    let own = of(standings, connection, stream);
    let history = History::of(own.iter().copied(), now);
    let all = match list_of(stream) {
        Some(list) if own.is_empty() => of(standings, connection, list),
        _ => own,
    };
    let watched = watched(&all);
    let oldest = |at: &dyn Fn(&Standing) -> Timestamp| {
        watched.iter().map(|standing| at(standing)).min().unwrap_or(since)
    };
    #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
    let count = all.len().max(1) as f64;
    Summary {
        phase: phase_of(&all),
        last_success: oldest(&|standing| promised(standing, standing.last_success, since)),
        newest_at: all.iter().filter_map(|(_, one)| one.newest_at).max().unwrap_or(since),
        read_through: oldest(&|standing| standing.read_through.unwrap_or(since)),
        committed_at: oldest(&|standing| promised(standing, standing.committed_at, since)),
        backfill_ratio: all.iter().map(|(_, one)| one.backfill_ratio).sum::<f64>() / count,
        history,
    }
}

/// Nothing is promised of the time before an entity was there, or while it was closed.
fn promised(standing: &Standing, at: Option<Timestamp>, since: Timestamp) -> Timestamp {
    at.unwrap_or(since).max(standing.watched_since)
}

/// A failing entity must not hide behind running ones, nor a backfill behind live polls. `None`:
/// nothing is known yet.
fn phase_of(all: &[(&EntityKey, &Standing)]) -> Option<Phase> {
    [Phase::Failed, Phase::Backfilling, Phase::Running, Phase::Stopped]
        .into_iter()
        .find(|phase| all.iter().any(|(_, standing)| standing.phase == *phase))
}

/// Says now and then how far a backfill is, and when it is done.
fn tell(
    backfills: &mut BTreeMap<(ConnectionId, Stream), Backfill>,
    key: (ConnectionId, Stream),
    summary: &Summary,
    now: Timestamp,
) {
    let (connection, stream) = (key.0.clone(), key.1);
    let ratio = summary.history.map_or(summary.backfill_ratio, |history| history.ratio);
    match (backfills.get_mut(&key), summary.history, summary.phase) {
        (None, Some(_), _) => {
            let begun = Begun { at: now, ratio };
            backfills.insert(key, Backfill { said_at: now, begun });
        }
        (Some(backfill), Some(history), _)
            if now.0 - backfill.said_at.0 >= PROGRESS_INTERVAL_MS =>
        {
            backfill.said_at = now;
            let History { entities, done, rows, .. } = history;
            let eta_s = backfill.begun.eta(now, ratio).map(|eta| eta.as_secs());
            let percent = history.percent();
            log_event!(Event::BackfillProgress, %connection, %stream, percent, done, entities, rows, eta_s, "reading history");
        }
        (Some(_), None, Some(Phase::Running)) => {
            backfills.remove(&key);
            log_event!(Event::BackfillDone, %connection, %stream, "history is read");
        }
        _ => {}
    }
}

/// How long a replica shows connections that it was not given, after it was given others: the
/// shards of one assignment arrive one after the other.
pub(super) const SETTLE: Duration = Duration::from_secs(30);

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
