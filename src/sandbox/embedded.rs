//! Everything a connector needs, in this process: source systems, registry, broker, secrets and
//! a configuration that joins them.

use std::{fs, io, net::Ipv4Addr, path::Path};

use crate::config::model::Config;

use super::{Registry, Simulator, SimulatorOptions, broker::Broker, registry, simulator};

/// The topic prefix of the sandbox.
pub const PREFIX: &str = "vomsis";

/// Why the sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The simulator.
    #[error(transparent)]
    Simulator(#[from] simulator::StartError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] registry::ListenError),
    /// The mock cluster.
    #[error("the embedded broker does not start: {0}")]
    Broker(#[from] rdkafka::error::KafkaError),
    /// The folder for secrets and state.
    #[error("the sandbox folder cannot be written: {0}")]
    Folder(#[from] io::Error),
    /// The sandbox's own configuration: a mistake of this program.
    #[error("the sandbox configuration is wrong: {0}")]
    Config(String),
}

/// The embedded systems and the configuration that uses them.
#[derive(Debug)]
pub struct Embedded {
    /// The source systems.
    pub simulator: Simulator,
    /// The schema registry.
    pub registry: Registry,
    /// The broker.
    pub broker: Broker,
    /// For the connector.
    pub config: Config,
    /// Changes with every setting.
    pub config_hash: String,
}

impl Embedded {
    /// Starts everything on free loopback ports; `folder` takes secrets and the local cache.
    pub async fn start(options: SimulatorOptions, folder: &Path) -> Result<Self, Error> {
        let simulator = Simulator::start(options).await?;
        let registry = Registry::start((Ipv4Addr::LOCALHOST, 0).into()).await?;
        let broker = Broker::start()?;
        write_secrets(folder)?;
        let yaml = config_yaml(
            &simulator.base_url(),
            &registry.url(),
            &broker.bootstrap_servers(),
            folder,
        );
        let loaded = crate::config::parse("sandbox.yaml", &yaml, std::iter::empty())
            .map_err(|error| Error::Config(error.to_string()))?;
        broker.create_topics(&loaded.config.kafka)?;
        Ok(Self { simulator, registry, broker, config: loaded.config, config_hash: loaded.hash })
    }
}

/// The simulator knows these and refuses any other.
fn write_secrets(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, value) in [("app_key", "sandbox-key"), ("app_secret", "sandbox-secret")] {
        fs::write(folder.join(name), value)?;
    }
    Ok(())
}

fn config_yaml(api: &str, registry: &str, brokers: &str, folder: &Path) -> String {
    let folder = folder.display();
    let keys =
        format!("app_key_file: \"{folder}/app_key\", app_secret_file: \"{folder}/app_secret\"");
    format!(
        r#"env: sandbox
connections:
  - id: sandbox
    bank_pos: {{base_url: "{api}/api/v2", {keys}}}
    virtual_pos: {{base_url: "{api}/api/vpos/v3", {keys}}}
    tos:
      base_url: "{api}"
      token_url: "{api}/auth/oauth/v2/token"
      client_id_file: "{folder}/app_key"
      client_secret_file: "{folder}/app_secret"
      consent_id: sandbox
      resource: sandbox
      institutions: [{{code: "0006624"}}]
    timeouts: {{connect: 2s}}
    quota: {{requests_per_minute: 6000, concurrency: 4, reserved_for_payments: 60}}
    streams:
      bank_transactions: {{poll_interval: 2s, start: 10d, lookback: 3d, lookback_interval: 6s, deletions: emit}}
      pos_transactions: {{poll_interval: 2s, start: 10d, lookback: 3d, lookback_interval: 6s, deletions: emit}}
      virtual_pos_transactions: {{poll_interval: 3s, deletions: emit}}
      tos_payments: {{poll_interval: 3s, start: 3d, lookback: 3d, lookback_interval: 6s}}
      reference: {{poll_interval: 10s}}
kafka: {{bootstrap_servers: "{brokers}", topic_prefix: {PREFIX}, shards: 2, replication_factor: 1, manage_topics: false}}
schema_registry: {{url: "{registry}"}}
state: {{dir: "{folder}/state"}}
sink: {{enabled: true, acknowledge_real_money: true, max_amount: 1000, post_timeout: 5s, quiescence: 5s}}
http: {{listen: "127.0.0.1:0"}}
"#
    )
}
