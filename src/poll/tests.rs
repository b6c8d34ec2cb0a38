//! Pollers against the simulated source and a shard that writes nowhere.

mod above_cursor;
mod bad_ratio;
mod clock;
mod completion;
mod connection;
mod entity;
mod failing;
mod feed;
mod feed_backlog;
mod feed_look_back;
mod feed_out;
mod fetch;
mod ignored_dates;
mod institution;
mod snapshot;
mod task;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    api::Client,
    config::model::{self, Deletions, Privacy},
    domain::{
        ids::{EntityKey, Stream},
        schemas,
    },
    mapping::PrivacyRules,
    poll::{
        board::Board,
        connection::Parts,
        digest::Target,
        entity::{Entity, Shared},
        fetch::{Fetcher, Origin},
        plan::Schedule,
        served::Served,
        task::Follow,
    },
    publish::{batch::Batch, encode::Encoder, group},
    sandbox::{
        Simulator, SimulatorOptions,
        simulator::{RowOrder, SeenRequest},
    },
    state::changelog::EntityState,
    telemetry::metrics::Metrics,
};

const DEADLINE: Duration = Duration::from_secs(30);

/// A source, a client for it, and a shard whose commits are kept here.
pub(super) struct Stage {
    simulator: Simulator,
    pub(super) parts: Parts,
    committed: Arc<Mutex<Vec<Batch>>>,
    /// Whether the shard still confirms commits.
    confirms: Arc<AtomicBool>,
    pub(super) stop: CancellationToken,
    /// The secrets.
    folder: tempfile::TempDir,
}

impl Stage {
    pub(super) async fn new() -> Self {
        Self::in_order(RowOrder::default()).await
    }

    /// Whose source sends its rows so.
    async fn in_order(order: RowOrder) -> Self {
        let options = SimulatorOptions {
            order,
            accounts: 0,
            terminals: 0,
            customers: 2,
            history_days: 0,
            ..SimulatorOptions::default()
        };
        let simulator = Simulator::start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "sandbox-key").unwrap();
        std::fs::write(folder.path().join("secret"), "sandbox-secret").unwrap();
        let config = Arc::new(config(&simulator.base_url(), folder.path()));
        let metrics = Arc::new(Metrics::new());
        let (publisher, inbox) = group::channel();
        let (committed, confirms) = (Arc::default(), Arc::new(AtomicBool::new(true)));
        let (kept, on) = (Arc::clone(&committed), Arc::clone(&confirms));
        tokio::spawn(inbox.serve(move |batch| {
            let kept: &Mutex<Vec<Batch>> = &kept;
            kept.lock().unwrap().push(batch);
            on.load(Ordering::Relaxed)
        }));
        let ids = schemas::ALL.iter().map(|schema| (schema.name, 1)).collect();
        let parts = Parts {
            api: Client::new(&config, Arc::clone(&metrics)).unwrap(),
            encoder: Arc::new(Encoder::new(&ids, |suffix| format!("vomsis.{suffix}")).unwrap()),
            privacy: Arc::new(PrivacyRules::new(&Privacy::default(), None).unwrap()),
            shared: Shared {
                publisher,
                board: Arc::new(Board::default()),
                metrics,
                rooms: super::rooms::Rooms::default(),
            },
            config,
        };
        let stop = CancellationToken::new();
        Self { simulator, parts, committed, confirms, stop, folder }
    }

    /// The same with a client that takes no larger bodies than this.
    async fn with_body_limit(bytes: usize) -> Self {
        let mut stage = Self::new().await;
        let Parts { config, shared, .. } = &stage.parts;
        let client = Client::new(config, Arc::clone(&shared.metrics)).unwrap();
        stage.parts.api = client.with_body_limit(bytes);
        stage
    }

    /// The same with a client that makes so many calls at a time.
    async fn with_concurrency(calls: usize) -> Self {
        let stage = Self::new().await;
        let mut config = model::Connection::clone(&stage.parts.config);
        config.quota.concurrency = calls;
        stage.configured(config)
    }

    /// The same with a client that waits no longer for an answer than this.
    async fn with_timeout(request: Duration) -> Self {
        let stage = Self::new().await;
        let mut config = model::Connection::clone(&stage.parts.config);
        config.timeouts.request = request;
        stage.configured(config)
    }

    /// The same with another configuration of the connection, and a client by it.
    fn configured(mut self, config: model::Connection) -> Self {
        self.parts.config = Arc::new(config);
        let metrics = Arc::clone(&self.parts.shared.metrics);
        self.parts.api = Client::new(&self.parts.config, metrics).unwrap();
        self
    }

    fn entity(&self, stream: Stream, name: &str, state: EntityState) -> Arc<Entity> {
        let Parts { config, encoder, privacy, shared, .. } = &self.parts;
        let key = EntityKey { connection: config.id.clone(), stream, entity: name.into() };
        let target = Target::new(config, key, Arc::clone(encoder), Arc::clone(privacy), 0.2);
        Arc::new(Entity::new(target, Deletions::Emit, state, shared.clone()))
    }

    /// A poller of it without a feed, and of which nobody says that it is closed.
    fn poller(&self, entity: &Arc<Entity>, schedule: Schedule, origin: Origin) -> Follow {
        Follow {
            entity: Arc::clone(entity),
            schedule,
            api: self.parts.api.clone(),
            fetcher: Fetcher::new(self.parts.api.clone(), origin),
            served: Served::default(),
            open: tokio::sync::watch::channel(true).1,
            stop: self.stop.clone(),
        }
    }

    fn set_faults(&self, faults: &[&str]) {
        self.simulator.set_faults(faults.iter().map(|fault| fault.parse().unwrap()).collect());
    }

    /// Requests of an operation so far, oldest first.
    fn asked(&self, operation: &str) -> Vec<SeenRequest> {
        let last = self.simulator.requests().last;
        last.into_iter().filter(|request| request.operation == operation).collect()
    }

    /// Adds a movement of an account with these fields.
    fn add_row(&self, account: &str, row: Value) -> i64 {
        let rows = vec![fields(row)];
        let mut ledger = self.simulator.ledger();
        ledger.add_rows(Stream::BankTransactions, account, rows).unwrap()[0]
    }

    /// Waits until a poller of bank rows, the only one, has polled more often and waits again.
    async fn until_it_waits(&self, entity: &Entity, polls: u64) {
        let waits = || self.parts.shared.board.snapshot()[&entity.target.key].next_poll.is_some();
        until("it has polled and waits", || self.polls() > polls && waits()).await;
    }

    /// Good polls of bank rows so far.
    fn polls(&self) -> u64 {
        let of = |outcome| {
            let labels = ["acme", Stream::BankTransactions.name(), outcome];
            self.parts.shared.metrics.source_polls.with_label_values(&labels).get()
        };
        of("success") + of("empty")
    }

    /// Lets so much time go by for a poller that waits, and waits until it does so again.
    async fn pass(&self, entity: &Entity, time: Duration) {
        let polls = self.polls();
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
        self.until_it_waits(entity, polls).await;
    }

    /// How many rows were published as new.
    fn created(&self) -> usize {
        self.kinds().iter().filter(|kind| *kind == "io.vomsis.v1.BankTransaction.created").count()
    }

    fn commits(&self) -> usize {
        self.committed.lock().unwrap().len()
    }

    /// Event types so far, and whether each is a tombstone's.
    fn kinds(&self) -> Vec<String> {
        let committed = self.committed.lock().unwrap();
        let events = committed.iter().flat_map(|batch| &batch.events);
        let kind = |headers: &crate::publish::batch::EventHeaders| headers.kind.to_string();
        events.map(|e| e.headers.as_ref().map_or_else(|| "tombstone".to_owned(), kind)).collect()
    }
}

fn config(url: &str, folder: &std::path::Path) -> model::Connection {
    let folder = folder.display();
    let files = format!("app_key_file: {folder}/key, app_secret_file: {folder}/secret");
    let text = format!(
        "connections: [{{id: acme, bank_pos: {{base_url: \"{url}/api/v2\", {files}}}, \
         virtual_pos: {{base_url: \"{url}/api/vpos/v3\", {files}}}, \
         quota: {{requests_per_minute: 60000, concurrency: 8, reserved_for_payments: 0}}}}]\n"
    );
    let loaded = crate::config::parse("c", &text, std::iter::empty()).unwrap();
    model::Connection::clone(&loaded.config.connections[0])
}

/// A time of so many days ago, as the source writes it.
fn days_ago(days: i32) -> String {
    format!("{} 10:00:00", crate::telemetry::clock::now().local_day().plus(-days).to_date())
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(DEADLINE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain: {what}");
}

fn fields(value: Value) -> serde_json::Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// Windows of a week with a day of overlap, and three days of history and look-back.
fn schedule(poll_interval: Duration, lookback_interval: Duration) -> Schedule {
    Schedule {
        window_days: 7,
        overlap_days: 1,
        lookback_days: 3,
        start_days: 3,
        settled_days: 0,
        poll_interval,
        lookback_interval,
    }
}
