//! An API that ignores dates, asked for all accounts at once, or for one.

use serde_json::json;
use tokio::sync::watch;

use super::{
    task::{ACCOUNT, ROWS, SAMPLE, account, follow_by, known},
    *,
};
use crate::{
    poll::{connection, served::Served},
    state::changelog::ConnectionState,
    telemetry::{clock::now, events::Event},
};

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

/// Whose last poll failed because the API ignored its dates.
fn is_not_believed(stage: &Stage, entity: &Entity) -> bool {
    let error = stage.parts.shared.board.snapshot()[&entity.target.key].last_error.clone();
    error.is_some_and(|error| error.code == Event::DatesIgnored.code())
}

#[tokio::test]
async fn a_history_and_a_look_back_whose_dates_are_ignored_are_not_believed() {
    for has_history in [false, true] {
        let stage = Stage::new().await;
        let entity = if has_history { known(&stage, &[SAMPLE]).await } else { account(&stage) };
        // Below the cursor, and older than three days: no question of the poller's shows it.
        stage.add_row(&ACCOUNT.to_string(), json!({"id": 1000, "system_date": days_ago(5)}));
        stage.set_faults(&["default_range:account_transactions"]);
        let schedule = schedule(Duration::from_secs(3600), Duration::from_millis(40));
        let parts = (watch::channel(true).1, Served::default());
        let poller = follow_by(&stage, &entity, schedule, parts);
        until("the answer is not believed", || is_not_believed(&stage, &entity)).await;
        assert_eq!(stage.created(), usize::from(has_history));
        stage.stop.cancel();
        poller.await.unwrap();
    }
}

#[tokio::test]
async fn a_live_poll_whose_dates_are_ignored_is_not_believed_and_moves_no_cursor() {
    let stage = Stage::new().await;
    let entity = known(&stage, &[SAMPLE]).await;
    let mut schedule = schedule(Duration::from_millis(40), Duration::from_secs(3600));
    schedule.window_days = 3;
    let parts = (watch::channel(true).1, Served::default());
    let poller = follow_by(&stage, &entity, schedule, parts);
    let looked_back = || stage.asked(ROWS).iter().any(|r| r.target.contains("beginDate"));
    until("it has looked back", looked_back).await;
    stage.set_faults(&["dates_required:account_transactions", "default_range"]);
    stage.add_row(&ACCOUNT.to_string(), json!({"system_date": days_ago(5)}));
    until("the answer is not believed", || is_not_believed(&stage, &entity)).await;
    let cursor = entity.checkpoint(now().local_day()).await.cursor;
    assert_eq!((cursor, stage.created()), (Some(SAMPLE), 1));
    stage.stop.cancel();
    poller.await.unwrap();
}
