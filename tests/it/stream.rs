//! Rows from the source systems into a real Kafka: each exactly once, whichever process dies.

use std::{collections::BTreeMap, time::Duration};

use vomsis_connect::{domain::ids::Stream, sandbox::ledger::Load};

use crate::harness::{
    avro::Decoder,
    kafka::shared_broker,
    registry::shared_registry,
    source::Source,
    topics::{Record, read_to_end, unique_prefix},
    wait::wait_until,
};

pub(crate) const DEADLINE: Duration = Duration::from_secs(180);
const STREAMS: [Stream; 4] = [
    Stream::BankTransactions,
    Stream::PosTransactions,
    Stream::VirtualPosTransactions,
    Stream::TosPayments,
];

fn load() -> Load {
    Load {
        accounts: 40,
        rows_per_account: 300,
        terminals: 6,
        rows_per_terminal: 200,
        virtual_pos: 80,
        tos: 30,
        customers: 3,
        days: 20,
        seed: Some(7),
    }
}

pub(crate) fn published(prefix: &str, stream: Stream) -> Vec<Record> {
    read_to_end(shared_broker().bootstrap(), &format!("{prefix}.{}", stream.topic_suffix()))
}

fn source_ids(records: &[Record], decoder: &Decoder) -> Vec<String> {
    let mut ids: Vec<String> = records
        .iter()
        .map(|record| decoder.decode(record.value.as_ref().unwrap()))
        .map(|event| event["meta"]["source_id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_by_key(|id| id.parse::<i64>().unwrap());
    ids
}

fn count_of(prefix: &str, expected: &BTreeMap<Stream, Vec<String>>) -> usize {
    expected.keys().map(|stream| published(prefix, *stream).len()).sum()
}

pub(crate) fn assert_each_exactly_once(prefix: &str, expected: &BTreeMap<Stream, Vec<String>>) {
    let decoder = Decoder::new(shared_registry().url());
    for (stream, ids) in expected {
        let records = published(prefix, *stream);
        assert_eq!(&source_ids(&records, &decoder), ids, "{stream}");
        for record in &records {
            assert_eq!(record.headers["ce_specversion"], "1.0");
            assert_eq!(record.headers["ce_source"], format!("/vomsis/acme/{stream}"));
        }
    }
}

#[test]
fn every_row_of_every_source_arrives_exactly_once() {
    let source = Source::loaded(&load());
    let prefix = unique_prefix("once");
    let expected: BTreeMap<_, _> =
        STREAMS.into_iter().map(|stream| (stream, source.expected(stream))).collect();
    let wanted: usize = expected.values().map(Vec::len).sum();
    let home = source.home(&prefix);
    let mut connector = home.run();
    connector.wait_for_status("/readyz", 200, DEADLINE);
    wait_until("every row is published", DEADLINE, || count_of(&prefix, &expected) >= wanted);
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0, "it drains and ends well");
    assert_each_exactly_once(&prefix, &expected);
    drop(source);
}

#[test]
fn killed_again_and_again_it_neither_loses_nor_repeats_a_row() {
    let source = Source::loaded(&load());
    let prefix = unique_prefix("killed");
    let expected: BTreeMap<_, _> =
        STREAMS.into_iter().map(|stream| (stream, source.expected(stream))).collect();
    let wanted: usize = expected.values().map(Vec::len).sum();
    let home = source.home(&prefix);
    for round in 1..=6 {
        let mut connector = home.run();
        connector.wait_for_status("/readyz", 200, DEADLINE);
        let goal = wanted * round / 7;
        wait_until("some more rows are published", DEADLINE, || {
            count_of(&prefix, &expected) >= goal
        });
        connector.kill9();
        if round % 2 == 0 {
            std::fs::remove_dir_all(home.path().join("state")).unwrap();
        }
    }
    let _connector = home.run();
    wait_until("every row is published", DEADLINE, || count_of(&prefix, &expected) >= wanted);
    assert_each_exactly_once(&prefix, &expected);
    drop(source);
}
