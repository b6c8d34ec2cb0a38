//! The connection-wide bank feed: history, new, late and edited rows of every account in a few
//! calls, and each of them once.

use std::fs;

use serde_json::json;
use vomsis_connect::{domain::ids::Stream, sandbox::ledger::Load};

use crate::{
    harness::{http, process::Process, source::Source, topics::unique_prefix, wait::wait_until},
    stream::{DEADLINE, checker::Late, published, topics},
};

const BANK: Stream = Stream::BankTransactions;
const ACCOUNTS: u32 = 40;

fn calls(process: &mut Process, operation: &str) -> u64 {
    let address = process.address(DEADLINE);
    let body = http::get(address, "/metrics").unwrap().body;
    let label = format!("operation=\"{operation}\"");
    body.lines()
        .filter(|line| line.starts_with("vomsis_api_requests_total") && line.contains(&label))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

#[test]
fn all_accounts_are_read_by_connection_wide_calls_late_and_edited_rows_included() {
    let load = Load {
        accounts: ACCOUNTS,
        rows_per_account: 100,
        terminals: 0,
        rows_per_terminal: 0,
        virtual_pos: 0,
        tos: 0,
        customers: 0,
        days: 20,
        seed: Some(11),
    };
    let source = Source::loaded(&load);
    let prefix = unique_prefix("feed");
    let home = source.home(&prefix);
    let path = home.path().join("config.yaml");
    let config = fs::read_to_string(&path).unwrap();
    let one_feed =
        config.replacen("lookback_interval: 5s}", "lookback_interval: 2s, feed: connection}", 1);
    assert_ne!(config, one_feed);
    fs::write(&path, one_feed).unwrap();

    let mut connector = home.run();
    connector.wait_for_status("/readyz", 200, DEADLINE);
    let history = source.expected(BANK).len();
    wait_until("the history is read", DEADLINE, || published(&prefix, BANK).len() >= history);
    let alone = calls(&mut connector, "account_transactions");
    // Every account asks once more for itself when its own backfill would have ended.
    assert!(alone <= u64::from(ACCOUNTS), "{alone} calls for single accounts");

    let mut ledger = source.simulator.ledger();
    let accounts: Vec<(String, i64)> =
        ledger.rows(BANK).into_iter().map(|row| (row.entity, row.id)).collect();
    // The highest id is of these days: the documents' own samples, with ids below, are years old.
    let (account, known) = accounts.iter().max_by_key(|(_, id)| *id).unwrap().clone();
    let yesterday = (ledger.now() - chrono::TimeDelta::days(1)).format("%Y-%m-%d 10:00:00");
    let used: std::collections::BTreeSet<i64> = accounts.iter().map(|(_, id)| *id).collect();
    let late = (1..).map(|step| known - step).find(|id| !used.contains(id)).unwrap();
    let rows = vec![json!({}), json!({"id": late, "system_date": yesterday.to_string()})];
    let rows = rows.into_iter().map(|row| row.as_object().unwrap().clone()).collect();
    ledger.add_rows(BANK, &account, rows).unwrap();
    ledger.edit_row(BANK, known, json!({"note": "kira"}).as_object().unwrap().clone()).unwrap();
    drop(ledger);

    wait_until("the new, the late and the edited row are published", DEADLINE, || {
        published(&prefix, BANK).len() >= history + 3
    });
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0);
    topics(&prefix).assert_exactly_once(&source, &["acme"], Late::Sometimes);
}
