//! When the call for all accounts cannot be had: who goes alone, who waits, and who comes back.

use serde_json::json;

use super::*;
use crate::{
    config::model::DateType,
    poll::{
        feed::{Accounts, Feed},
        feed_unlisted::Unlisted,
        fetch::{Fetcher, Origin},
        served::Served,
        task::Follow,
    },
};

const ALL: &str = "transactions";
const ONE: &str = "account_transactions";
const ACCOUNT: i64 = 73;

/// A feed that reads history, with the account that waits for it.
fn start(stage: &Stage) -> Served {
    let entity =
        stage.entity(Stream::BankTransactions, &ACCOUNT.to_string(), EntityState::default());
    let api = stage.parts.api.clone();
    let served = Served::new(Duration::from_secs(3600));
    served.start(true);
    let schedule = schedule(Duration::from_millis(40), Duration::from_secs(3600));
    let date_type = DateType::SystemDate;
    let accounts = Accounts::default();
    accounts.write().unwrap().insert(ACCOUNT, Arc::clone(&entity));
    let feed = Feed {
        entity: stage.entity(Stream::BankTransactions, EntityKey::WHOLE, EntityState::default()),
        accounts,
        fetcher: Fetcher::new(api.clone(), Origin::Connection { date_type }),
        api,
        schedule,
        served: served.clone(),
        unlisted: Unlisted::new(true),
        stop: stage.stop.clone(),
    };
    let origin = Origin::Account { id: ACCOUNT, date_type };
    let alone = stage.poller(&entity, schedule, origin);
    let follow = Follow { served: served.clone(), ..alone };
    tokio::spawn(feed.run());
    tokio::spawn(follow.run());
    served
}

fn add_row(stage: &Stage) {
    let mut ledger = stage.simulator.ledger();
    let rows = vec![fields(json!({}))];
    ledger.add_rows(Stream::BankTransactions, &ACCOUNT.to_string(), rows).unwrap();
}

#[tokio::test]
async fn accounts_go_on_alone_where_the_call_for_all_is_forbidden() {
    let stage = Stage::new().await;
    add_row(&stage);
    stage.set_faults(&["403:transactions"]);
    let served = start(&stage);
    until("its history comes by its own call", || stage.kinds().len() == 1).await;
    add_row(&stage);
    until("new rows come by its own call", || stage.kinds().len() == 2).await;
    assert!(!served.live());
    stage.stop.cancel();
    assert_eq!(stage.asked(ALL).len(), 1, "what is refused is not asked for again at once");
}

#[tokio::test]
async fn accounts_go_on_alone_where_the_call_for_all_keeps_failing_until_it_is_answered_again() {
    let stage = Stage::new().await;
    add_row(&stage);
    stage.set_faults(&["500:transactions"]);
    let served = start(&stage);
    until("its history comes by its own call", || stage.kinds().len() == 1).await;
    assert!(!served.live());
    stage.set_faults(&[]);
    until("the feed takes over", || served.live()).await;
    add_row(&stage);
    until("new rows come", || stage.kinds().len() == 2).await;
    let by_all = stage.asked(ALL).len();
    until("the feed goes on", || stage.asked(ALL).len() > by_all + 2).await;
    let alone = stage.asked(ONE).len();
    until("the feed goes on", || stage.asked(ALL).len() > by_all + 8).await;
    stage.stop.cancel();
    assert!(stage.asked(ONE).len() <= alone + 1, "the account leaves it to the feed");
}

#[tokio::test]
async fn a_refusal_that_holds_for_all_calls_sends_no_account_alone() {
    let stage = Stage::new().await;
    stage.set_faults(&["ip_not_found:transactions"]);
    let served = start(&stage);
    let refused = || {
        let board = stage.parts.shared.board.snapshot();
        board.values().any(|standing| standing.last_error.is_some())
    };
    until("the feed is refused", refused).await;
    stage.stop.cancel();
    assert!(served.live(), "the accounts wait for the feed");
    assert!(stage.asked(ONE).is_empty(), "nobody hammers what is refused");
}

#[tokio::test]
async fn where_single_accounts_fail_too_the_feed_alone_goes_on_trying() {
    let stage = Stage::new().await;
    stage.set_faults(&["500:transactions", "500:account_transactions"]);
    let served = start(&stage);
    until("a single account was tried", || !stage.asked(ONE).is_empty()).await;
    until("the feed tries again", || {
        let last = stage.simulator.requests().last;
        let tried = last.iter().position(|request| request.operation == ONE);
        tried.is_some_and(|at| last.iter().skip(at).any(|request| request.operation == ALL))
    })
    .await;
    stage.stop.cancel();
    assert!(served.live(), "the accounts wait for the feed");
}
