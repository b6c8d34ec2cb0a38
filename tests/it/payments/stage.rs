//! A simulated virtual POS, a shop that sends commands, and homes whose connector executes them.

use std::time::Duration;

use chrono::NaiveDate;
use tokio_util::sync::CancellationToken;
use vomsis_connect::{
    config::model::Kafka,
    sandbox::{
        Simulator,
        ledger::{Load, NewPayment},
        simulator::Posts,
    },
    sink::{lock::Request, ownership::Taken},
    telemetry::clock::now,
};

use super::{
    DEADLINE,
    checker::Checked,
    feed::Feed,
    orders::{Order, Shop},
};
use crate::harness::{
    kafka::shared_broker,
    process::{Home, Process},
    registry::shared_registry,
    source::Source,
    topics::{Record, create_topic, read_to_end, unique_prefix},
};

/// Partitions of the command topic and of the journal.
pub(super) const PARTITIONS: i32 = 2;
/// The total deadline of the one request; quiescence is as long.
pub(super) const POST_TIMEOUT: Duration = Duration::from_secs(1);
/// This replica is the owner now.
pub(super) const OWNED: &str = "VOM-SNK-001";
/// The sink has stopped until an operator helps.
pub(super) const STOPPED: &str = "VOM-SNK-003";

/// How a command line ended.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

/// What a test runs against.
#[derive(Debug)]
pub(super) struct Stage {
    source: Source,
    pub(super) shop: Shop,
    pub(super) prefix: String,
    brokers: String,
    /// The connector's own way to the brokers.
    client_brokers: String,
    /// The connector's way to the source systems.
    pub(super) api: String,
    /// How soon the group gives a dead owner's place away.
    pub(super) session_ms: u32,
    /// How many brokers hold each of the connector's records.
    pub(super) replicas: usize,
    /// Keys of `sink:` beside those that every test has.
    pub(super) sink: String,
}

impl Stage {
    /// Against the broker and the registry that all tests share.
    pub(super) fn new(test: &str) -> Self {
        let brokers = shared_broker().bootstrap();
        Self::at(test, brokers, brokers)
    }

    /// Against a broker of its own: the tests' way to it, and the connector's.
    pub(super) fn at(test: &str, brokers: &str, client_brokers: &str) -> Self {
        let source = Source::loaded(&Load::default());
        // Cancels are of the same day: no midnight comes between a payment and its cancel.
        let noon = NaiveDate::from_ymd_opt(2026, 6, 1).and_then(|day| day.and_hms_opt(12, 0, 0));
        source.simulator.ledger().set_clock(noon);
        let (brokers, client_brokers) = (brokers.to_owned(), client_brokers.to_owned());
        let api = source.simulator.base_url();
        let prefix = unique_prefix(test);
        // There before any connector: commands wait for it.
        create_topic(
            &brokers,
            &format!("{prefix}.payment.commands"),
            PARTITIONS,
            &[("cleanup.policy", "delete")],
        );
        let shop = Shop::new(&brokers, shared_registry().url(), &prefix);
        let sink = "max_in_doubt: 1000".to_owned();
        Self {
            source,
            shop,
            prefix,
            brokers,
            client_brokers,
            api,
            session_ms: 1200,
            replicas: 1,
            sink,
        }
    }

    /// The source systems.
    pub(super) fn simulator(&self) -> &Simulator {
        &self.source.simulator
    }

    /// The broker.
    pub(super) fn brokers(&self) -> &str {
        &self.brokers
    }

    /// A topic's full name.
    pub(super) fn topic(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.prefix)
    }

    /// A new replica's folder.
    pub(super) fn home(&self) -> Home {
        self.home_of("test", &self.prefix)
    }

    /// A folder of a deployment with this `env` and this group.
    pub(super) fn home_of(&self, env: &str, group: &str) -> Home {
        let config = CONFIG
            .replace("{env}", env)
            .replace("{group}", group)
            .replace("{api}", &self.api)
            .replace("{brokers}", &self.client_brokers)
            .replace("{registry}", shared_registry().url())
            .replace("{prefix}", &self.prefix)
            .replace("{partitions}", &PARTITIONS.to_string())
            .replace("{replicas}", &self.replicas.to_string())
            .replace("{session_ms}", &self.session_ms.to_string())
            .replace("{heartbeat_ms}", &(self.session_ms / 4).to_string())
            .replace("{post_timeout}", &format!("{}s", POST_TIMEOUT.as_secs()))
            .replace("{sink}", &self.sink);
        let home = Home::new(&config);
        home.write("key", vomsis_connect::sandbox::simulator::APP_KEY);
        home.write("secret", vomsis_connect::sandbox::simulator::APP_SECRET);
        home
    }

    /// Successful payments of today in lira.
    pub(super) fn pay(&self, references: &[&str], amount: &str) {
        let mut ledger = self.simulator().ledger();
        for reference in references {
            ledger.add_payment(&NewPayment::new(reference, amount)).unwrap();
        }
    }

    /// Sets the simulator's faults anew.
    pub(super) fn faults(&self, specs: &[&str]) {
        self.simulator().set_faults(specs.iter().map(|spec| spec.parse().unwrap()).collect());
    }

    /// Every cancel and refund that came.
    pub(super) fn posts(&self) -> Posts {
        self.simulator().posts()
    }

    /// What becomes visible on the topic of results.
    pub(super) fn feed(&self) -> Feed {
        Feed::new(&self.brokers, &self.topic("payment.results"))
    }

    /// Every record of a topic.
    pub(super) fn records(&self, suffix: &str) -> Vec<Record> {
        read_to_end(&self.brokers, &self.topic(suffix))
    }

    /// Compares everything with everything.
    #[track_caller]
    pub(super) fn check(&self, orders: &[Order]) -> Checked {
        Checked::of(self, orders)
    }

    /// What the first owner of a journal that nobody has written asks for; its topics are made.
    pub(super) fn first_request(&self, stop: &CancellationToken) -> Request {
        for topic in ["internal.payment-journal", "payment.commands.rejected"] {
            create_topic(self.brokers(), &self.topic(topic), PARTITIONS, &[]);
        }
        let taken = (0..PARTITIONS).map(|partition| Taken { partition, next: None, note: None });
        Request {
            env: "test".into(),
            kafka: self.kafka(),
            taken: taken.collect(),
            now: now(),
            stop: stop.clone(),
        }
    }

    /// The connector's own view of the broker, for what people write in its name.
    pub(super) fn kafka(&self) -> Kafka {
        Kafka {
            bootstrap_servers: self.brokers.clone(),
            group: self.prefix.clone(),
            topic_prefix: self.prefix.clone(),
            shards: PARTITIONS,
            replication_factor: 1,
            manage_topics: true,
            properties: <_>::default(),
            property_files: <_>::default(),
            consumer_properties: <_>::default(),
            producer_properties: <_>::default(),
        }
    }
}

/// Runs a command line to its end.
#[track_caller]
pub(super) fn say(home: &Home, arguments: &[&str]) -> Said {
    let mut process = home.connector(&[arguments, &["--config", "config.yaml"]].concat());
    let code = process.wait(DEADLINE);
    Said { code, out: process.stdout(), err: process.stderr() }
}

/// Sends SIGTERM and waits for a clean end.
#[track_caller]
pub(super) fn end(connector: &mut Process) {
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0, "{}", connector.stderr());
}

/// Puts something else into a home's configuration.
#[track_caller]
pub(super) fn change(home: &Home, from: &str, to: &str) {
    home.change(from, to);
}

const CONFIG: &str = r#"env: "{env}"
connections:
  - id: acme
    virtual_pos: {base_url: "{api}/api/vpos/v3", app_key_file: "{home}/key", app_secret_file: "{home}/secret"}
    timeouts: {connect: 1s, request: 5s}
    quota: {requests_per_minute: 600000, concurrency: 8, reserved_for_payments: 0}
    streams: {virtual_pos_transactions: null, reference: null}
  - id: beta
    virtual_pos: {base_url: "{api}/api/vpos/v3", app_key_file: "{home}/key", app_secret_file: "{home}/secret"}
    timeouts: {connect: 1s, request: 5s}
    quota: {requests_per_minute: 600000, concurrency: 8, reserved_for_payments: 0}
    streams: {virtual_pos_transactions: null, reference: null}
kafka:
  bootstrap_servers: "{brokers}"
  group: "{group}"
  topic_prefix: "{prefix}"
  shards: {partitions}
  replication_factor: {replicas}
  consumer_properties: {session.timeout.ms: "{session_ms}", heartbeat.interval.ms: "{heartbeat_ms}"}
schema_registry: {url: "{registry}"}
state: {dir: "{home}/state"}
http: {listen: "127.0.0.1:0"}
sink: {enabled: true, acknowledge_real_money: true, post_timeout: {post_timeout}, quiescence: {post_timeout}, {sink}}
"#;
