//! `/metrics` of the real binary: complete from the first scrape on, true after rows, faults and a
//! changed secret, and never with a label that grows or tells something private.

mod many;
mod queries;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use vomsis_connect::{domain::ids::Stream, sandbox::ledger::Load};

use crate::harness::{
    http,
    process::{Home, Process},
    scrape::Scrape,
    source::Source,
    topics::unique_prefix,
    wait::wait_until,
};

const DEADLINE: Duration = Duration::from_secs(180);
const SHARDS: usize = 2;
const DAY: f64 = 86_400.0;

/// A metric of `docs/metrics.md`.
#[derive(Debug)]
pub(crate) struct Documented {
    pub(crate) name: String,
    pub(crate) kind: String,
    labels: BTreeSet<String>,
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    fs::read_to_string(path).unwrap()
}

pub(crate) fn documented() -> Vec<Documented> {
    let text = page();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let found: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let labels = cells[2].split(", ").filter(|label| !label.is_empty());
            Documented {
                name: cells[0].trim_end_matches('`').to_owned(),
                kind: cells[1].to_owned(),
                labels: labels.map(str::to_owned).collect(),
            }
        })
        .collect();
    assert!(found.len() > 30, "{found:?}");
    found
}

/// Every documented metric has series of its type with its labels, and nothing else is exported.
fn assert_documented(scrape: &Scrape) {
    let documented = documented();
    for metric in &documented {
        let name = &metric.name;
        assert_eq!(scrape.types.get(name), Some(&metric.kind), "{name}");
        let suffix = if metric.kind == "histogram" { "_count" } else { "" };
        let series = format!("{name}{suffix}");
        let mut of_name = scrape.of_name(&series, &[]).peekable();
        assert!(of_name.peek().is_some(), "{name} has no series");
        for sample in of_name {
            let labels: BTreeSet<_> = sample.labels.keys().cloned().collect();
            assert_eq!(labels, metric.labels, "{name}");
        }
    }
    let names: BTreeSet<_> = documented.iter().map(|metric| &metric.name).collect();
    let others = scrape.types.keys().filter(|name| !name.starts_with("process_"));
    for name in others {
        assert!(names.contains(name), "{name} is not in docs/metrics.md");
    }
}

/// Each value of a label that the page lists is exported, and no other.
fn assert_values(scrape: &Scrape) {
    let text = page();
    let mut listed = 0;
    for row in text.lines().filter_map(|line| line.strip_prefix("| vomsis_")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let (name, label) = (format!("vomsis_{}", cells[0]), cells[1]);
        let values: BTreeSet<_> =
            cells[2].split(", ").map(|value| value.trim_matches('`')).collect();
        let samples: Vec<_> = scrape.of_name(&name, &[]).collect();
        let found: BTreeSet<_> =
            samples.iter().map(|sample| sample.labels[label].as_str()).collect();
        assert_eq!(found, values, "{name}: {label}");
        listed += 1;
    }
    assert!(listed > 10, "only {listed} labels have their values listed");
}

/// Label values come from closed sets, so none grows and none tells anything of a customer.
fn assert_bounded(scrape: &Scrape, prefix: &str) {
    let is_word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    for sample in &scrape.samples {
        for (label, value) in &sample.labels {
            let bounded = match label.as_str() {
                // A record that is no command names no connection.
                "connection" => value == "acme" || sample.labels["stream"] == "payments",
                "stream" => Stream::parse(value).is_some() || value == "payments",
                "topic" => value.starts_with(&format!("{prefix}.")),
                "shard" => value.parse::<usize>().is_ok_and(|shard| shard < SHARDS),
                "code" => {
                    value == "error" || value.parse().is_ok_and(|c: u16| (100..600).contains(&c))
                }
                "operation" | "outcome" | "kind" | "state" | "reason" | "type" => is_word(value),
                "partition" => value == "0",
                "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
                "version" | "revision" | "hash" => sample.name.ends_with("_info"),
                _ => false,
            };
            assert!(bounded, "{}: {label}={value:?}", sample.name);
        }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn polled_streams(scrape: &Scrape) -> Vec<String> {
    let samples = scrape.of_name("vomsis_source_last_success_timestamp_seconds", &[]);
    samples.map(|sample| sample.labels["stream"].clone()).collect()
}

/// Before anything has happened: counters at 0, timestamps at the process's start.
fn assert_first(scrape: &Scrape, started: f64) {
    assert_eq!(polled_streams(scrape).len(), Stream::ALL.len());
    for (name, kind) in scrape.types.iter().filter(|(name, _)| name.starts_with("vomsis_")) {
        let is_new = |name: &str| !name.starts_with("vomsis_api") && !name.contains("kafka");
        if kind == "counter" && is_new(name) {
            assert!(scrape.of_name(name, &[]).all(|s| s.value < 0.5), "{name} is 0 at first");
        }
        // 0 stands for "none in doubt" and "none waits".
        if name.ends_with("_timestamp_seconds") && !name.contains("oldest_") {
            for sample in scrape.of_name(name, &[]) {
                assert!((sample.value - started).abs() < 10.0, "{sample:?}, started {started}");
            }
        }
    }
    for (stream, slo) in [("bank_transactions", 63.0), ("tos_payments", 66.0), ("banks", 90.0)] {
        let labels = [("stream", stream)];
        let value = scrape.value("vomsis_source_freshness_slo_seconds", &labels);
        assert!((value - slo).abs() < 0.1, "{stream} {value}");
    }
}

/// The connector, its source and what it should have found.
struct Run {
    source: Source,
    home: Home,
    connector: Process,
    address: SocketAddr,
    prefix: String,
}

impl Run {
    fn start() -> Self {
        let load = Load {
            accounts: 4,
            rows_per_account: 30,
            terminals: 2,
            rows_per_terminal: 20,
            virtual_pos: 10,
            tos: 6,
            customers: 2,
            days: 20,
            seed: Some(7),
        };
        let source = Source::loaded(&load);
        let prefix = unique_prefix("metrics");
        let home = source.home(&prefix);
        let mut connector = home.run();
        let address = connector.address(DEADLINE);
        Self { source, home, connector, address, prefix }
    }

    fn scrape(&self) -> Scrape {
        Scrape::of(self.address)
    }

    fn set_faults(&self, faults: &[&str]) {
        let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
        self.source.simulator.set_faults(faults);
    }

    #[track_caller]
    fn wait(&mut self, what: &str, condition: impl Fn(&Scrape) -> bool) -> Scrape {
        let mut last = self.scrape();
        wait_until(what, DEADLINE, || {
            assert!(self.connector.is_running(), "it ended: {}", self.connector.stderr());
            last = Scrape::of(self.address);
            condition(&last)
        });
        last
    }

    fn wait_until_running(&mut self) -> Scrape {
        let streams = polled_streams(&self.scrape());
        self.wait("every stream runs", |scrape| {
            streams.iter().all(|stream| {
                let labels = [("stream", stream.as_str()), ("state", "running")];
                let read = scrape.value("vomsis_source_backfill_progress_ratio", &labels[..1]);
                scrape.value("vomsis_source_state", &labels) > 0.5 && read > 0.999
            })
        })
    }

    fn expected(&self) -> BTreeMap<Stream, usize> {
        let streams = Stream::ALL.into_iter().filter(|stream| !stream.is_reference());
        streams.map(|stream| (stream, self.source.expected(stream).len())).collect()
    }

    fn status(&self) -> serde_json::Value {
        http::get(self.address, "/api/v1/status").unwrap().json()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the connector's log:\n{}", self.connector.stderr());
        }
    }
}

fn assert_counted(run: &Run, scrape: &Scrape) {
    for (stream, rows) in run.expected() {
        let labels = [("stream", stream.name()), ("kind", "new")];
        let new = scrape.value("vomsis_source_records_total", &labels);
        assert!((new - rows as f64).abs() < 0.5, "{stream}: {new} new of {rows}");
        let topic = format!("{}.{}", run.prefix, stream.topic_suffix());
        let topic = [("topic", topic.as_str())];
        let produced = scrape.value("vomsis_kafka_produced_records_total", &topic);
        assert!((produced - rows as f64).abs() < 0.5, "{stream}: {produced} produced");
        assert!(scrape.value("vomsis_kafka_produce_duration_seconds_count", &topic) > 0.5);
        let newest = scrape.value("vomsis_source_newest_record_timestamp_seconds", &[labels[0]]);
        assert!((now() - 22.0 * DAY..now() + DAY).contains(&newest), "{stream}: {newest}");
    }
    for stream in polled_streams(scrape) {
        let labels = [("stream", stream.as_str())];
        let started = scrape.value("process_start_time_seconds", &[]);
        for name in ["last_success", "checkpoint_position", "checkpoint_commit"] {
            let name = format!("vomsis_source_{name}_timestamp_seconds");
            let at = scrape.value(&name, &labels);
            assert!((started - 1.0..=now() + 1.0).contains(&at), "{name} {stream}: {at}");
        }
        let ratio = scrape.value("vomsis_source_backfill_progress_ratio", &labels);
        assert!((ratio - 1.0).abs() < f64::EPSILON, "{stream}: {ratio}");
        assert!(scrape.value("vomsis_source_poll_duration_seconds_count", &labels) > 0.5);
    }
    for name in ["vomsis_dlq_records_total", "vomsis_kafka_produce_errors_total"] {
        assert!(scrape.sum(name, &[]) < 0.5, "{name}");
    }
    let rows = run.expected()[&Stream::BankTransactions];
    let status = run.status();
    let streams = status["streams"].as_array().unwrap().iter();
    let bank = streams.filter(|stream| stream["stream"] == "bank_transactions");
    let shown: u64 = bank.map(|stream| stream["rows_24h"].as_u64().unwrap()).sum();
    assert_eq!(usize::try_from(shown).unwrap(), rows);
    for stream in status["streams"].as_array().unwrap() {
        let since = stream["rows_24h_since"].as_str().unwrap();
        let since = chrono::DateTime::parse_from_rfc3339(since).unwrap().timestamp() as f64;
        let started = scrape.value("process_start_time_seconds", &[]);
        assert!((started - 1.0..=now() + 1.0).contains(&since), "{stream}");
    }
}

fn assert_machinery(scrape: &Scrape) {
    let owned = scrape.sum("vomsis_shard_state", &[("state", "owned")]);
    assert!((owned - SHARDS as f64).abs() < 0.5, "{owned} shards");
    for shard in scrape.of_name("vomsis_shard_restore_duration_seconds", &[]) {
        assert!(shard.value > 0.0 && shard.value < 120.0, "{shard:?}");
    }
    assert!(scrape.value("vomsis_transaction_duration_seconds_count", &[]) > 0.5);
    assert!(scrape.value("vomsis_state_flush_duration_seconds_count", &[]) > 0.5);
    let queue = scrape.value("vomsis_kafka_producer_queue_records", &[]);
    assert!((0.0..=10_000.0).contains(&queue), "{queue}");
    let limit = scrape.value("vomsis_api_rate_limit_limit", &[]);
    assert!((limit - 100.0).abs() < 0.5, "the simulator's limit is shown: {limit}");
    let remaining = scrape.value("vomsis_api_rate_limit_remaining", &[]);
    assert!((0.0..=limit).contains(&remaining), "{remaining} of {limit}");
    assert!(scrape.value("vomsis_api_token_expiry_timestamp_seconds", &[]) > now());
    let success = [("outcome", "success")];
    assert!(scrape.value("vomsis_api_auth_attempts_total", &success) > 2.5, "three APIs");
    let waited = scrape.value("vomsis_api_rate_limit_wait_seconds_total", &[]);
    assert!(waited >= 0.0, "{waited}");
}

/// A row that cannot be mapped and one with a field that nobody knows are counted where they belong.
fn go_through_bad_rows(run: &mut Run) {
    let status = run.status();
    let streams = status["streams"].as_array().unwrap();
    let bank = streams.iter().find(|stream| stream["stream"] == "bank_transactions").unwrap();
    let account = bank["entity"].as_str().unwrap();
    let rows = r#"[{"amount": "many"}, {"invented_by_the_bank": 1}]"#;
    let body =
        format!(r#"{{"stream": "bank_transactions", "account": "{account}", "rows": {rows}}}"#);
    let json = Some(("application/json", body.as_str()));
    let simulator = run.source.simulator.addr;
    let added = http::request(simulator, "POST", "/_ctl/rows", json).unwrap();
    assert_eq!(added.status, 200, "{added:?}");
    let topic = format!("{}.quarantine", run.prefix);
    let scrape = run.wait("both rows are counted", |scrape| {
        let unknown = [("operation", "account_transactions")];
        scrape.sum("vomsis_dlq_records_total", &[]) > 0.5
            && scrape.value("vomsis_api_unknown_fields_total", &unknown) > 0.5
    });
    let labels =
        [("stream", "bank_transactions"), ("topic", topic.as_str()), ("reason", "INVALID_AMOUNT")];
    let quarantined = scrape.value("vomsis_dlq_records_total", &labels);
    assert!((quarantined - 1.0).abs() < 0.5, "{quarantined} rows in quarantine");
    run.connector.wait_for_line("VOM-SRC-005", DEADLINE);
    run.connector.wait_for_line("VOM-SRC-016", DEADLINE);
}

/// 429 is waited for and retried; a lasting 500 fails polls, shows its code, and is recovered from.
fn go_through_faults(run: &mut Run) {
    run.set_faults(&["429=1:x2:account_transactions", "500:station_transactions"]);
    let pos = ("stream", "pos_transactions");
    run.wait("polls fail and say so", |scrape| {
        let too_many = [("operation", "account_transactions"), ("code", "429")];
        let limited = [("operation", "account_transactions"), ("reason", "rate_limited")];
        let retried = [("operation", "station_transactions"), ("reason", "server_error")];
        scrape.value("vomsis_api_requests_total", &too_many) > 1.5
            && scrape.value("vomsis_api_retries_total", &limited) > 0.5
            && scrape.value("vomsis_api_retries_total", &retried) > 0.5
            && scrape.value("vomsis_source_polls_total", &[pos, ("outcome", "error")]) > 0.5
            && scrape.value("vomsis_source_state", &[pos, ("state", "failed")]) > 0.5
    });
    let status = run.status();
    let streams = status["streams"].as_array().unwrap();
    let failing = streams.iter().find(|stream| stream["last_error"].is_object()).unwrap();
    assert_eq!(failing["last_error"]["code"], "VOM-API-013", "{failing}");
    run.connector.wait_for_line("VOM-API-013", DEADLINE);
    run.set_faults(&[]);
    run.wait_until_running();
    run.connector.wait_for_line("VOM-SRC-002", DEADLINE);
}

/// A wrong secret is read and refused, the right one is read again; both are told.
fn go_through_secrets(run: &mut Run) {
    let read_at = "vomsis_config_reload_success_timestamp_seconds";
    let before = run.scrape();
    run.home.write("secret", "not-the-secret");
    run.source.simulator.expire_tokens();
    let refused = run.wait("the wrong secret is read and refused", |scrape| {
        let errors = [("outcome", "error")];
        scrape.value("vomsis_api_auth_attempts_total", &errors) > 0.5
            && scrape.value(read_at, &[]) > before.value(read_at, &[])
            && scrape.value("vomsis_api_access_refused", &[]) > 0.5
    });
    run.connector.wait_for_line("VOM-CFG-002", DEADLINE);
    run.connector.wait_for_line("VOM-API-021", DEADLINE);
    run.home.write("secret", "sandbox-secret");
    run.wait("the right secret is read", |scrape| {
        scrape.value(read_at, &[]) > refused.value(read_at, &[])
    });
    run.wait("access is open again", |scrape| scrape.value("vomsis_api_access_refused", &[]) < 0.5);
    run.wait_until_running();
    assert!(!run.connector.stderr().contains("not-the-secret"));
}

#[test]
fn metrics_are_complete_at_once_and_true_after_rows_faults_and_secrets() {
    let mut run = Run::start();
    let first = run.scrape();
    assert_documented(&first);
    assert_values(&first);
    assert_bounded(&first, &run.prefix);
    assert_first(&first, first.value("process_start_time_seconds", &[]));
    queries::assert_answered(&first);

    let wanted = run.expected();
    run.wait("every row is published", |scrape| {
        wanted.iter().all(|(stream, rows)| {
            let labels = [("stream", stream.name()), ("kind", "new")];
            scrape.value("vomsis_source_records_total", &labels) > *rows as f64 - 0.5
        })
    });
    let scrape = run.wait_until_running();
    assert_counted(&run, &scrape);
    assert_machinery(&scrape);
    run.wait("the cache is measured again", |scrape| {
        scrape.value("vomsis_state_size_bytes", &[]) > 0.5
    });
    go_through_bad_rows(&mut run);
    go_through_faults(&mut run);
    go_through_secrets(&mut run);

    let last = run.scrape();
    assert_documented(&last);
    assert_bounded(&last, &run.prefix);
    let grown: Vec<_> = last.series().difference(&first.series()).cloned().collect();
    assert!(grown.is_empty(), "series appeared later: {grown:?}");
    let gone: Vec<_> = first.series().difference(&last.series()).cloned().collect();
    assert!(gone.is_empty(), "series went: {gone:?}");
    run.connector.sigterm();
    assert_eq!(run.connector.wait(DEADLINE), 0);
}
