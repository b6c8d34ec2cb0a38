//! The look-back of the connection-wide feed: what a refused window leaves open, and an account that
//! reads a gap.

use serde_json::{Value, json};

use super::*;
use crate::{
    api::Rows,
    domain::time::Day,
    poll::{
        digest::Reason,
        entity::{Advance, Reading},
        feed::Accounts,
    },
    state::position::Checkpoint,
    telemetry::clock::now,
};

const ACCOUNT: &str = "24";
/// The cursor; what the source gets is below it, so that no live poll shows it.
const CURSOR: i64 = 9_000_001;

fn today() -> Day {
    now().local_day()
}

/// A feed that does nothing but look back, two windows each time, at this account.
fn look_back(stage: &Stage, entity: &Arc<Entity>) -> tokio::task::JoinHandle<()> {
    let often = schedule(Duration::from_secs(3600), Duration::from_millis(40));
    let accounts = Accounts::default();
    accounts.write().unwrap().insert(ACCOUNT.parse().unwrap(), Arc::clone(entity));
    feed::start(stage, accounts, Schedule { window_days: 2, ..often }).1
}

fn row(id: i64, days: i32) -> String {
    json!({"id": id, "bank_account_id": 24, "amount": "5.00", "fec_name": "TL",
           "system_date": days_ago(days)})
    .to_string()
}

/// Takes these rows in; how many were new.
async fn take_in(entity: &Entity, rows: &[(i64, i32)], advance: Advance) -> u64 {
    let answers = [Rows::from_texts(rows.iter().map(|(id, days)| row(*id, *days)), now())];
    let reason = if advance == Advance::Cursor { Reason::Live } else { Reason::Backfill };
    let (window, first_kept, start) = (None, None, today().plus(-90));
    let reading = Reading { answers: &answers, reason, window, advance, first_kept, start };
    entity.take_in(&reading).await.unwrap().counts.new
}

async fn position(entity: &Entity) -> Checkpoint {
    entity.checkpoint(today()).await
}

/// Adds a row to the source, of so many days ago.
fn add(stage: &Stage, id: i64, days: i32, mut changes: Value) {
    changes["id"] = json!(id);
    changes["system_date"] = json!(days_ago(days));
    stage.add_row(ACCOUNT, changes);
}

/// Waits until some look-backs more were made.
async fn more(stage: &Stage) {
    let asked = || stage.asked("transactions").len();
    let before = asked();
    until("it looks back again and again", || asked() > before + 6).await;
}

#[tokio::test]
async fn days_of_a_refused_window_stay_open_whatever_the_next_windows_show() {
    let stage = Stage::new().await;
    let entity = stage.entity(Stream::BankTransactions, ACCOUNT, EntityState::default());
    // The first row is so old that a whole look-back forgets it.
    take_in(&entity, &[(CURSOR - 1, 40), (CURSOR, 0)], Advance::Backfill(None)).await;
    let before = position(&entity).await;
    let created = stage.created();
    let ids = 8_000_000..8_000_030;
    for id in ids.clone() {
        let changes = if id % 3 == 0 { json!({"amount": "NaN"}) } else { json!({}) };
        add(&stage, id, 2, changes);
    }
    let feed = look_back(&stage, &entity);
    more(&stage).await;
    add(&stage, 8_500_000, 0, json!({}));
    until("rows of the later window come", || stage.created() == created + 1).await;
    more(&stage).await;
    let after = position(&entity).await;
    assert_eq!((after.seen_from, after.covered_at), (before.seen_from, before.covered_at));

    for id in ids {
        let healed = fields(json!({"amount": "5.00"}));
        stage.simulator.ledger().edit_row(Stream::BankTransactions, id, healed).unwrap();
    }
    until("the refused rows come", || stage.created() == created + 31).await;
    more(&stage).await;
    assert!(position(&entity).await.seen_from > before.seen_from, "the look-back was whole");
    stage.stop.cancel();
    feed.await.unwrap();
    assert_eq!(stage.created(), created + 31, "each of them once");
}

#[tokio::test]
async fn an_account_in_a_gap_gets_its_late_rows_and_forgets_none_that_the_gap_will_show() {
    let stage = Stage::new().await;
    let mut checkpoint = Checkpoint::initial(today().plus(-90), now());
    (checkpoint.cursor, checkpoint.gap) = (Some(CURSOR), true);
    checkpoint.backfill_next = Some(today().plus(-20));
    let state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
    let entity = stage.entity(Stream::BankTransactions, ACCOUNT, state);
    // A live poll has shown it beside the gap, of whose days it is.
    let known = (CURSOR + 1, 18);
    assert_eq!(take_in(&entity, &[known], Advance::Cursor).await, 1);
    let before = position(&entity).await;
    add(&stage, 8_000_000, 1, json!({}));
    let feed = look_back(&stage, &entity);
    until("the late row comes", || stage.created() == 2).await;
    more(&stage).await;
    let after = position(&entity).await;
    let moved = |checkpoint: &Checkpoint| (checkpoint.seen_from, checkpoint.backfill_next);
    assert_eq!(moved(&after), moved(&before));
    assert!(after.gap && after.covered_at == before.covered_at, "{after:?}");
    stage.stop.cancel();
    feed.await.unwrap();
    let gap = [known, (8_000_000, 1)];
    assert_eq!(take_in(&entity, &gap, Advance::Backfill(None)).await, 0, "each of them once");
}
