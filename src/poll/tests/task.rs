//! The poller of one account: what a failure moves, and what is asked next.

use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};

use super::*;
use crate::{
    config::model::DateType,
    poll::{
        board::Phase,
        fetch::{Fetcher, Origin},
        served::Served,
        task::Follow,
    },
    telemetry::clock::now,
};

const ACCOUNT: i64 = 73;
const ROWS: &str = "account_transactions";

fn follow(stage: &Stage, entity: &Arc<Entity>) -> JoinHandle<()> {
    follow_while(stage, entity, watch::channel(true).1)
}

fn follow_while(
    stage: &Stage,
    entity: &Arc<Entity>,
    open: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let id = entity.target.key.entity.parse().unwrap();
    let origin = Origin::Account { id, date_type: DateType::SystemDate };
    let follow = Follow {
        entity: Arc::clone(entity),
        schedule: schedule(Duration::from_millis(40), Duration::from_secs(3600)),
        api: stage.parts.api.clone(),
        fetcher: Fetcher::new(stage.parts.api.clone(), origin),
        served: Served::default(),
        open,
        stop: stage.stop.clone(),
    };
    tokio::spawn(follow.run())
}

fn account(stage: &Stage) -> Arc<Entity> {
    stage.entity(Stream::BankTransactions, &ACCOUNT.to_string(), EntityState::default())
}

fn add_row(stage: &Stage) -> i64 {
    let rows = vec![fields(json!({}))];
    let mut ledger = stage.simulator.ledger();
    ledger.add_rows(Stream::BankTransactions, &ACCOUNT.to_string(), rows).unwrap()[0]
}

#[tokio::test]
async fn a_backfill_window_that_fails_is_asked_for_again() {
    let stage = Stage::new().await;
    add_row(&stage);
    stage.set_faults(&["missing_key:x2:account_transactions"]);
    let entity = account(&stage);
    let poller = follow(&stage, &entity);
    until("the history is read", || stage.kinds().len() == 1).await;
    until("it is polled", || stage.asked(ROWS).len() > 3).await;
    stage.stop.cancel();
    poller.await.unwrap();
    let asked = stage.asked(ROWS);
    assert!(asked[0].target.contains("beginDate"), "{}", asked[0].target);
    assert_eq!(asked[1].target, asked[0].target);
    assert_eq!(asked[2].target, asked[0].target);
    assert_ne!(asked[3].target, asked[0].target, "done after the first good answer");
    assert_eq!(entity.checkpoint(now().local_day()).await.backfill_next, None);
}

#[tokio::test]
async fn a_failed_poll_moves_no_cursor_and_the_next_asks_above_the_same_one() {
    let stage = Stage::new().await;
    let known = add_row(&stage);
    let entity = account(&stage);
    let poller = follow(&stage, &entity);
    let above = |id: i64| format!("lastId={id}&");
    let polls_above = |id: i64| {
        stage.asked(ROWS).iter().filter(|request| request.target.contains(&above(id))).count()
    };
    until("the history is read and polled above", || polls_above(known) > 0).await;
    stage.set_faults(&["missing_key:account_transactions"]);
    let commits = stage.commits();
    let next = add_row(&stage);
    let before = polls_above(known);
    until("some polls fail", || polls_above(known) > before + 2).await;
    assert_eq!((stage.commits(), polls_above(next)), (commits, 0));
    stage.set_faults(&[]);
    until("it asks above the new row", || polls_above(next) > 0).await;
    stage.stop.cancel();
    poller.await.unwrap();
    assert_eq!(stage.kinds().len(), 2, "both rows once");
}

#[tokio::test]
async fn a_poller_whose_shard_is_gone_ends() {
    let stage = Stage::new().await;
    add_row(&stage);
    stage.confirms.store(false, Ordering::Relaxed);
    let poller = follow(&stage, &account(&stage));
    tokio::time::timeout(DEADLINE, poller).await.unwrap().unwrap();
    assert_eq!(stage.commits(), 1);
}

#[tokio::test]
async fn an_account_that_opens_again_is_polled_again_and_nothing_of_it_comes_twice() {
    let stage = Stage::new().await;
    add_row(&stage);
    let entity = account(&stage);
    let (open, opened) = watch::channel(true);
    let poller = follow_while(&stage, &entity, opened);
    let phase = || stage.parts.shared.board.snapshot()[&entity.target.key].phase;
    until("its row is published", || stage.kinds().len() == 1).await;

    open.send_replace(false);
    until("it is read to its end", || phase() == Phase::Stopped).await;
    let of = |id: i64| {
        let path = format!("/accounts/{id}/");
        stage.asked(ROWS).iter().filter(|request| request.target.contains(&path)).count()
    };
    let asked = of(ACCOUNT);
    add_row(&stage);
    let other = stage.entity(Stream::BankTransactions, "74", EntityState::default());
    let other = follow(&stage, &other);
    until("another account is polled often", || of(74) > 6).await;
    assert_eq!((of(ACCOUNT), stage.kinds().len()), (asked, 1), "it is left alone");

    open.send_replace(true);
    until("what came meanwhile is published", || stage.kinds().len() == 2).await;
    until("it is polled as before", || phase() == Phase::Running).await;
    stage.stop.cancel();
    other.await.unwrap();
    poller.await.unwrap();
    assert_eq!(stage.kinds().len(), 2, "both rows once");
}
