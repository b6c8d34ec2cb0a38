//! Wiring: what is started in which order, and what is stopped in which.
//!
//! Start: metrics and health first, so that a probe has an answer; then schemas and topics, which
//! wait for Kafka and the registry ([`prepare`]); then the shards this replica is given. Stop:
//! pollers, then their writers, then the group, within [`DRAIN`].

pub mod commands;
mod owning;
mod pollers;
mod prepare;
mod series;
pub mod sink;
pub mod standing;
mod watchdog;

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use secrecy::SecretSlice;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::{self, Asker, Client},
    config::model::{Config, Privacy},
    domain::{ids::ConnectionId, time::Timestamp},
    http::Health,
    log_event,
    mapping::{PrivacyRules, privacy::KEY_BYTES_MIN},
    poll::{board::Board, series::Series},
    shards::{
        assignment::{self, Member},
        owner::{self, Phase},
        restore::Restores,
    },
    sink::tally::{self, Tally},
    state::store::Store,
    telemetry::{clock::now, events::Event, metrics::Metrics, pulse::Pulse},
};

use pollers::Pollers;

/// All of stopping, inside Kubernetes' 60 s.
const DRAIN: Duration = Duration::from_secs(45);
/// What leaving the group may take after that.
const LEAVE: Duration = Duration::from_secs(5);
/// A state folder of a Pod that is just ending is let go within this time.
const LOCK_WAIT: Duration = Duration::from_secs(30);
const EXPORT_INTERVAL: Duration = Duration::from_secs(2);
const MEASURE_INTERVAL: Duration = Duration::from_secs(10);
const BEAT_INTERVAL: Duration = Duration::from_secs(1);

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
    /// The ways to the APIs: whoever asks beside the pollers draws on the same quota and tokens.
    pub clients: HashMap<ConnectionId, Client>,
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
    clients: HashMap<ConnectionId, Client>,
    board: Arc<Board>,
    series: Series,
    tally: Tally,
    phases: watch::Sender<HashMap<i32, Phase>>,
    health: Arc<Health>,
    restores: Arc<Restores>,
    started_at: Timestamp,
}

/// One for each connection: its quota and its tokens are one, whoever asks.
fn clients(
    config: &Config,
    metrics: &Arc<Metrics>,
) -> Result<HashMap<ConnectionId, Client>, api::Error> {
    let made = config.connections.iter().map(|connection| {
        let client = Client::new(connection, Arc::clone(metrics))?;
        client.share_tos_refusals(&config.state_dir, Asker::Connector);
        Ok((connection.id.clone(), client))
    });
    made.collect()
}

impl App {
    /// Prepares; nothing is contacted yet.
    ///
    /// # Errors
    /// A client that cannot be made from the configuration.
    pub fn new(
        config: Arc<Config>,
        broker: Broker,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> Result<Self, api::Error> {
        let clients = clients(&config, &metrics)?;
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
        health.set_sink_awaited(config.sink.enabled);
        health.set_topics_awaited(true);
        let restores = Arc::default();
        Ok(Self {
            config,
            broker,
            metrics,
            clients,
            board,
            series,
            tally,
            phases,
            health,
            restores,
            started_at,
        })
    }

    /// What may be shown of it, from the start on.
    pub fn shown(&self) -> Shown {
        Shown {
            tally: self.tally.clone(),
            clients: self.clients.clone(),
            metrics: Arc::clone(&self.metrics),
            board: Arc::clone(&self.board),
            shards: self.phases.subscribe(),
            restores: Arc::clone(&self.restores),
            started_at: self.started_at,
        }
    }

    /// Runs until `stop`, then drains.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        watchdog::start(Arc::clone(&self.health)).context("starting the watchdog's thread")?;
        tokio::spawn(beat(Pulse::new("runtime", None)));
        tokio::spawn(export(Arc::clone(&self.board), self.series.clone(), stop.clone()));
        let store = tokio::select! {
            store = self.open_store() => store.unwrap_or(None),
            // A folder that another process holds is waited for, and not for longer than this one runs.
            () = stop.cancelled() => return Ok(()),
        };
        if let Some(store) = store.clone() {
            tokio::spawn(measure(store, Arc::clone(&self.metrics), stop.clone()));
        }
        self.health.set_state_open();
        let Some(work) = self.prepare(&stop).await? else { return Ok(()) };
        tokio::spawn(show_refusals(
            self.clients.clone(),
            Arc::clone(&self.board),
            stop.clone(),
            Arc::clone(&self.metrics),
        ));
        let sink = self.start_sink(&work, &stop);
        let (leave, leaving) = watch::channel(false);
        let (member, thread) = assignment::join(self.config.kafka.clone(), leaving)
            .context("starting the assignment thread")?;
        let Member { changes, notes } = member;
        let (phases, phase_changes) = mpsc::unbounded_channel();
        let owner = Arc::new(self.owner(work, store, notes, phases));
        let own = |granted, token| Arc::clone(&owner).own(granted, token);
        let owned = self.own_shards(changes, phase_changes, own, &stop).await;
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
        owned?;
        match left {
            Ok(Ok(Err(_)) | Err(_)) => Err(anyhow!(
                "the thread that shares the shards broke off, a mistake of this program: its last \
                 words stand above"
            )),
            Ok(Ok(Ok(()))) | Err(_) => Ok(()),
        }
    }

    /// What the owners of all shards share.
    fn owner(
        &self,
        work: Pollers,
        store: Option<Store>,
        notes: mpsc::UnboundedSender<assignment::NoteUpdate>,
        phases: mpsc::UnboundedSender<(i32, Phase)>,
    ) -> owner::Context<Pollers> {
        owner::Context {
            env: self.config.env.clone(),
            kafka: self.config.kafka.clone(),
            store,
            connections: Arc::new(self.clients.keys().cloned().collect()),
            metrics: Arc::clone(&self.metrics),
            restores: Arc::clone(&self.restores),
            work: Arc::new(work),
            notes,
            phases,
            trial: owner::TRIAL,
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

async fn export(board: Arc<Board>, mut series: Series, stop: CancellationToken) {
    while !stop.is_cancelled() {
        series.export(&board, now());
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(EXPORT_INTERVAL) => {}
        }
    }
}

async fn show_refusals(
    clients: HashMap<ConnectionId, Client>,
    board: Arc<Board>,
    stop: CancellationToken,
    metrics: Arc<Metrics>,
) {
    while !stop.is_cancelled() {
        let answered = board.answered();
        api::series::show_refusals(clients.values(), |id| answered.contains_key(id), &metrics);
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(EXPORT_INTERVAL) => {}
        }
    }
}

/// Lets the watchdog see that tasks are run, to the end of the process.
async fn beat(pulse: Arc<Pulse>) {
    loop {
        pulse.step("running tasks");
        sleep(BEAT_INTERVAL).await;
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
