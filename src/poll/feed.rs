//! The connection-wide bank feed: one call for all accounts, so that ten thousand accounts cost
//! about as many calls as ten.
//!
//! | work | asks for | each account |
//! |---|---|---|
//! | history | the oldest window that many accounts have still to read | moves its backfill on |
//! | live | rows above the feed's own cursor as it stood a while ago | raises its cursor |
//! | look-back | every window of the look-back | finds late rows, edits and deletions |
//!
//! Each row goes to its account's memory and batch, so an account knows its rows whichever way
//! they came, and its own poller still checks it alone now and then. The feed's own cursor moves
//! last: rows of accounts that were committed before a crash are found known. Rows that come behind
//! that cursor: see `feed_trail`.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Client, Error, Purpose, RetryClass, Rows},
    domain::time::Day,
    log_event,
    telemetry::{clock::now, events::Event},
};

use super::{
    backoff::{Backoff, wait_or_change},
    digest::{self, Digest, Reason, Refusal, put_in_order},
    discovery::account_of,
    entity::{Advance, Entity, Failure, Reading},
    feed_trail::Trail,
    feed_unlisted::Unlisted,
    fetch::{Fetcher, Read, highest_id},
    plan::{Agenda, Schedule, Turn, Window},
    served::Served,
    task::published,
};

/// Accounts whose batches are under way at once: enough to fill a transaction.
pub(super) const DELIVERIES: usize = 64;
/// Fewer accounts than one in so many are asked alone: most of an answer for all would be known.
const HISTORY_SHARE: usize = 10;
/// Days of a live poll that has no cursor yet; the history reaches up to today.
const RECENT_DAYS: i32 = 2;

/// The accounts that are followed, by id; the connection adds them.
pub type Accounts = Arc<RwLock<HashMap<i64, Arc<Entity>>>>;

/// The feed of one connection.
#[derive(Debug)]
pub struct Feed {
    /// Its own position, under the entity `all`.
    pub entity: Arc<Entity>,
    /// Who gets the rows.
    pub accounts: Accounts,
    /// The way to the API.
    pub api: Client,
    /// Asks for its windows.
    pub fetcher: Fetcher,
    /// Windows and intervals.
    pub schedule: Schedule,
    /// What it tells the accounts' own pollers.
    pub served: Served,
    /// Whose rows it leaves out.
    pub unlisted: Unlisted,
    /// The process or the shard ends.
    pub stop: CancellationToken,
}

/// The loop's own memory.
pub(super) struct Pace {
    pub(super) agenda: Agenda,
    backoff: Backoff,
    /// Accounts whose history their own pollers read: the feed could not.
    alone: HashSet<i64>,
    /// Since when nothing but failures came.
    pub(super) failing_since: Option<Instant>,
    /// Where its cursor has been.
    trail: Trail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    History,
    Live,
    LookBack,
    Wait(Duration),
}

/// A read for all accounts; each account's [`Reading`] is made from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) reason: Reason,
    pub(super) window: Option<Window>,
    pub(super) advance: Advance,
    pub(super) first_kept: Option<Day>,
    pub(super) start: Day,
}

/// Its account and what became of an account's rows; `None` where it did not take part.
pub(super) type Delivered = (i64, Arc<Entity>, Result<Option<Digest>, Failure>);

impl Feed {
    /// Runs until it is stopped or the shard is gone.
    pub async fn run(mut self) {
        let start = Instant::now();
        let agenda = Agenda::new(start, start);
        let mut pace = Pace {
            agenda,
            backoff: Backoff::new(self.entity.target.key.stream),
            alone: HashSet::new(),
            failing_since: None,
            trail: Trail::default(),
        };
        while !self.stop.is_cancelled() {
            let work = self.next(&pace);
            if let Work::Wait(wait) = work {
                self.entity.report_next(wait);
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = sleep(wait) => continue,
                }
            }
            let started = Instant::now();
            let outcome = Box::pin(self.step(work, &mut pace)).await;
            self.entity.observe_poll(started.elapsed());
            match outcome {
                Ok(rows) => {
                    pace.backoff.reset();
                    pace.failing_since = None;
                    pace.agenda.end_turn(work == Work::Live, false);
                    self.report(rows).await;
                }
                Err(Failure::Gone(_)) => return,
                Err(failure) => self.recover(work, &failure, &mut pace).await,
            }
        }
    }

    fn next(&self, pace: &Pace) -> Work {
        if !self.served.has_read_history() {
            return Work::History;
        }
        let now_at = Instant::now();
        match pace.agenda.turn(now_at) {
            Turn::Live => Work::Live,
            Turn::LookBack => Work::LookBack,
            Turn::WaitUntil(at) => Work::Wait(at.saturating_duration_since(now_at)),
        }
    }

    async fn step(&mut self, work: Work, pace: &mut Pace) -> Result<u64, Failure> {
        match work {
            Work::History => self.read_history(pace).await,
            Work::Live => self.live(pace).await,
            Work::LookBack | Work::Wait(_) => {
                let rows = self.look_back().await?;
                pace.agenda.lookback_at = Instant::now() + self.schedule.lookback_interval;
                pace.trail.reach_far();
                Ok(rows)
            }
        }
    }

    /// One window for the accounts that are furthest behind; ends where few are left.
    async fn read_history(&mut self, pace: &mut Pace) -> Result<u64, Failure> {
        let today = now().local_day();
        let start = today.plus(-self.schedule.start_days);
        let Some((from, group)) = self.furthest_behind(&pace.alone, start, today).await else {
            self.served.end_history();
            return Ok(0);
        };
        let window = self.schedule.window_at(from, today);
        let Some(Read { answers, .. }) = self.window(Purpose::Backfill, window).await? else {
            return Ok(0);
        };
        let next = self.schedule.after(window, today);
        let round = Round {
            reason: Reason::Backfill,
            window: Some(window),
            advance: Advance::Backfill(next),
            first_kept: Some(self.schedule.first_kept(next, today)),
            start,
        };
        let mut rows = 0;
        self.take_unnamed(&answers, round).await?;
        for (id, entity, outcome) in self.deliver(group, &answers, round).await {
            match outcome {
                Ok(digest) => {
                    let of_account = digest.as_ref().map_or(0, published);
                    rows += of_account;
                    let checkpoint = entity.checkpoint(start).await;
                    entity.report_success(&checkpoint, today, of_account);
                }
                Err(Failure::Gone(gone)) => return Err(gone.into()),
                Err(failure) => {
                    entity.report_failure_by_feed(&failure);
                    pace.alone.insert(id);
                }
            }
        }
        Ok(rows)
    }

    /// The accounts that have the same oldest day still to read, if they are many; a few that are behind
    /// those read alone afterwards.
    pub(super) async fn furthest_behind(
        &self,
        alone: &HashSet<i64>,
        start: Day,
        today: Day,
    ) -> Option<(Day, Vec<(i64, Arc<Entity>)>)> {
        let accounts = self.accounts();
        let all = accounts.len();
        let mut behind: BTreeMap<Day, Vec<(i64, Arc<Entity>)>> = BTreeMap::new();
        for (id, entity) in accounts {
            let from = entity.position(&self.schedule, start, today).await.backfill_next;
            if let Some(from) = from.filter(|_| !alone.contains(&id)) {
                behind.entry(from).or_default().push((id, entity));
            }
        }
        behind.into_iter().find(|(_, group)| group.len() * HISTORY_SHARE >= all)
    }

    async fn live(&mut self, pace: &mut Pace) -> Result<u64, Failure> {
        let today = now().local_day();
        let cursor = self.entity.checkpoint(today).await.cursor;
        let recent = Window { from: today.plus(1 - RECENT_DAYS), to: today };
        let fetched = tokio::select! {
            () = self.stop.cancelled() => return Ok(0),
            fetched = pace.trail.fetch(&mut self.fetcher, cursor, recent) => fetched,
        };
        let (answers, window) = match fetched {
            Err(Error::TooLarge { .. }) => {
                let Some(rows) = self.read_backlog(cursor, recent).await? else { return Ok(0) };
                self.take_over(pace);
                return Ok(rows);
            }
            fetched => fetched?,
        };
        self.check(&answers, window)?;
        // Before anything can fail to arrive: the answer speaks for accounts without rows too.
        self.accounts().iter().for_each(|(_, account)| account.report_answered());
        let highest = highest_id(&answers, cursor);
        let round = Round {
            reason: Reason::Live,
            window,
            advance: Advance::Cursor,
            first_kept: None,
            start: today,
        };
        let mut rows = 0;
        for (_, entity, outcome) in self.deliver(self.accounts(), &answers, round).await {
            match outcome {
                Ok(digest) => rows += digest.as_ref().map_or(0, published),
                Err(Failure::Gone(gone)) => return Err(gone.into()),
                // One account's bad rows do not stop the others: its cursor stays, and its own
                // poller asks for them again until the answer is good.
                Err(failure) => entity.fall_behind(&failure).await?,
            }
        }
        self.take_unnamed(&answers, round).await?;
        self.entity.raise_cursor(highest, self.schedule.first_kept(None, today)).await?;
        pace.trail.note(cursor.max(highest));
        self.take_over(pace);
        let now_at = Instant::now();
        if self.fetcher.may_be_cut(&answers) && rows > 0 {
            // A row limit may have cut the answer at either end: ask on, and look back.
            (pace.agenda.live_at, pace.agenda.lookback_at) = (now_at, now_at);
        }
        Ok(rows)
    }

    /// Every account's rows are read up to now.
    fn take_over(&self, pace: &mut Pace) {
        self.served.take_over();
        for (_, account) in self.accounts() {
            account.report_served();
        }
        pace.agenda.live_at = Instant::now() + self.schedule.poll_interval;
    }

    pub(super) async fn window(
        &mut self,
        purpose: Purpose,
        window: Window,
    ) -> Result<Option<Read>, Failure> {
        let read = tokio::select! {
            () = self.stop.cancelled() => return Ok(None),
            fetched = self.fetcher.window(purpose, window) => fetched?,
        };
        self.check(&read.answers, Some(window))?;
        Ok(Some(read))
    }

    /// Dates that the API ignored must fail the whole answer: an account without a row in it would
    /// otherwise count as read.
    pub(super) fn check(&self, answers: &[Rows], window: Option<Window>) -> Result<(), Failure> {
        Ok(digest::check_window(&self.entity.target, answers, window)?)
    }

    /// Hands every account its rows. Accounts that are still to be read for the first time, or
    /// whose history is being read, take part in a history round only; in a gap, in look-backs too.
    pub(super) async fn deliver(
        &self,
        accounts: Vec<(i64, Arc<Entity>)>,
        answers: &[Rows],
        round: Round,
    ) -> Vec<Delivered> {
        let mut by_account = group_by_account(answers);
        let fetched_at = answers.last().map_or_else(now, |rows| rows.fetched_at);
        let replaced_text = answers.iter().any(|rows| rows.replaced_text);
        let operation = answers.last().map(|rows| rows.operation);
        let shares = accounts.into_iter().filter_map(|(id, entity)| {
            let texts = by_account.remove(&id).unwrap_or_default();
            // A live poll says nothing about accounts that are not in it.
            if round.reason == Reason::Live && texts.is_empty() {
                return None;
            }
            let mut rows = Rows::from_texts(texts, fetched_at);
            rows.replaced_text = replaced_text;
            rows.operation = operation.unwrap_or(rows.operation);
            Some(take_in(id, entity, rows, round))
        });
        let shares: Vec<_> = shares.collect();
        stream::iter(shares).buffer_unordered(DELIVERIES).collect().await
    }

    /// Rows that name no account are nobody's: the feed itself sends them to quarantine. Where they
    /// are many the API has changed; the error then has each account ask for its rows by its path,
    /// which names it.
    pub(super) async fn take_unnamed(&self, answers: &[Rows], round: Round) -> Result<(), Failure> {
        for rows in answers {
            let mut unnamed = Rows::from_texts(self.unnamed(rows), rows.fetched_at);
            if unnamed.is_empty() {
                continue;
            }
            unnamed.replaced_text = rows.replaced_text;
            unnamed.operation = rows.operation;
            let reading = Reading {
                answers: &[unnamed],
                reason: round.reason,
                window: round.window,
                advance: Advance::Nothing,
                first_kept: round.first_kept,
                start: self.schedule.first_kept(None, rows.fetched_at.local_day()),
            };
            self.entity.take_in(&reading).await?;
        }
        Ok(())
    }

    /// Those that name no account; of those that name one which nobody follows it is told.
    fn unnamed<'r>(&self, rows: &'r Rows) -> Vec<&'r str> {
        let followed = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        let is_unnamed = |row: &&str| {
            let account = account_of(row);
            if let Some(account) = account.filter(|account| !followed.contains_key(account)) {
                self.unlisted.tell(&self.entity.target.key.connection, account);
            }
            account.is_none()
        };
        rows.iter().filter(is_unnamed).collect()
    }

    async fn recover(&mut self, work: Work, failure: &Failure, pace: &mut Pace) {
        let class = failure.retry_class();
        pace.agenda.end_turn(work == Work::Live, true);
        if class == RetryClass::DatesRequired {
            log_event!(
                Event::DatesRequired,
                entity = %self.entity.target.key,
                "the api wants dates beside lastId, sending both from now on"
            );
            self.fetcher.require_dates();
            return;
        }
        if class == RetryClass::Permanent && work == Work::LookBack {
            pace.agenda.lookback_at = Instant::now() + self.schedule.lookback_interval;
        }
        // Where dates are ignored nobody reads the history alone: an account that has no row in such
        // an answer would take it for days without rows.
        let by_all_or_none = work == Work::History && is_outside_window(failure);
        if work != Work::LookBack && !by_all_or_none {
            self.let_accounts_go_alone(failure, pace).await;
        }
        let wait = pace.backoff.wait(failure, self.schedule.poll_interval);
        self.entity.report_failure(failure, wait);
        wait_or_change(&self.api, wait, &self.stop).await;
    }

    async fn report(&self, rows: u64) {
        let today = now().local_day();
        let mut checkpoint = self.entity.checkpoint(today).await;
        checkpoint.backfill_next = None;
        self.entity.report_success(&checkpoint, today, rows);
    }

    pub(super) fn accounts(&self) -> Vec<(i64, Arc<Entity>)> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts.iter().map(|(id, entity)| (*id, Arc::clone(entity))).collect()
    }
}

const fn is_outside_window(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(Refusal::OutsideWindow { .. }))
}

async fn take_in(id: i64, entity: Arc<Entity>, rows: Rows, round: Round) -> Delivered {
    let checkpoint = entity.checkpoint(round.start).await;
    // Days of a gap that cannot be had keep no late row of others waiting.
    let beside_gap = checkpoint.gap && round.reason == Reason::LookBack;
    if checkpoint.backfill_next.is_some() && round.reason != Reason::Backfill && !beside_gap {
        // Its backfill shows these rows too, unless it has just passed them: then the live poll
        // that it makes for itself afterwards does.
        entity.ask_alone.notify_one();
        return (id, entity, Ok(None));
    }
    let is_live = round.advance == Advance::Cursor;
    let answers = [rows];
    let reading = Reading {
        answers: &answers,
        reason: round.reason,
        window: round.window,
        // Below these rows are some that were refused: the account's own poller asks for them.
        advance: if checkpoint.behind && is_live { Advance::Nothing } else { round.advance },
        first_kept: round.first_kept,
        start: round.start,
    };
    let outcome = entity.take_in(&reading).await.map(Some);
    (id, entity, outcome)
}

/// Rows that name no account are left out, see `take_unnamed`.
fn group_by_account(answers: &[Rows]) -> HashMap<i64, Vec<&str>> {
    let mut by_account: HashMap<i64, Vec<&str>> = HashMap::new();
    for rows in answers {
        let mut rows: Vec<&str> = rows.iter().collect();
        put_in_order(&mut rows);
        for row in rows {
            if let Some(account) = account_of(row) {
                by_account.entry(account).or_default().push(row);
            }
        }
    }
    by_account
}
