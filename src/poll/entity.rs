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
    api::Rows,
    config::model::Deletions,
    domain::{
        ids::{EntityKey, SourceId},
        time::{Day, Timestamp},
    },
    failpoints::{self, Point},
    publish::{
        batch::{Batch, StateRecord},
        group::{Publisher, ROWS_MAX},
    },
    state::{changelog::EntityState, codec, position::Checkpoint, seen::Staging},
    telemetry::{clock::now, metrics::Metrics},
};

pub use super::failure::Failure;
use super::{
    absence::{self, Span, Watch},
    board::Board,
    digest::{self, Answer, Digest, Reason, Refusal, Target},
    plan::{Schedule, Window},
    rooms::{Room, Rooms},
    working::chunk_records,
};

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
#[derive(Debug)]
struct Memory {
    state: EntityState,
    /// Which rows complete reads show, where disappearing ones count.
    watch: Watch,
    /// The last day that a backfill or a look-back has read through to; live polls prove nothing of
    /// rows that come late.
    read_through: Day,
    /// How many answers of the connection-wide feed could not be taken.
    refusals: u64,
}

/// What the checkpoint becomes when the answer is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// The cursor rises to the highest id of the answer.
    Cursor,
    /// The backfill goes on here (`None`: it is done), and the cursor rises; not in a gap, where a row
    /// of older days than the gap's may have come meanwhile: the live poll asks for all.
    Backfill(Option<Day>),
    /// Nothing moves: a row found by the look-back must not hide lower ids from the live poll.
    Nothing,
    /// The same, and its days count as read by nobody: of this look-back a window before it was
    /// refused, or days before it are still to be read.
    Unproven,
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
        let read_through = state.checkpoint.as_ref().map_or(today, Checkpoint::read_through);
        let memory = Mutex::new(Memory { state, watch, read_through, refusals: 0 });
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

    /// The same, with the first day of history that is still to be read.
    pub(super) async fn position(&self, schedule: &Schedule, start: Day, today: Day) -> Checkpoint {
        let mut checkpoint = self.checkpoint(start).await;
        let read_through = self.memory.lock().await.read_through;
        let from = schedule.history_from(&checkpoint, read_through, today);
        checkpoint.gap |= checkpoint.backfill_next.is_none() && from.is_some();
        checkpoint.backfill_next = from;
        checkpoint
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
        let checkpoint = self.advance(&memory, reading, &mut digest);
        self.seal(&memory.state, &checkpoint, &mut digest);
        for part in std::mem::take(&mut digest.parts) {
            self.shared.publisher.publish(part).await?;
        }
        failpoints::reach(Point::BeforeMemory);
        memory.state.checkpoint = Some(checkpoint);
        memory.state.seen.apply(std::mem::take(&mut digest.staging));
        if matches!(reading.reason, Reason::Backfill | Reason::LookBack)
            && self.carries_on(&memory, reading)
        {
            let through = reading.window.map_or_else(|| now().local_day(), |window| window.to);
            memory.read_through = memory.read_through.max(through);
        }
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
        if self.live_polls_cover(&memory, now()) {
            // A clock that was set back must not take the checkpoint with it.
            checkpoint.covered_at = checkpoint.covered_at.max(now());
        }
        self.put_checkpoint(&mut memory, checkpoint).await?;
        Ok(true)
    }

    /// Notes that the feed was shown rows above this account's cursor that it could not take, and has
    /// its own poller ask for them; what the feed shows later raises no cursor until that was good.
    /// Committed, or a restart would let the account look healed.
    pub(super) async fn fall_behind(&self, failure: &Failure) -> Result<(), Failure> {
        self.report_failure_by_feed(failure);
        let mut memory = self.memory.lock().await;
        memory.refusals += 1;
        let checkpoint = memory.state.checkpoint.clone();
        if let Some(checkpoint) = checkpoint.filter(|checkpoint| !checkpoint.behind) {
            self.put_checkpoint(&mut memory, Checkpoint { behind: true, ..checkpoint }).await?;
        }
        drop(memory);
        self.ask_alone.notify_one();
        Ok(())
    }

    /// How many answers of the feed could not be taken so far.
    pub(super) async fn refusals(&self) -> u64 {
        self.memory.lock().await.refusals
    }

    /// Notes that its own poll above the cursor was good, which was asked when the feed's `refusals`
    /// were so many: rows that were refused since may not have been in it.
    pub(super) async fn catch_up(&self, refusals: u64) -> Result<(), Failure> {
        let mut memory = self.memory.lock().await;
        let checkpoint = memory.state.checkpoint.clone();
        let behind = checkpoint.filter(|checkpoint| checkpoint.behind);
        if let Some(checkpoint) = behind.filter(|_| memory.refusals == refusals) {
            self.put_checkpoint(&mut memory, Checkpoint { behind: false, ..checkpoint }).await?;
        }
        Ok(())
    }

    /// Notes that it was read to its end since it was closed, or that it is open again.
    pub(super) async fn note_ended(&self, ended: bool) -> Result<(), Failure> {
        let mut memory = self.memory.lock().await;
        let checkpoint = memory.state.checkpoint.clone();
        if let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.ended != ended) {
            self.put_checkpoint(&mut memory, Checkpoint { ended, ..checkpoint }).await?;
        }
        Ok(())
    }

    async fn put_checkpoint(
        &self,
        memory: &mut Memory,
        checkpoint: Checkpoint,
    ) -> Result<(), Failure> {
        let record = StateRecord {
            key: codec::checkpoint_key(&self.target.key),
            value: Some(codec::encode_checkpoint(&checkpoint)),
        };
        let batch = Batch { events: Vec::new(), state: vec![record] };
        self.shared.publisher.publish(batch).await?;
        memory.state.checkpoint = Some(checkpoint);
        Ok(())
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
        let Memory { state, watch, .. } = &mut *memory;
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

    fn advance(&self, memory: &Memory, reading: &Reading<'_>, digest: &mut Digest) -> Checkpoint {
        let state = &memory.state;
        let fetched = reading.answers.iter().map(|r| r.fetched_at).max().unwrap_or_else(now);
        let mut checkpoint =
            state.checkpoint.clone().unwrap_or_else(|| Checkpoint::initial(reading.start, fetched));
        match reading.advance {
            Advance::Cursor => {
                digest.highest_id.into_iter().for_each(|id| checkpoint.raise_cursor(id));
            }
            Advance::Backfill(next) => {
                let known = state.checkpoint.as_ref();
                let in_gap = reading.reason == Reason::Backfill
                    && known.is_some_and(|known| known.gap || known.backfill_next.is_none());
                if !in_gap || checkpoint.cursor.is_none() {
                    digest.highest_id.into_iter().for_each(|id| checkpoint.raise_cursor(id));
                }
                checkpoint.gap = in_gap && next.is_some();
                checkpoint.backfill_next = next;
            }
            Advance::Nothing | Advance::Unproven => {
                // Only the connection-wide feed is read like this before its first commit, and it
                // has no history of its own.
                if state.checkpoint.is_none() {
                    checkpoint.backfill_next = None;
                }
            }
        }
        digest.newest_at.into_iter().for_each(|at| checkpoint.raise_newest(at));
        if self.carries_on(memory, reading)
            && let Some(first_kept) = self.first_kept(state, reading, &checkpoint)
            && first_kept > checkpoint.seen_from
        {
            // A row that the live poll will show, once it is good again, must not look new then, however
            // long that takes. It raises the cursor over them all but absurd ids, so what is kept is
            // never more than the answer that is waited for.
            let is_awaited = |id| checkpoint.is_below(id).unwrap_or(true);
            let by_cursor = Schedule::asks_by_cursor(self.target.key.stream);
            let is_needed = |id| by_cursor && is_awaited(id);
            let any = digest.staging.drop_before(&state.seen, first_kept, is_needed);
            if any || !digest.staging.is_empty() {
                checkpoint.seen_from = first_kept;
            }
        }
        let is_closed = self.closed.load(Ordering::Acquire);
        // It may have opened again before its poller saw that it was closed.
        checkpoint.ended &= is_closed;
        // Of a closed one it says until when it was open: see `connection::was_read_to_its_end`.
        if !is_closed || state.checkpoint.is_none() {
            let covered = self.covers(memory, reading, fetched);
            checkpoint.covered_at =
                covered.map_or(checkpoint.covered_at, |at| at.max(checkpoint.covered_at));
        }
        checkpoint
    }

    /// Up to when a read has covered what there is; a restart goes on from there.
    fn covers(&self, memory: &Memory, reading: &Reading<'_>, at: Timestamp) -> Option<Timestamp> {
        match reading.reason {
            Reason::Backfill | Reason::List => Some(at),
            Reason::LookBack if !self.carries_on(memory, reading) => None,
            // The windows of a look-back come one after the other, and the next one may fail.
            Reason::LookBack => {
                let end = reading.window.map(|window| window.to.plus(1).start());
                Some(end.map_or(at, |end| end.min(at)))
            }
            Reason::Live => self.live_polls_cover(memory, at).then_some(at),
        }
    }

    /// Whether a read goes on from the days that were read before, the last of which was read up to some
    /// hour. A look-back of the feed begins at its own first day, whatever an account lacks before it; of
    /// a closed account it proves nothing, nor does any beside a gap: the rest of that is still to be read,
    /// and what it shows is to be known. The feed's own position is of rows that name no account.
    fn carries_on(&self, memory: &Memory, reading: &Reading<'_>) -> bool {
        let (_, overlap) = Schedule::window_limits(self.target.key.stream);
        let follows = |window: Window| window.from <= memory.read_through.plus(1 - overlap);
        let known = memory.state.checkpoint.as_ref();
        let is_reading = known.is_some_and(|known| known.backfill_next.is_some());
        reading.reason != Reason::LookBack
            || *self.target.key.entity == *EntityKey::WHOLE
            || (reading.advance != Advance::Unproven
                && !is_reading
                && !self.closed.load(Ordering::Acquire)
                && reading.window.is_none_or(follows))
    }

    /// Whether live polls show all that is left to read: where the look-backs fail, the days that they
    /// have missed are still to be read, also after a restart. The feed's own position has none.
    fn live_polls_cover(&self, memory: &Memory, at: Timestamp) -> bool {
        *self.target.key.entity == *EntityKey::WHOLE
            || memory.read_through >= at.local_day().plus(-1)
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
