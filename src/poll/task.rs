//! The poller task of one account, terminal or institution.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    api::{Client, Error, Purpose, RetryClass},
    config::model::Deletions,
    domain::time::Day,
    log_event,
    telemetry::{clock::now, events::Event},
};

use super::{
    absence::Span,
    backlog::Backlog,
    backoff::{Backoff, wait_or_change},
    blame::own_calls,
    digest::Reason,
    entity::{Advance, Entity, Failure, Reading},
    fetch::{Fetcher, Read},
    plan::{Agenda, Schedule, Window, Work, next_work},
    rooms::Room,
    served::Served,
};

/// How an entity is followed.
#[derive(Debug)]
pub struct Follow {
    /// Its memory.
    pub entity: Arc<Entity>,
    /// Windows and intervals.
    pub schedule: Schedule,
    /// The way to the API.
    pub api: Client,
    /// Asks for its windows.
    pub fetcher: Fetcher,
    /// The connection-wide feed, which may ask for this entity's rows.
    pub served: Served,
    /// Whether the source follows it. Once it does not, one last look-back is made, and then nothing
    /// until it does so again.
    pub open: watch::Receiver<bool>,
    /// The process or the shard ends.
    pub stop: CancellationToken,
}

/// For how many poll intervals a closed entity must be unknown to the source.
const UNKNOWN_INTERVALS: u32 = 3;

/// The loop's own memory.
struct Pace {
    agenda: Agenda,
    backoff_of_live: Backoff,
    /// Of history and look-backs: live polls that are good say nothing about those.
    backoff_of_days: Backoff,
    first_day: Day,
    /// The last look-back of a closed entity was asked for.
    closed: bool,
    /// The last look-back failed: late rows and edits do not arrive, however good live polls are.
    look_back_fails: bool,
    /// The last window of history failed: of a gap, days are missing however good live polls are.
    history_fails: bool,
    /// Since when each of its calls was answered that there is no such entity.
    unknown_since: Option<Instant>,
    /// The feed has asked for a poll that was not good yet.
    sent_for: bool,
}

impl Pace {
    const fn backoff(&mut self, of_live: bool) -> &mut Backoff {
        if of_live { &mut self.backoff_of_live } else { &mut self.backoff_of_days }
    }
}

impl Follow {
    /// Runs until it is stopped or the shard is gone.
    pub async fn run(mut self) {
        let is_open = *self.open.borrow();
        // From now on there may be rows again.
        if is_open && self.entity.note_ended(false).await.is_err() {
            return;
        }
        tokio::select! {
            () = self.stop.cancelled() => return,
            () = self.served.history_read() => {}
        }
        let today = now().local_day();
        let first_day = today.plus(-self.schedule.start_days);
        let first_look = Instant::now() + self.wait_for_first_look();
        // Rows that were shown and not taken are asked for at once, and what the feed leaves to it.
        let position = self.entity.checkpoint(first_day).await;
        let is_behind = position.behind || position.gap;
        let first_live = if is_behind { Instant::now() } else { first_look };
        let backoff = Backoff::new(self.entity.target.key.stream);
        let mut pace = Pace {
            agenda: Agenda::new(first_live, first_look),
            backoff_of_live: backoff,
            backoff_of_days: backoff,
            first_day,
            closed: false,
            look_back_fails: false,
            history_fails: false,
            unknown_since: None,
            sent_for: false,
        };
        while !self.stop.is_cancelled() {
            let work = self.next(&mut pace).await;
            if let Work::WaitUntil(at) = work {
                if pace.closed {
                    if self.end(&mut pace).await.is_err() {
                        return;
                    }
                } else {
                    self.wait_until(at, &mut pace).await;
                }
                continue;
            }
            let Some(room) = self.room(&work).await else { return };
            // Boxed, and made only now: ten thousand waiting tasks should not each hold the space
            // of a request.
            if Box::pin(self.step(work, room, &mut pace)).await.is_break() {
                return;
            }
        }
    }

    async fn next(&self, pace: &mut Pace) -> Work {
        let today = now().local_day();
        let checkpoint = self.entity.position(&self.schedule, pace.first_day, today).await;
        // The windows of a gap follow each other without a wait in which the feed would be heard.
        if checkpoint.gap && self.entity.ask_alone.notified().now_or_never().is_some() {
            self.answer_the_feed(pace);
        }
        next_work(&checkpoint, &self.schedule, &pace.agenda, Instant::now(), today)
    }

    async fn wait_until(&mut self, at: Instant, pace: &mut Pace) {
        self.entity.report_next(at.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = becomes(&mut self.open, false) => {
                pace.closed = true;
                pace.agenda.lookback_at = Instant::now();
            }
            () = self.entity.ask_alone.notified() => self.answer_the_feed(pace),
            () = sleep_until(at) => {}
        }
    }

    /// The feed has sent for a poll of its own: at once.
    fn answer_the_feed(&self, pace: &mut Pace) {
        let now_at = Instant::now();
        pace.sent_for = true;
        pace.agenda.live_at = now_at;
        // Where the feed is out, nobody else looks back for it.
        if self.served.is_out() {
            let soon = now_at + self.schedule.lookback_interval;
            pace.agenda.lookback_at = pace.agenda.lookback_at.min(soon);
        }
    }

    /// Nothing of a closed entity is due: since it was closed its last look-back was good, and no poll
    /// above the cursor is owed.
    async fn end(&mut self, pace: &mut Pace) -> Result<(), Failure> {
        if !*self.open.borrow() {
            self.entity.note_ended(true).await?;
        }
        self.entity.report_stopped();
        self.wait_for_reopening(pace).await
    }

    /// What happened meanwhile is asked for at once.
    async fn wait_for_reopening(&mut self, pace: &mut Pace) -> Result<(), Failure> {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = becomes(&mut self.open, true) => {
                (pace.closed, pace.look_back_fails) = (false, false);
                let now_at = Instant::now();
                pace.agenda = Agenda::new(now_at, now_at);
                self.entity.note_ended(false).await?;
            }
            // The feed goes on showing its rows, and could not take some: it stays failing until
            // its own poll was good.
            () = self.entity.ask_alone.notified() => self.answer_the_feed(pace),
        }
        Ok(())
    }

    /// Room for the windows of this work until they are committed; `None` when stopped meanwhile.
    async fn room(&self, work: &Work) -> Option<Room> {
        match work {
            Work::Live | Work::WaitUntil(_) => Some(Room::default()),
            Work::Backfill(_) | Work::LookBack(_) => tokio::select! {
                () = self.stop.cancelled() => None,
                room = self.entity.room(matches!(work, Work::Backfill(_))) => Some(room),
            },
        }
    }

    async fn step(&mut self, work: Work, room: Room, pace: &mut Pace) -> std::ops::ControlFlow<()> {
        let started = Instant::now();
        let was_live = matches!(work, Work::Live);
        let outcome = match &work {
            Work::Backfill(window) => self.backfill(*window, pace).await,
            Work::LookBack(windows) => self.look_back(windows, pace).await,
            Work::Live | Work::WaitUntil(_) => self.live(pace).await,
        };
        // Whoever waits after a failure must not keep others from their history.
        drop(room);
        self.entity.observe_poll(started.elapsed());
        pace.agenda.end_work(&work, outcome.is_err());
        match work {
            Work::Backfill(_) => pace.history_fails = outcome.is_err(),
            Work::LookBack(_) => pace.look_back_fails = outcome.is_err(),
            Work::Live | Work::WaitUntil(_) => {}
        }
        match outcome {
            Ok(published) => {
                pace.unknown_since = None;
                pace.backoff(was_live).reset();
                let checkpoint = self.entity.checkpoint(pace.first_day).await;
                // What is not owed any more fails no more.
                pace.history_fails = pace.history_fails && self.owes_history(pace.first_day).await;
                // Where the feed serves the account, it looks back for it too.
                let hides = pace.history_fails || (was_live && pace.look_back_fails);
                if hides && self.served.looks().is_none() {
                    self.entity.report_beside_failures(&checkpoint, published);
                } else {
                    self.entity.report_success(&checkpoint, now().local_day(), published);
                }
                std::ops::ControlFlow::Continue(())
            }
            Err(Failure::Gone(_)) => std::ops::ControlFlow::Break(()),
            Err(failure) if self.is_gone(&failure, pace).await => {
                log_event!(
                    Event::EntityClosed,
                    entity = %self.entity.target.key,
                    error = %failure,
                    "closed, and the api knows it no more: left alone until it is open again"
                );
                // What was not read of it stays noted, for then.
                self.entity.report_stopped();
                match self.wait_for_reopening(pace).await {
                    Ok(()) => std::ops::ControlFlow::Continue(()),
                    Err(_) => std::ops::ControlFlow::Break(()),
                }
            }
            Err(failure) => {
                self.recover(&failure, was_live, pace).await;
                std::ops::ControlFlow::Continue(())
            }
        }
    }

    async fn owes_history(&self, first_day: Day) -> bool {
        let today = now().local_day();
        self.entity.position(&self.schedule, first_day, today).await.backfill_next.is_some()
    }

    /// Whether there is nothing more to be had of a closed entity: its own call is answered so for some
    /// poll intervals, since a gateway answers 404 too while it is set up anew. Not while rows are owed that
    /// the feed has shown: that it fails must be seen.
    async fn is_gone(&self, failure: &Failure, pace: &mut Pace) -> bool {
        let is_unknown = match failure {
            Failure::Api(Error::NotFound { at, .. }) => {
                own_calls(self.entity.target.key.stream, false).contains(&at.operation)
            }
            Failure::Api(_) | Failure::Refused(_) | Failure::Gone(_) => false,
        };
        let since = is_unknown.then(|| pace.unknown_since.unwrap_or_else(Instant::now));
        pace.unknown_since = since;
        let long = self.schedule.poll_interval * UNKNOWN_INTERVALS;
        since.is_some_and(|since| since.elapsed() >= long)
            && !*self.open.borrow()
            && !self.entity.checkpoint(pace.first_day).await.behind
    }

    async fn backfill(&mut self, window: Window, pace: &mut Pace) -> Result<u64, Failure> {
        let Some(Read { answers, .. }) = self.fetch(Purpose::Backfill, window).await? else {
            return Ok(0);
        };
        let today = now().local_day();
        let in_gap = self.entity.position(&self.schedule, pace.first_day, today).await.gap;
        let next = self.schedule.after(window, today);
        let reading = Reading {
            answers: &answers,
            reason: Reason::Backfill,
            window: Some(window),
            advance: Advance::Backfill(next),
            first_kept: Some(self.schedule.first_kept(next, today)),
            start: pace.first_day,
        };
        let digest = Box::pin(self.entity.take_in(&reading)).await?;
        if next.is_none() {
            // Its days have been read by this.
            pace.look_back_fails = false;
            let now_at = Instant::now();
            // What the last window showed need not be asked for again at once, but in a gap, which
            // leaves the cursor to the live polls.
            if !in_gap {
                let wait = self.served.looks().unwrap_or(self.schedule.poll_interval);
                pace.agenda.live_at = now_at + wait;
            }
            pace.agenda.lookback_at = now_at + self.schedule.lookback_interval;
        }
        Ok(published(&digest))
    }

    async fn look_back(&mut self, windows: &[Window], pace: &mut Pace) -> Result<u64, Failure> {
        let mut present = std::collections::HashSet::new();
        let (mut rows, mut read, mut whole) = (0, Vec::new(), true);
        let today = now().local_day();
        let position = self.entity.position(&self.schedule, pace.first_day, today).await;
        // Also one of which nothing is committed yet.
        let in_gap = position.backfill_next.is_some();
        for (i, window) in windows.iter().enumerate() {
            let Some(fetched) = self.fetch(Purpose::Repair, *window).await? else {
                return Ok(rows);
            };
            let answers = fetched.answers;
            whole &= fetched.whole;
            let last = i + 1 == windows.len();
            let reading = Reading {
                answers: &answers,
                reason: Reason::LookBack,
                window: Some(*window),
                advance: if in_gap { Advance::Unproven } else { Advance::Nothing },
                first_kept: last.then(|| self.schedule.first_kept(None, today)),
                start: pace.first_day,
            };
            let digest = Box::pin(self.entity.take_in(&reading)).await?;
            rows += published(&digest);
            if self.entity.deletions == Deletions::Emit {
                present.extend(digest.present);
                read.extend(Span::of(&answers));
            }
        }
        if let (Some(first), Some(last), Some(read)) =
            (windows.first(), windows.last(), read.into_iter().reduce(Span::and))
            && whole
        {
            let days = Window { from: first.from.plus(self.schedule.settled_days), to: last.to };
            rows += self.entity.take_absences(&present, days, read).await?;
        }
        let interval = self.schedule.lookback_interval;
        pace.agenda.lookback_at = Instant::now() + self.served.looks().unwrap_or(interval);
        Ok(rows)
    }

    async fn live(&mut self, pace: &mut Pace) -> Result<u64, Failure> {
        let today = now().local_day();
        let refusals = self.entity.refusals().await;
        let cursor = self.entity.checkpoint(pace.first_day).await.cursor;
        let purpose = if self.is_look(pace).await { Purpose::Repair } else { Purpose::Live };
        let recent = Window { from: today.plus(1 - self.schedule.window_days), to: today };
        let fetched = tokio::select! {
            () = self.stop.cancelled() => return Ok(0),
            fetched = self.fetcher.above(purpose, cursor, recent) => fetched,
        };
        let (answers, window) = match fetched {
            // TOS asks for a single day, which is no smaller by any other way.
            Err(Error::TooLarge { .. }) if recent.from < recent.to => {
                let backlog = Backlog::new(&self.schedule, purpose, cursor, recent, today);
                let rows = Box::pin(self.read_backlog(backlog, pace.first_day)).await?;
                if self.stop.is_cancelled() {
                    // Perhaps in its midst.
                    return Ok(rows);
                }
                self.entity.catch_up(refusals).await?;
                pace.sent_for = false;
                let wait = self.served.looks().unwrap_or(self.schedule.poll_interval);
                pace.agenda.live_at = Instant::now() + wait;
                return Ok(rows);
            }
            fetched => fetched?,
        };
        let reading = Reading {
            answers: &answers,
            reason: Reason::Live,
            window,
            advance: Advance::Cursor,
            first_kept: None,
            start: pace.first_day,
        };
        let digest = Box::pin(self.entity.take_in(&reading)).await?;
        let may_be_cut = self.fetcher.may_be_cut(&answers);
        // What the feed could not take may be what was cut off.
        if !may_be_cut {
            self.entity.catch_up(refusals).await?;
            pace.sent_for = false;
        }
        let now_at = Instant::now();
        // Not by the highest id: one that is not believed raises no cursor, and asking on would not end.
        let rose = self.entity.checkpoint(pace.first_day).await.cursor > cursor;
        if may_be_cut && (digest.counts.new > 0 || rose) {
            // A row limit may have cut the answer at either end: ask on, and look back.
            pace.agenda = Agenda::new(now_at, now_at);
        } else {
            let looks = self.served.looks().filter(|_| !pace.sent_for);
            pace.agenda.live_at = now_at + looks.unwrap_or(self.schedule.poll_interval);
        }
        Ok(published(&digest))
    }

    /// Until the first poll above the cursor and the first look-back: at once, or, where the feed
    /// asks for everybody, some time within the interval of the single looks, so that ten thousand
    /// accounts do not ask together.
    fn wait_for_first_look(&self) -> Duration {
        let Some(interval) = self.served.looks() else { return Duration::ZERO };
        // As many parts of 2^32 as the name says.
        let share = u128::from(xxh3_64(self.entity.target.key.entity.as_bytes()) >> 32);
        let millis = (interval.as_millis() * share) >> 32;
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    async fn fetch(&mut self, purpose: Purpose, window: Window) -> Result<Option<Read>, Failure> {
        tokio::select! {
            () = self.stop.cancelled() => Ok(None),
            fetched = self.fetcher.window(purpose, window) => Ok(Some(fetched?)),
        }
    }

    async fn recover(&mut self, failure: &Failure, was_live: bool, pace: &mut Pace) {
        if failure.retry_class() == RetryClass::DatesRequired {
            log_event!(
                Event::DatesRequired,
                entity = %self.entity.target.key,
                "the api wants dates beside lastId, sending both from now on"
            );
            self.fetcher.require_dates();
            return;
        }
        let interval = self.schedule.poll_interval;
        let look = if self.is_look(pace).await { self.served.looks() } else { None };
        let wait = match look {
            Some(looks) => pace.backoff(was_live).wait_of_look(failure, interval, looks),
            None => pace.backoff(was_live).wait(failure, interval),
        };
        self.entity.report_failure(failure, wait);
        tokio::select! {
            () = wait_or_change(&self.api, wait, &self.stop) => {}
            // What the feed could not take does not wait for the next look.
            () = self.entity.ask_alone.notified(), if !pace.sent_for => self.answer_the_feed(pace),
        }
    }

    /// Whether it only checks what the feed has read, no history that is its own to read: nobody waits
    /// for it, and ten thousand that fail must not keep the feed from its call.
    async fn is_look(&self, pace: &Pace) -> bool {
        let today = now().local_day();
        let position = self.entity.position(&self.schedule, pace.first_day, today).await;
        let is_served = self.served.looks().is_some() && !pace.sent_for;
        is_served && !position.behind && position.backfill_next.is_none()
    }
}

/// Waits until the source follows the entity, or no longer does; for ever where nobody can say so.
async fn becomes(open: &mut watch::Receiver<bool>, wanted: bool) {
    if open.wait_for(|open| *open == wanted).await.is_err() {
        std::future::pending::<()>().await;
    }
}

pub(super) const fn published(digest: &super::digest::Digest) -> u64 {
    digest.counts.new + digest.counts.changed
}
