//! The source documents' own samples, years back, and everything that they belong to.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, Utc};
use serde_json::Value;
use vomsis_connect::{domain::ids::Stream, sandbox::ledger::Load};

use super::{
    DEADLINE, STREAMS,
    checker::{Late, Samples},
    published, topics,
};
use crate::harness::{
    avro::Decoder, http, registry::shared_registry, source::Source, topics::unique_prefix,
    wait::wait_until,
};

/// Before the oldest sample, a POS row.
const FLOOR: NaiveDate = NaiveDate::from_ymd_opt(2021, 11, 29).unwrap();
const WITH_IDS: [Stream; 4] =
    [Stream::Banks, Stream::Accounts, Stream::Terminals, Stream::Customers];

#[test]
fn the_documents_own_rows_arrive_with_all_that_they_belong_to() {
    let source = Source::loaded(&Load {
        accounts: 0,
        rows_per_account: 0,
        terminals: 0,
        rows_per_terminal: 0,
        virtual_pos: 2,
        tos: 0,
        customers: 2,
        days: 3,
        seed: Some(11),
    });
    let prefix = unique_prefix("documents");
    let home = source.home(&prefix);
    let days = (Utc::now().date_naive() - FLOOR).num_days();
    home.change("start: 30d", &format!("start: {days}d"));

    let topics = topics(&prefix);
    let rows = |stream: &Stream| source.simulator.ledger().rows(*stream).len();
    let wanted = STREAMS.iter().map(rows).sum();
    let mut connector = home.run();
    wait_until("every row is published", DEADLINE, || topics.count_visible() >= wanted);
    let entities = entities(&source);
    wait_until("everything that they belong to is published", DEADLINE, || {
        WITH_IDS.iter().all(|stream| published(&prefix, *stream).len() >= entities[stream].len())
            && !published(&prefix, Stream::TransactionTypes).is_empty()
            && !published(&prefix, Stream::Installments).is_empty()
    });
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0, "it drains and ends well");

    topics.assert_exactly_once_with(&source, &["acme"], Late::Never, Samples::Included);
    assert_referenced(&prefix, &entities);
}

/// What the source has, as it tells of itself: ids, and what each is called there.
fn entities(source: &Source) -> BTreeMap<Stream, BTreeSet<String>> {
    let truth = http::get(source.simulator.addr, "/_ctl/ledger?contents=false").unwrap().json();
    let ids = |stream: &Stream| {
        let things = truth["entities"][stream.to_string()].as_array().expect("a list").iter();
        things.map(|thing| format!("acme/{}", thing["id"])).collect()
    };
    WITH_IDS.iter().map(|stream| (*stream, ids(stream))).collect()
}

/// One record for each of them, under its key, and what the rows say of them is true.
#[track_caller]
fn assert_referenced(prefix: &str, entities: &BTreeMap<Stream, BTreeSet<String>>) {
    let decoder = Decoder::new(shared_registry().url());
    let mut named: BTreeMap<Stream, BTreeMap<String, Value>> = BTreeMap::new();
    for stream in Stream::ALL.into_iter().filter(|stream| stream.is_reference()) {
        for record in published(prefix, stream) {
            let body = decoder.decode(record.value.as_ref().expect("no tombstone"));
            let key = record.key.expect("a key");
            assert_eq!(body["meta"]["connection_id"], "acme", "{stream} {key}");
            let twice = named.entry(stream).or_default().insert(key.clone(), body);
            assert!(twice.is_none(), "{stream} {key} came twice");
        }
    }
    for (stream, ids) in entities {
        let keys: BTreeSet<String> = named[stream].keys().cloned().collect();
        // A customer whom only a row names is asked for by its id.
        let fits = if *stream == Stream::Customers { keys.is_superset(ids) } else { keys == *ids };
        assert!(fits, "{stream}: {keys:?} instead of {ids:?}");
    }
    for account in named[&Stream::Accounts].values() {
        let bank = format!("acme/{}", account["bank_id"]);
        assert!(named[&Stream::Banks].contains_key(&bank), "{account}");
    }
    assert!(
        !named[&Stream::TransactionTypes].is_empty() && !named[&Stream::Installments].is_empty()
    );
}
