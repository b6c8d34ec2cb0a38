//! A connector that only runs the sink, and the topics of its deployment.

use vomsis_connect::domain::schemas::PAYMENT_RESULT;

use crate::{
    api::Api,
    harness::{
        kafka::shared_broker,
        process::{Home, Process},
        registry::shared_registry,
        topics::{create_topic, unique_prefix},
    },
    measure::DEADLINE,
};

/// Of the command topic and of the journal.
pub(crate) const PARTITIONS: i32 = 8;
/// The log line of a replica that has become the owner.
const OWNED: &str = "VOM-SNK-001";

/// Names, and the folder with the configuration.
pub(crate) struct Deployment {
    pub(crate) prefix: String,
    pub(crate) brokers: String,
    home: Home,
}

impl Deployment {
    pub(crate) fn new(api: &Api) -> Self {
        let brokers = shared_broker().bootstrap().to_owned();
        let registry = shared_registry().url();
        let prefix = unique_prefix("bench");
        let config = CONFIG
            .replace("{prefix}", &prefix)
            .replace("{brokers}", &brokers)
            .replace("{registry}", registry)
            .replace("{partitions}", &PARTITIONS.to_string())
            .replace("{api}", &api.base_url());
        let home = Home::new(&config);
        home.write("key", "benchmark");
        home.write("secret", "benchmark");
        let deployment = Self { prefix, brokers, home };
        create_topic(
            &deployment.brokers,
            &deployment.topic("payment.commands"),
            PARTITIONS,
            &[("cleanup.policy", "delete")],
        );
        deployment
    }

    pub(crate) fn topic(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.prefix)
    }

    pub(crate) fn results(&self) -> String {
        self.topic(PAYMENT_RESULT.topic_suffix)
    }

    /// A connector from its start to the log line that says that it is the owner; with the line.
    pub(crate) fn own(&self) -> (Process, String) {
        let mut connector = self.home.run();
        let line = connector.wait_for_line(OWNED, DEADLINE);
        (connector, line)
    }
}

const CONFIG: &str = r#"env: bench
connections:
  - id: acme
    virtual_pos: {base_url: "{api}", app_key_file: "{home}/key", app_secret_file: "{home}/secret"}
    quota: {requests_per_minute: 6000000, concurrency: 64, reserved_for_payments: 0}
    streams: {virtual_pos_transactions: null, reference: null}
kafka: {bootstrap_servers: "{brokers}", group: "{prefix}", topic_prefix: "{prefix}", shards: {partitions}, replication_factor: 1}
schema_registry: {url: "{registry}"}
state: {dir: "{home}/state"}
http: {listen: "127.0.0.1:0"}
sink: {enabled: true, acknowledge_real_money: true, max_amount: "10.00", max_daily_amount: "100000000.00"}
"#;
