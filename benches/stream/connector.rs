//! The configuration of a connector that follows the source.

use crate::{
    harness::{kafka::shared_broker, process::Home, registry::shared_registry},
    source::Source,
};

/// A configuration that follows all accounts of the source; `start_days` before today.
pub(crate) fn home(source: &Source, prefix: &str, start_days: u32) -> Home {
    let (brokers, registry) = (shared_broker().bootstrap(), shared_registry().url());
    let api = source.base_url();
    let home = Home::new(&format!(
        r#"env: bench
connections:
  - id: acme
    bank_pos: {{base_url: "{api}", app_key_file: "{{home}}/key", app_secret_file: "{{home}}/secret"}}
    quota: {{requests_per_minute: 6000000, concurrency: 8, reserved_for_payments: 0}}
    streams:
      bank_transactions: {{poll_interval: 60s, start: {start_days}d, lookback: 14d, lookback_interval: 1d, feed: account}}
      pos_transactions: null
kafka: {{bootstrap_servers: "{brokers}", group: "{prefix}", topic_prefix: "{prefix}", shards: 1, replication_factor: 1}}
schema_registry: {{url: "{registry}"}}
state: {{dir: "{{home}}/state"}}
http: {{listen: "127.0.0.1:0"}}
"#
    ));
    home.write("key", "benchmark");
    home.write("secret", "benchmark");
    home
}
