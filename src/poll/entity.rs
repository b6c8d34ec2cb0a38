//! One entity's memory and the steps that change it: digest, publish, apply, in this order.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Mutex, Notify};

use crate::{
    api::{self, RetryClass, Rows},
    config::model::Deletions,
    domain::{ids::SourceId, time::Day},
    failpoints::{self, Point},
    publish::{
        batch::{Batch, StateRecord},
        group::{Gone, Publisher, ROWS_MAX},
    },
    state::{changelog::EntityState, codec, position::Checkpoint, seen::Staging},
    telemetry::{clock::now, events::Event, metrics::Metrics},
};

use super::{
    absence::{self, Span, Watch},
    board::Board,
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
            Self::Refused(Refusal::OfAnother { .. }) => Event::RowsOfAnother,
            Self::Refused(Refusal::TooManyBad { .. }) => Event::TooManyBadRows,
            Self::Refused(Refusal::Encode(_)) => Event::NotEncodable,
            Self::Gone(_) => Event::TransactionUnknown,
        }
    }

    /// What the poller does about it.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Api(error) => error.retry_class(),
            Self::Refused(_) | Self::Gone(_) => RetryClass::Permanent,
        }
    }

    /// Whether it is the same before the next poll is due, or costs too much to find out.
    pub(super) const fn stays(&self) -> bool {
        match self {
            Self::Api(error) => matches!(
                error,
                api::Error::TooLarge { .. }
                    | api::Error::NotConfigured { .. }
                    | api::Error::Setup { .. }
            ),
            Self::Refused(_) | Self::Gone(_) => true,
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
    currency: std::sync::RwLock<Option<Arc<str>>>,
    /// The source follows it no longer: what it does not show of it any more proves nothing.
    closed: AtomicBool,
    /// The feed could not take this account's rows: its own poller asks for them, while it is open.
    pub ask_alone: Notify,
    pub(super) shared: Shared,
    memory: Mutex<Memory>,
}

/// What changes.
#[derive(Debug, Default)]
struct Memory {
    state: EntityState,
    /// Which rows complete reads show, where disappearing ones count.
    watch: Watch,
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
    pub fn new(
        target: Target,
        deletions: Deletions,
        mut state: EntityState,
        shared: Shared,
    ) -> Self {
        let today = now().local_day();
        // A row with a slipped year may have been noted as the newest one.
        if let Some(checkpoint) = &mut state.checkpoint {
            checkpoint.newest_at = checkpoint.newest_at.map(|at| at.min(now()));
        }
        shared.board.adopt(&target.key, state.checkpoint.as_ref(), today);
        let watch = Watch::new(target.some_accounts);
        let memory = Mutex::new(Memory { state, watch });
        let currency = std::sync::RwLock::new(None);
        Self {
            target,
            deletions,
            currency,
            closed: AtomicBool::new(false),
            ask_alone: Notify::new(),
            shared,
            memory,
        }
    }

    /// Whether the source still follows it.
    pub fn note_open(&self, open: bool) {
        self.closed.store(!open, Ordering::Release);
    }

    /// Takes over the currency that the reference data has of it; what is not known changes nothing.
    pub fn know_currency(&self, listed: Option<&Arc<str>>) {
        if let (Some(listed), Ok(mut currency)) = (listed, self.currency.write()) {
            *currency = Some(Arc::clone(listed));
        }
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

    /// Ids of the rows that are published and not gone, of a list whose ids are numbers.
    pub(super) async fn published_ids(&self) -> HashSet<i64> {
        let memory = self.memory.lock().await;
        let rows = memory.state.seen.rows_between(Day(i32::MIN), Day(i32::MAX));
        let there = rows.filter(|(row, _)| !row.deleted && row.version > 0);
        there.filter_map(|(row, _)| row.id.number()).collect()
    }

    /// Waits for room for a window of its history, or for its look-back.
    pub async fn room(&self, is_history: bool) -> Room {
        let rooms = &self.shared.rooms;
        if is_history { rooms.take().await } else { rooms.take_for_look_back().await }
    }

    /// Digests a read, commits it part by part, and remembers it after the last commit.
    ///
    /// Must not be cancelled between a commit and the memory of it, so callers never `select!`
    /// over it.
    pub async fn take_in(&self, reading: &Reading<'_>) -> Result<Digest, Failure> {
        failpoints::reach(Point::Fetched);
        let mut memory = self.memory.lock().await;
        let mut digest = self.digest(&memory.state, reading)?;
        self.report_read();
        let checkpoint = self.advance(&memory.state, reading, &mut digest);
        self.seal(&memory.state, &checkpoint, &mut digest);
        for part in std::mem::take(&mut digest.parts) {
            self.shared.publisher.publish(part).await?;
        }
        failpoints::reach(Point::BeforeMemory);
        memory.state.checkpoint = Some(checkpoint);
        memory.state.seen.apply(std::mem::take(&mut digest.staging));
        if reading.reason == Reason::Live && self.deletions == Deletions::Emit {
            let shown_at = reading.answers.iter().map(|rows| rows.fetched_at).min();
            memory.watch.note(&digest.present, shown_at.unwrap_or_else(now));
        }
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
        // A clock that was set back must not take the checkpoint with it.
        checkpoint.covered_at = checkpoint.covered_at.max(now());
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
        present: &HashSet<SourceId>,
        days: Window,
        read: Span,
    ) -> Result<u64, Failure> {
        // An account that was closed may be served with fewer rows, or none.
        if self.closed.load(Ordering::Acquire) {
            return Ok(0);
        }
        let mut memory = self.memory.lock().await;
        let Memory { state, watch } = &mut *memory;
        let gone = watch.compare(&state.seen, present, days, read);
        // A list that was emptied must still fit into transactions.
        for part in gone.chunks(ROWS_MAX) {
            let (mut staging, mut events) = (Staging::default(), Vec::with_capacity(part.len()));
            for (id, times) in part {
                let seen = &state.seen;
                let event = absence::deletion(&self.target, seen, id, *times, &mut staging);
                events.extend(event.map_err(Refusal::from)?);
            }
            let records = chunk_records(&self.target, &mut staging);
            self.shared.publisher.publish(Batch { events, state: records }).await?;
            state.seen.apply(staging);
            part.iter().for_each(|(id, _)| watch.forget(id));
            self.count_deleted(part.len() as u64);
        }
        Ok(gone.len() as u64)
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
        if let Some(first_kept) = self.first_kept(state, reading, &checkpoint)
            && first_kept > checkpoint.seen_from
        {
            digest.staging.drop_before(&state.seen, first_kept);
            if !digest.staging.is_empty() {
                checkpoint.seen_from = first_kept;
            }
        }
        // Of a closed one it says until when it was open: see `connection::was_read_to_its_end`.
        if !self.closed.load(Ordering::Acquire) || state.checkpoint.is_none() {
            checkpoint.covered_at = checkpoint.covered_at.max(fetched);
        }
        checkpoint
    }

    /// Memory of a look-back before the newest row is kept whatever day it is: were a clock that is some
    /// days ahead believed, the days that it is ahead would be forgotten, and read by nobody later. Once
    /// newer rows come, good or bad and with or without a date, time has passed.
    fn first_kept(
        &self,
        state: &EntityState,
        reading: &Reading<'_>,
        checkpoint: &Checkpoint,
    ) -> Option<Day> {
        let first_kept = reading.first_kept?;
        let Some(days) = self.target.lookback_days else { return Some(first_kept) };
        // Memory may have rows that are dated ahead.
        let remembered = state.seen.newest_day(now().local_day());
        let newest = checkpoint.newest_at.map(|at| at.local_day()).max(remembered);
        Some(newest.map_or(first_kept, |day| day.plus(-(days + 1)).min(first_kept)))
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
}
