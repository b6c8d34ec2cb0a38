//! What an owner hears of people after it has read the journal.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vomsis_connect::{
    sink::{
        journal::{codec::Record, records::Stop},
        lock::lock_and_restore,
        operator, words,
    },
    telemetry::clock::now,
};

use super::stage::Stage;
use crate::harness::{
    topics::block_on,
    wait::{GENEROUS, wait_for},
};

#[test]
fn no_word_is_lost_between_the_read_of_the_journal_and_the_mark_of_its_owner() {
    let stage = Stage::new("pay-heard");
    let stop = CancellationToken::new();
    let request = stage.first_request(&stop);
    let locked = lock_and_restore(&request).unwrap();
    let reason = || "drill".to_owned();
    let halt = Stop { stopped: true, actor: "ayse".into(), reason: reason(), at: now() };
    block_on(words::say_stop(&stage.kafka(), &halt)).unwrap();
    let read_to = locked.read_to;
    let mut heard =
        operator::follow(&stage.kafka(), read_to, Arc::default(), stop.clone()).unwrap();
    let last = wait_for("the halt is heard", GENEROUS, || match heard.try_recv().ok()?.unwrap() {
        Record::Stop(stop) => Some(stop),
        _ => None,
    });
    stop.cancel();
    assert_eq!(last.reason, reason());
    // Whatever came before its own mark was read before it, and what comes behind it is heard.
    let read_as = locked.journal.owner.map(|owner| owner.epoch);
    assert_eq!(read_as, Some(locked.epoch), "the mark itself was not read");
}
