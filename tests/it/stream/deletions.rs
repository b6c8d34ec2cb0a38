//! Rows that disappear: told once, with the times of the reads that prove it.

use std::fs;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
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
    source::Source,
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
