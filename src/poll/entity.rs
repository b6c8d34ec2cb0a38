//! One entity's memory and the steps that change it: digest, publish, apply, in this order.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::sync::{Mutex, Notify};

use crate::{
    api::{self, RetryClass, Rows},
    config::model::Deletions,
    domain::{
        ids::SourceId,
        quarantine::QuarantinedRow,
        time::{Day, Timestamp},
        vocabulary::RejectionReason,
    },
    failpoints::{self, Point},
    log_event,
    publish::{
        batch::{Batch, StateRecord},
        group::{Gone, Publisher},
    },
    state::{changelog::EntityState, codec, position::Checkpoint},
    telemetry::{clock::now, events::Event, metrics::Metrics},
};

use super::{
    absence,
    board::{Board, LastError, Phase},
    digest::{self, Answer, Digest, Reason, Refusal, Target},
    plan::Window,
    rooms::{Room, Rooms},
    working::chunk_records,
};

/// Why a step of a poller did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The API refused, or did not answer.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// The answer is not to be believed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The shard is gone; the poller ends.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl Failure {
    /// What it is logged as, and called on the status page.
    pub const fn event(&self) -> Event {
        match self {
            Self::Api(error) => error.event(),
            Self::Refused(Refusal::OutsideWindow { .. }) => Event::DatesIgnored,
            Self::Refused(Refusal::TooManyBad { .. }) => Event::TooManyBadRows,
            Self::Refused(Refusal::Encode(_)) => Event::NotEncodable,
            Self::Gone(_) => Event::TransactionUnknown,
        }
    }

    /// What the poller does about it.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Api(error) => error.retry_class(),
            // The next poll asks again; an answer that is wrong now is wrong in a second too.
            Self::Refused(_) | Self::Gone(_) => RetryClass::Permanent,
        }
    }
}

/// What all pollers of a connection share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The way to Kafka.
    pub publisher: Publisher,
    /// Where everybody stands.
    pub board: Arc<Board>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// History on its way; those of one connection only, for one whose API stands still must not
    /// hold up the others.
    pub rooms: Rooms,
}

/// One entity, shared between its own poller and the connection-wide feed.
#[derive(Debug)]
pub struct Entity {
    /// What stays the same.
    pub target: Target,
    /// What to do with rows that disappear.
    pub deletions: Deletions,
    /// The account's currency, where reference data knows it.
    pub currency: std::sync::RwLock<Option<Arc<str>>>,
    /// The feed could not take this account's rows: its own poller asks for them.
    pub ask_alone: Notify,
    shared: Shared,
    memory: Mutex<Memory>,
}

/// What changes.
#[derive(Debug, Default)]
struct Memory {
    state: EntityState,
    /// Rows missing from the last complete read, since when.
    absent: HashMap<SourceId, Timestamp>,
    /// When the last complete read was.
    complete_at: Option<Timestamp>,
}

/// What the checkpoint becomes when the answer is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// The cursor rises to the highest id of the answer.
    Cursor,
    /// The backfill goes on here (`None`: it is done), and the cursor rises.
    Backfill(Option<Day>),
    /// Nothing moves: a row found by the look-back must not hide lower ids from the live poll.
    Nothing,
}

/// A read that is about to be digested.
#[derive(Debug)]
pub struct Reading<'a> {
    /// Its answers.
    pub answers: &'a [Rows],
    /// Why it was made.
    pub reason: Reason,
    /// The days asked for.
    pub window: Option<Window>,
    /// What moves with it.
    pub advance: Advance,
    /// Memory of days before is dropped.
    pub first_kept: Option<Day>,
    /// First day of the first backfill, for an entity that is new.
    pub start: Day,
}

impl Entity {
    /// An entity with what was restored of it.
    pub fn new(target: Target, deletions: Deletions, state: EntityState, shared: Shared) -> Self {
        let today = now().local_day();
        shared.board.adopt(&target.key, state.checkpoint.as_ref(), today);
        let memory = Mutex::new(Memory { state, ..Memory::default() });
        let currency = std::sync::RwLock::new(None);
        Self { target, deletions, currency, ask_alone: Notify::new(), shared, memory }
    }

    /// Its position, or the one it would start from.
    pub async fn checkpoint(&self, start: Day) -> Checkpoint {
        let memory = self.memory.lock().await;
        memory.state.checkpoint.clone().unwrap_or_else(|| Checkpoint::initial(start, now()))
    }

    /// Whether anything was ever committed for it.
    pub async fn is_new(&self) -> bool {
        self.memory.lock().await.state.checkpoint.is_none()
    }

    /// Waits for room for a window of its history.
    pub async fn room(&self) -> Room {
        self.shared.rooms.take().await
    }

    /// Digests a read, commits it part by part, and remembers it after the last commit.
    ///
    /// Must not be cancelled between a commit and the memory of it, so callers never `select!`
    /// over it.
    pub async fn take_in(&self, reading: &Reading<'_>) -> Result<Digest, Failure> {
        failpoints::reach(Point::Fetched);
        let mut memory = self.memory.lock().await;
        let mut digest = self.digest(&memory.state, reading)?;
        let checkpoint = self.advance(&memory.state, reading, &mut digest);
        self.seal(&memory.state, &checkpoint, &mut digest);
        for part in std::mem::take(&mut digest.parts) {
            self.shared.publisher.publish(part).await?;
        }
        failpoints::reach(Point::BeforeMemory);
        memory.state.checkpoint = Some(checkpoint);
        memory.state.seen.apply(std::mem::take(&mut digest.staging));
        drop(memory);
        let operation = reading.answers.first().map_or("", |rows| rows.operation);
        self.count(&digest, operation);
        Ok(digest)
    }

    /// Raises the cursor without rows, as the connection-wide feed does after its accounts.
    pub async fn raise_cursor(&self, highest: Option<i64>, start: Day) -> Result<bool, Failure> {
        let mut memory = self.memory.lock().await;
        let old = memory.state.checkpoint.clone();
        let mut checkpoint = old.clone().unwrap_or_else(|| Checkpoint {
            backfill_next: None,
            ..Checkpoint::initial(start, now())
        });
        highest.into_iter().for_each(|id| checkpoint.raise_cursor(id));
        if old.as_ref() == Some(&checkpoint) || checkpoint.cursor.is_none() {
            return Ok(false);
        }
        checkpoint.covered_at = now();
        let record = StateRecord {
            key: codec::checkpoint_key(&self.target.key),
            value: Some(codec::encode_checkpoint(&checkpoint)),
        };
        let batch = Batch { events: Vec::new(), state: vec![record] };
        self.shared.publisher.publish(batch).await?;
        memory.state.checkpoint = Some(checkpoint);
        Ok(true)
    }

    /// Compares what a complete read showed with what it should have: rows missing for the second
    /// time become deletions (or tombstones of reference topics).
    pub async fn take_absences(
        &self,
        present: &std::collections::HashSet<SourceId>,
        days: Window,
        at: Timestamp,
    ) -> Result<u64, Failure> {
        let mut memory = self.memory.lock().await;
        let last_seen = memory.complete_at.replace(at);
        let missing = absence::missing(&memory.state.seen, present, days);
        let gone: Vec<_> =
            missing.iter().filter(|id| memory.absent.contains_key(*id)).cloned().collect();
        let since = std::mem::take(&mut memory.absent);
        memory.absent =
            missing.iter().map(|id| (id.clone(), since.get(id).copied().unwrap_or(at))).collect();
        if gone.is_empty() {
            return Ok(0);
        }
        let mut staging = crate::state::seen::Staging::default();
        let mut events = Vec::new();
        for id in &gone {
            let first_absent = since.get(id).copied().unwrap_or(at);
            let times = absence::Times {
                last_seen: last_seen.filter(|t| *t < first_absent).unwrap_or(first_absent),
                first_absent,
                noticed: at,
            };
            let event =
                absence::deletion(&self.target, &memory.state.seen, id, times, &mut staging)
                    .map_err(Refusal::from)?;
            events.extend(event);
        }
        let state = chunk_records(&self.target, &mut staging);
        self.shared.publisher.publish(Batch { events, state }).await?;
        memory.state.seen.apply(staging);
        memory.absent.retain(|id, _| !gone.contains(id));
        drop(memory);
        let deleted = gone.len() as u64;
        self.records("deleted").inc_by(deleted);
        self.count_published(deleted);
        Ok(deleted)
    }

    fn digest(&self, state: &EntityState, reading: &Reading<'_>) -> Result<Digest, Failure> {
        let currency = self.currency.read().map(|guard| guard.clone()).unwrap_or_default();
        let Reading { answers, reason, window, .. } = reading;
        let answer = Answer::of(answers, *reason, *window, currency.as_deref(), now());
        Ok(digest::digest(&self.target, state, &answer)?)
    }

    fn advance(
        &self,
        state: &EntityState,
        reading: &Reading<'_>,
        digest: &mut Digest,
    ) -> Checkpoint {
        let fetched = reading.answers.iter().map(|r| r.fetched_at).max().unwrap_or_else(now);
        let mut checkpoint =
            state.checkpoint.clone().unwrap_or_else(|| Checkpoint::initial(reading.start, fetched));
        match reading.advance {
            Advance::Cursor => {
                digest.highest_id.into_iter().for_each(|id| checkpoint.raise_cursor(id));
            }
            Advance::Backfill(next) => {
                digest.highest_id.into_iter().for_each(|id| checkpoint.raise_cursor(id));
                checkpoint.backfill_next = next;
            }
            Advance::Nothing => {
                // Only the connection-wide feed is read like this before its first commit, and it
                // has no history of its own.
                if state.checkpoint.is_none() {
                    checkpoint.backfill_next = None;
                }
            }
        }
        digest.newest_at.into_iter().for_each(|at| checkpoint.raise_newest(at));
        if let Some(first_kept) = reading.first_kept
            && first_kept > checkpoint.seen_from
        {
            digest.staging.drop_before(&state.seen, first_kept);
            if !digest.staging.is_empty() {
                checkpoint.seen_from = first_kept;
            }
        }
        checkpoint.covered_at = checkpoint.covered_at.max(fetched);
        checkpoint
    }

    /// Puts the checkpoint last. A read that changed nothing writes nothing.
    fn seal(&self, state: &EntityState, checkpoint: &Checkpoint, digest: &mut Digest) {
        let moved = state.checkpoint.as_ref().is_none_or(|old| {
            (old.cursor, old.backfill_next, old.seen_from)
                != (checkpoint.cursor, checkpoint.backfill_next, checkpoint.seen_from)
                // A quiet entity that was polled all the time must not look silent after a restart.
                || old.covered_at.local_day() < checkpoint.covered_at.local_day()
        });
        if !moved && digest.parts.is_empty() {
            return;
        }
        let mut records = chunk_records(&self.target, &mut digest.staging);
        records.push(StateRecord {
            key: codec::checkpoint_key(&self.target.key),
            value: Some(codec::encode_checkpoint(checkpoint)),
        });
        match digest.parts.last_mut() {
            Some(last) => last.state.extend(records),
            None => digest.parts.push(Batch { events: Vec::new(), state: records }),
        }
    }

    fn records(&self, kind: &str) -> prometheus::IntCounter {
        let key = &self.target.key;
        let labels = [key.connection.as_str(), key.stream.name(), kind];
        self.shared.metrics.source_records.with_label_values(&labels)
    }

    fn count_published(&self, rows: u64) {
        let at = now();
        self.shared.board.update(&self.target.key, |standing| standing.rows.add(at, rows));
    }

    fn count(&self, digest: &Digest, operation: &str) {
        let key = &self.target.key;
        let counts = digest.counts;
        for (kind, n) in
            [("new", counts.new), ("changed", counts.changed), ("unchanged", counts.unchanged)]
        {
            if n > 0 {
                self.records(kind).inc_by(n);
            }
        }
        self.count_published(counts.new + counts.changed);
        let mut quarantined: BTreeMap<RejectionReason, u64> = BTreeMap::new();
        for reason in &digest.quarantined {
            *quarantined.entry(*reason).or_default() += 1;
        }
        // An unknown topic would have failed the digest already.
        let quarantine = self.target.encoder.topic(QuarantinedRow::NAME).unwrap_or_default();
        for (reason, rows) in quarantined {
            let labels = [key.connection.as_str(), key.stream.name(), &quarantine, reason.as_str()];
            self.shared.metrics.dlq_records.with_label_values(&labels).inc_by(rows);
            log_event!(
                Event::RowQuarantined,
                connection = %key.connection,
                stream = %key.stream,
                entity = %key.entity,
                reason = reason.as_str(),
                topic = %quarantine,
                rows,
                "rows that cannot be mapped went to quarantine"
            );
        }
        if counts.unknown_fields > 0 {
            let labels = [key.connection.as_str(), operation];
            let counter = self.shared.metrics.api_unknown_fields.with_label_values(&labels);
            if counter.get() == 0 {
                log_event!(
                    Event::UnknownFields,
                    connection = %key.connection,
                    operation,
                    "the first fields since the start that the model does not know"
                );
            }
            counter.inc_by(counts.unknown_fields);
        }
    }

    /// Notes a poll that went well.
    pub fn report_success(&self, checkpoint: &Checkpoint, today: Day, published: u64) {
        let at = now();
        let mut recovered_from = None;
        self.shared.board.update(&self.target.key, |standing| {
            recovered_from = standing.last_error.take().map(|error| error.code);
            standing.phase = if checkpoint.backfill_next.is_some() {
                Phase::Backfilling
            } else {
                Phase::Running
            };
            standing.last_success = Some(at);
            standing.committed_at = Some(at);
            standing.newest_at = standing.newest_at.max(checkpoint.newest_at);
            standing.backfill_ratio = checkpoint.backfill_ratio(today);
            standing.read_through = match checkpoint.backfill_next {
                None => Some(at),
                Some(next) => Some(next.start()),
            };
        });
        if let Some(after) = recovered_from {
            let key = &self.target.key;
            log_event!(
                Event::PollRecovered,
                connection = %key.connection,
                stream = %key.stream,
                entity = %key.entity,
                after,
                "polling works again"
            );
        }
        let outcome = if published > 0 { "success" } else { "empty" };
        self.count_poll(outcome);
    }

    /// Notes that the connection-wide feed has read this account's rows too.
    pub fn report_served(&self) {
        let at = now();
        self.shared.board.update(&self.target.key, |standing| {
            if standing.phase == Phase::Running {
                standing.last_success = Some(at);
                standing.committed_at = Some(at);
                standing.read_through = Some(at);
            }
        });
    }

    /// Notes a poll that failed, and says so.
    pub fn report_failure(&self, failure: &Failure, retry_in: Option<Duration>) {
        let code = failure.event().code();
        let message = failure.to_string();
        let key = &self.target.key;
        log_event!(
            failure.event(),
            connection = %key.connection,
            stream = %key.stream,
            entity = %key.entity,
            error = %message,
            retry_in_s = retry_in.map(|d| d.as_secs()),
            "poll failed"
        );
        self.shared.board.update(key, |standing| {
            standing.phase = Phase::Failed;
            standing.last_error = Some(LastError { at: now(), code, message });
        });
        self.count_poll("error");
    }

    /// Notes that the entity's poller ended for good.
    pub fn report_stopped(&self) {
        self.shared.board.update(&self.target.key, |standing| {
            standing.phase = Phase::Stopped;
            standing.next_poll = None;
        });
    }

    /// Notes when the next poll is due.
    pub fn report_next(&self, wait: Duration) {
        let at = Timestamp(now().0 + i64::try_from(wait.as_millis()).unwrap_or(0));
        self.shared.board.update(&self.target.key, |standing| standing.next_poll = Some(at));
    }

    /// How long a poll took, from its first request to its commit.
    pub fn observe_poll(&self, took: Duration) {
        let key = &self.target.key;
        let labels = [key.connection.as_str(), key.stream.name()];
        let histogram = self.shared.metrics.source_poll_duration.with_label_values(&labels);
        histogram.observe(took.as_secs_f64());
    }

    fn count_poll(&self, outcome: &str) {
        let key = &self.target.key;
        let labels = [key.connection.as_str(), key.stream.name(), outcome];
        self.shared.metrics.source_polls.with_label_values(&labels).inc();
    }
}
