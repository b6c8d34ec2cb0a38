//! Lists that are read whole and compared with what was published: the virtual POS and all
//! reference data. There is no cursor and no window; what is missing twice is gone.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{Client, Error, ListStatus, Purpose, Rows},
    config::model::{Connection, Deletions},
    domain::{ids::Stream, time::Day},
    telemetry::clock::now,
};

use super::{
    absence::Span,
    backoff::{Backoff, wait_or_change},
    completion::Completion,
    digest::{MENTION_START, Reason, id_of},
    discovery::{Discovered, discover},
    entity::{Advance, Entity, Failure, Reading},
    fields,
    plan::Window,
    task::published,
};

/// Customers that stand inside virtual-POS rows.
#[derive(Debug, Default)]
pub struct Mentions {
    /// By id, as the JSON of `musteri`, and the id of the payment that says so.
    by_id: BTreeMap<i64, (Option<i64>, String)>,
    /// The payments were not read yet: whom they mention is not known, and nobody is gone.
    pub(super) awaited: bool,
}

impl Mentions {
    /// Nobody yet; `awaited` where the list of payments is read.
    pub const fn new(awaited: bool) -> Self {
        Self { by_id: BTreeMap::new(), awaited }
    }

    /// Takes over whom the payments mention. Each holds the customer as it was known then: of several
    /// the newest payment speaks, whichever list it stands in and however often it is read.
    pub(super) fn take_over(&mut self, answers: &[Rows]) {
        for row in answers.iter().flat_map(Rows::iter) {
            let Some((id, mention)) = mention_in(row) else { continue };
            let payment = id_of(row);
            match self.by_id.get(&id) {
                Some((newest, _)) if *newest > payment => {}
                _ => drop(self.by_id.insert(id, (payment, mention))),
            }
        }
    }
}

/// Filled by the list of payments, read by the list of customers.
pub type Mentioned = Arc<Mutex<Mentions>>;

/// One list and how it is followed.
#[derive(Debug)]
pub struct Snapshot {
    /// Its memory.
    pub entity: Arc<Entity>,
    /// The way to the API.
    pub api: Client,
    /// Between two reads.
    pub poll_interval: Duration,
    /// Whether rows are published, or only read to learn which entities there are.
    pub publish: bool,
    /// Tells which accounts or terminals there are after each read.
    pub discovered: Option<watch::Sender<Option<Arc<Vec<Discovered>>>>>,
    /// Customers mentioned by the virtual-POS list.
    pub mentioned: Mentioned,
    /// The process or the shard ends.
    pub stop: CancellationToken,
}

impl Snapshot {
    /// Runs until it is stopped or the shard is gone.
    pub async fn run(self) {
        let mut backoff = Backoff::new(self.entity.target.key.stream);
        let mut completion = Completion::default();
        while !self.stop.is_cancelled() {
            let started = Instant::now();
            let outcome = Box::pin(self.read(&mut completion)).await;
            self.entity.observe_poll(started.elapsed());
            let wait = match outcome {
                Ok(rows) => {
                    backoff.reset();
                    let today = now().local_day();
                    let mut checkpoint = self.entity.checkpoint(today).await;
                    checkpoint.backfill_next = None;
                    self.entity.report_success(&checkpoint, today, rows);
                    self.entity.report_next(self.poll_interval);
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        () = tokio::time::sleep(self.poll_interval) => continue,
                    }
                }
                Err(Failure::Gone(_)) => return,
                Err(failure) => {
                    let wait = backoff.wait(&failure, self.poll_interval);
                    self.entity.report_failure(&failure, wait);
                    wait
                }
            };
            wait_or_change(&self.api, wait, &self.stop).await;
        }
    }

    /// One complete read: all lists, the diff, and what is missing.
    async fn read(&self, completion: &mut Completion) -> Result<u64, Failure> {
        let stream = self.entity.target.key.stream;
        let awaited = self.mentioned.lock().unwrap_or_else(PoisonError::into_inner).awaited;
        let answers = tokio::select! {
            () = self.stop.cancelled() => return Ok(0),
            answers = self.fetch(completion) => answers?,
        };
        if let Some(discovered) = &self.discovered {
            let mut found = discover(stream, &answers);
            found.extend(completion.unlisted().cloned());
            discovered.send_replace(Some(Arc::new(found)));
        }
        if !self.publish {
            return Ok(0);
        }
        let reading = Reading {
            answers: &answers,
            reason: Reason::List,
            window: None,
            advance: Advance::Backfill(None),
            first_kept: None,
            start: now().local_day(),
        };
        let digest = self.entity.take_in(&reading).await?;
        let rows = published(&digest);
        if stream == Stream::VirtualPosTransactions {
            let mut mentioned = self.mentioned.lock().unwrap_or_else(PoisonError::into_inner);
            mentioned.take_over(&answers);
            mentioned.awaited = false;
        }
        if stream == Stream::Customers && awaited {
            return Ok(rows);
        }
        if let (Deletions::Emit, Some(read)) = (self.entity.deletions, Span::of(&answers)) {
            let all = Window { from: Day(i32::MIN), to: Day(i32::MAX) };
            let present = digest.present.into_iter().chain(completion.not_absent()).collect();
            return Ok(rows + self.entity.take_absences(&present, all, read).await?);
        }
        Ok(rows)
    }

    /// The rows of the list, and what it lacks.
    async fn fetch(&self, completion: &mut Completion) -> Result<Vec<Rows>, Error> {
        let stream = self.entity.target.key.stream;
        let listed = fetch_list(&self.api, stream, &self.mentioned).await;
        match stream {
            Stream::Accounts => completion.of_accounts(&self.api, &self.entity, listed).await,
            Stream::Customers => completion.of_customers(&self.api, listed?).await,
            _ => listed,
        }
    }
}

/// The share of bad rows that a list may have; reference lists have no setting of their own.
pub(super) fn max_bad_ratio_of_list(config: &Connection, stream: Stream) -> f64 {
    match (stream, &config.streams.virtual_pos_transactions) {
        (Stream::VirtualPosTransactions, Some(list)) => list.max_bad_ratio,
        _ => 0.2,
    }
}

/// All rows of a list; customers that only virtual-POS rows mention stand behind the listed ones.
pub(super) async fn fetch_list(
    api: &Client,
    stream: Stream,
    mentioned: &Mentioned,
) -> Result<Vec<Rows>, Error> {
    match stream {
        Stream::VirtualPosTransactions => {
            let mut lists = Vec::with_capacity(ListStatus::ALL.len());
            for status in ListStatus::ALL {
                lists.push(api.virtual_pos_transactions(Purpose::Live, status).await?);
            }
            Ok(newest_of_each(&lists))
        }
        Stream::Customers => {
            let listed = api.reference(Purpose::Repair, Stream::Customers).await?;
            let partial = partial_customers(&listed, mentioned);
            Ok(vec![listed, partial])
        }
        stream => Ok(vec![api.reference(Purpose::Repair, stream).await?]),
    }
}

/// Customers that only virtual-POS rows mention; a listed one is never overwritten.
fn partial_customers(listed: &Rows, mentioned: &Mentioned) -> Rows {
    let known: std::collections::HashSet<i64> = listed.iter().filter_map(id_of).collect();
    let mentioned = mentioned.lock().unwrap_or_else(PoisonError::into_inner);
    let partial = mentioned.by_id.iter().filter(|(id, _)| !known.contains(id));
    Rows::from_texts(partial.map(|(_, (_, json))| json.as_str()), listed.fetched_at)
}

/// A payment moves from list to list while the lists are read one after the other, and may stand
/// in two of them: the list that was read last speaks for it.
fn newest_of_each(lists: &[Rows]) -> Vec<Rows> {
    let mut last: HashMap<&str, (usize, usize)> = HashMap::new();
    let key = |row: &str| row_key(row).unwrap_or_default().to_owned();
    let keys: Vec<Vec<String>> = lists.iter().map(|list| list.iter().map(key).collect()).collect();
    for (l, list) in keys.iter().enumerate() {
        for (r, key) in list.iter().enumerate() {
            last.insert(key, (l, r));
        }
    }
    lists
        .iter()
        .enumerate()
        .map(|(l, list)| {
            let kept = list.iter().enumerate().filter(|(r, _)| {
                let key = keys.get(l).and_then(|keys| keys.get(*r));
                // A row without a readable id is kept: quarantine decides about it.
                key.is_none_or(|key| key.is_empty() || last.get(key.as_str()) == Some(&(l, *r)))
            });
            let mut rows = Rows::from_texts(kept.map(|(_, row)| row), list.fetched_at);
            rows.replaced_text = list.replaced_text;
            rows.operation = list.operation;
            rows
        })
        .collect()
}

fn row_key(row: &str) -> Option<&str> {
    fields::text(row, "id").or_else(|| fields::text(row, "referans_kodu"))
}

/// The customer that a virtual-POS row mentions, as a row of its own for the customers' list.
fn mention_in(row: &str) -> Option<(i64, String)> {
    let customer = fields::raw(row, "musteri")?;
    Some((id_of(customer)?, format!("{MENTION_START}{customer}}}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn of_several_mentions_of_a_customer_the_newest_payments_counts() {
        let payment =
            |id: i64, name: &str| format!(r#"{{"id":{id},"musteri":{{"id":5,"unvan":"{name}"}}}}"#);
        let listed = Rows::from_texts(Vec::<String>::new(), Timestamp(0));
        let mentioned = Mentioned::new(Mentions::new(true).into());
        let shown = |rows: &[String]| {
            let answers = [Rows::from_texts(rows, Timestamp(0))];
            mentioned.lock().unwrap().take_over(&answers);
            let partial = partial_customers(&listed, &mentioned);
            partial.iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let newest = format!(r#"{MENTION_START}{{"id":5,"unvan":"new"}}}}"#);
        // as the API lists them, the newest first, and in lists of another status
        assert_eq!(shown(&[payment(9, "new"), payment(1, "old")]), [&*newest]);
        assert_eq!(shown(&[payment(2, "older")]), [&*newest]);
        let edited = format!(r#"{MENTION_START}{{"id":5,"unvan":"edited"}}}}"#);
        assert_eq!(shown(&[payment(9, "edited"), payment(1, "old")]), [&*edited]);
    }
}
