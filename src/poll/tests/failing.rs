//! Answers that are none: each has its code, moves nothing, is asked for again at leisure, and is
//! forgotten with the first good one.

use serde_json::json;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    api::Rows,
    config::model::DateType,
    poll::{
        board::{LastError, Phase},
        digest::Reason,
        entity::{Advance, Reading},
        fetch::Origin,
    },
    telemetry::{clock::now, events::Event},
};

const ACCOUNT: i64 = 73;
const ROWS: &str = "account_transactions";
/// One call is a request and three more tries at most.
const TRIES: usize = 4;
const HOUR: Duration = Duration::from_secs(3600);

/// The highest id of the source's own samples, whose date is years ago: of today it has no such row.
const GONE: i64 = 6_915_745;

/// An account whose history is read.
async fn known(stage: &Stage) -> Arc<Entity> {
    let entity = stage.entity(Stream::BankTransactions, "73", EntityState::default());
    let row = json!({"id": GONE, "bank_account_id": ACCOUNT, "amount": "5.00", "fec_name": "TL",
                     "system_date": days_ago(0)});
    let answers = [Rows::from_texts([row.to_string()], now())];
    let (reason, window, first_kept) = (Reason::Backfill, None, None);
    let (advance, start) = (Advance::Backfill(None), now().local_day().plus(-5));
    let reading = Reading { answers: &answers, reason, window, advance, first_kept, start };
    entity.take_in(&reading).await.unwrap();
    entity
}

fn follow(stage: &Stage, entity: &Arc<Entity>, interval: Duration) -> JoinHandle<()> {
    let origin = Origin::Account { id: ACCOUNT, date_type: DateType::SystemDate };
    tokio::spawn(stage.poller(entity, schedule(interval, interval), origin).run())
}

fn error_of(stage: &Stage, entity: &Entity) -> Option<LastError> {
    let standing = stage.parts.shared.board.snapshot().remove(&entity.target.key)?;
    standing.last_error.filter(|_| standing.phase == Phase::Failed)
}

#[tokio::test]
async fn an_answer_that_is_none_has_its_code_moves_nothing_and_is_not_hammered_for() {
    let faults = [
        ("success_false", Event::ApiRejected),
        ("success_false_text", Event::ApiRejected),
        ("status_error", Event::ApiRejected),
        ("missing_key", Event::ApiUnexpectedAnswer),
        ("html", Event::ApiNotJson),
        ("truncated", Event::ApiBroken),
        ("401", Event::ApiUnauthorized),
        ("login", Event::ApiRedirected),
        ("ip_not_found", Event::ApiIpRefused),
    ];
    let checks = faults.map(|(fault, event)| async move {
        let stage = Stage::new().await;
        let entity = known(&stage).await;
        let before = entity.checkpoint(now().local_day()).await;
        stage.set_faults(&[&format!("{fault}:{ROWS}")]);
        let row = stage.add_row(&ACCOUNT.to_string(), json!({}));
        let poller = follow(&stage, &entity, HOUR);
        until(fault, || error_of(&stage, &entity).is_some()).await;
        let asked = stage.asked(ROWS).len();
        assert!((1..=TRIES).contains(&asked), "{fault}: {asked} requests");
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(stage.asked(ROWS).len(), asked, "{fault}: it is left alone");
        assert_eq!(error_of(&stage, &entity).unwrap().code, event.code(), "{fault}");
        let after = entity.checkpoint(now().local_day()).await;
        assert_eq!((after, stage.commits()), (before, 1), "{fault}");
        (fault, stage, entity, row, poller)
    });
    let failed = futures_util::future::join_all(checks).await;
    failed.iter().for_each(|(_, stage, ..)| stage.set_faults(&[]));
    tokio::time::pause();
    tokio::time::advance(HOUR * 3).await;
    tokio::time::resume();
    for (fault, stage, entity, row, poller) in failed {
        until(fault, || stage.created() == 2).await;
        until(fault, || error_of(&stage, &entity).is_none()).await;
        // What is committed is remembered a moment later.
        let remembered = async {
            while entity.checkpoint(now().local_day()).await.cursor != Some(row) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, remembered).await.is_ok(), "{fault}");
        stage.stop.cancel();
        poller.await.unwrap();
        assert_eq!(stage.created(), 2, "{fault}: once");
    }
}

#[tokio::test]
async fn a_token_that_ends_under_way_costs_one_sign_in_and_repeats_no_row() {
    let stage = Stage::new().await;
    let entity = known(&stage).await;
    stage.add_row(&ACCOUNT.to_string(), json!({}));
    stage.set_faults(&[&format!("expired_token:x1:{ROWS}")]);
    let poller = follow(&stage, &entity, Duration::from_millis(40));
    until("the row is published", || stage.created() == 2).await;
    let asked = stage.asked(ROWS).len();
    until("it is polled again and again", || stage.asked(ROWS).len() > asked + 5).await;
    assert_eq!(stage.asked("authenticate").len(), 2);
    assert_eq!(stage.asked(ROWS).iter().filter(|request| request.status == 401).count(), 1);
    assert_eq!(error_of(&stage, &entity), None);
    stage.stop.cancel();
    poller.await.unwrap();
    assert_eq!(stage.created(), 2, "once");
}

#[tokio::test]
async fn a_row_that_is_absent_while_calls_time_out_is_not_gone() {
    let stage = Stage::with_timeout(Duration::from_millis(100)).await;
    let entity = known(&stage).await;
    stage.set_faults(&[&format!("slow=3s:{ROWS}")]);
    let poller = follow(&stage, &entity, Duration::from_millis(40));
    let gone = || stage.kinds().iter().filter(|kind| kind.ends_with(".deleted")).count();
    // After a live poll that failed it is the look-back's turn.
    let failed = || {
        let labels = ["acme", Stream::BankTransactions.name(), "error"];
        stage.parts.shared.metrics.source_polls.with_label_values(&labels).get()
    };
    until("a live poll and a look-back time out", || failed() >= 2).await;
    assert_eq!(error_of(&stage, &entity).unwrap().code, Event::ApiTimeout.code());
    assert_eq!((gone(), stage.commits()), (0, 1));
    stage.set_faults(&[]);
    tokio::time::pause();
    tokio::time::advance(HOUR).await;
    tokio::time::resume();
    until("two complete reads prove it", || gone() == 1).await;
    stage.stop.cancel();
    poller.await.unwrap();
}
