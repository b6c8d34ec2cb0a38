use chrono::{NaiveDate, NaiveDateTime};
use serde_json::Value;

use super::*;
use crate::{
    domain::ids::Stream,
    sandbox::generator::{entities::fields, people::kurus},
};

fn noon() -> Option<NaiveDateTime> {
    NaiveDate::from_ymd_opt(2026, 6, 1).and_then(|day| day.and_hms_opt(12, 0, 0))
}

fn loaded(seed: u64) -> Ledger {
    let mut ledger = Ledger::documented(seed, noon());
    let load = Load {
        accounts: 3,
        rows_per_account: 100,
        terminals: 2,
        rows_per_terminal: 50,
        virtual_pos: 40,
        tos: 20,
        customers: 4,
        ..Load::default()
    };
    ledger.load(&load).unwrap();
    ledger
}

fn assert_balances_add_up(ledger: &Ledger) {
    let mut last: Option<(String, i64)> = None;
    for row in ledger.rows(Stream::BankTransactions) {
        let json: Value = serde_json::from_str(row.contents.last().unwrap()).unwrap();
        let field = |name: &str| kurus(json[name].as_str().unwrap()).unwrap();
        if let Some((entity, balance)) = last.filter(|(entity, _)| *entity == row.entity) {
            assert_eq!(balance + field("amount"), field("current_balance"), "{entity} {}", row.id);
        }
        last = Some((row.entity, field("current_balance")));
    }
}

#[test]
fn same_seed_gives_the_same_ledger() {
    let truth = |seed| {
        let mut ledger = loaded(seed);
        ledger.tick(200).unwrap();
        ledger.write_truth(None, None, true)
    };
    assert_eq!(truth(5), truth(5));
    assert_ne!(truth(5), truth(6));
}

#[test]
fn balances_add_up_to_the_kurus_in_the_order_of_ids() {
    let mut ledger = loaded(2);
    assert_balances_add_up(&ledger);
    // Late rows hold their share back until they are seen; no row is deleted here.
    ledger.mix = Mix { late: 0, backdated: 100, edits: 100, deletions: 0 };
    ledger.tick(500).unwrap();
    assert_balances_add_up(&ledger);
}

#[test]
fn late_rows_come_below_the_newest_id() {
    let mut ledger = loaded(3);
    ledger.mix = Mix { late: 300, backdated: 0, edits: 0, deletions: 0 };
    let mut newest = 0;
    let mut late = 0;
    let mut known = std::collections::BTreeSet::new();
    for _ in 0..200 {
        ledger.tick(1).unwrap();
        let rows = ledger.rows(Stream::BankTransactions);
        late += rows.iter().filter(|row| known.insert(row.id) && row.id < newest).count();
        newest = rows.iter().map(|row| row.id).max().unwrap();
    }
    assert!(late > 5, "{late}");
}

#[test]
fn edits_and_deletions_leave_their_history() {
    let mut ledger = loaded(4);
    ledger.mix = Mix { late: 0, backdated: 0, edits: 500, deletions: 100 };
    ledger.tick(300).unwrap();
    let streams = Stream::ALL.into_iter().filter(|stream| !stream.is_reference());
    let rows: Vec<RowHistory> = streams.flat_map(|stream| ledger.rows(stream)).collect();
    assert!(rows.iter().any(|row| row.deleted) && rows.iter().any(|row| row.contents.len() > 1));
    let differ = |row: &RowHistory| row.contents.windows(2).all(|pair| pair[0] != pair[1]);
    assert!(rows.iter().all(differ));
}

#[test]
fn edits_bring_payments_only_into_states_that_there_are() {
    let mut ledger = loaded(6);
    ledger.mix = Mix { late: 0, backdated: 0, edits: 900, deletions: 0 };
    ledger.tick(3_000).unwrap();
    let mut met = std::collections::BTreeSet::new();
    for row in ledger.rows(Stream::VirtualPosTransactions) {
        for json in &row.contents {
            let json: Value = serde_json::from_str(json).unwrap();
            let status = json["status_detail"]["status"].as_str().unwrap();
            let (durum, back) = match status {
                "successful" => (1, Value::Null),
                "refund" => (3, json["tutar"].clone()),
                "cancel" => (2, Value::Null),
                _ => (0, Value::Null),
            };
            assert_eq!((&json["durum"], &json["iade_tutar"]), (&durum.into(), &back), "{json}");
            met.insert((status.to_owned(), row.contents.len() > 1));
        }
    }
    for changed in ["refund", "cancel"] {
        assert!(met.contains(&(changed.to_owned(), true)), "{met:?}");
    }
}

#[test]
fn taken_ids_and_unknown_entities_are_refused() {
    let mut ledger = loaded(1);
    let row = || vec![fields(serde_json::json!({"id": 6_915_745}))];
    let refused = ledger.add_rows(Stream::BankTransactions, "73", row());
    assert!(matches!(refused, Err(LedgerError::Taken { id: 6_915_745, .. })));
    let refused = ledger.add_rows(Stream::BankTransactions, "999", vec![fields(Value::Null)]);
    assert!(matches!(refused, Err(LedgerError::Unknown { stream: Stream::Accounts, .. })));
    let refused = ledger.delete_row(Stream::Banks, 1);
    assert!(matches!(refused, Err(LedgerError::WrongStream(Stream::Banks))));
}

#[test]
fn a_moved_date_moves_the_row_between_windows() {
    let mut ledger = loaded(1);
    let march = NaiveDate::from_ymd_opt(2022, 3, 10).unwrap().and_time(<_>::default());
    let window = Some((seconds(march), seconds(march) + 86_399));
    let filter = Filter { window, ..Filter::default() };
    assert_eq!(ledger.select(Stream::BankTransactions, "73", &filter).len(), 1);
    let moved = fields(serde_json::json!({"system_date": "2022-03-11 00:00:00"}));
    ledger.edit_row(Stream::BankTransactions, 6_915_745, moved).unwrap();
    assert!(ledger.select(Stream::BankTransactions, "73", &filter).is_empty());
    let by_accounting = Filter { date: 1, ..filter };
    assert_eq!(ledger.select(Stream::BankTransactions, "73", &by_accounting).len(), 1);
}
