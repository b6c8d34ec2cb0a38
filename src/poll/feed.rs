//! The connection-wide bank feed: one call a poll for all accounts.
//!
//! Each row goes to its account's memory and batch, so an account knows its rows whichever way
//! they came. The feed's own cursor moves last: rows of accounts that were committed before a
//! crash are found known, because their accounts' cursors moved with them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, RwLock},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{BankQuery, Client, Error, Purpose, RetryClass, Rows},
    config::model::DateType,
    domain::time::Day,
};

use super::{
    digest::Reason,
    discovery::account_of,
    entity::{Advance, Entity, Failure, Reading, now},
    plan::{Window, is_suspicious_count},
    task::{published, wait_or_change},
};

const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
const REFUSED_INTERVAL: Duration = Duration::from_secs(15 * 60);

/// The accounts that are followed, by id; the connection adds and removes them.
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
    /// Which date the windows are about.
    pub date_type: DateType,
    /// Between two polls.
    pub poll_interval: Duration,
    /// The process or the shard ends.
    pub stop: CancellationToken,
}

impl Feed {
    /// Runs until it is stopped or the shard is gone.
    pub async fn run(self) {
        let mut backoff = BACKOFF_MIN;
        let mut dates_required = false;
        while !self.stop.is_cancelled() {
            let started = Instant::now();
            let outcome = Box::pin(self.poll(dates_required)).await;
            self.entity.observe_poll(started.elapsed());
            let wait = match outcome {
                Ok(again) => {
                    backoff = BACKOFF_MIN;
                    let wait = if again { Duration::ZERO } else { self.poll_interval };
                    self.entity.report_next(wait);
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        () = sleep(wait) => continue,
                    }
                }
                Err(Failure::Gone(_)) => return,
                Err(failure) => {
                    let wait = match failure.retry_class() {
                        RetryClass::DatesRequired => {
                            dates_required = true;
                            continue;
                        }
                        RetryClass::Retry { after } => {
                            let wait = after.unwrap_or_default().max(backoff);
                            backoff = (backoff * 2).min(BACKOFF_MAX);
                            Some(wait)
                        }
                        RetryClass::Refused => Some(REFUSED_INTERVAL),
                        RetryClass::LockedOut => None,
                        RetryClass::Permanent => Some(self.poll_interval),
                    };
                    self.entity.report_failure(&failure, wait);
                    wait
                }
            };
            wait_or_change(&self.api, wait, &self.stop).await;
        }
    }

    /// One call, its rows to their accounts, then the feed's cursor. True: ask again at once.
    async fn poll(&self, dates_required: bool) -> Result<bool, Failure> {
        let today = now().local_day();
        let cursor = self.entity.checkpoint(today).await.cursor;
        let (rows, window) = tokio::select! {
            () = self.stop.cancelled() => return Ok(false),
            fetched = self.fetch(cursor, dates_required, today) => fetched?,
        };
        let by_account = group_by_account(&rows);
        let highest = rows.iter().filter_map(id_of).max();
        let mut new_rows = 0;
        for (account, rows) in by_account {
            let Some(entity) = self.account(account) else { continue };
            match self.take_in(&entity, rows, window, today).await {
                Ok(published) => new_rows += published,
                Err(Failure::Gone(gone)) => return Err(gone.into()),
                // One account's bad rows do not stop the others: its cursor stays, and its own
                // poller asks for them again until the answer is good.
                Err(failure) => {
                    entity.report_failure(&failure, None);
                    entity.ask_alone.notify_one();
                }
            }
        }
        self.entity.raise_cursor(highest, today).await?;
        self.report(today, new_rows).await;
        Ok(is_suspicious_count(rows.len()) && new_rows > 0)
    }

    async fn fetch(
        &self,
        cursor: Option<i64>,
        dates_required: bool,
        today: Day,
    ) -> Result<(Rows, Option<Window>), Error> {
        // Without a cursor the accounts' own backfills read everything up to today.
        let recent = Window { from: today.plus(-1), to: today };
        let window = (cursor.is_none() || dates_required).then_some(recent);
        let query = BankQuery {
            window: window.map(|window| (window.from, window.to)),
            last_id: cursor,
            date_type: self.date_type,
        };
        let rows = self.api.connection_transactions(Purpose::Live, &query).await?;
        Ok((rows, window))
    }

    async fn take_in(
        &self,
        entity: &Entity,
        rows: Rows,
        window: Option<Window>,
        today: Day,
    ) -> Result<u64, Failure> {
        // An account that was never read starts with its backfill, which shows these rows too.
        if entity.is_new().await {
            return Ok(0);
        }
        let answers = [rows];
        let reading = Reading {
            answers: &answers,
            reason: Reason::Live,
            window,
            advance: Advance::Cursor,
            first_kept: None,
            start: today,
        };
        let digest = entity.take_in(&reading).await?;
        Ok(published(&digest))
    }

    async fn report(&self, today: Day, new_rows: u64) {
        let mut checkpoint = self.entity.checkpoint(today).await;
        checkpoint.backfill_next = None;
        self.entity.report_success(&checkpoint, today, new_rows);
        let accounts: Vec<Arc<Entity>> = match self.accounts.read() {
            Ok(accounts) => accounts.values().cloned().collect(),
            Err(_) => Vec::new(),
        };
        for account in accounts {
            account.report_served();
        }
    }

    fn account(&self, id: i64) -> Option<Arc<Entity>> {
        self.accounts.read().ok()?.get(&id).cloned()
    }
}

fn group_by_account(rows: &Rows) -> BTreeMap<i64, Rows> {
    let mut texts: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for row in rows.iter() {
        // A row that names no account belongs to nobody here; its account's look-back, where the
        // path names the account, brings it to quarantine.
        if let Some(account) = account_of(row) {
            texts.entry(account).or_default().push(row);
        }
    }
    texts
        .into_iter()
        .map(|(account, texts)| {
            let mut own = Rows::from_texts(texts, rows.fetched_at);
            own.replaced_text = rows.replaced_text;
            own.operation = rows.operation;
            (account, own)
        })
        .collect()
}

fn id_of(row: &str) -> Option<i64> {
    #[derive(serde::Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: &'a serde_json::value::RawValue,
    }
    let row: Id<'_> = serde_json::from_str(row).ok()?;
    row.id.get().trim_matches('"').parse().ok()
}
