//! Wiring: what is started in which order, and what is stopped in which.
//!
//! Start: metrics and health first, so that a probe has an answer; then topics and schemas, which
//! wait for Kafka and the registry; then the shards this replica is given. Stop: pollers, then
//! their writers, then the group, within [`DRAIN`].

mod series;
pub mod sink;
pub mod standing;

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use secrecy::SecretSlice;
use tokio::{
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::Client,
    config::model::{Config, Connection, Privacy},
    domain::{ids::ConnectionId, schemas, time::Timestamp},
    http::Health,
    kafka::topics,
    log_event,
    mapping::{PrivacyRules, privacy::KEY_BYTES_MIN},
    poll::{
        board::Board,
        connection::{self, Parts},
        entity::Shared,
        rooms::Rooms,
        series::Series,
    },
    publish::{encode::Encoder, group::Publisher, registry::Registry},
    shards::{
        assignment::{self, Change, Member},
        owner::{self, Phase, Work},
        placement::shard_of,
        restore::Restores,
    },
    sink::tally::{self, Tally},
    state::{changelog::ShardState, store::Store},
    telemetry::{clock::now, events::Event, metrics::Metrics},
};

/// All of stopping, inside Kubernetes' 60 s.
const DRAIN: Duration = Duration::from_secs(45);
/// What leaving the group may take after that.
const LEAVE: Duration = Duration::from_secs(5);
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// A state folder of a Pod that is just ending is let go within this time.
const LOCK_WAIT: Duration = Duration::from_secs(30);
const EXPORT_INTERVAL: Duration = Duration::from_secs(2);
const MEASURE_INTERVAL: Duration = Duration::from_secs(10);

/// What the running program shows of itself.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Where every entity stands.
    pub board: Arc<Board>,
    /// Where every shard of this replica stands.
    pub shards: watch::Receiver<HashMap<i32, Phase>>,
    /// How far restores are.
    pub restores: Arc<Restores>,
    /// How the payment sink stands.
    pub tally: Tally,
    /// When the process started.
    pub started_at: Timestamp,
}

/// What differs between `run` and the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    /// A real one: topics are created or verified.
    Real,
    /// librdkafka's mock: it has no admin API, its topics are made by the sandbox.
    Mock,
}

/// A connector that is being started or runs.
#[derive(Debug)]
pub struct App {
    config: Arc<Config>,
    broker: Broker,
    metrics: Arc<Metrics>,
    board: Arc<Board>,
    series: Series,
    tally: Tally,
    phases: watch::Sender<HashMap<i32, Phase>>,
    health: Arc<Health>,
    restores: Arc<Restores>,
    started_at: Timestamp,
}

/// The pollers of one shard.
#[derive(Debug)]
struct Pollers {
    config: Arc<Config>,
    clients: HashMap<ConnectionId, Client>,
    encoder: Arc<Encoder>,
    privacy: Arc<PrivacyRules>,
    board: Arc<Board>,
    metrics: Arc<Metrics>,
}

fn connections_of(config: &Config, shard: i32) -> impl Iterator<Item = &Arc<Connection>> {
    let shards = config.kafka.shards;
    config.connections.iter().filter(move |c| shard_of(&c.id, shards) == shard)
}

impl Work for Pollers {
    async fn run(
        &self,
        shard: i32,
        mut state: ShardState,
        publisher: Publisher,
        stop: CancellationToken,
    ) {
        let mut connections = JoinSet::new();
        for config in connections_of(&self.config, shard) {
            let Some(api) = self.clients.get(&config.id) else { continue };
            let parts = Parts {
                config: Arc::clone(config),
                api: api.clone(),
                encoder: Arc::clone(&self.encoder),
                privacy: Arc::clone(&self.privacy),
                shared: Shared {
                    publisher: publisher.clone(),
                    board: Arc::clone(&self.board),
                    metrics: Arc::clone(&self.metrics),
                    rooms: Rooms::default(),
                },
            };
            let own = state.take_connection(&config.id);
            connections.spawn(connection::run(parts, own, stop.child_token()));
        }
        // What is left belongs to connections that are no longer configured.
        drop(state);
        if connections.is_empty() {
            // Nothing to do, but the lock is held: the shard is this replica's until it is not.
            stop.cancelled().await;
        }
        while connections.join_next().await.is_some() {
            // A connection ends by itself only when a poller broke off: its memory cannot be
            // trusted, so the owner restores the shard and starts all of it again.
            stop.cancel();
        }
        drop(publisher);
    }
}

impl App {
    /// Prepares; nothing is contacted yet.
    pub fn new(
        config: Arc<Config>,
        broker: Broker,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> Self {
        let (phases, _) = watch::channel(HashMap::new());
        let started_at = now();
        let ids = config.connections.iter().map(|connection| &connection.id);
        let board = Arc::new(Board::new(ids, started_at));
        let mut series = series::seed(&config, &metrics, started_at);
        series.export(&board, started_at);
        let tally = Tally::new(Arc::clone(&metrics), &config.kafka);
        if config.sink.enabled {
            tally.enter(tally::Phase::Standby, None);
        }
        let restores = Arc::default();
        Self { config, broker, metrics, board, series, tally, phases, health, restores, started_at }
    }

    /// What may be shown of it, from the start on.
    pub fn shown(&self) -> Shown {
        Shown {
            tally: self.tally.clone(),
            metrics: Arc::clone(&self.metrics),
            board: Arc::clone(&self.board),
            shards: self.phases.subscribe(),
            restores: Arc::clone(&self.restores),
            started_at: self.started_at,
        }
    }

    /// Runs until `stop`, then drains.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        tokio::spawn(export(Arc::clone(&self.board), self.series.clone(), stop.clone()));
        let store = self.open_store();
        let store = store.await.unwrap_or(None);
        if let Some(store) = store.clone() {
            tokio::spawn(measure(store, Arc::clone(&self.metrics), stop.clone()));
        }
        self.health.set_state_open();
        let Some(work) = self.prepare(&stop).await? else { return Ok(()) };
        let sink = self.start_sink(&work, &stop);
        let (leave, leaving) = watch::channel(false);
        let (member, thread) = assignment::join(self.config.kafka.clone(), leaving)
            .context("starting the assignment thread")?;
        self.own_shards(member, Arc::new(work), store, &stop).await;
        leave.send_replace(true);
        // The thread leaves the group on its own; a hanging client must not hang the exit.
        let left = tokio::task::spawn_blocking(move || thread.join());
        let left = timeout(LEAVE, left).await;
        if left.is_err() {
            log_event!(Event::LeaveTimedOut, "leaving the group takes too long, ending without it");
        }
        // It drains by itself at the same time as the shards, within its own bounds.
        if let Some(sink) = sink {
            sink.await?.context("the payment sink broke off")?;
        }
        match left {
            Ok(Ok(Err(_)) | Err(_)) => Err(anyhow!(
                "the thread that shares the shards broke off, a mistake of this program: its last \
                 words stand above"
            )),
            Ok(Ok(Ok(()))) | Err(_) => Ok(()),
        }
    }

    /// Topics and schemas; waits for Kafka and the registry. `None`: stopped while waiting.
    async fn prepare(&self, stop: &CancellationToken) -> anyhow::Result<Option<Pollers>> {
        if self.broker == Broker::Real && self.ensure_topics(stop).await?.is_none() {
            return Ok(None);
        }
        self.health.set_kafka_answers(true);
        let Some(ids) = self.schema_ids(stop).await? else { return Ok(None) };
        self.health.set_schemas_known();
        let encoder = Encoder::new(&ids, |suffix| self.config.kafka.topic(suffix))?;
        let mut clients = HashMap::new();
        for config in &self.config.connections {
            let client = Client::new(config, Arc::clone(&self.metrics))?;
            clients.insert(config.id.clone(), client);
        }
        let privacy = privacy_rules(&self.config).await?;
        Ok(Some(Pollers {
            config: Arc::clone(&self.config),
            clients,
            encoder: Arc::new(encoder),
            privacy: Arc::new(privacy),
            board: Arc::clone(&self.board),
            metrics: Arc::clone(&self.metrics),
        }))
    }

    async fn ensure_topics(&self, stop: &CancellationToken) -> anyhow::Result<Option<()>> {
        let mut pause = RETRY_MIN;
        loop {
            match topics::ensure(&self.config.kafka, self.config.sink.enabled).await {
                Ok(()) => return Ok(Some(())),
                Err(error) if error.is_transient() => {
                    log_event!(error.event(), %error, retry_in_s = pause.as_secs(), "kafka cannot be used yet");
                }
                Err(error) => {
                    // One line of the log, however many topics it is about.
                    let all = error.to_string().replace('\n', "; ");
                    log_event!(
                        error.event(),
                        error = all,
                        "ending: topics are not as they must be"
                    );
                    return Err(error.into());
                }
            }
            if waited(&mut pause, stop).await.is_none() {
                return Ok(None);
            }
        }
    }

    async fn schema_ids(
        &self,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<HashMap<&'static str, u32>>> {
        let registry = Registry::new(&self.config.schema_registry);
        let records: Vec<_> = schemas::needed(self.config.sink.enabled).collect();
        let mut pause = RETRY_MIN;
        loop {
            match registry.ids(&records, |suffix| self.config.kafka.topic(suffix)).await {
                Ok(ids) => return Ok(Some(ids)),
                Err(error) if error.is_retriable() => {
                    log_event!(error.event(), %error, retry_in_s = pause.as_secs(), "the schema registry cannot be used yet");
                }
                Err(error) => {
                    log_event!(error.event(), %error, "ending: without its schemas nothing can be written");
                    return Err(error.into());
                }
            }
            if waited(&mut pause, stop).await.is_none() {
                return Ok(None);
            }
        }
    }

    /// Opens the local cache off the main path; without it everything still works.
    fn open_store(&self) -> JoinHandle<Option<Store>> {
        let dir = self.config.state_dir.clone();
        tokio::task::spawn_blocking(move || {
            // sled creates its own folder, but not the one above it.
            if let Err(error) = std::fs::create_dir_all(&dir) {
                log_event!(Event::CacheUnusable, dir = %dir.display(), %error, "going on without the local cache");
                return None;
            }
            let waiting = {
                let dir = dir.clone();
                move || {
                    log_event!(
                        Event::CacheHeld,
                        dir = %dir.display(),
                        for_s = LOCK_WAIT.as_secs(),
                        "waiting for the state folder: another process holds it"
                    );
                }
            };
            match Store::open(&dir, LOCK_WAIT, waiting) {
                Ok(store) => Some(store),
                Err(error) => {
                    log_event!(Event::CacheUnusable, %error, "going on without the local cache");
                    None
                }
            }
        })
    }

    async fn own_shards(
        &self,
        mut member: Member,
        work: Arc<Pollers>,
        store: Option<Store>,
        stop: &CancellationToken,
    ) {
        let (phases, mut phase_changes) = mpsc::unbounded_channel();
        let context = Arc::new(owner::Context {
            env: self.config.env.clone(),
            kafka: self.config.kafka.clone(),
            store,
            metrics: Arc::clone(&self.metrics),
            restores: Arc::clone(&self.restores),
            work,
            notes: member.notes.clone(),
            phases,
        });
        let mut owners: JoinSet<()> = JoinSet::new();
        let mut tokens: HashMap<i32, CancellationToken> = HashMap::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some((shard, phase)) = phase_changes.recv() => {
                    self.show(shard, phase);
                    // A shard that is already granted anew is still answered for.
                    if phase == Phase::Released && !tokens.contains_key(&shard) {
                        connections_of(&self.config, shard).for_each(|c| self.board.forget(&c.id));
                    }
                }
                Some(_) = owners.join_next() => {}
                change = member.changes.recv() => match change {
                    Some(Change::Granted(granted)) => {
                        let shard = granted.shard;
                        log_event!(Event::ShardAssigned, shard, "shard granted");
                        for connection in connections_of(&self.config, shard) {
                            self.board.answer_for(&connection.id, now());
                        }
                        let token = stop.child_token();
                        if let Some(old) = tokens.insert(shard, token.clone()) {
                            old.cancel();
                        }
                        let context = Arc::clone(&context);
                        owners.spawn(context.own(granted, token));
                    }
                    Some(Change::Kafka(answers)) => self.health.set_kafka_answers(answers),
                    Some(Change::Revoked(shard)) => {
                        log_event!(Event::ShardRevoked, shard, "shard revoked");
                        if let Some(token) = tokens.remove(&shard) {
                            token.cancel();
                        }
                    }
                    // The thread is gone, and nobody would say any more what is taken away: all
                    // that runs here ends, and `run` says why.
                    None => {
                        stop.cancel();
                        break;
                    }
                },
            }
        }
        log_event!(Event::Stopping, "stopping: pollers end, queued batches are committed");
        let drained = async {
            while owners.join_next().await.is_some() {
                while let Ok((shard, phase)) = phase_changes.try_recv() {
                    self.show(shard, phase);
                }
            }
        };
        if timeout(DRAIN, drained).await.is_err() {
            log_event!(
                Event::DrainTimedOut,
                "draining takes too long, ending: what is not committed is read again"
            );
        }
    }

    fn show(&self, shard: i32, phase: Phase) {
        self.phases.send_modify(|phases| {
            if phase == Phase::Released {
                phases.remove(&shard);
            } else {
                phases.insert(shard, phase);
            }
        });
        match phase {
            Phase::Owned => self.health.shard_restored(shard),
            Phase::Released => self.health.shard_revoked(shard),
            // A stopped shard is an operator's matter: taking the Pod out helps nobody, but it
            // must not look ready either.
            Phase::Restoring | Phase::Fenced | Phase::Stopped => self.health.shard_assigned(shard),
        }
    }
}

/// What is wrong with a configuration that could be read: it is seen when it is put to use, and only
/// another configuration helps.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

impl Unusable {
    /// In words that name the setting.
    pub fn new(problem: impl ToString) -> Self {
        Self(problem.to_string())
    }
}

/// The masking rules of a configuration, with the key that they may need.
pub async fn privacy_rules(config: &Config) -> Result<PrivacyRules, Unusable> {
    let key = match &config.privacy.hmac_key_file {
        Some(file) => {
            let bytes = tokio::fs::read(file).await.map_err(|error| {
                let file = file.display();
                Unusable::new(format!("reading privacy.hmac_key_file {file}: {error}"))
            })?;
            Some(SecretSlice::from(bytes))
        }
        None => None,
    };
    PrivacyRules::new(&config.privacy, key).map_err(Unusable::new)
}

/// Whether the schemas have the fields that the rules name. The key is a secret and not read here:
/// any serves.
///
/// # Errors
/// As [`PrivacyRules::new`].
pub fn check_privacy(privacy: &Privacy) -> Result<(), Unusable> {
    let key = privacy.hmac_key_file.as_ref().map(|_| SecretSlice::from(vec![0_u8; KEY_BYTES_MIN]));
    PrivacyRules::new(privacy, key).map(drop).map_err(Unusable::new)
}

/// Waits and doubles the pause; `None` when stopped meanwhile.
async fn waited(pause: &mut Duration, stop: &CancellationToken) -> Option<()> {
    tokio::select! {
        () = stop.cancelled() => return None,
        () = sleep(*pause) => {}
    }
    *pause = (*pause * 2).min(RETRY_MAX);
    Some(())
}

async fn export(board: Arc<Board>, mut series: Series, stop: CancellationToken) {
    while !stop.is_cancelled() {
        series.export(&board, now());
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(EXPORT_INTERVAL) => {}
        }
    }
}

async fn measure(store: Store, metrics: Arc<Metrics>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let store = store.clone();
        // It reads the folder.
        let bytes = tokio::task::spawn_blocking(move || store.size_bytes()).await.unwrap_or(0);
        metrics.state_size_bytes.set(i64::try_from(bytes).unwrap_or(0));
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(MEASURE_INTERVAL) => {}
        }
    }
}

#[cfg(test)]
mod tests;
