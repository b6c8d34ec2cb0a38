//! A source with some rows, a connector's home, and what must stand on its topics.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use serde_json::{Map, Value};
use vomsis_connect::{domain::ids::Stream, sandbox::ledger::Load};

use crate::harness::{
    avro::Decoder,
    http,
    kafka::shared_broker,
    process::{Home, Process},
    registry::{ask, shared_registry},
    source::Source,
    topics::{Record, read_to_end, topics_below, unique_prefix},
    wait::wait_until,
};

pub(super) const DEADLINE: Duration = Duration::from_secs(120);
/// How much memory may grow while something is away.
pub(super) const GROWTH_MIB: u64 = 48;
pub(super) const BANK: Stream = Stream::BankTransactions;
const STREAMS: [Stream; 4] = [
    Stream::BankTransactions,
    Stream::PosTransactions,
    Stream::VirtualPosTransactions,
    Stream::TosPayments,
];

/// A source, a home, and the names of both's topics.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) source: Source,
    pub(super) home: Home,
    pub(super) prefix: String,
    brokers: String,
}

impl Stage {
    /// Against the broker and the registry that all tests share.
    pub(super) fn new(test: &str) -> Self {
        let load = Load {
            accounts: 6,
            rows_per_account: 40,
            terminals: 2,
            rows_per_terminal: 20,
            virtual_pos: 10,
            tos: 6,
            customers: 2,
            days: 10,
            seed: Some(5),
        };
        let source = Source::loaded(&load);
        let prefix = unique_prefix(test);
        let home = source.home(&prefix);
        Self { source, home, prefix, brokers: shared_broker().bootstrap().to_owned() }
    }

    /// Against a broker of its own: the connector's way to it, and the tests' way.
    pub(super) fn with_broker(test: &str, client: &str, direct: &str) -> Self {
        let mut stage = Self::new(test);
        stage.change("bootstrap_servers", shared_broker().bootstrap(), client);
        direct.clone_into(&mut stage.brokers);
        stage
    }

    /// Puts something else into the lines of the configuration that name `key`.
    #[track_caller]
    pub(super) fn change(&self, key: &str, from: &str, to: &str) {
        let path = self.home.path().join("config.yaml");
        let old = fs::read_to_string(&path).unwrap();
        let line = |line: &str| match line.contains(key) {
            true => line.replace(from, to) + "\n",
            false => line.to_owned() + "\n",
        };
        let new: String = old.lines().map(line).collect();
        assert_ne!(old, new, "no {from} in a line with {key}");
        fs::write(&path, new).unwrap();
    }

    /// Puts the registry behind another address.
    pub(super) fn change_registry(&self, url: &str) {
        self.change("schema_registry", shared_registry().url(), url);
    }

    /// A topic's full name.
    pub(super) fn topic(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.prefix)
    }

    /// The topics that were made for it, without the prefix.
    pub(super) fn topics(&self) -> BTreeSet<String> {
        topics_below(&self.brokers, &format!("{}.", self.prefix))
    }

    /// The subjects that were made for it, without the prefix.
    pub(super) fn subjects(&self) -> BTreeSet<String> {
        let all = ask(shared_registry().url(), "/subjects").json();
        let all = all.as_array().unwrap().iter().filter_map(Value::as_str);
        let prefix = format!("{}.", self.prefix);
        all.filter_map(|subject| subject.strip_prefix(&prefix)).map(str::to_owned).collect()
    }

    /// The broker as the tests reach it.
    pub(super) fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Starts the connector and waits until it is ready.
    pub(super) fn start(&self) -> Process {
        let mut connector = self.home.run();
        connector.wait_for_status("/readyz", 200, DEADLINE);
        connector
    }

    /// Runs a command that ends by itself; its exit code and output.
    pub(super) fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let all = [arguments, &["--config", "config.yaml"]].concat();
        let mut process = self.home.connector(&all);
        let code = process.wait(DEADLINE);
        (code, process.stdout(), process.stderr())
    }

    /// New rows of one account.
    pub(super) fn add_rows(&self, count: usize) {
        self.add(vec![Map::new(); count]);
    }

    /// New rows with these fields; returns their ids.
    pub(super) fn add(&self, rows: Vec<Map<String, Value>>) -> Vec<i64> {
        let mut ledger = self.source.simulator.ledger();
        // The documents' own account comes first; its sample row is years old.
        let account = ledger.rows(BANK).into_iter().max_by_key(|row| row.id).unwrap().entity;
        ledger.add_rows(BANK, &account, rows).unwrap()
    }

    fn expected(&self) -> BTreeMap<Stream, Vec<String>> {
        STREAMS.into_iter().map(|stream| (stream, self.source.expected(stream))).collect()
    }

    /// Every row's record of a stream.
    pub(super) fn published(&self, stream: Stream) -> Vec<Record> {
        read_to_end(&self.brokers, &self.topic(stream.topic_suffix()))
    }

    /// How many rows were published.
    pub(super) fn count(&self) -> usize {
        STREAMS.into_iter().map(|stream| self.published(stream).len()).sum()
    }

    /// Waits until as many records are there as the source has rows.
    #[track_caller]
    pub(super) fn wait_for_all(&self) {
        let wanted: usize = self.expected().values().map(Vec::len).sum();
        wait_until("every row is published", DEADLINE, || self.count() >= wanted);
    }

    /// How often the record stands there that stands there most often.
    pub(super) fn most_repeated(&self) -> usize {
        let mut times = BTreeMap::<String, usize>::new();
        for record in STREAMS.into_iter().flat_map(|stream| self.published(stream)) {
            *times.entry(record.headers["ce_id"].clone()).or_default() += 1;
        }
        times.into_values().max().unwrap_or(0)
    }

    /// Every row stands there, and none twice.
    #[track_caller]
    pub(super) fn assert_exactly_once(&self) {
        let decoder = Decoder::new(shared_registry().url());
        for (stream, expected) in self.expected() {
            let mut ids: Vec<_> =
                self.published(stream).iter().map(|record| source_id(record, &decoder)).collect();
            ids.sort_by_key(|id| id.parse::<i64>().unwrap());
            assert_eq!(ids, expected, "{stream}");
        }
    }
}

/// The id that the source gave a row.
pub(super) fn source_id(record: &Record, decoder: &Decoder) -> String {
    let event = decoder.decode(record.value.as_ref().unwrap());
    event["meta"]["source_id"].as_str().unwrap().to_owned()
}

/// What `/readyz` says is not there yet, in its order: name and detail.
pub(super) fn unmet(connector: &mut Process) -> Vec<(String, String)> {
    let body = http::get(connector.address(DEADLINE), "/readyz?verbose").unwrap().body;
    let lines = body.lines().filter_map(|line| line.strip_prefix("[-] "));
    let split = |line: &str| line.split_once(": ").map(|(name, why)| (name.into(), why.into()));
    lines.filter_map(split).collect()
}

/// Asserts that readiness waits for `first`, and that all `behind` it are pending because of it.
#[track_caller]
pub(super) fn assert_waits_for(connector: &mut Process, first: &str, behind: &[&str]) {
    let unmet = unmet(connector);
    let names: Vec<_> = unmet.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [&[first], behind].concat(), "{unmet:?}");
    let pending = format!("pending, waits for {first}");
    assert!(unmet.iter().skip(1).all(|(_, why)| *why == pending), "{unmet:?}");
}

/// Sends SIGTERM and waits for a clean end.
#[track_caller]
pub(super) fn end(connector: &mut Process) {
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0, "{}", connector.stderr());
}

/// The status that a probe answers now.
pub(super) fn probe(connector: &mut Process, path: &str) -> u16 {
    http::get(connector.address(DEADLINE), path).unwrap().status
}

/// Resident memory in MiB.
pub(super) fn memory_mib(connector: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", connector.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Hundredths of a second of processor time so far.
pub(super) fn ticks(connector: &Process) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", connector.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// How many lines of its log have this code.
pub(super) fn lines_with(connector: &Process, code: &str) -> usize {
    connector.stderr().lines().filter(|line| line.contains(code)).count()
}
