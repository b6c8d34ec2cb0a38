//! The source systems, simulated in this process, and a connector's home that polls them.

use tokio::runtime::Runtime;
use vomsis_connect::{
    domain::ids::Stream,
    sandbox::{Simulator, SimulatorOptions, ledger::Load},
};

use super::{kafka::shared_broker, process::Home, registry::shared_registry};

/// The documents' own samples lie years back, before any backfill starts.
pub(crate) const SAMPLES: [i64; 3] = [6_915_745, 41_789, 2_022_000_039_254_817];

/// A simulator with rows; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Source {
    // what the simulator runs on
    _runtime: Runtime,
    pub(crate) simulator: Simulator,
}

impl Source {
    /// Starts it with this load and nothing else that is recent.
    pub(crate) fn loaded(load: &Load) -> Self {
        let runtime = Runtime::new().unwrap();
        let options = SimulatorOptions {
            accounts: 0,
            terminals: 0,
            customers: 1,
            history_days: 0,
            rows_per_day: 0,
            ..SimulatorOptions::default()
        };
        let simulator = runtime.block_on(Simulator::start(options)).unwrap();
        simulator.ledger().load(load).unwrap();
        Self { _runtime: runtime, simulator }
    }

    /// Ids that must arrive, in order.
    pub(crate) fn expected(&self, stream: Stream) -> Vec<String> {
        let rows = self.simulator.ledger().rows(stream);
        let mut ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        ids.retain(|id| !SAMPLES.contains(id));
        ids.sort_unstable();
        ids.iter().map(ToString::to_string).collect()
    }

    /// A home whose connector polls every stream every second or two, under topics with `prefix`.
    pub(crate) fn home(&self, prefix: &str) -> Home {
        self.home_of(&Setup::new(prefix))
    }

    /// A home as it is described.
    pub(crate) fn home_of(&self, setup: &Setup<'_>) -> Home {
        let Setup { prefix, brokers, shards, session_ms, replicas, .. } = setup;
        let api = self.simulator.base_url();
        let registry = shared_registry().url();
        let connections: String = setup
            .connections
            .iter()
            .map(|id| CONNECTION.replace("{api}", &api).replace("{id}", id))
            .collect();
        let home = Home::new(&format!(
            r#"env: test
connections:
{connections}kafka: {{bootstrap_servers: "{brokers}", group: "{prefix}", topic_prefix: "{prefix}", shards: {shards}, replication_factor: {replicas}, consumer_properties: {{session.timeout.ms: "{session_ms}", heartbeat.interval.ms: "{heartbeat_ms}"}}}}
schema_registry: {{url: "{registry}"}}
state: {{dir: "{{home}}/state"}}
http: {{listen: "127.0.0.1:0"}}
"#,
            heartbeat_ms = session_ms / 4,
        ));
        home.write("key", "sandbox-key");
        home.write("secret", "sandbox-secret");
        home
    }
}

/// What a test may want otherwise than most.
#[derive(Debug, Clone)]
pub(crate) struct Setup<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) brokers: String,
    pub(crate) connections: &'a [&'a str],
    pub(crate) shards: u32,
    /// How soon the group gives a dead replica's shards away.
    pub(crate) session_ms: u32,
    /// Of each topic that is created.
    pub(crate) replicas: u32,
}

impl<'a> Setup<'a> {
    /// One connection, `acme`, at the shared broker.
    pub(crate) fn new(prefix: &'a str) -> Self {
        Self::at(shared_broker().bootstrap(), prefix)
    }

    /// The same at other brokers.
    pub(crate) fn at(brokers: &str, prefix: &'a str) -> Self {
        let brokers = brokers.to_owned();
        let connections = &["acme"];
        Self { prefix, brokers, connections, shards: 2, session_ms: 6000, replicas: 1 }
    }
}

const CONNECTION: &str = r#"  - id: {id}
    bank_pos: {base_url: "{api}/api/v2", app_key_file: "{home}/key", app_secret_file: "{home}/secret"}
    virtual_pos: {base_url: "{api}/api/vpos/v3"}
    tos:
      base_url: "{api}"
      token_url: "{api}/auth/oauth/v2/token"
      client_id_file: "{home}/key"
      client_secret_file: "{home}/secret"
      consent_id: c
      resource: sandbox
      institutions: [{code: "0006624"}]
    quota: {requests_per_minute: 600000, concurrency: 8, reserved_for_payments: 0}
    streams:
      bank_transactions: {poll_interval: 1s, start: 30d, lookback: 14d, lookback_interval: 5s}
      pos_transactions: {poll_interval: 1s, start: 30d, lookback: 14d, lookback_interval: 5s}
      virtual_pos_transactions: {poll_interval: 2s}
      tos_payments: {poll_interval: 2s, start: 30d, lookback: 7d, lookback_interval: 5s}
      reference: {poll_interval: 10s}
"#;
