//! The poller of one account: what a failure moves, and what is asked next.

use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle};

use super::*;
use crate::{
    api::Rows,
    config::model::DateType,
    poll::{
        board::Phase,
        digest::{Reason, Refusal},
        entity::{Advance, Failure, Reading},
        fetch::Origin,
        plan::Schedule,
        served::Served,
        task::Follow,
    },
    state::position::Checkpoint,
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
    let schedule = schedule(Duration::from_millis(40), Duration::from_secs(3600));
    follow_by(stage, entity, schedule, (open, Served::default()))
}

fn follow_by(
    stage: &Stage,
    entity: &Arc<Entity>,
    schedule: Schedule,
    (open, served): (watch::Receiver<bool>, Served),
) -> JoinHandle<()> {
    let id = entity.target.key.entity.parse().unwrap();
    let origin = Origin::Account { id, date_type: DateType::SystemDate };
    let follow = Follow { open, served, ..stage.poller(entity, schedule, origin) };
    tokio::spawn(follow.run())
}

fn account(stage: &Stage) -> Arc<Entity> {
    stage.entity(Stream::BankTransactions, &ACCOUNT.to_string(), EntityState::default())
}

fn add_row(stage: &Stage) -> i64 {
    stage.add_row(&ACCOUNT.to_string(), json!({}))
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

    let ended = async || entity.checkpoint(now().local_day()).await.ended;
    assert!(!ended().await, "it is open");
    open.send_replace(false);
    until("it is read to its end", || phase() == Phase::Stopped).await;
    assert!(ended().await, "noted, so that no restart looks again");
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
    assert!(!ended().await, "it is open again");
    stage.stop.cancel();
    other.await.unwrap();
    poller.await.unwrap();
    assert_eq!(stage.kinds().len(), 2, "both rows once");
}

/// The account with rows of today that it has published, its history read.
async fn known(stage: &Stage, ids: &[i64]) -> Arc<Entity> {
    let entity = account(stage);
    let row = |id: &i64| {
        json!({"id": id, "bank_account_id": ACCOUNT, "amount": "5.00", "fec_name": "TL",
               "system_date": days_ago(0)})
        .to_string()
    };
    let answers = [Rows::from_texts(ids.iter().map(row), now())];
    let (reason, window, first_kept) = (Reason::Backfill, None, None);
    let (advance, start) = (Advance::Backfill(None), now().local_day().plus(-5));
    let reading = Reading { answers: &answers, reason, window, advance, first_kept, start };
    entity.take_in(&reading).await.unwrap();
    entity
}

/// The highest id of the source's own samples, whose date is years ago.
const SAMPLE: i64 = 6_915_745;
const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn an_account_that_the_feed_serves_looks_for_itself_once_an_interval_above_its_cursor() {
    for interval in [DAY, DAY / 24] {
        let stage = Stage::new().await;
        let entity = known(&stage, &[SAMPLE]).await;
        let served = Served::new(interval);
        served.start(false);
        let schedule = schedule(Duration::from_millis(1), Duration::from_millis(1));
        let (_open, opened) = watch::channel(true);
        let looking = follow_by(&stage, &entity, schedule, (opened, served));
        let waits = || stage.parts.shared.board.snapshot()[&entity.target.key].next_poll.is_some();
        until("it waits for its first look", waits).await;
        for round in 0..2 {
            assert_eq!(stage.asked(ROWS).len(), round * 2, "a poll and a look-back a look");
            let created = stage.created();
            // Older than the look-back reaches: only its id can show it.
            let old = json!({"system_date": days_ago(60)});
            let id = stage.add_row(&ACCOUNT.to_string(), old);
            let cursor = entity.checkpoint(now().local_day()).await.cursor.unwrap();
            assert!(id > cursor);
            stage.pass(&entity, interval).await;
            assert_eq!(stage.created(), created + 1);
            let last: Vec<String> =
                stage.asked(ROWS).into_iter().rev().take(2).map(|request| request.target).collect();
            assert!(last[1].contains(&format!("lastId={cursor}&")), "{last:?}");
            assert!(last[0].contains("beginDate"), "{last:?}");
        }
        stage.stop.cancel();
        looking.await.unwrap();
    }
}

#[tokio::test]
async fn a_closed_account_that_the_feed_could_not_serve_asks_until_it_is_well() {
    let stage = Stage::new().await;
    let entity = known(&stage, &[SAMPLE]).await;
    let (_open, opened) = watch::channel(false);
    let poller = follow_while(&stage, &entity, opened);
    let phase = || stage.parts.shared.board.snapshot()[&entity.target.key].phase;
    until("it is read to its end", || phase() == Phase::Stopped).await;
    let row = add_row(&stage);
    let bad = Refusal::TooManyBad { entity: "73".into(), bad: 5, rows: 20, first: "bad".into() };
    entity.report_failure_by_feed(&Failure::Refused(bad));
    assert_eq!(phase(), Phase::Failed);
    entity.ask_alone.notify_one();
    until("it is well, and closed", || phase() == Phase::Stopped).await;
    assert_eq!(entity.checkpoint(now().local_day()).await.cursor, Some(row));
    stage.stop.cancel();
    poller.await.unwrap();
}

#[tokio::test]
async fn a_closed_account_that_the_source_knows_no_more_is_left_alone_until_it_is_open() {
    let stage = Stage::new().await;
    let entity = stage.entity(Stream::BankTransactions, "999", EntityState::default());
    let (open, opened) = watch::channel(false);
    let poller = follow_while(&stage, &entity, opened);
    let phase = || stage.parts.shared.board.snapshot()[&entity.target.key].phase;
    until("nothing more is to be had", || phase() == Phase::Stopped).await;
    let asked = stage.asked(ROWS).len();
    assert!(asked > 1, "one answer of 404 may be a gateway's");
    open.send_replace(true);
    until("it is asked for again", || stage.asked(ROWS).len() > asked + 1).await;
    assert_eq!(phase(), Phase::Failed, "an open one is told, as long as it takes");
    stage.stop.cancel();
    poller.await.unwrap();
}

#[tokio::test]
async fn good_live_polls_hide_no_look_back_that_is_refused() {
    let stage = Stage::new().await;
    // More than a fifth of what look-backs show is bad, and nothing of it is above the cursor.
    let entity = known(&stage, &[SAMPLE]).await;
    let below = |i: i64, amount: &str| json!({"id": SAMPLE - 100 + i, "amount": amount});
    for i in 0..21 {
        stage.add_row(&ACCOUNT.to_string(), below(i, if i < 7 { "NaN" } else { "5.00" }));
    }
    let schedule = schedule(Duration::from_millis(40), Duration::from_millis(40));
    let parts = (watch::channel(true).1, Served::default());
    let poller = follow_by(&stage, &entity, schedule, parts);
    let standing = || stage.parts.shared.board.snapshot()[&entity.target.key].clone();
    until("a look-back is refused", || standing().last_error.is_some()).await;
    let (before, polls) = (standing(), stage.asked(ROWS).len());
    stage.add_row(&ACCOUNT.to_string(), json!({"id": SAMPLE + 1}));
    until("live polls are good", || stage.created() > 1).await;
    until("both come again and again", || stage.asked(ROWS).len() > polls + 10).await;
    let now = standing();
    assert!(now.last_success > before.last_success, "what is new arrives");
    assert_eq!(now.committed_at, before.committed_at, "and late rows do not: for an alert");
    let code = now.last_error.map(|error| error.code);
    assert_eq!((now.phase, code), (Phase::Failed, Some("VOM-SRC-003")));
    for i in 21..60 {
        stage.add_row(&ACCOUNT.to_string(), below(i, "5.00"));
    }
    until("the look-back is good", || standing().committed_at > before.committed_at).await;
    until("nothing is wrong", || standing().phase == Phase::Running).await;
    assert_eq!(standing().last_error, None);
    stage.stop.cancel();
    poller.await.unwrap();
}

#[tokio::test]
async fn what_a_day_that_may_be_cut_lacks_is_not_gone() {
    let stage = Stage::new().await;
    // A row that the source does not show, on a day with as many others as a page may have.
    let entity = known(&stage, &[SAMPLE]).await;
    let today: Vec<i64> = (0..100).map(|_| add_row(&stage)).collect();
    let schedule = schedule(Duration::from_millis(40), Duration::from_millis(40));
    let parts = (watch::channel(true).1, Served::default());
    let poller = follow_by(&stage, &entity, schedule, parts);
    let gone = || stage.kinds().iter().filter(|kind| kind.ends_with(".deleted")).count();
    until("its rows are published", || stage.created() == 101).await;
    let asked = stage.asked(ROWS).len();
    until("it looks back again and again", || stage.asked(ROWS).len() > asked + 30).await;
    assert_eq!(gone(), 0);
    // A larger answer shows that nothing was cut.
    let one_more = add_row(&stage);
    assert!(today.iter().all(|id| *id < one_more));
    until("the row is gone", || gone() == 1).await;
    stage.stop.cancel();
    poller.await.unwrap();
}

#[tokio::test]
async fn a_gap_that_cannot_be_had_keeps_no_late_row_of_other_days_waiting() {
    let stage = Stage::new().await;
    let today = now().local_day();
    let mut checkpoint = Checkpoint::initial(today.plus(-90), today.plus(-15).start());
    (checkpoint.backfill_next, checkpoint.cursor) = (None, Some(9_000_000));
    let covered = checkpoint.covered_at;
    let state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
    let entity = stage.entity(Stream::BankTransactions, &ACCOUNT.to_string(), state);
    // Below the cursor, so that no live poll shows them; too many in the gap's first window are bad.
    let ids = 8_000_000..8_000_030;
    let add = |id: i64, days: i32, mut row: Value| {
        (row["id"], row["system_date"]) = (json!(id), json!(days_ago(days)));
        stage.add_row(&ACCOUNT.to_string(), row);
    };
    for id in ids.clone() {
        add(id, 12, if id % 3 == 0 { json!({"amount": "NaN"}) } else { json!({}) });
    }
    add(8_500_000, 1, json!({}));
    let schedule = schedule(Duration::from_millis(40), Duration::from_millis(40));
    let parts = (watch::channel(true).1, Served::default());
    let poller = follow_by(&stage, &entity, schedule, parts);
    until("the late row comes", || stage.created() == 1).await;
    let standing = || stage.parts.shared.board.snapshot()[&entity.target.key].clone();
    let noted = standing().committed_at;
    let asked = stage.asked(ROWS).len();
    until("it goes on", || stage.asked(ROWS).len() > asked + 10).await;
    let position = entity.position(&schedule, today, today).await;
    let gap = (position.backfill_next, position.covered_at);
    assert_eq!(gap, (Some(today.plus(-16)), covered), "the gap is still to be read");
    let failing = standing();
    let code = failing.last_error.map(|error| error.code);
    assert_eq!((failing.phase, code), (Phase::Failed, Some("VOM-SRC-003")), "and nothing hides it");
    assert_eq!(failing.committed_at, noted, "days are missing");
    for id in ids {
        let healed = fields(json!({"amount": "5.00"}));
        stage.simulator.ledger().edit_row(Stream::BankTransactions, id, healed).unwrap();
    }
    until("the gap is read", || stage.created() == 31).await;
    until("nothing is wrong", || standing().phase == Phase::Running).await;
    assert!(standing().committed_at > noted);
    let asked = stage.asked(ROWS).len();
    until("it goes on", || stage.asked(ROWS).len() > asked + 10).await;
    stage.stop.cancel();
    poller.await.unwrap();
    assert_eq!(stage.created(), 31, "each of them once");
    assert!(entity.checkpoint(today).await.covered_at > covered);
}

#[tokio::test]
async fn what_the_feed_shows_of_an_account_does_not_wait_for_the_end_of_its_gap() {
    let stage = Stage::new().await;
    let today = now().local_day();
    let mut checkpoint = Checkpoint::initial(today.plus(-200), today.plus(-180).start());
    // As its connection makes the gap, before anybody can hand it rows.
    (checkpoint.gap, checkpoint.cursor) = (true, Some(SAMPLE));
    checkpoint.backfill_next = Some(today.plus(-180));
    let state = EntityState { checkpoint: Some(checkpoint), ..EntityState::default() };
    let entity = stage.entity(Stream::BankTransactions, &ACCOUNT.to_string(), state);
    // Thirty windows, none of which fails.
    stage.set_faults(&["slow=20ms:account_transactions"]);
    let served = Served::new(DAY);
    served.start(false);
    let schedule = schedule(Duration::from_secs(300), Duration::from_secs(3600));
    let (_open, opened) = watch::channel(true);
    let poller = follow_by(&stage, &entity, schedule, (opened, served));
    let by_cursor = |request: &SeenRequest| request.target.contains("lastId");
    let polls = || stage.asked(ROWS).into_iter().filter(by_cursor).count();
    until("it is polled once", || polls() == 1).await;
    let row = stage.add_row(&ACCOUNT.to_string(), json!({}));
    entity.ask_alone.notify_one();
    until("it is polled again", || polls() == 2).await;
    let next = async {
        while entity.checkpoint(today).await.cursor != Some(row) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, next).await.is_ok(), "the poll was good");
    until("the gap is read", || stage.asked(ROWS).len() > 30).await;
    stage.stop.cancel();
    poller.await.unwrap();
    let windows_behind =
        stage.asked(ROWS).into_iter().rev().take_while(|it| !by_cursor(it)).count();
    assert!(windows_behind > 3, "it went before the windows that were left: {windows_behind}");
}
