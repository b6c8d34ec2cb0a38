//! The connection-wide feed: what its answers say of accounts that read for themselves.

use serde_json::json;

use super::*;
use crate::{
    api::Rows,
    config::model::DateType,
    poll::{
        digest::Reason,
        entity::{Advance, Reading},
        feed::{Accounts, Feed},
        fetch::{Fetcher, Origin},
        served::Served,
    },
    telemetry::clock::now,
};

const ROWS: &str = "transactions";

/// A feed that does nothing but look back, at these accounts.
fn look_back(stage: &Stage, accounts: Accounts) -> tokio::task::JoinHandle<()> {
    let served = Served::default();
    served.start(false);
    let api = stage.parts.api.clone();
    let origin = Origin::Connection { date_type: DateType::SystemDate };
    let feed = Feed {
        entity: stage.entity(Stream::BankTransactions, EntityKey::WHOLE, EntityState::default()),
        accounts,
        fetcher: Fetcher::new(api.clone(), origin),
        api,
        schedule: schedule(Duration::from_secs(3600), Duration::from_millis(40)),
        served,
        stop: stage.stop.clone(),
    };
    tokio::spawn(feed.run())
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
