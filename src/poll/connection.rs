//! One connection: starts its lists, and a poller for each account, terminal and institution.

mod lists;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    api::Client,
    config::model::{self, Connection, Deletions, Following, Selection},
    domain::{
        ids::{EntityKey, Stream},
        time::Day,
    },
    log_event,
    mapping::PrivacyRules,
    publish::encode::Encoder,
    state::changelog::{ConnectionState, EntityState},
    telemetry::{clock::now, events::Event},
};

use super::{
    digest::{Others, Target},
    discovery::Discovered,
    entity::{Entity, Shared},
    feed::{Accounts, Feed},
    feed_unlisted::Unlisted,
    fetch::{Fetcher, Origin},
    plan::{SETTLED_DAYS, Schedule},
    served::Served,
    task::Follow,
    tos_refusals::keep_refusals,
};

/// How often entities are looked up where no reference stream is configured.
pub(super) const DISCOVERY_INTERVAL: Duration = Duration::from_secs(3600);

/// What the connection's pollers are made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Its configuration.
    pub config: Arc<Connection>,
    /// Its client, with its tokens and quota.
    pub api: Client,
    /// Schemas and topics.
    pub encoder: Arc<Encoder>,
    /// Masking.
    pub privacy: Arc<PrivacyRules>,
    /// The shard's publisher, the board, the metrics.
    pub shared: Shared,
}

type Watched = watch::Receiver<Option<Arc<Vec<Discovered>>>>;

/// Runs all pollers of a connection until `stop`, or until the shard is gone.
pub async fn run(parts: Parts, state: ConnectionState, stop: CancellationToken) {
    let ConnectionState { entities: states, refusals } = state;
    let mut tasks = JoinSet::new();
    if let Some(kept) = &refusals {
        parts.api.recall_tos_refusals(kept);
    }
    let bank = parts.config.streams.bank_transactions.as_ref();
    let check_interval = bank.map(|stream| stream.check_interval).unwrap_or_default();
    tasks.spawn(keep_refusals(parts.clone(), refusals, stop.clone()));
    let mut running = Running {
        tasks,
        last_run: last_run(&states),
        accounts: Accounts::default(),
        others: Others::default(),
        served: Served::new(check_interval),
        followed: HashMap::new(),
        missing: HashSet::new(),
        parts,
        states,
        stop,
    };
    let (accounts, terminals) = running.start_lists();
    running.start_institutions();
    running.supervise(accounts, terminals).await;
}

struct Running {
    parts: Parts,
    states: HashMap<EntityKey, EntityState>,
    /// The last day of which anything of the connection was committed before this start.
    last_run: Option<Day>,
    accounts: Accounts,
    /// The ids of those that are open, for the digest of each.
    others: Others,
    served: Served,
    /// Every started entity.
    followed: HashMap<(Stream, i64), Followed>,
    /// Those that the last list lacked.
    missing: HashSet<(Stream, i64)>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// An entity that is followed, and how it learns whether the source still does so.
struct Followed {
    entity: Arc<Entity>,
    open: watch::Sender<bool>,
}

impl Followed {
    /// Tells its poller; true where that is news.
    fn set_open(&self, open: bool) -> bool {
        self.entity.note_open(open);
        self.open.send_if_modified(|was| std::mem::replace(was, open) != open)
    }
}

impl Running {
    fn start_institutions(&mut self) {
        let config = Arc::clone(&self.parts.config);
        let (Some(tos), Some(stream)) = (&config.tos, &config.streams.tos_payments) else { return };
        for institution in &tos.institutions {
            let origin = Origin::Institution {
                code: institution.code.clone(),
                sender_accounts: institution.sender_accounts.clone(),
            };
            let entity = self.entity(
                Stream::TosPayments,
                &institution.code,
                stream.following.deletions,
                stream.following.max_bad_ratio,
            );
            // Nobody lists institutions, so nobody closes one.
            let (_, open) = watch::channel(true);
            self.start_follow(entity, stream.following, origin, open);
        }
    }

    /// Starts and closes pollers as the reference data changes.
    async fn supervise(&mut self, mut accounts: Option<Watched>, mut terminals: Option<Watched>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                found = next(&mut accounts) => match found {
                    Some(found) => self.follow_accounts(&found),
                    None => accounts = None,
                },
                found = next(&mut terminals) => match found {
                    Some(found) => self.follow_terminals(&found),
                    None => terminals = None,
                },
                ended = self.tasks.join_next() => match ended {
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        log_event!(Event::PollerBroke, connection = %self.parts.config.id, %error, "a poller broke off, the shard starts again from what is committed");
                        break;
                    }
                    // Nothing to follow, or the shard is gone: its owner says when it is over.
                    None => self.stop.cancelled().await,
                },
            }
        }
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }

    fn follow_accounts(&mut self, found: &[Discovered]) {
        let config = Arc::clone(&self.parts.config);
        let Some(stream) = &config.streams.bank_transactions else { return };
        let wanted: Vec<&Discovered> =
            found.iter().filter(|account| stream.accounts.contains(account.id)).collect();
        self.warn_about_missing(Stream::BankTransactions, &stream.accounts, found);
        let start_feed =
            serves_by_feed(stream, &config.quota, wanted.len()) && !self.served.has_feed();
        if start_feed {
            self.served.start(self.followed_accounts() == 0);
        }
        let before = self.followed.len();
        for account in &wanted {
            let origin = Origin::Account { id: account.id, date_type: stream.date_type };
            self.follow(Stream::BankTransactions, account, stream.following, origin);
        }
        if start_feed {
            self.start_feed(stream);
        }
        self.report_appeared(Stream::BankTransactions, before);
        self.close_missing(Stream::BankTransactions, &wanted);
    }

    fn follow_terminals(&mut self, found: &[Discovered]) {
        let config = Arc::clone(&self.parts.config);
        let Some(stream) = &config.streams.pos_transactions else { return };
        let wanted: Vec<&Discovered> =
            found.iter().filter(|terminal| stream.terminals.contains(terminal.id)).collect();
        self.warn_about_missing(Stream::PosTransactions, &stream.terminals, found);
        let before = self.followed.len();
        for terminal in &wanted {
            let origin = Origin::Station { id: terminal.id };
            self.follow(Stream::PosTransactions, terminal, stream.following, origin);
        }
        self.report_appeared(Stream::PosTransactions, before);
        self.close_missing(Stream::PosTransactions, &wanted);
    }

    fn followed_accounts(&self) -> usize {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn start_feed(&mut self, stream: &model::BankStream) {
        let following = stream.following;
        let entity = self.entity(
            Stream::BankTransactions,
            EntityKey::WHOLE,
            Deletions::Ignore,
            following.max_bad_ratio,
        );
        let origin = Origin::Connection { date_type: stream.date_type };
        let feed = Feed {
            entity,
            accounts: Arc::clone(&self.accounts),
            api: self.parts.api.clone(),
            fetcher: Fetcher::new(self.parts.api.clone(), origin),
            schedule: schedule(Stream::BankTransactions, following),
            served: self.served.clone(),
            unlisted: Unlisted::new(matches!(stream.accounts, Selection::All)),
            stop: self.stop.clone(),
        };
        self.tasks.spawn(feed.run());
    }

    fn follow(&mut self, stream: Stream, found: &Discovered, following: Following, origin: Origin) {
        if stream == Stream::BankTransactions {
            let name = found.id.to_string();
            if found.active { self.others.add(&name) } else { self.others.remove(&name) }
        }
        if let Some(followed) = self.followed.get(&(stream, found.id)) {
            followed.entity.know_currency(found.currency.as_ref());
            match (followed.set_open(found.active), found.active) {
                (false, _) => {}
                (true, true) => {
                    log_event!(Event::EntityAppeared, connection = %self.parts.config.id, %stream, entity = found.id, "open again, polled from now on");
                }
                (true, false) => {
                    log_event!(Event::EntityClosed, connection = %self.parts.config.id, %stream, entity = found.id, "closed at the source, reading it to its end");
                }
            }
            return;
        }
        let key = self.key(stream, &found.id.to_string());
        let schedule = schedule(stream, following);
        if !found.active && self.was_read_to_its_end(&key, &schedule) {
            return;
        }
        self.open_gap(&key, &schedule);
        let name = found.id.to_string();
        let entity = self.entity(stream, &name, following.deletions, following.max_bad_ratio);
        entity.know_currency(found.currency.as_ref());
        if stream == Stream::BankTransactions {
            let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
            accounts.insert(found.id, Arc::clone(&entity));
        }
        entity.note_open(found.active);
        let (open, opened) = watch::channel(found.active);
        self.start_follow(Arc::clone(&entity), following, origin, opened);
        self.followed.insert((stream, found.id), Followed { entity, open });
    }

    /// Whether a closed entity needs no last look: one was noted, it left nothing to be asked for, and the
    /// entity was not open for longer than a look-back, while others were polled.
    fn was_read_to_its_end(&self, key: &EntityKey, schedule: &Schedule) -> bool {
        let checkpoint = self.states.get(key).and_then(|state| state.checkpoint.as_ref());
        let (Some(checkpoint), Some(last_run)) = (checkpoint, self.last_run) else { return false };
        let read_through = checkpoint.covered_at.local_day();
        let is_left = checkpoint.behind || checkpoint.backfill_next.is_some();
        checkpoint.ended && !is_left && read_through < schedule.lookback_from(last_run)
    }

    /// Makes the days that nobody read since the process was last there a part of the history. Before
    /// anybody can hand the entity rows of today: those say that it is read up to now.
    fn open_gap(&mut self, key: &EntityKey, schedule: &Schedule) {
        let state = self.states.get_mut(key).and_then(|state| state.checkpoint.as_mut());
        let Some(checkpoint) = state else { return };
        let read_through = checkpoint.read_through();
        let gap = schedule.history_from(checkpoint, read_through, now().local_day());
        checkpoint.gap |= checkpoint.backfill_next.is_none() && gap.is_some();
        checkpoint.backfill_next = gap;
    }

    fn start_follow(
        &mut self,
        entity: Arc<Entity>,
        following: Following,
        origin: Origin,
        open: watch::Receiver<bool>,
    ) {
        let stream = entity.target.key.stream;
        let follow = Follow {
            schedule: schedule(stream, following),
            fetcher: Fetcher::new(self.parts.api.clone(), origin),
            api: self.parts.api.clone(),
            served: if stream == Stream::BankTransactions {
                self.served.clone()
            } else {
                Served::default()
            },
            open,
            stop: self.stop.clone(),
            entity,
        };
        self.tasks.spawn(follow.run());
    }

    /// What the reference data no longer lists, twice in a row, is read to its end and then left
    /// alone, until it is listed again. One odd list, an empty one for all, closes nothing.
    fn close_missing(&mut self, stream: Stream, listed: &[&Discovered]) {
        let listed: HashSet<i64> = listed.iter().map(|found| found.id).collect();
        for ((of, id), followed) in &self.followed {
            if *of != stream {
                continue;
            }
            if listed.contains(id) {
                self.missing.remove(&(*of, *id));
            } else if self.missing.insert((*of, *id)) {
                continue;
            } else if followed.set_open(false) {
                log_event!(Event::EntityClosed, connection = %self.parts.config.id, %stream, entity = id, "no longer listed by the api, reading it to its end");
            }
        }
    }

    /// One line for all: at the start there may be thousands.
    fn report_appeared(&self, stream: Stream, followed_before: usize) {
        let entities = self.followed.len().saturating_sub(followed_before);
        if entities > 0 {
            log_event!(Event::EntityAppeared, connection = %self.parts.config.id, %stream, entities, "polled from now on");
        }
    }

    /// One line for all: it comes with each reading of the list, and of many the log would leave out
    /// most.
    fn warn_about_missing(&self, stream: Stream, selection: &Selection, found: &[Discovered]) {
        let Selection::Ids(ids) = selection else { return };
        let listed: HashSet<i64> = found.iter().map(|entity| entity.id).collect();
        let missing: Vec<String> =
            ids.iter().filter(|id| !listed.contains(id)).map(i64::to_string).collect();
        if !missing.is_empty() {
            let (entities, ids) = (missing.len(), missing.join(", "));
            log_event!(Event::EntityNotListed, connection = %self.parts.config.id, %stream, entities, ids, "configured but not listed by the api: check the ids");
        }
    }

    fn key(&self, stream: Stream, entity: &str) -> EntityKey {
        EntityKey { connection: self.parts.config.id.clone(), stream, entity: entity.into() }
    }

    fn entity(
        &mut self,
        stream: Stream,
        name: &str,
        deletions: Deletions,
        max_bad_ratio: f64,
    ) -> Arc<Entity> {
        let config = &self.parts.config;
        let key = self.key(stream, name);
        let state = self.states.remove(&key).unwrap_or_default();
        let (encoder, privacy) = (&self.parts.encoder, &self.parts.privacy);
        let mut target =
            Target::new(config, key, Arc::clone(encoder), Arc::clone(privacy), max_bad_ratio);
        if stream == Stream::BankTransactions {
            target.others = self.others.clone();
        }
        Arc::new(Entity::new(target, deletions, state, self.parts.shared.clone()))
    }
}

/// The last day of which anything was committed: entities that are polled say so each day.
fn last_run(states: &HashMap<EntityKey, EntityState>) -> Option<Day> {
    let checkpoints = states.values().filter_map(|state| state.checkpoint.as_ref());
    checkpoints.map(|checkpoint| checkpoint.covered_at.local_day()).max()
}

async fn next(watched: &mut Option<Watched>) -> Option<Arc<Vec<Discovered>>> {
    let Some(receiver) = watched else { return std::future::pending().await };
    loop {
        receiver.changed().await.ok()?;
        let found = receiver.borrow_and_update().clone();
        if found.is_some() {
            return found;
        }
    }
}

/// One connection-wide call as soon as the accounts are more than the quota serves one by one.
fn serves_by_feed(stream: &model::BankStream, quota: &model::Quota, accounts: usize) -> bool {
    match stream.feed {
        model::Feed::Account => false,
        model::Feed::Connection => true,
        model::Feed::Auto => {
            let a_minute = quota.requests_per_minute.saturating_sub(quota.reserved_for_payments);
            let minutes = stream.following.poll_interval.as_secs_f64() / 60.0;
            accounts as f64 > f64::from(a_minute) * minutes
        }
    }
}

pub(super) fn schedule(stream: Stream, following: Following) -> Schedule {
    let (window_days, overlap_days) = Schedule::window_limits(stream);
    let days = |days: u32| i32::try_from(days).unwrap_or(i32::MAX);
    Schedule {
        window_days,
        overlap_days,
        lookback_days: days(following.lookback_days).max(1),
        start_days: days(following.start_days),
        settled_days: if stream == Stream::PosTransactions { SETTLED_DAYS } else { 0 },
        poll_interval: following.poll_interval,
        lookback_interval: following.lookback_interval,
    }
}

#[cfg(test)]
mod tests;
