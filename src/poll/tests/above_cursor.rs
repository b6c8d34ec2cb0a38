//! Rows above a cursor that stands still: each is published once, and none is passed over.

use serde_json::{Value, json};

use super::*;
use crate::{
    api::{BankQuery, Hours, Purpose, Rows},
    config::model::DateType,
    domain::time::{Day, Timestamp},
    poll::{
        digest::{Reason, Refusal},
        entity::{Advance, Failure, Reading},
        fetch::Origin,
        plan::Window,
        served::Served,
        task::Follow,
    },
    state::{changelog::ShardState, codec, position::Checkpoint},
    telemetry::clock::now,
};

fn today() -> Day {
    now().local_day()
}

/// A row of account 73, booked so many days ago.
fn row(id: i64, days: i32) -> String {
    let date = today().plus(-days).to_date();
    json!({"id": id, "bank_account_id": 73, "amount": "5.00", "fec_name": "TL",
           "system_date": format!("{date} 00:00:01")})
    .to_string()
}

fn rows(ids_and_days: &[(i64, i32)]) -> [Rows; 1] {
    [Rows::from_texts(ids_and_days.iter().map(|(id, days)| row(*id, *days)), now())]
}

fn reading(answers: &[Rows], advance: Advance) -> Reading<'_> {
    let reason = match advance {
        Advance::Cursor => Reason::Live,
        Advance::Backfill(_) => Reason::Backfill,
        Advance::Nothing | Advance::Unproven => Reason::LookBack,
    };
    Reading { answers, reason, window: None, advance, first_kept: None, start: today().plus(-90) }
}

/// Takes these rows in; how many were new, and how many known.
async fn take_in(entity: &Entity, rows: &[Rows], advance: Advance) -> (u64, u64) {
    let digest = entity.take_in(&reading(rows, advance)).await.unwrap();
    (digest.counts.new, digest.counts.unchanged)
}

/// Account 73, whose history is read.
async fn known(stage: &Stage, history: &[(i64, i32)]) -> Arc<Entity> {
    let entity = stage.entity(Stream::BankTransactions, "73", EntityState::default());
    take_in(&entity, &rows(history), Advance::Backfill(None)).await;
    entity
}

/// The account as the next owner of its shard finds it.
fn restarted(stage: &Stage, entity: &Entity) -> Arc<Entity> {
    let key = &entity.target.key;
    let mut shard = ShardState::default();
    for record in stage.committed.lock().unwrap().iter().flat_map(|batch| &batch.state) {
        shard.apply(&record.key, record.value.as_deref()).unwrap();
    }
    let state = shard.take_connection(&key.connection).entities.remove(key).unwrap();
    stage.entity(key.stream, &key.entity, state)
}

async fn position(entity: &Entity) -> Checkpoint {
    entity.checkpoint(today()).await
}

#[tokio::test]
async fn rows_that_look_backs_found_are_known_to_the_live_poll_however_late_it_is_good() {
    for history in [&[(100, 40)][..], &[]] {
        let stage = Stage::new().await;
        let mut entity = known(&stage, history).await;
        // A look-back a day, each of which shows a row more; the live poll is refused all the time.
        let mut shown = Vec::new();
        for day in (1..=20).rev() {
            shown.push((121 - i64::from(day), day));
            let answers = rows(&shown[shown.len() - 1..]);
            let first_kept = Some(today().plus(-day - 15));
            let read = Reading { first_kept, ..reading(&answers, Advance::Nothing) };
            assert_eq!(entity.take_in(&read).await.unwrap().counts.new, 1);
        }
        entity = restarted(&stage, &entity);
        assert_eq!(position(&entity).await.seen_from, today().plus(-16), "time passed");
        assert!(!entity.published_ids().await.contains(&100), "what no poll asks for is forgotten");
        // Beside them, one that no look-back could find.
        let mut answer = shown.clone();
        answer.push((121, 60));
        assert_eq!(take_in(&entity, &rows(&answer), Advance::Cursor).await, (1, 20), "{history:?}");
        let newer = rows(&[(122, 0)]);
        let read =
            Reading { first_kept: Some(today().plus(-15)), ..reading(&newer, Advance::Nothing) };
        entity.take_in(&read).await.unwrap();
        let kept = entity.published_ids().await;
        assert_eq!(kept.len(), 16, "fifteen days, and the new row: {kept:?}");
    }
}

#[tokio::test]
async fn a_row_of_an_absurd_id_is_published_once_however_old_its_day() {
    let stage = Stage::new().await;
    let mut entity = known(&stage, &[(100, 3)]).await;
    let shown = rows(&[(101, 0), (i64::MAX, 60)]);
    assert_eq!(take_in(&entity, &shown, Advance::Cursor).await, (2, 0));
    assert_eq!(position(&entity).await.cursor, Some(101), "it would hide every later row");
    let looked_back = rows(&[(101, 0)]);
    let first_kept = Some(today().plus(-15));
    let read = Reading { first_kept, ..reading(&looked_back, Advance::Nothing) };
    entity.take_in(&read).await.unwrap();
    entity = restarted(&stage, &entity);
    let shown = rows(&[(i64::MAX, 60)]);
    assert_eq!(take_in(&entity, &shown, Advance::Cursor).await, (0, 1));
    // Another one shows that the source numbers like this.
    let shown = rows(&[(i64::MAX - 5, 60), (i64::MAX, 60)]);
    assert_eq!(take_in(&entity, &shown, Advance::Cursor).await, (1, 1));
    assert_eq!(position(&entity).await.cursor, Some(i64::MAX));
}

#[tokio::test]
async fn a_gap_leaves_the_cursor_to_the_live_poll_behind_it_over_a_restart_too() {
    let stage = Stage::new().await;
    let entity = known(&stage, &[(100, 30)]).await;
    let half = Advance::Backfill(Some(today().plus(-7)));
    assert_eq!(take_in(&entity, &rows(&[(300, 10)]), half).await, (1, 0));
    let entity = restarted(&stage, &entity);
    let whole = Advance::Backfill(None);
    assert_eq!(take_in(&entity, &rows(&[(300, 10), (301, 0)]), whole).await, (1, 1));
    assert_eq!(position(&entity).await.cursor, Some(100));
    // It came while nobody was here, and is booked before the gap.
    let live = rows(&[(150, 45), (300, 10), (301, 0)]);
    assert_eq!(take_in(&entity, &live, Advance::Cursor).await, (1, 2));
    assert_eq!(position(&entity).await.cursor, Some(301));
}

#[tokio::test]
async fn the_first_backfill_raises_the_cursor_window_by_window() {
    let stage = Stage::new().await;
    let entity = stage.entity(Stream::BankTransactions, "73", EntityState::default());
    for (id, days, next) in
        [(7, 20, Some(today().plus(-14))), (9, 10, Some(today())), (11, 0, None)]
    {
        take_in(&entity, &rows(&[(id, days)]), Advance::Backfill(next)).await;
        assert_eq!(position(&entity).await.cursor, Some(id));
        assert!(!position(&entity).await.is_marked());
    }
}

fn follow(stage: &Stage, entity: &Arc<Entity>, served: Served) -> tokio::task::JoinHandle<()> {
    let id = entity.target.key.entity.parse().unwrap();
    let origin = Origin::Account { id, date_type: DateType::SystemDate };
    let schedule = schedule(Duration::from_millis(40), Duration::from_secs(3600));
    let follow = Follow { served, ..stage.poller(entity, schedule, origin) };
    tokio::spawn(follow.run())
}

/// The highest id of the source's own samples, whose date is years ago.
const SAMPLE: i64 = 6_915_745;

/// Account 73, up to this id and day.
fn read_through(stage: &Stage, cursor: i64, days_ago: i32) -> Arc<Entity> {
    let mut checkpoint = Checkpoint::initial(today().plus(-90), today().plus(-days_ago).start());
    (checkpoint.backfill_next, checkpoint.cursor) = (None, Some(cursor));
    let state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
    stage.entity(Stream::BankTransactions, "73", state)
}

#[tokio::test]
async fn what_came_while_nobody_was_here_is_published_however_old_its_date() {
    let stage = Stage::new().await;
    let entity = read_through(&stage, SAMPLE, 15);
    stage.add_row("73", json!({"id": 7_000_150, "system_date": days_ago(40)}));
    stage.add_row("73", json!({"id": 7_000_300, "system_date": days_ago(0)}));
    let poller = follow(&stage, &entity, Served::default());
    until("both rows are published", || stage.created() == 2).await;
    let above = |request: &SeenRequest| request.target.contains("lastId=7000300&");
    until("it goes on above them", || stage.asked("account_transactions").iter().any(above)).await;
    stage.stop.cancel();
    poller.await.unwrap();
    assert_eq!(stage.created(), 2, "once");
}

#[tokio::test]
async fn days_that_failing_look_backs_missed_are_read_after_a_restart() {
    let stage = Stage::new().await;
    let schedule = schedule(Duration::from_secs(300), Duration::from_secs(3600));
    let missed = |entity: Arc<Entity>| async move {
        entity.position(&schedule, today(), today()).await.backfill_next
    };
    // Live polls were good all the time, look-backs last the day before they took the covered time to
    // five days ago; three days is what they span.
    let entity = read_through(&stage, 100, 5);
    take_in(&entity, &rows(&[(101, 0)]), Advance::Cursor).await;
    entity.raise_cursor(Some(102), today()).await.unwrap();
    let days =
        |from: i32, to: i32| Some(Window { from: today().plus(-from), to: today().plus(-to) });
    let answers = rows(&[]);
    // A look-back of the feed begins at its own first day, whatever this account lacks before it.
    let shown = rows(&[(101, 0)]);
    let first_kept = Some(today().plus(-4));
    let beyond = Reading { window: days(2, 0), first_kept, ..reading(&shown, Advance::Nothing) };
    entity.take_in(&beyond).await.unwrap();
    assert_eq!(missed(Arc::clone(&entity)).await, Some(today().plus(-6)));
    let part = Reading { window: days(9, 4), ..reading(&answers, Advance::Nothing) };
    entity.take_in(&part).await.unwrap();
    take_in(&entity, &rows(&[(103, 0)]), Advance::Cursor).await;
    assert_eq!(missed(Arc::clone(&entity)).await, Some(today().plus(-4)));
    let entity = restarted(&stage, &entity);
    assert_eq!(missed(Arc::clone(&entity)).await, Some(today().plus(-4)));
    // Once a look-back is whole again, live polls say so.
    let whole = Reading { window: days(9, 0), ..reading(&answers, Advance::Nothing) };
    entity.take_in(&whole).await.unwrap();
    take_in(&entity, &rows(&[(104, 0)]), Advance::Cursor).await;
    let entity = restarted(&stage, &entity);
    assert_eq!(missed(entity).await, None);
}

#[tokio::test]
async fn a_restart_a_day_takes_no_day_for_read_that_look_backs_have_missed() {
    let stage = Stage::new().await;
    let mut entity = read_through(&stage, 100, 10);
    // Live polls are good all the time, look-backs never.
    for (id, day) in (101..).zip((0..10).rev()) {
        let at = Timestamp(today().plus(-day).start().0 + 3_600_000);
        let answers = [Rows::from_texts([row(id, day)], at)];
        entity.take_in(&reading(&answers, Advance::Cursor)).await.unwrap();
        entity = restarted(&stage, &entity);
    }
    let schedule = schedule(Duration::from_secs(300), Duration::from_secs(3600));
    let missed = entity.position(&schedule, today(), today()).await.backfill_next;
    assert_eq!((missed, position(&entity).await.cursor), (Some(today().plus(-11)), Some(110)));
}

/// What the feed finds in an answer that it does not believe.
fn refusal() -> Failure {
    let (entity, first) = ("73".to_owned(), "bad".to_owned());
    Failure::Refused(Refusal::TooManyBad { entity, bad: 9, rows: 20, first })
}

#[tokio::test]
async fn an_account_is_behind_until_a_poll_that_was_asked_after_the_last_refusal() {
    let stage = Stage::new().await;
    let entity = known(&stage, &[(100, 0)]).await;
    entity.fall_behind(&refusal()).await.unwrap();
    let asked = entity.refusals().await;
    entity.fall_behind(&refusal()).await.unwrap();
    entity.catch_up(asked).await.unwrap();
    assert!(position(&entity).await.behind, "the later rows may not have been in it");
    let entity = restarted(&stage, &entity);
    assert!(position(&entity).await.behind, "a restart forgives nothing");
    // Its turn for a look of its own may be a day away.
    let served = Served::new(Duration::from_secs(86_400));
    served.start(false);
    let poller = follow(&stage, &entity, served);
    let caught_up = async {
        while position(&entity).await.behind {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, caught_up).await.is_ok(), "its own poll was good");
    stage.stop.cancel();
    poller.await.unwrap();
    assert!(!position(&restarted(&stage, &entity)).await.behind);
}

#[tokio::test]
async fn an_account_is_behind_while_its_own_poll_may_be_cut() {
    let stage = Stage::in_order(RowOrder::Ascending).await;
    let entity = known(&stage, &[(SAMPLE, 0)]).await;
    entity.fall_behind(&refusal()).await.unwrap();
    let before = stage.commits();
    for id in 7_000_000..7_000_130 {
        stage.add_row("73", json!({"id": id}));
    }
    stage.set_faults(&["cap=100:account_transactions"]);
    let served = Served::new(Duration::from_secs(86_400));
    served.start(false);
    let poller = follow(&stage, &entity, served);
    let caught_up = || {
        let committed = stage.committed.lock().unwrap();
        let state = committed[before..].iter().flat_map(|batch| &batch.state);
        let own = state.filter(|record| record.key == codec::checkpoint_key(&entity.target.key));
        let values = own.filter_map(|record| codec::decode(record.value.as_deref()?).ok());
        let mut checkpoints = values.filter_map(|value| match value {
            codec::StateValue::Checkpoint(checkpoint) => Some(checkpoint),
            _ => None,
        });
        checkpoints.find(|checkpoint| !checkpoint.behind)
    };
    until("it has caught up", || caught_up().is_some()).await;
    stage.stop.cancel();
    poller.await.unwrap();
    assert_eq!(caught_up().unwrap().cursor, Some(7_000_129), "with the last of them");
}

#[tokio::test]
async fn a_look_that_fails_does_not_hammer_and_does_not_keep_what_the_feed_asks_for_waiting() {
    let stage = Stage::new().await;
    let entity = read_through(&stage, SAMPLE, 0);
    let served = Served::new(Duration::from_secs(86_400));
    served.start(false);
    stage.set_faults(&["missing_key:account_transactions"]);
    let standing = || stage.parts.shared.board.snapshot()[&entity.target.key].clone();
    let poller = follow(&stage, &entity, served);
    until("it waits for its first look", || standing().next_poll.is_some()).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(86_400)).await;
    tokio::time::resume();
    until("it fails", || standing().last_error.is_some() && standing().next_poll.is_some()).await;
    let wait = standing().next_poll.unwrap().0 - standing().last_error.unwrap().at.0;
    assert!(wait >= 1_000, "a second at least, where polls are made every 40 ms: {wait} ms");
    entity.ask_alone.notify_one();
    let asked = || stage.asked("account_transactions").len();
    let before = asked();
    until("it asks as often as it polls", || asked() > before + 30).await;
    stage.stop.cancel();
    poller.await.unwrap();
}

#[tokio::test]
async fn looks_at_accounts_alone_let_the_call_for_all_of_them_go_first() {
    let stage = Stage::with_concurrency(1).await;
    stage.set_faults(&["slow=100ms:account_transactions"]);
    let mut looking = Vec::new();
    for id in 90_074..90_082 {
        let given = fields(json!({"id": id}));
        stage.simulator.ledger().add_entity(Stream::Accounts, given).unwrap();
        let mut checkpoint = Checkpoint::initial(today().plus(-90), now());
        (checkpoint.backfill_next, checkpoint.cursor) = (None, Some(SAMPLE));
        let state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
        let served = Served::new(Duration::from_millis(1));
        served.start(false);
        let entity = stage.entity(Stream::BankTransactions, &id.to_string(), state);
        looking.push(follow(&stage, &entity, served));
    }
    // Their first looks stand behind each other.
    let alone = || stage.asked("account_transactions").len();
    until("the first of them is answered", || alone() > 0).await;
    let query = BankQuery {
        window: None,
        hours: Hours::ALL,
        last_id: Some(SAMPLE),
        date_type: DateType::SystemDate,
    };
    let before = alone();
    stage.parts.api.connection_transactions(Purpose::Live, &query).await.unwrap();
    let went_first = alone() - before;
    assert!(went_first <= 3, "one is under way, one has a share: {went_first}");
    stage.stop.cancel();
    futures_util::future::join_all(looking).await;
}

/// A value that no program maps.
fn bad() -> Value {
    json!({"amount": "NaN"})
}

#[tokio::test]
async fn what_the_feed_shows_later_raises_no_cursor_over_rows_that_were_refused() {
    let stage = Stage::new().await;
    let (feed, running, accounts) = feed::two_accounts(&stage).await;
    let entity = Arc::clone(&accounts.read().unwrap()[&24]);
    let before = (stage.created(), position(&entity).await.cursor);
    for id in 7_000_000..7_000_030 {
        let mut given = if id % 3 == 0 { bad() } else { json!({}) };
        given["id"] = json!(id);
        stage.add_row("24", given);
    }
    stage.pass(&feed, feed::POLL).await;
    assert_eq!(stage.created(), before.0, "too many are bad");
    // Until the feed's answers hold them no more.
    for id in [7_001_000, 7_002_000] {
        stage.add_row("38", json!({"id": id}));
        for _ in 0..4 {
            stage.pass(&feed, feed::POLL).await;
        }
    }
    stage.add_row("24", json!({"id": 7_003_000}));
    stage.pass(&feed, feed::POLL).await;
    assert_eq!(stage.created(), before.0 + 3, "the later row of it comes");
    assert_eq!(position(&entity).await.cursor, before.1, "and leaves the others to its own poll");
    stage.stop.cancel();
    running.await.unwrap();
}
