//! Lists that are read whole: what a failed read proves, and what two complete ones do.

use super::*;
use crate::poll::snapshot::{Mentioned, Snapshot};

const LIST: &str = "customers";

fn snapshot(stage: &Stage) -> tokio::task::JoinHandle<()> {
    snapshot_of(stage, Stream::Customers, &Mentioned::default())
}

fn snapshot_of(
    stage: &Stage,
    stream: Stream,
    mentioned: &Mentioned,
) -> tokio::task::JoinHandle<()> {
    let entity = stage.entity(stream, EntityKey::WHOLE, EntityState::default());
    let snapshot = Snapshot {
        entity,
        api: stage.parts.api.clone(),
        poll_interval: Duration::from_millis(40),
        publish: true,
        discovered: None,
        mentioned: Arc::clone(mentioned),
        stop: stage.stop.clone(),
    };
    tokio::spawn(snapshot.run())
}

fn good_reads(stage: &Stage) -> usize {
    stage.asked(LIST).iter().filter(|request| request.status == 200).count()
}

fn tombstones(stage: &Stage) -> usize {
    stage.kinds().iter().filter(|kind| *kind == "tombstone").count()
}

#[tokio::test]
async fn an_unchanged_list_writes_nothing_and_what_two_complete_reads_miss_is_gone() {
    let stage = Stage::new().await;
    let poller = snapshot(&stage);
    until("some reads", || good_reads(&stage) > 3).await;
    assert_eq!(stage.commits(), 1, "the first read and no other");
    let listed = stage.kinds().len();
    assert!(listed > 1, "the list has rows");

    // failing reads, empty ones included, prove nothing about what is missing
    stage.set_faults(&["500:customers"]);
    until("a read fails", || stage.asked(LIST).iter().any(|r| r.status == 500)).await;
    let one = stage.simulator.ledger().add_entity(Stream::Customers, fields(serde_json::json!({})));
    let one = one.unwrap();
    stage.set_faults(&[]);
    until("the new one is published", || stage.kinds().len() == listed + 1).await;
    assert_eq!(tombstones(&stage), 0);

    let before = good_reads(&stage);
    stage.simulator.ledger().delete_entity(Stream::Customers, one).unwrap();
    until("it is gone", || tombstones(&stage) == 1).await;
    // the read that ran while it was deleted may count or not, one alone never does
    assert!(good_reads(&stage) >= before + 2, "{} reads", good_reads(&stage) - before);
    let reads = good_reads(&stage);
    until("more reads", || good_reads(&stage) > reads + 2).await;
    assert_eq!(tombstones(&stage), 1, "gone once");
    stage.stop.cancel();
    poller.await.unwrap();
}

#[tokio::test]
async fn an_answer_without_its_list_makes_nobody_disappear() {
    let stage = Stage::new().await;
    let poller = snapshot(&stage);
    until("the list is published", || stage.commits() == 1).await;
    stage.set_faults(&["missing_key:customers"]);
    let before = stage.asked(LIST).len();
    until("some reads without a list", || stage.asked(LIST).len() > before + 3).await;
    assert_eq!((stage.commits(), tombstones(&stage)), (1, 0));
    stage.stop.cancel();
    poller.await.unwrap();
}

#[tokio::test]
async fn a_list_that_fails_by_anothers_call_says_so() {
    let stage = Stage::new().await;
    stage.set_faults(&["ip_not_found:accounts"]);
    let error_of = |stream: Stream| {
        let standings = stage.parts.shared.board.snapshot();
        let standing = standings.into_iter().find(|(key, _)| key.stream == stream);
        standing.and_then(|(_, standing)| standing.last_error).map(|error| error.message)
    };
    let accounts = snapshot_of(&stage, Stream::Accounts, &Mentioned::default());
    until("the address is refused", || error_of(Stream::Accounts).is_some()).await;
    let banks = snapshot_of(&stage, Stream::Banks, &Mentioned::default());
    until("the other list fails too", || error_of(Stream::Banks).is_some()).await;
    let (own, others) = (error_of(Stream::Accounts).unwrap(), error_of(Stream::Banks).unwrap());
    assert!(own.starts_with("connection acme: accounts: this IP address"), "{own}");
    assert!(others.starts_with("not asked, another call found access refused"), "{others}");
    assert!(others.ends_with(&own), "the call that failed is named: {others}");
    stage.stop.cancel();
    for poller in [accounts, banks] {
        poller.await.unwrap();
    }
}

#[tokio::test]
async fn nobody_is_gone_before_the_payments_have_said_whom_they_mention() {
    let stage = Stage::new().await;
    let one = stage.simulator.ledger().add_entity(Stream::Customers, fields(serde_json::json!({})));
    let mentioned = Mentioned::default();
    mentioned.lock().unwrap().awaited = true;
    let poller = snapshot_of(&stage, Stream::Customers, &mentioned);
    until("the list is published", || stage.commits() == 1).await;
    stage.simulator.ledger().delete_entity(Stream::Customers, one.unwrap()).unwrap();
    let reads = good_reads(&stage);
    until("it is read again and again", || good_reads(&stage) > reads + 3).await;
    assert_eq!(tombstones(&stage), 0);
    let payments = snapshot_of(&stage, Stream::VirtualPosTransactions, &mentioned);
    until("it is gone", || tombstones(&stage) == 1).await;
    stage.stop.cancel();
    for poller in [poller, payments] {
        poller.await.unwrap();
    }
}
