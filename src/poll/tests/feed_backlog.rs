//! Live answers that are too large: all of their rows come, and no cursor moves before.

use serde_json::json;

use super::*;
use crate::{
    config::model::DateType,
    domain::time::Day,
    poll::{
        feed::{Accounts, Feed},
        feed_unlisted::Unlisted,
        fetch::{Fetcher, Origin},
        served::Served,
    },
    telemetry::clock::now,
};

const ALL: &str = "transactions";
const ONE: &str = "account_transactions";
/// Some six rows of a connection-wide answer.
const LIMIT: usize = 10_000;

/// Adds an account whose history is read, and which knows no row.
async fn account(stage: &Stage, id: i64) -> Arc<Entity> {
    if id != 73 {
        let given = fields(json!({"id": id}));
        stage.simulator.ledger().add_entity(Stream::Accounts, given).unwrap();
    }
    let state = EntityState { checkpoint: Some(read_through(None)), ..EntityState::default() };
    stage.entity(Stream::BankTransactions, &id.to_string(), state)
}

/// All history is read, up to this id.
fn read_through(cursor: Option<i64>) -> crate::state::position::Checkpoint {
    let start = now().local_day().plus(-3);
    let initial = crate::state::position::Checkpoint::initial(start, now());
    crate::state::position::Checkpoint { cursor, backfill_next: None, ..initial }
}

fn feed(stage: &Stage, cursor: Option<i64>, accounts: &[(i64, Arc<Entity>)]) -> Arc<Entity> {
    let served = Served::default();
    served.start(false);
    let api = stage.parts.api.clone();
    let followed = Accounts::default();
    followed.write().unwrap().extend(accounts.iter().cloned());
    let state = EntityState { checkpoint: Some(read_through(cursor)), ..EntityState::default() };
    let entity = stage.entity(Stream::BankTransactions, EntityKey::WHOLE, state);
    let feed = Feed {
        entity: Arc::clone(&entity),
        accounts: followed,
        fetcher: Fetcher::new(api.clone(), Origin::Connection { date_type: DateType::SystemDate }),
        api,
        schedule: schedule(Duration::from_millis(40), Duration::from_secs(3600)),
        served,
        unlisted: Unlisted::new(true),
        stop: stage.stop.clone(),
    };
    tokio::spawn(feed.run());
    entity
}

/// Rows of an account on a day, so many days ago, with these ids.
fn add(stage: &Stage, account: i64, days_ago: i32, ids: std::ops::Range<i64>) {
    let date = now().local_day().plus(-days_ago).to_date();
    let row = |id| fields(json!({"id": id, "system_date": format!("{date} 00:00:01")}));
    let rows = ids.map(row).collect();
    let mut ledger = stage.simulator.ledger();
    ledger.add_rows(Stream::BankTransactions, &account.to_string(), rows).unwrap();
}

async fn cursor_of(entity: &Entity) -> Option<i64> {
    entity.checkpoint(Day(0)).await.cursor
}

fn published(stage: &Stage) -> usize {
    stage.kinds().len()
}

#[tokio::test]
async fn what_is_too_large_for_the_feed_is_read_by_days_and_the_cursors_move_at_the_end() {
    let stage = Stage::with_body_limit(LIMIT).await;
    let (one, other) = (account(&stage, 73).await, account(&stage, 90_074).await);
    // The lower ids are of the later days: a cursor that moved with the first part would hide them.
    for days_ago in 0..4 {
        let first = 9_000_000 + i64::from(days_ago) * 100;
        add(&stage, 73, days_ago, first..first + 2);
        add(&stage, 90_074, days_ago, first + 2..first + 4);
    }
    // Some parts fail, so that all of it is begun again.
    stage.set_faults(&["missing_key:25%:transactions"]);
    let accounts = [(73, Arc::clone(&one)), (90_074, Arc::clone(&other))];
    let entity = feed(&stage, Some(8_999_999), &accounts);
    until("all rows are published", || published(&stage) == 16).await;
    let above = |id: i64| format!("lastId={id}&");
    let goes_on =
        || stage.asked(ALL).iter().any(|request| request.target.contains(&above(9_000_303)));
    until("it asks above the highest", goes_on).await;
    stage.stop.cancel();
    assert_eq!(published(&stage), 16, "each row once");
    assert_eq!(cursor_of(&entity).await, Some(9_000_303));
    assert_eq!(cursor_of(&one).await, Some(9_000_301));
    assert_eq!(cursor_of(&other).await, Some(9_000_303));
    assert!(stage.asked(ONE).is_empty(), "no account was asked alone");
}

#[tokio::test]
async fn an_account_whose_day_is_too_large_by_itself_keeps_its_cursor_and_is_told() {
    let stage = Stage::with_body_limit(LIMIT).await;
    let one = account(&stage, 73).await;
    for days_ago in 0..4 {
        let first = 9_000_000 + i64::from(days_ago) * 100;
        add(&stage, 73, days_ago, first..first + 4);
    }
    // One day more than an account's own answer may have.
    add(&stage, 73, 0, 9_001_000..9_001_020);
    feed(&stage, Some(8_999_999), &[(73, Arc::clone(&one))]);
    until("the other days are published", || published(&stage) == 12).await;
    until("the account is asked for the day", || !stage.asked(ONE).is_empty()).await;
    let failed = || {
        let board = stage.parts.shared.board.snapshot();
        board[&one.target.key].last_error.clone().is_some_and(|error| error.code == "VOM-API-035")
    };
    until("the account is told to be behind", failed).await;
    stage.stop.cancel();
    assert_eq!(cursor_of(&one).await, None, "its own poller asks for all of it");
}

#[tokio::test]
async fn a_single_day_that_is_too_large_is_read_account_by_account() {
    let stage = Stage::with_body_limit(LIMIT).await;
    let mut accounts = Vec::new();
    for id in [73, 90_074, 90_075] {
        accounts.push((id, account(&stage, id).await));
        add(&stage, id, 0, id * 100..id * 100 + 4);
    }
    // No cursor yet: two days are asked for with dates.
    let entity = feed(&stage, None, &accounts);
    until("all rows are published", || published(&stage) == 12).await;
    let highest = 9_007_503;
    let above = format!("lastId={highest}&");
    until("it asks above the highest", || {
        stage.asked(ALL).iter().any(|request| request.target.contains(&above))
    })
    .await;
    stage.stop.cancel();
    assert_eq!(published(&stage), 12, "each row once");
    assert_eq!(cursor_of(&entity).await, Some(highest));
    for (id, account) in &accounts {
        assert_eq!(cursor_of(account).await, Some(id * 100 + 3), "account {id}");
    }
    assert_eq!(stage.asked(ONE).len(), 3, "each account once");
}

#[tokio::test]
async fn an_account_alone_reads_what_is_too_large_by_days_as_well() {
    let stage = Stage::with_body_limit(LIMIT).await;
    let entity = account(&stage, 73).await;
    entity.raise_cursor(Some(8_999_999), Day(0)).await.unwrap();
    let before = stage.commits();
    for days_ago in 0..4 {
        let first = 9_000_000 + i64::from(days_ago) * 100;
        add(&stage, 73, days_ago, first..first + 4);
    }
    let origin = Origin::Account { id: 73, date_type: DateType::SystemDate };
    let mut schedule = schedule(Duration::from_millis(40), Duration::from_secs(3600));
    // What the look-back would find shall not come by it.
    schedule.lookback_days = 1;
    let poller = tokio::spawn(stage.poller(&entity, schedule, origin).run());
    until("all rows are published", || published(&stage) == 16).await;
    until("it asks above the highest", || {
        stage.asked(ONE).iter().any(|request| request.target.contains("lastId=9000303&"))
    })
    .await;
    stage.stop.cancel();
    poller.await.unwrap();
    assert!(stage.commits() > before);
    assert_eq!((published(&stage), cursor_of(&entity).await), (16, Some(9_000_303)));
}
