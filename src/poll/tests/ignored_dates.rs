//! An API that ignores dates, asked for all accounts at once.

use serde_json::json;

use super::*;
use crate::{poll::connection, state::changelog::ConnectionState};

const BANK: Stream = Stream::BankTransactions;

#[tokio::test]
async fn accounts_are_not_left_to_read_alone_what_shows_no_mistake_in_their_share() {
    let mut stage = Stage::new().await;
    stage.by_feed();
    let (busy, quiet) = (stage.open_account(), stage.open_account());
    // Of the quiet one's rows the API's last days show none: its share of such an answer is empty.
    let old = stage.simulator.ledger().now() - chrono::TimeDelta::days(20);
    let old = json!({"system_date": old.format("%Y-%m-%d 10:00:00").to_string()});
    for (account, row) in [(busy, json!({})), (busy, old.clone()), (quiet, old)] {
        let mut ledger = stage.simulator.ledger();
        ledger.add_rows(BANK, &account.to_string(), vec![fields(row)]).unwrap();
    }
    stage.set_faults(&["default_range"]);
    let (parts, stop) = (stage.parts.clone(), stage.stop.clone());
    let running = tokio::spawn(connection::run(parts, ConnectionState::default(), stop));
    until("the window is asked for again and again", || stage.asked("transactions").len() >= 3)
        .await;
    assert_eq!(stage.asked("account_transactions"), [], "nobody reads alone");
    assert_eq!((stage.checkpoints_of(busy), stage.checkpoints_of(quiet)), (0, 0));
    stage.set_faults(&[]);
    let count = |account| stage.events_of(account).len();
    until("all of it is read", || count(busy) == 2 && count(quiet) == 1).await;
    stage.stop.cancel();
    tokio::time::timeout(DEADLINE, running).await.unwrap().unwrap();
}
