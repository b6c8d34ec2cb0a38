//! The API ignores the dates that it is asked for, and answers with rows of its last seven days:
//! nothing of it counts as what was asked for.

use std::{collections::BTreeMap, fs};

use serde_json::{Map, Value, json};
use vomsis_connect::{
    domain::ids::Stream,
    sandbox::{ledger::Load, simulator::Operation},
};

use super::stage::BANK;
use crate::{
    harness::{
        kafka::shared_broker,
        process::Home,
        source::Source,
        topics::{read_to_end, unique_prefix},
        wait::wait_until,
    },
    stream::{DEADLINE, checker::Late, published, topics},
};

const IGNORED: &str = "VOM-SRC-004";
/// Of the simulator, for every call that takes dates.
const FAULT: &str = "default_range";
const ACCOUNTS: usize = 3;
/// How many days ago its rows were booked: windows that the last seven days do not reach.
const OLD: [i64; 4] = [10, 12, 17, 25];

/// A source with old rows, and a connector whose bank rows come this way.
struct Scene {
    source: Source,
    home: Home,
    prefix: String,
    accounts: Vec<i64>,
}

impl Scene {
    fn new(feed: &str) -> Self {
        let source = Source::loaded(&Load {
            accounts: 0,
            rows_per_account: 0,
            terminals: 0,
            rows_per_terminal: 0,
            virtual_pos: 0,
            tos: 0,
            customers: 0,
            days: 1,
            seed: Some(17),
        });
        let prefix = unique_prefix("dates");
        let home = source.home(&prefix);
        let path = home.path().join("config.yaml");
        let config = fs::read_to_string(&path).unwrap();
        let bank = format!("lookback_interval: 2s, feed: {feed}}}");
        let changed = config.replacen("lookback_interval: 5s}", &bank, 1);
        assert_ne!(config, changed);
        fs::write(&path, changed).unwrap();
        let mut scene = Self { source, home, prefix, accounts: Vec::new() };
        for _ in 0..ACCOUNTS {
            let account = scene.open_account();
            scene.add(account, json!({}));
        }
        scene
    }

    /// An account with old rows.
    fn open_account(&mut self) -> i64 {
        let opened = self.source.simulator.ledger().add_entity(Stream::Accounts, Map::new());
        let account = opened.unwrap();
        self.accounts.push(account);
        for days in OLD {
            self.add_booked(account, days);
        }
        account
    }

    fn add_booked(&self, account: i64, days_ago: i64) -> i64 {
        let day = self.source.simulator.ledger().now() - chrono::TimeDelta::days(days_ago);
        self.add(account, json!({"system_date": day.format("%Y-%m-%d 10:00:00").to_string()}))
    }

    fn add(&self, account: i64, fields: Value) -> i64 {
        let Value::Object(fields) = fields else { panic!("{fields}") };
        let mut ledger = self.source.simulator.ledger();
        ledger.add_rows(BANK, &account.to_string(), vec![fields]).unwrap()[0]
    }

    fn faults(&self, specs: &[&str]) {
        let specs = specs.iter().map(|spec| spec.parse().unwrap()).collect();
        self.source.simulator.set_faults(specs);
    }

    /// The newest checkpoint of each bank entity that has one.
    fn checkpoints(&self) -> BTreeMap<String, Value> {
        let topic = format!("{}.internal.state", self.prefix);
        let mut found = BTreeMap::new();
        for record in read_to_end(shared_broker().bootstrap(), &topic) {
            let key = record.key.unwrap_or_default();
            let Some(entity) = key.strip_prefix("acme/bank_transactions/") else { continue };
            // Kind 1, version 1, then JSON: `state/codec.rs` says so at its top.
            if let Some([1, 1, json @ ..]) = record.value.as_deref() {
                found.insert(entity.to_owned(), serde_json::from_slice(json).unwrap());
            }
        }
        found
    }

    /// Nothing of the answers was published, and no account's history counts as read.
    #[track_caller]
    fn assert_untouched(&self) {
        assert_eq!(published(&self.prefix, BANK), []);
        let checkpoints = self.checkpoints();
        for account in &self.accounts {
            let moved = checkpoints.get(&account.to_string());
            assert!(moved.is_none(), "account {account} counts as read: {moved:?}");
        }
    }

    #[track_caller]
    fn wait_for_all(&self) {
        let wanted = self.source.expected(BANK).len();
        wait_until("every row is published", DEADLINE, || {
            published(&self.prefix, BANK).len() >= wanted
        });
    }

    #[track_caller]
    fn assert_exactly_once(&self, late: Late) {
        topics(&self.prefix).assert_exactly_once(&self.source, &["acme"], late);
    }
}

#[test]
fn an_account_whose_dates_are_ignored_waits_with_its_history() {
    let scene = Scene::new("account");
    scene.faults(&[FAULT]);
    let mut connector = scene.home.run();
    connector.wait_for_status("/readyz", 200, DEADLINE);
    connector.wait_for_lines(IGNORED, 2 * ACCOUNTS, DEADLINE);
    scene.assert_untouched();
    scene.faults(&[]);
    scene.wait_for_all();
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0, "{}", connector.stderr());
    scene.assert_exactly_once(Late::Never);
}

#[test]
fn a_connection_whose_dates_are_ignored_waits_with_everybodys_history() {
    let mut scene = Scene::new("connection");
    // Whose own share of such an answer is empty, and looks like days without rows.
    let quiet = scene.open_account();
    scene.faults(&[FAULT]);
    let mut connector = scene.home.run();
    connector.wait_for_status("/readyz", 200, DEADLINE);
    connector.wait_for_lines(IGNORED, 2, DEADLINE);
    scene.assert_untouched();
    scene.faults(&[]);
    scene.wait_for_all();

    // From now on the feed sends dates with its cursor too, and they are ignored again.
    let calls = || scene.source.simulator.requests().count(Operation::Transactions);
    scene.faults(&["dates_required:transactions"]);
    let with_dates = |requests: vomsis_connect::sandbox::simulator::Requests| {
        requests.last.iter().any(|r| {
            r.operation == "transactions"
                && r.target.contains("lastId")
                && r.target.contains("beginDate")
        })
    };
    wait_until("it sends dates and a cursor", DEADLINE, || {
        with_dates(scene.source.simulator.requests())
    });
    scene.faults(&["default_range:transactions"]);
    let before = calls();
    let backdated = scene.add_booked(quiet, 4);
    wait_until("the account finds the row when it asks alone", DEADLINE, || {
        published(&scene.prefix, BANK).len() >= scene.source.expected(BANK).len()
            && calls() >= before + 3
    });
    let cursor = scene.checkpoints()["all"]["cursor"].as_i64();
    assert!(cursor < Some(backdated), "the feed went on to {cursor:?} with such an answer");
    scene.faults(&[]);
    scene.add(quiet, json!({}));
    scene.wait_for_all();
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0, "{}", connector.stderr());
    scene.assert_exactly_once(Late::Sometimes);
}
