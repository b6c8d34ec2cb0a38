//! The feed's live answer is too large: days instead, and where a day is too large, that day account
//! by account.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    api::{Error, Purpose, RetryClass, Rows},
    domain::time::Day,
    telemetry::clock::now,
};

use super::{
    backlog::{Backlog, Part},
    digest::Reason,
    entity::{Advance, Entity, Failure},
    feed::{DELIVERIES, Feed, Round},
    fetch::{Fetcher, Origin, highest_id},
    plan::Window,
    task::published,
};

/// What the parts so far have brought.
#[derive(Default)]
struct Caught {
    rows: u64,
    highest: Option<i64>,
    /// The highest id of each account that took part.
    cursors: HashMap<i64, (Arc<Entity>, Option<i64>)>,
    /// Accounts that could not take a part: their own pollers ask above their cursors, which stay.
    behind: HashSet<i64>,
}

impl Feed {
    /// Reads all rows above the cursor, part by part. The cursors of the accounts rise after the
    /// last part, the feed's own last of all: after a crash, or an error in between, all of it is
    /// read again and what was committed is found known. `None` when stopped meanwhile.
    pub(super) async fn read_backlog(
        &mut self,
        cursor: Option<i64>,
        recent: Window,
    ) -> Result<Option<u64>, Failure> {
        self.entity.tell_backlog();
        let today = now().local_day();
        let mut backlog = Backlog::new(&self.schedule, Purpose::Live, cursor, recent, today);
        let mut caught = Caught::default();
        loop {
            let part = tokio::select! {
                () = self.stop.cancelled() => return Ok(None),
                part = backlog.next(&self.fetcher) => part?,
            };
            match part {
                Some(Part::Read(window, answers)) => {
                    let accounts = self.accounts();
                    self.take_part(accounts, window, &answers, &mut caught).await?;
                }
                Some(Part::TooLarge(day, _)) => {
                    if !self.read_one_by_one(day, cursor, &mut caught).await? {
                        return Ok(None);
                    }
                }
                None => break,
            }
        }
        self.raise_cursors(&caught, today).await?;
        Ok(Some(caught.rows))
    }

    async fn take_part(
        &self,
        accounts: Vec<(i64, Arc<Entity>)>,
        window: Window,
        answers: &[Rows],
        caught: &mut Caught,
    ) -> Result<(), Failure> {
        self.check(answers, Some(window))?;
        let highest = highest_id(answers, caught.highest);
        let round = Round {
            reason: Reason::Live,
            window: Some(window),
            advance: Advance::Nothing,
            first_kept: None,
            start: now().local_day(),
        };
        for (id, entity, outcome) in self.deliver(accounts, answers, round).await {
            match outcome {
                Ok(Some(digest)) => {
                    caught.rows += published(&digest);
                    let cursor = &mut caught.cursors.entry(id).or_insert((entity, None)).1;
                    *cursor = (*cursor).max(digest.highest_id);
                }
                Ok(None) => {}
                Err(Failure::Gone(gone)) => return Err(gone.into()),
                Err(failure) => caught.leave_behind(id, &entity, &failure).await?,
            }
        }
        self.take_unnamed(answers, round).await?;
        caught.highest = caught.highest.max(highest);
        Ok(())
    }

    /// A day that is too large for one answer, by the accounts' own calls. An account whose day is
    /// too large by itself, or that is answered wrongly, is left to its own poller. False when stopped
    /// meanwhile.
    async fn read_one_by_one(
        &self,
        day: Window,
        cursor: Option<i64>,
        caught: &mut Caught,
    ) -> Result<bool, Failure> {
        let date_type = self.entity.target.date_type;
        for (id, entity) in self.accounts() {
            let fetcher = Fetcher::new(self.api.clone(), Origin::Account { id, date_type });
            let asked = tokio::select! {
                () = self.stop.cancelled() => return Ok(false),
                asked = fetcher.ask(Purpose::Live, day, cursor) => asked,
            };
            match asked {
                Ok(answers) => {
                    self.take_part(vec![(id, entity)], day, &answers, caught).await?;
                }
                // It is gone at the source, and has no rows any more.
                Err(Error::NotFound { .. }) => {}
                Err(error) if error.retry_class() == RetryClass::Permanent => {
                    caught.leave_behind(id, &entity, &error.into()).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    async fn raise_cursors(&self, caught: &Caught, today: Day) -> Result<(), Failure> {
        let risen = caught.cursors.iter().filter(|(id, _)| !caught.behind.contains(id));
        let risen: Vec<_> = risen
            .map(|(_, (entity, highest))| async move {
                // It was left behind by an earlier poll.
                if entity.checkpoint(today).await.behind {
                    return Ok(false);
                }
                entity.raise_cursor(*highest, today).await
            })
            .collect();
        let done: Vec<bool> =
            stream::iter(risen).buffer_unordered(DELIVERIES).try_collect().await?;
        drop(done);
        let first_kept = self.schedule.first_kept(None, today);
        self.entity.raise_cursor(caught.highest, first_kept).await?;
        Ok(())
    }
}

impl Caught {
    async fn leave_behind(
        &mut self,
        id: i64,
        entity: &Entity,
        failure: &Failure,
    ) -> Result<(), Failure> {
        // Once is enough, however many days it lacks.
        if self.behind.insert(id) {
            entity.fall_behind(failure).await?;
        }
        Ok(())
    }
}
