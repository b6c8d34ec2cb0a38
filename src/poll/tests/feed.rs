//! The connection-wide feed: what its answers say of accounts that read for themselves.

use serde_json::json;

use super::*;
use crate::{
    api::Rows,
    config::model::DateType,
    poll::{
        board::Phase,
        digest::Reason,
        entity::{Advance, Reading},
        feed::{Accounts, Feed},
        feed_unlisted::Unlisted,
        fetch::{Fetcher, Origin},
        plan::Schedule,
        served::Served,
    },
    telemetry::clock::now,
};

const ROWS: &str = "transactions";

/// A feed that does nothing but look back, at these accounts.
fn look_back(stage: &Stage, accounts: Accounts) -> tokio::task::JoinHandle<()> {
    let schedule = schedule(Duration::from_secs(3600), Duration::from_millis(40));
    start(stage, accounts, schedule).1
}

/// A feed whose accounts have read their history.
pub(super) fn start(
    stage: &Stage,
    accounts: Accounts,
    schedule: Schedule,
) -> (Arc<Entity>, tokio::task::JoinHandle<()>) {
    let feed = feed(stage, accounts, schedule);
    let entity = Arc::clone(&feed.entity);
    (entity, tokio::spawn(feed.run()))
}

fn feed(stage: &Stage, accounts: Accounts, schedule: Schedule) -> Feed {
    let served = Served::default();
    served.start(false);
    let api = stage.parts.api.clone();
    let entity = stage.entity(Stream::BankTransactions, EntityKey::WHOLE, EntityState::default());
    let origin = Origin::Connection { date_type: DateType::SystemDate };
    Feed {
        entity,
        accounts,
        fetcher: Fetcher::new(api.clone(), origin),
        api,
        schedule,
        served,
        unlisted: Unlisted::new(true),
        stop: stage.stop.clone(),
    }
}

/// An account that has read a row of today which the source does not show, and goes on from here.
async fn account(stage: &Stage, id: i64, advance: Advance) -> Arc<Entity> {
    let entity = stage.entity(Stream::BankTransactions, &id.to_string(), EntityState::default());
    let today = now().local_day();
    let row = json!({
        "id": id * 100, "bank_account_id": id, "amount": "5.00", "fec_name": "TL",
        "system_date": format!("{} 00:00:01", today.to_date()),
    });
    let answers = [Rows::from_texts([row.to_string()], now())];
    let (reason, window, first_kept) = (Reason::Backfill, None, None);
    let start = today.plus(-5);
    let reading = Reading { answers: &answers, reason, window, advance, first_kept, start };
    entity.take_in(&reading).await.unwrap();
    entity
}

#[tokio::test]
async fn an_account_that_reads_its_history_lacks_nothing_of_what_the_feed_shows() {
    let stage = Stage::new().await;
    let today = now().local_day();
    let reading = account(&stage, 73, Advance::Backfill(Some(today))).await;
    let done = account(&stage, 74, Advance::Backfill(None)).await;
    let accounts = Accounts::default();
    accounts.write().unwrap().extend([(73, reading), (74, done)]);
    let feed = look_back(&stage, accounts);
    let gone = || stage.kinds().iter().filter(|kind| kind.ends_with(".deleted")).count();
    until("the row of the account that has read its history is gone", || gone() == 1).await;
    let asked = stage.asked(ROWS).len();
    until("it looks back again and again", || stage.asked(ROWS).len() > asked + 3).await;
    stage.stop.cancel();
    feed.await.unwrap();
    assert_eq!(gone(), 1, "what its own backfill has still to show is not gone");
}

#[tokio::test]
async fn one_account_far_behind_does_not_have_all_others_read_their_history_alone() {
    let stage = Stage::new().await;
    let today = now().local_day();
    let accounts = Accounts::default();
    for id in 1..=12 {
        let next = today.plus(if id == 1 { -4 } else { -2 });
        let behind = account(&stage, id, Advance::Backfill(Some(next))).await;
        accounts.write().unwrap().insert(id, behind);
    }
    let feed = feed(&stage, accounts, schedule(POLL, LOOK_BACK));
    let alone = std::collections::HashSet::new();
    let (from, group) = feed.furthest_behind(&alone, today.plus(-5), today).await.unwrap();
    assert_eq!((from, group.len()), (today.plus(-2), 11));
    assert!(group.iter().all(|(id, _)| *id != 1), "that one reads the days between by itself");
}

/// The accounts 24 and 38, and a feed over them that polls every five minutes. The ids of the
/// source's own samples are below seven million.
pub(super) async fn two_accounts(
    stage: &Stage,
) -> (Arc<Entity>, tokio::task::JoinHandle<()>, Accounts) {
    let accounts = Accounts::default();
    for id in [24, 38] {
        let done = account(stage, id, Advance::Backfill(None)).await;
        accounts.write().unwrap().insert(id, done);
    }
    let (feed, running) = start(stage, Arc::clone(&accounts), schedule(POLL, LOOK_BACK));
    stage.until_it_waits(&feed, 1).await;
    (feed, running, accounts)
}

pub(super) const POLL: Duration = Duration::from_secs(300);
const LOOK_BACK: Duration = Duration::from_secs(7200);

#[tokio::test]
async fn a_row_that_comes_behind_the_feeds_cursor_is_published_however_old_its_date() {
    let stage = Stage::new().await;
    let (feed, running, _) = two_accounts(&stage).await;
    let before = stage.created();
    for id in [7_008_000, 7_009_000] {
        stage.add_row("38", json!({"id": id}));
        stage.pass(&feed, POLL).await;
    }
    assert_eq!(stage.created(), before + 2);
    // Another account's row with an id between them shows only now.
    stage.add_row("24", json!({"id": 7_008_500, "system_date": days_ago(60)}));
    stage.pass(&feed, POLL).await;
    assert_eq!(stage.created(), before + 3, "by the next poll");
    for _ in 0..4 {
        stage.pass(&feed, POLL).await;
    }
    let last = stage.asked(ROWS).pop().unwrap().target;
    assert!(
        last.contains("lastId=7009000&"),
        "a quarter of an hour later nothing is read twice: {last}"
    );
    // What is later than that comes with the poll behind the next look-back.
    stage.add_row("24", json!({"id": 7_008_600, "system_date": days_ago(60)}));
    stage.pass(&feed, POLL).await;
    assert_eq!(stage.created(), before + 3);
    stage.pass(&feed, LOOK_BACK).await;
    stage.pass(&feed, POLL).await;
    assert_eq!(stage.created(), before + 4, "by the poll behind the look-back");
    stage.pass(&feed, POLL).await;
    stage.stop.cancel();
    running.await.unwrap();
    assert_eq!(stage.created(), before + 4, "each of them once");
}

#[tokio::test]
async fn an_answer_whose_rows_do_not_arrive_is_a_success_of_every_account_and_a_commit_of_none() {
    let stage = Stage::new().await;
    let (_, running, _) = two_accounts(&stage).await;
    let board = &stage.parts.shared.board;
    let key = |id: &str| EntityKey {
        connection: stage.parts.config.id.clone(),
        stream: Stream::BankTransactions,
        entity: id.into(),
    };
    for id in ["24", "38"] {
        board.update(&key(id), |standing| {
            standing.phase = Phase::Running;
            (standing.last_success, standing.committed_at) = (None, None);
        });
    }
    stage.confirms.store(false, Ordering::Relaxed);
    stage.add_row("38", json!({"id": 7_008_000}));
    tokio::time::pause();
    tokio::time::advance(POLL).await;
    tokio::time::resume();
    // Its shard has lost its writer.
    running.await.unwrap();
    let standings = board.snapshot();
    for id in ["24", "38"] {
        let standing = &standings[&key(id)];
        assert!(standing.last_success.is_some(), "{id}: {standing:?}");
        assert_eq!(standing.committed_at, None, "{id}");
    }
}

#[tokio::test]
async fn an_answer_that_may_be_cut_is_asked_for_again_above_the_cursor_alone() {
    let stage = Stage::in_order(RowOrder::Ascending).await;
    let (feed, running, _) = two_accounts(&stage).await;
    let before = stage.created();
    stage.add_row("38", json!({"id": 7_008_000}));
    stage.pass(&feed, POLL).await;
    for id in 7_008_001..7_008_100 {
        stage.add_row("38", json!({"id": id}));
    }
    stage.pass(&feed, POLL).await;
    assert_eq!(stage.created(), before + 100);
    // Above 7_008_000 the api would go on sending the same hundred.
    stage.set_faults(&["cap=100:transactions"]);
    stage.add_row("38", json!({"id": 7_008_100}));
    stage.add_row("24", json!({"id": 7_008_101}));
    stage.pass(&feed, POLL).await;
    assert_eq!(stage.created(), before + 102);
    stage.stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn what_a_day_of_all_accounts_that_may_be_cut_lacks_is_not_gone() {
    let stage = Stage::new().await;
    let accounts = Accounts::default();
    let done = account(&stage, 24, Advance::Backfill(None)).await;
    accounts.write().unwrap().insert(24, done);
    for _ in 0..100 {
        stage.add_row("24", json!({}));
    }
    let feed = look_back(&stage, accounts);
    let gone = || stage.kinds().iter().filter(|kind| kind.ends_with(".deleted")).count();
    until("it looks back again and again", || stage.asked(ROWS).len() > 40).await;
    assert_eq!(gone(), 0);
    // A larger answer shows that nothing was cut.
    stage.add_row("24", json!({}));
    until("the row is gone", || gone() == 1).await;
    stage.stop.cancel();
    feed.await.unwrap();
}
