//! Rows from the source systems into a real Kafka: each exactly once, whichever process dies.

use std::{collections::BTreeMap, time::Duration};

use tokio::runtime::Runtime;
use vomsis_connect::{
    domain::ids::Stream,
    sandbox::{Simulator, SimulatorOptions, ledger::Load},
};

use crate::harness::{
    avro::Decoder,
    kafka::shared_broker,
    process::Home,
    registry::shared_registry,
    topics::{Record, read_to_end, unique_prefix},
    wait::wait_until,
};

const DEADLINE: Duration = Duration::from_secs(180);
/// The documents' own samples lie years back, before any backfill starts.
const SAMPLES: [i64; 3] = [6_915_745, 41_789, 2_022_000_039_254_817];

struct Source {
    runtime: Runtime,
    simulator: Simulator,
}

impl Source {
    fn loaded(load: &Load) -> Self {
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
        Self { runtime, simulator }
    }

    /// Ids that must arrive, in order.
    fn expected(&self, stream: Stream) -> Vec<String> {
        let rows = self.simulator.ledger().rows(stream);
        let mut ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        ids.retain(|id| !SAMPLES.contains(id));
        ids.sort_unstable();
        ids.iter().map(ToString::to_string).collect()
    }

    fn home(&self, prefix: &str) -> Home {
        let api = self.simulator.base_url();
        let (brokers, registry) = (shared_broker().bootstrap(), shared_registry().url());
        let home = Home::new(&format!(
            r#"env: test
connections:
  - id: acme
    bank_pos: {{base_url: "{api}/api/v2", app_key_file: "{{home}}/key", app_secret_file: "{{home}}/secret"}}
    virtual_pos: {{base_url: "{api}/api/vpos/v3"}}
    tos:
      base_url: "{api}"
      token_url: "{api}/auth/oauth/v2/token"
      client_id_file: "{{home}}/key"
      client_secret_file: "{{home}}/secret"
      consent_id: c
      resource: sandbox
      institutions: [{{code: "0006624"}}]
    quota: {{requests_per_minute: 600000, concurrency: 8, reserved_for_payments: 0}}
    streams:
      bank_transactions: {{poll_interval: 1s, start: 30d, lookback: 14d, lookback_interval: 5s}}
      pos_transactions: {{poll_interval: 1s, start: 30d, lookback: 14d, lookback_interval: 5s}}
      virtual_pos_transactions: {{poll_interval: 2s}}
      tos_payments: {{poll_interval: 2s, start: 30d, lookback: 7d}}
      reference: {{poll_interval: 10s}}
kafka: {{bootstrap_servers: "{brokers}", group: "{prefix}", topic_prefix: "{prefix}", shards: 2, replication_factor: 1, consumer_properties: {{session.timeout.ms: "6000"}}}}
schema_registry: {{url: "{registry}"}}
state: {{dir: "{{home}}/state"}}
http: {{listen: "127.0.0.1:0"}}
"#
        ));
        home.write("key", "sandbox-key");
        home.write("secret", "sandbox-secret");
        home
    }
}

const STREAMS: [Stream; 4] = [
    Stream::BankTransactions,
    Stream::PosTransactions,
    Stream::VirtualPosTransactions,
    Stream::TosPayments,
];

fn load() -> Load {
    Load {
        accounts: 40,
        rows_per_account: 300,
        terminals: 6,
        rows_per_terminal: 200,
        virtual_pos: 80,
        tos: 30,
        customers: 3,
        days: 20,
        seed: Some(7),
    }
}

fn published(prefix: &str, stream: Stream) -> Vec<Record> {
    read_to_end(shared_broker().bootstrap(), &format!("{prefix}.{}", stream.topic_suffix()))
}

fn source_ids(records: &[Record], decoder: &Decoder) -> Vec<String> {
    let mut ids: Vec<String> = records
        .iter()
        .map(|record| decoder.decode(record.value.as_ref().unwrap()))
        .map(|event| event["meta"]["source_id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_by_key(|id| id.parse::<i64>().unwrap());
    ids
}

fn count_of(prefix: &str, expected: &BTreeMap<Stream, Vec<String>>) -> usize {
    expected.keys().map(|stream| published(prefix, *stream).len()).sum()
}

fn assert_each_exactly_once(prefix: &str, expected: &BTreeMap<Stream, Vec<String>>) {
    let decoder = Decoder::new(shared_registry().url());
    for (stream, ids) in expected {
        let records = published(prefix, *stream);
        assert_eq!(&source_ids(&records, &decoder), ids, "{stream}");
        for record in &records {
            assert_eq!(record.headers["ce_specversion"], "1.0");
            assert_eq!(record.headers["ce_source"], format!("/vomsis/acme/{stream}"));
        }
    }
}

#[test]
fn every_row_of_every_source_arrives_exactly_once() {
    let source = Source::loaded(&load());
    let prefix = unique_prefix("once");
    let expected: BTreeMap<_, _> =
        STREAMS.into_iter().map(|stream| (stream, source.expected(stream))).collect();
    let wanted: usize = expected.values().map(Vec::len).sum();
    let home = source.home(&prefix);
    let mut connector = home.run();
    connector.wait_for_status("/readyz", 200, DEADLINE);
    wait_until("every row is published", DEADLINE, || count_of(&prefix, &expected) >= wanted);
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0, "it drains and ends well");
    assert_each_exactly_once(&prefix, &expected);
    drop(source.runtime);
}

#[test]
fn killed_again_and_again_it_neither_loses_nor_repeats_a_row() {
    let source = Source::loaded(&load());
    let prefix = unique_prefix("killed");
    let expected: BTreeMap<_, _> =
        STREAMS.into_iter().map(|stream| (stream, source.expected(stream))).collect();
    let wanted: usize = expected.values().map(Vec::len).sum();
    let home = source.home(&prefix);
    for round in 1..=6 {
        let mut connector = home.run();
        connector.wait_for_status("/readyz", 200, DEADLINE);
        let goal = wanted * round / 7;
        wait_until("some more rows are published", DEADLINE, || {
            count_of(&prefix, &expected) >= goal
        });
        connector.kill9();
        if round % 2 == 0 {
            std::fs::remove_dir_all(home.path().join("state")).unwrap();
        }
    }
    let _connector = home.run();
    wait_until("every row is published", DEADLINE, || count_of(&prefix, &expected) >= wanted);
    assert_each_exactly_once(&prefix, &expected);
    drop(source.runtime);
}
