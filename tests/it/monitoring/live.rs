//! The shipped alerts and dashboards on a real Prometheus that scrapes the real binary, which reads
//! a simulator with scripted faults and writes to a real broker. `make test-monitoring` runs it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    process::Command,
    thread,
    time::Duration,
};

use serde_json::Value;
use vomsis_connect::sandbox::ledger::{Load, NewPayment};

use super::{prometheus::Prometheus, shipped::in_repository};
use crate::harness::{
    components::environment,
    http,
    kafka::shared_broker,
    ports::free_port,
    process::{Home, Process},
    registry::shared_registry,
    scrape::Scrape,
    source::Source,
    wait::wait_until,
};

/// Short, for the pictures' sake; no other test takes it.
const PREFIX: &str = "vomsis-live";
const DEADLINE: Duration = Duration::from_secs(180);
const BANK: [(&str, &str); 2] = [("connection", "acme"), ("stream", "bank_transactions")];
/// Every stream is polled each second and promises little, so that faults show soon.
const CONFIG: &str = r#"env: test
connections:
  - id: acme
    bank_pos: {base_url: "{api}/api/v2", app_key_file: "{home}/key", app_secret_file: "{home}/secret"}
    virtual_pos: {base_url: "{api}/api/vpos/v3"}
    tos:
      base_url: "{api}"
      token_url: "{api}/auth/oauth/v2/token"
      client_id_file: "{home}/key"
      client_secret_file: "{home}/tos-secret"
      consent_id: c
      resource: sandbox
      institutions: [{code: "0006624"}]
    quota: {requests_per_minute: 600000, concurrency: 8, reserved_for_payments: 0}
    streams:
      bank_transactions: {poll_interval: 1s, start: 30d, lookback: 14d, lookback_interval: 3s, freshness_slo: 8s}
      pos_transactions: {poll_interval: 1s, start: 30d, lookback: 14d, lookback_interval: 3s}
      virtual_pos_transactions: {poll_interval: 2s}
      tos_payments: {poll_interval: 2s, start: 30d, lookback: 7d, lookback_interval: 5s}
      reference: {poll_interval: 10s}
kafka: {bootstrap_servers: "{brokers}", group: "{prefix}", topic_prefix: "{prefix}", shards: 2, replication_factor: 1, consumer_properties: {session.timeout.ms: "6000", heartbeat.interval.ms: "1500"}}
schema_registry: {url: "{registry}"}
state: {dir: "{home}/state"}
sink: {enabled: true, acknowledge_real_money: true, post_timeout: 2s, quiescence: 2s}
http: {listen: "{listen}"}
"#;

/// Simulator, connector and Prometheus.
struct Stage {
    source: Source,
    home: Home,
    connector: Process,
    address: SocketAddr,
    prometheus: Prometheus,
}

impl Stage {
    fn start() -> Self {
        let source = Source::loaded(&Load {
            accounts: 3,
            rows_per_account: 30,
            terminals: 2,
            rows_per_terminal: 20,
            virtual_pos: 10,
            tos: 6,
            customers: 2,
            days: 20,
            seed: Some(7),
        });
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = CONFIG
            .replace("{api}", &source.simulator.base_url())
            .replace("{brokers}", shared_broker().bootstrap())
            .replace("{prefix}", PREFIX)
            .replace("{registry}", shared_registry().url())
            .replace("{listen}", &address.to_string());
        let home = Home::new(&config);
        home.write("key", "sandbox-key");
        home.write("secret", "sandbox-secret");
        home.write("tos-secret", "sandbox-secret");
        let connector = home.run();
        let prometheus = Prometheus::start(address, kubelet());
        Self { source, home, connector, address, prometheus }
    }

    fn set_faults(&self, faults: &[&str]) {
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        self.source.simulator.set_faults(faults);
    }

    /// Things go on happening by themselves, as they would.
    fn let_rows_arrive(&self) {
        self.control("settings", r#"{"arrivals_per_second": 3.0}"#);
    }

    fn control(&self, what: &str, body: &str) {
        let json = Some(("application/json", body));
        let address = self.source.simulator.addr;
        let answer = http::request(address, "POST", &format!("/_ctl/{what}"), json).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The connector's command line, to its end.
    #[track_caller]
    fn command(&self, arguments: &[&str]) -> String {
        let mut process = self.home.connector(arguments);
        let code = process.wait(DEADLINE);
        assert_eq!(code, 0, "{arguments:?}: {}", process.stderr());
        process.stdout()
    }

    /// Puts a refund into the command topic and returns its id.
    fn refund(&self, reference: &str, amount: &str) -> String {
        let config = self.home.path().join("config.yaml");
        let order = ["commands", "submit", "--type", "refund", "--connection", "acme", "--yes"];
        let which = ["--reference", reference, "--amount", amount, "--requested-by", "test"];
        let config = ["--config", config.to_str().unwrap(), "-o", "json"];
        let printed = self.command(&[&order[..], &which[..], &config[..]].concat());
        let is_id = |word: &&str| word.len() == 36 && word.matches('-').count() == 4;
        let mut words = printed.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        words.find(is_id).unwrap_or_else(|| panic!("no id in {printed:?}")).to_owned()
    }

    fn wait_for_outcome(&self, outcome: &str) {
        let labels = [("type", "refund"), ("outcome", outcome)];
        wait_until(&format!("a refund is {outcome}"), DEADLINE, || {
            Scrape::of(self.address).value("vomsis_command_outcomes_total", &labels) > 0.5
        });
    }

    fn wait_until_ready(&mut self) {
        self.connector.wait_for_status("/readyz", 200, DEADLINE);
        wait_until("every stream has been read", DEADLINE, || {
            let scrape = Scrape::of(self.address);
            let read: Vec<_> =
                scrape.of_name("vomsis_source_backfill_progress_ratio", &[]).collect();
            !read.is_empty() && read.iter().all(|sample| sample.value > 0.999)
        });
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the connector's log:\n{}", self.connector.stderr());
        }
    }
}

/// A page with what a kubelet says of the cache's volume: there is none on a test machine.
fn kubelet() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let claim = r#"{namespace="apps",persistentvolumeclaim="state-vomsis-connect-0"}"#;
        let body = format!(
            "kubelet_volume_stats_available_bytes{claim} 1.6e9\nkubelet_volume_stats_capacity_bytes{claim} 2e9\n"
        );
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            let _read = stream.read(&mut request);
            let length = body.len();
            let _written = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    address
}

fn go_stale_and_recover(stage: &Stage) {
    let prometheus = &stage.prometheus;
    stage.set_faults(&["500:account_transactions"]);
    prometheus.wait_until_fires("VomsisSourceStale", &BANK, DEADLINE);
    prometheus.wait_until_fires("VomsisPollErrorsHigh", &BANK, DEADLINE);
    // The others go on, and nobody is told otherwise.
    assert!(
        prometheus.firing("VomsisSourceStale").iter().all(|a| a["stream"] == "bank_transactions")
    );
    stage.set_faults(&[]);
    prometheus.wait_until_resolved("VomsisSourceStale", DEADLINE);
    prometheus.wait_until_resolved("VomsisPollErrorsHigh", DEADLINE);
}

fn set_a_row_aside(stage: &Stage) {
    let status = http::get(stage.address, "/api/v1/status").unwrap().json();
    let mut streams = status["streams"].as_array().unwrap().iter();
    let bank = streams.find(|stream| stream["stream"] == "bank_transactions").unwrap();
    let account = bank["entity"].as_str().unwrap();
    let rows = r#"[{"amount": "many"}, {"invented_by_the_bank": 1}]"#;
    let body =
        format!(r#"{{"stream": "bank_transactions", "account": "{account}", "rows": {rows}}}"#);
    stage.control("rows", &body);
    let labels = [("stream", "bank_transactions"), ("reason", "INVALID_AMOUNT")];
    stage.prometheus.wait_until_fires("VomsisDeadLetters", &labels, DEADLINE);
    let drift = [("operation", "account_transactions")];
    stage.prometheus.wait_until_fires("VomsisSchemaDrift", &drift, DEADLINE);
    stage.prometheus.wait_until_resolved("VomsisDeadLetters", DEADLINE);
    // The drift stays for as long as the row is read again.
}

fn be_refused_and_let_in(stage: &Stage) {
    stage.home.write("secret", "not-the-secret");
    stage.source.simulator.expire_tokens();
    let acme = [("connection", "acme"), ("severity", "critical")];
    stage.prometheus.wait_until_fires("VomsisAuthFailing", &acme, DEADLINE);
    stage.home.write("secret", "sandbox-secret");
    stage.prometheus.wait_until_resolved("VomsisAuthFailing", DEADLINE);
    stage.prometheus.wait_until_resolved("VomsisSourceStale", DEADLINE);
}

/// One refused TOS token is the only one for a quarter of an hour: what stands is seen, not what
/// happens again.
fn be_refused_once(stage: &Stage) {
    stage.home.write("tos-secret", "not-the-secret");
    stage.source.simulator.expire_tokens();
    let acme = [("connection", "acme")];
    stage.prometheus.wait_until_fires("VomsisAuthFailing", &acme, DEADLINE);
    let none = "sum(increase(vomsis_api_auth_attempts_total{outcome='error'}[20s])) < 0.5";
    wait_until("nothing was refused lately", DEADLINE, || !stage.prometheus.query(none).is_empty());
    assert!(!stage.prometheus.firing("VomsisAuthFailing").is_empty());
    stage.home.write("tos-secret", "sandbox-secret");
    stage.prometheus.wait_until_resolved("VomsisAuthFailing", DEADLINE);
}

/// One refund is executed; another one leaves nobody knows how, until a person decides.
fn doubt_and_decide(stage: &Stage) {
    for reference in ["MON-1", "MON-2"] {
        stage.source.simulator.ledger().add_payment(&NewPayment::new(reference, "100.00")).unwrap();
    }
    stage.refund("MON-1", "10.00");
    stage.wait_for_outcome("succeeded");
    stage.set_faults(&["closed:x1:change_payment"]);
    let doubted = stage.refund("MON-2", "20.00");
    let refund = [("type", "refund"), ("severity", "critical")];
    stage.prometheus.wait_until_fires("VomsisCommandInDoubt", &refund, DEADLINE);
    // An hour is a minute here: nothing resolves it by itself.
    let escalate = [("escalate", "true")];
    stage.prometheus.wait_until_fires("VomsisCommandInDoubtAged", &escalate, DEADLINE);
    let config = stage.home.path().join("config.yaml");
    let words = ["commands", "resolve", &doubted, "--outcome", "not-executed", "--yes"];
    let how = ["--evidence", "panel", "--actor", "test", "--config", config.to_str().unwrap()];
    stage.command(&[&words[..], &how[..]].concat());
    stage.prometheus.wait_until_resolved("VomsisCommandInDoubt", DEADLINE);
    stage.prometheus.wait_until_resolved("VomsisCommandInDoubtAged", DEADLINE);
}

/// The dashboards are asked while everything has happened that they show.
fn look_at_the_dashboards(stage: &Stage) {
    let node = |script: &str, arguments: &[&str]| {
        let mut command = Command::new("node");
        command.arg(in_repository(script)).args(arguments);
        let output = command.output().expect("Node.js runs");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{script}: {printed}\n{complained}");
        println!("{script}: {printed}");
    };
    node("tests/dashboards/answers.mjs", &[&stage.prometheus.url(), "15s"]);
    if let Some(folder) = environment("VOMSIS_PICTURES") {
        node("tests/dashboards/pictures.mjs", &[&stage.prometheus.url(), &folder]);
    }
}

fn die_and_come_back(stage: &mut Stage) {
    stage.connector.kill9();
    let down = [("job", "vomsis"), ("severity", "critical")];
    stage.prometheus.wait_until_fires("VomsisDown", &down, DEADLINE);
    stage.connector = stage.home.run();
    stage.prometheus.wait_until_resolved("VomsisDown", DEADLINE);
}

#[test]
#[ignore = "needs Prometheus and Node.js: make test-monitoring"]
fn alerts_fire_and_resolve_and_dashboards_answer_on_a_live_prometheus() {
    let mut stage = Stage::start();
    stage.wait_until_ready();
    stage.let_rows_arrive();
    for name in ["VomsisDown", "VomsisSourceStale", "VomsisAuthFailing", "VomsisCommandInDoubt"] {
        stage.prometheus.wait_until_resolved(name, DEADLINE);
    }
    go_stale_and_recover(&stage);
    set_a_row_aside(&stage);
    be_refused_and_let_in(&stage);
    be_refused_once(&stage);
    doubt_and_decide(&stage);
    look_at_the_dashboards(&stage);
    die_and_come_back(&mut stage);
    let log = stage.connector.stderr();
    stage.connector.sigterm();
    assert_eq!(stage.connector.wait(DEADLINE), 0, "{log}");
}

#[test]
#[ignore = "needs Prometheus and Node.js: make test-monitoring"]
fn the_dashboards_check_goes_red_where_nothing_is_scraped() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let prometheus = Prometheus::start(nobody, nobody);
    let mut command = Command::new("node");
    command.arg(in_repository("tests/dashboards/answers.mjs")).arg(prometheus.url());
    let output = command.output().expect("Node.js runs");
    assert!(!output.status.success(), "{output:?}");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(complaints.lines().count() > 30, "{complaints}");
    prometheus.wait_until_fires("VomsisDown", &[("job", "vomsis")], DEADLINE);
    let labels: Vec<Value> = prometheus.firing("VomsisDown");
    assert_eq!(labels.len(), 1, "{labels:?}");
}
