//! The kill switch before the first turn, on a desk whose first turn would write at once.

use rdkafka::types::RDKafkaErrorCode as Code;

use super::*;
use crate::sink::{
    desk::tests::Office,
    dispatch::Dispatcher,
    journal::Entry,
    tally::Standing,
    tests::{NOON, entry, refund},
};

/// A refund that does not expire; its connection is not configured, so its turn rejects it.
fn waiting() -> Entry {
    let order = crate::sink::command::Order { expires_at: None, ..refund("10.00") };
    entry(order)
}

fn operator(office: &Office) -> Operator {
    Operator { desk: Arc::clone(&office.desk), deployment: "test".into() }
}

fn halted() -> Stop {
    Stop { stopped: true, actor: "ayse".into(), at: NOON, reason: "drill".into() }
}

/// Whether the command's turn came, in a term that begins with this record and this file.
async fn has_a_turn(record: Option<&Stop>, file: Option<&str>) -> bool {
    let folder = tempfile::tempdir().unwrap();
    if let Some(text) = file {
        std::fs::write(folder.path().join(STOP_FILE), text).unwrap();
    }
    let waiting = waiting();
    let office = Office::with(std::slice::from_ref(&waiting));
    let seen = operator(&office).look_at_switch(record, folder.path());
    let dispatcher = Dispatcher::new(Arc::clone(&office.desk), &[waiting], &seen);
    let Office { desk, arrived, written, .. } = office;
    let running = tokio::spawn(dispatcher.run(arrived));
    // All that may happen without a timer happens before this task's next turn of the runtime.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    desk.fixed.stop.cancel();
    running.await.unwrap().unwrap();
    written.try_iter().count() > 0
}

#[tokio::test]
async fn a_switch_that_is_on_holds_the_very_first_turn() {
    let (on, off) = (halted(), Stop { stopped: false, ..halted() });
    assert!(has_a_turn(None, None).await, "with nothing to hold it the turn comes");
    assert!(has_a_turn(Some(&off), None).await, "a switch that was let go holds nothing");
    assert!(!has_a_turn(Some(&on), None).await, "the record");
    assert!(!has_a_turn(None, Some("drill")).await, "the file");
    assert!(!has_a_turn(Some(&off), Some("drill")).await, "one hand is enough");
}

#[tokio::test]
async fn the_file_says_why_and_is_let_go_of_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(STOP_FILE);
    std::fs::write(&file, "drill\n").unwrap();
    let office = Office::with(&[]);
    let operator = Arc::new(operator(&office));
    let why = || office.desk.with_brakes(|b| b.stopped().map(|(by, why)| (by, why.to_owned())));
    let seen = operator.look_at_switch(Some(&halted()), folder.path());
    let (by, said) = why().unwrap();
    assert!(by == StopSource::File && said.ends_with("is there: drill"), "{said}");
    let tally = &office.desk.fixed.tally;
    assert_eq!(tally.standing(), Standing { phase: Phase::Halted, why: Some(said) });
    std::fs::remove_file(&file).unwrap();
    let mut moved = office.desk.brakes();
    let watching = tokio::spawn(Arc::clone(&operator).watch_file(folder.path().to_owned(), seen));
    moved.changed().await.unwrap();
    let (by, said) = why().unwrap();
    assert!(by == StopSource::Record && said.contains("ayse"), "{said}");
    assert_eq!(tally.standing(), Standing { phase: Phase::Halted, why: Some(said) });
    operator.stop(None);
    assert_eq!(tally.standing(), Standing { phase: Phase::Owned, why: None });
    let gauge = |phase: Phase| office.metrics.sink_state.with_label_values(&[phase.as_str()]).get();
    assert_eq!(Phase::ALL.map(gauge), [0, 0, 1, 0, 0, 0, 0]);
    office.desk.fixed.stop.cancel();
    watching.await.unwrap();
}

#[test]
fn what_people_write_is_handed_on_and_an_own_story_is_not() {
    let stop = codec::encode_stop(&halted());
    assert_eq!(read(b"_stop", Some(&stop)).unwrap(), Some(Record::Stop(halted())));
    let story = waiting();
    let value = codec::encode_entry(&story);
    assert_eq!(read(story.key().to_string().as_bytes(), Some(&value)).unwrap(), None);
    assert_eq!(read(b"_stop", None).unwrap(), None, "a tombstone says nothing");
}

#[tokio::test]
async fn an_owner_that_does_not_understand_the_journal_ends() {
    let newer = [&[0x14, 2][..], br#"{"stopped":true}"#].concat();
    for (key, value) in [
        (&b"_stop"[..], Some(&newer[..])),
        (b"_stop", Some(b"on")),
        (b"_owner", Some(b"")),
        (b"_halt_all", Some(b"x")),
        (b"_halt_all", None),
        (b"nobody's", Some(b"x")),
        (&[0xff], Some(b"x")),
    ] {
        let heard = read(key, value);
        assert!(matches!(heard, Err(Failure::NotUnderstood(_))), "{key:?} {value:?}: {heard:?}");
        let (records, received) = mpsc::unbounded_channel();
        records.send(heard.map(Option::unwrap)).unwrap();
        let office = Office::with(&[]);
        let ended = Arc::new(operator(&office)).run(Decisions::default(), received).await;
        assert!(matches!(ended, Err(Failure::NotUnderstood(_))), "{ended:?}");
    }
}

#[test]
fn an_owner_that_is_deaf_ends_and_one_whose_broker_comes_back_does_not() {
    for code in [Code::TopicAuthorizationFailed, Code::OffsetOutOfRange, Code::AutoOffsetReset] {
        let heard = missed(&KafkaError::MessageConsumption(code));
        assert!(matches!(heard, Err(Failure::Deaf(_))), "{code}: {heard:?}");
    }
    for error in [
        KafkaError::PartitionEOF(0),
        KafkaError::MessageConsumption(Code::BrokerTransportFailure),
        KafkaError::MessageConsumption(Code::AllBrokersDown),
    ] {
        assert!(matches!(missed(&error), Ok(None)), "{error}");
    }
}
