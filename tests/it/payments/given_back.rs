//! A sink that is given back while it reads its journal.

use std::{thread, time::Duration};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use tokio_util::sync::CancellationToken;
use vomsis_connect::{
    kafka::settings::sink_transactional_id,
    sink::lock::{Error, Request, lock_and_restore},
};

use super::stage::Stage;
use crate::harness::wait::{GENEROUS, wait_until};

fn producer(stage: &Stage, transactional_id: &str) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", stage.brokers())
        .set("transactional.id", transactional_id)
        // Longer than any restore waits.
        .set("transaction.timeout.ms", "600000")
        .create()
        .unwrap();
    producer.init_transactions(GENEROUS).unwrap();
    producer
}

/// Begins a transaction with one record; whether that is allowed.
fn begin(producer: &BaseProducer, topic: &str) -> bool {
    let record = BaseRecord::to(topic).partition(0).key("nobody").payload("nothing");
    producer.begin_transaction().is_ok()
        && producer.send(record).is_ok()
        && producer.flush(GENEROUS).is_ok()
}

#[test]
fn a_sink_that_is_given_back_while_it_reads_marks_nothing_as_its_own() {
    let stage = Stage::new("pay-given-back");
    let (journal, rejected) =
        (stage.topic("internal.payment-journal"), stage.topic("payment.commands.rejected"));
    let stop = CancellationToken::new();
    let request = stage.first_request(&stop);
    // An open transaction holds the journal's end back: the restore waits for it.
    let other = producer(&stage, &stage.topic("other"));
    assert!(begin(&other, &journal));
    let before = producer(&stage, &sink_transactional_id(&request.env, &request.kafka));
    let restoring = {
        let request = request.clone();
        thread::spawn(move || lock_and_restore(&request))
    };
    wait_until("the lock is taken from whoever had it", GENEROUS, || {
        !begin(&before, &rejected) || before.commit_transaction(Duration::from_secs(10)).is_err()
    });
    stop.cancel();
    // The transaction is open still: nobody waits for its end any more.
    let outcome = restoring.join().unwrap().map(|locked| locked.epoch);
    assert!(matches!(outcome, Err(Error::GivenBack)), "{outcome:?}");
    other.abort_transaction(GENEROUS).unwrap();
    // The next owner is the first that the journal knows.
    let next = Request { stop: CancellationToken::new(), ..request };
    assert_eq!(lock_and_restore(&next).unwrap().epoch, 1);
}
