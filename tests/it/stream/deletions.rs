//! Rows that disappear, of every stream: told once, with the times of the reads that prove it.

use std::{collections::BTreeMap, fs};

use chrono::{DateTime, Days, FixedOffset, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use vomsis_connect::{
    domain::ids::Stream,
    sandbox::{ledger::Load, simulator::SeenRequest},
};

use super::DEADLINE;
use crate::harness::{
    avro::Decoder,
    kafka::shared_broker,
    process::Home,
    registry::shared_registry,
    source::{SAMPLES, Source},
    topics::{read_to_end, unique_prefix},
    wait::wait_until,
};

const BANK: Stream = Stream::BankTransactions;
/// Windows that a look-back of 14 days asks for.
const WINDOWS: usize = 3;
const INTERVAL: TimeDelta = TimeDelta::seconds(2);

/// A source with one account's rows, and a connector that tells of deletions.
struct Stage {
    source: Source,
    home: Home,
    prefix: String,
    account: String,
}

impl Stage {
    fn new(test: &str) -> Self {
        let source = Source::loaded(&Load {
            accounts: 1,
            rows_per_account: 10,
            terminals: 0,
            rows_per_terminal: 0,
            virtual_pos: 0,
            tos: 0,
            customers: 0,
            days: 5,
            seed: Some(3),
        });
        let prefix = unique_prefix(test);
        let home = source.home(&prefix);
        let path = home.path().join("config.yaml");
        let config = fs::read_to_string(&path).unwrap();
        let emitting =
            config.replacen("lookback_interval: 5s}", "lookback_interval: 2s, deletions: emit}", 1);
        assert_ne!(config, emitting);
        fs::write(&path, emitting).unwrap();
        let rows = source.simulator.ledger().rows(BANK);
        let account = rows.into_iter().max_by_key(|row| row.id).unwrap().entity;
        Self { source, home, prefix, account }
    }

    fn last_id(&self) -> i64 {
        let rows = self.source.simulator.ledger().rows(BANK);
        rows.into_iter().filter(|row| !row.deleted).map(|row| row.id).max().unwrap()
    }

    /// How many requests there were so far.
    fn total(&self) -> u64 {
        self.source.simulator.requests().counts.values().sum()
    }

    /// Requests for the account's rows after the first so many of all, that a test picks; the
    /// simulator keeps the last thousand.
    fn count_since(&self, total: u64, picked: impl Fn(&SeenRequest) -> bool) -> usize {
        let path = format!("/accounts/{}/transactions", self.account);
        let requests = self.source.simulator.requests();
        let later = requests.counts.values().sum::<u64>() - total;
        let later = requests.last.iter().rev().take(usize::try_from(later).unwrap());
        later.filter(|request| request.target.contains(&path) && picked(request)).count()
    }

    /// Windows of the account that were answered since.
    fn windows_since(&self, total: u64) -> usize {
        let is_window =
            |request: &SeenRequest| request.status == 200 && request.target.contains("beginDate");
        self.count_since(total, is_window)
    }

    /// Waits until a look-back has begun and ended.
    fn look_back(&self) {
        let before = self.total();
        wait_until("a whole look-back", DEADLINE, || self.windows_since(before) >= 2 * WINDOWS);
    }

    /// Deletes a row while every read fails; the instants before and after it.
    fn delete(&self, id: i64) -> (DateTime<Utc>, DateTime<Utc>) {
        let fault = |faults: &[&str]| {
            let faults = faults.iter().map(|fault| fault.parse().unwrap()).collect();
            self.source.simulator.set_faults(faults);
        };
        let before = self.total();
        fault(&["500:account_transactions"]);
        // Its poller does one thing after the other: while this fails, no look-back ends.
        wait_until("a poll fails", DEADLINE, || {
            self.count_since(before, |request| request.status == 500) > 0
        });
        let began = Utc::now();
        self.source.simulator.ledger().delete_row(BANK, id).unwrap();
        fault(&[]);
        (began, Utc::now())
    }

    fn deletions(&self) -> Vec<Value> {
        let decoder = Decoder::new(shared_registry().url());
        let topic = format!("{}.deletions", self.prefix);
        let records = read_to_end(shared_broker().bootstrap(), &topic);
        records.iter().map(|record| decoder.decode(record.value.as_ref().unwrap())).collect()
    }
}

fn instant(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap_or_else(|| panic!("no instant: {value}")).parse().unwrap()
}

#[test]
fn a_row_that_disappears_is_told_once_with_the_reads_that_prove_it() {
    let stage = Stage::new("deletions");
    let mut connector = stage.home.run();
    connector.wait_for_status("/readyz", 200, DEADLINE);
    wait_until("the history is read, and looked at again", DEADLINE, || {
        stage.windows_since(0) > 5 * WINDOWS
    });
    let known_at = Utc::now();
    stage.look_back();
    let id = stage.last_id();
    let (began, ended) = stage.delete(id);
    wait_until("the deletion is told", DEADLINE, || !stage.deletions().is_empty());
    let told_at = Utc::now();

    let deletion = stage.deletions().remove(0);
    assert_eq!(deletion["source_id"], id.to_string());
    assert_eq!(deletion["meta"]["op"], "DELETED");
    let last_seen = instant(&deletion["last_seen_at"]);
    let first_absent = instant(&deletion["first_absent_at"]);
    let noticed = instant(&deletion["meta"]["fetched_at"]);
    let times =
        format!("{known_at} {last_seen} {began} {ended} {first_absent} {noticed} {told_at}");
    assert!(known_at < last_seen && last_seen <= began, "a read before it went: {times}");
    assert!(ended <= first_absent, "a read after it went: {times}");
    assert!(first_absent + INTERVAL <= noticed && noticed <= told_at, "the next one: {times}");

    // What was shown before a restart is not known to the process after it.
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0);
    let id = stage.last_id();
    stage.source.simulator.ledger().delete_row(BANK, id).unwrap();
    let mut connector = stage.home.run();
    wait_until("the other one is told", DEADLINE, || stage.deletions().len() > 1);
    let deletion = stage.deletions().remove(1);
    assert_eq!(deletion["source_id"], id.to_string());
    assert_eq!(deletion["last_seen_at"], Value::Null);
    assert!(instant(&deletion["first_absent_at"]) < instant(&deletion["meta"]["fetched_at"]));
    stage.look_back();
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0);
    assert_eq!(stage.deletions().len(), 2, "each once");
}

/// Adds a POS row that was sold 17 days ago and is paid out now: the look-back, which asks by the first
/// of its days, does not show it.
fn add_row_paid_out_late(source: &Source) -> i64 {
    let rows = source.simulator.ledger().rows(Stream::PosTransactions);
    let station = rows.into_iter().max_by_key(|row| row.id).unwrap().entity;
    let today = Utc::now().with_timezone(&FixedOffset::east_opt(3 * 3600).unwrap()).date_naive();
    let sold = today - Days::new(17);
    let row = json!({
        "system_date": format!("{sold} 10:00:00"), "date": sold.format("%d.%m.%Y").to_string(),
        "valor": (today - Days::new(2)).format("%d.%m.%Y").to_string(),
    });
    let Value::Object(row) = row else { unreachable!() };
    let mut ledger = source.simulator.ledger();
    ledger.add_rows(Stream::PosTransactions, &station, vec![row]).unwrap()[0]
}

const ROWS: [Stream; 4] =
    [BANK, Stream::PosTransactions, Stream::VirtualPosTransactions, Stream::TosPayments];
const TOPICS: [&str; 4] =
    ["bank.transactions", "pos.transactions", "virtual-pos.transactions", "tos.payments"];

/// A home whose connector tells what disappears of every stream.
fn home_of_all(source: &Source, prefix: &str) -> Home {
    let home = source.home(prefix);
    let path = home.path().join("config.yaml");
    let config = fs::read_to_string(&path).unwrap();
    let emitting = config
        .replace("lookback_interval: 5s}", "lookback_interval: 2s, deletions: emit}")
        .replace(
            "pos_transactions: {poll_interval: 2s}",
            "pos_transactions: {poll_interval: 2s, deletions: emit}",
        )
        .replace("reference: {poll_interval: 10s}", "reference: {poll_interval: 2s}");
    assert_eq!(emitting.matches("deletions: emit").count(), ROWS.len());
    fs::write(&path, emitting).unwrap();
    home
}

#[test]
fn what_disappears_of_each_stream_is_told_once_and_nothing_else() {
    let source = Source::loaded(&Load {
        accounts: 1,
        rows_per_account: 9,
        terminals: 1,
        rows_per_terminal: 9,
        virtual_pos: 9,
        tos: 9,
        customers: 1,
        days: 5,
        seed: Some(4),
    });
    let prefix = unique_prefix("all-deletions");
    let home = home_of_all(&source, &prefix);
    let bank = source.simulator.ledger().add_entity(Stream::Banks, Map::new());
    let bank = format!("acme/{}", bank.unwrap());
    let late = add_row_paid_out_late(&source);

    let mut connector = home.run();
    let topic = |name: &str| format!("{prefix}.{name}");
    let count = |name: &str| read_to_end(shared_broker().bootstrap(), &topic(name)).len();
    let values_of_bank = || -> Vec<bool> {
        let banks = read_to_end(shared_broker().bootstrap(), &topic("reference.banks"));
        let own = banks.iter().filter(|record| record.key.as_deref() == Some(bank.as_str()));
        own.map(|record| record.value.is_some()).collect()
    };
    connector.wait_for_status("/readyz", 200, DEADLINE);
    wait_until("all is published", DEADLINE, || {
        TOPICS.iter().all(|name| count(name) >= 9) && values_of_bank() == [true]
    });
    let deleted: BTreeMap<&str, String> = ROWS
        .into_iter()
        .map(|stream| {
            let rows = source.simulator.ledger().rows(stream);
            let shown = rows.iter().filter(|row| row.id != late && !SAMPLES.contains(&row.id));
            let id = shown.map(|row| row.id).max().unwrap();
            source.simulator.ledger().delete_row(stream, id).unwrap();
            (stream.name(), id.to_string())
        })
        .collect();
    let id = bank.trim_start_matches("acme/").parse().unwrap();
    source.simulator.ledger().delete_entity(Stream::Banks, id).unwrap();

    let decoder = Decoder::new(shared_registry().url());
    let told = || -> Vec<(String, String)> {
        let records = read_to_end(shared_broker().bootstrap(), &topic("deletions"));
        let decoded = records.iter().map(|record| decoder.decode(record.value.as_ref().unwrap()));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut told: Vec<_> =
            decoded.map(|told| (text(&told["stream"]), text(&told["source_id"]))).collect();
        told.sort();
        told
    };
    wait_until("all are told", DEADLINE, || {
        told().len() >= ROWS.len() && values_of_bank() == [true, false]
    });
    // Some more look-backs, of which nothing comes.
    let asked = |source: &Source| source.simulator.requests().counts.values().sum::<u64>();
    let before = asked(&source);
    wait_until("it looks on", DEADLINE, || asked(&source) > before + 60);
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0);
    let expected: Vec<_> =
        deleted.into_iter().map(|(stream, id)| (stream.to_owned(), id)).collect();
    assert_eq!((told(), values_of_bank()), (expected, vec![true, false]));
}
