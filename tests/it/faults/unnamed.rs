//! Rows of the connection-wide feed that name no account: not late in silence, but in quarantine.

use serde_json::{Map, Value, json};

use super::stage::{DEADLINE, Stage, end};
use crate::harness::{
    avro::Decoder,
    registry::shared_registry,
    topics::{Record, read_to_end},
    wait::wait_until,
};

const QUARANTINED: &str = "VOM-SRC-005";

fn unnamed() -> Map<String, Value> {
    json!({"_omit": ["bank_account_id"]}).as_object().unwrap().clone()
}

#[test]
fn a_row_that_names_no_account_goes_to_quarantine_with_the_next_poll_and_only_once() {
    let stage = Stage::new("unnamed");
    stage.change("bank_transactions:", "5s}", "2s, feed: connection}");
    let quarantine = || read_to_end(stage.brokers(), &stage.topic("quarantine"));
    // the feed begins where the history of all accounts ends
    let mut connector = stage.start();
    stage.wait_for_all();
    let ids = stage.add(vec![unnamed(), Map::new()]);
    wait_until("it is in quarantine", DEADLINE, || !quarantine().is_empty());
    connector.wait_for_line(QUARANTINED, DEADLINE);
    // looked at again and again, and by the next run too, it is still the same row
    end(&mut connector);
    let mut connector = stage.start();
    let more = stage.add(vec![unnamed()]);
    wait_until("so is the next one", DEADLINE, || quarantine().len() >= 2);
    end(&mut connector);

    let decoder = Decoder::new(shared_registry().url());
    let rows: Vec<Value> = quarantine()
        .iter()
        .map(|record: &Record| decoder.decode(record.value.as_ref().unwrap()))
        .collect();
    let found: Vec<_> = rows.iter().map(|row| row["meta"]["source_id"].as_str().unwrap()).collect();
    assert_eq!(found.len(), 2, "{rows:#?}");
    assert_eq!(found, [ids[0].to_string(), more[0].to_string()]);
    for row in &rows {
        assert_eq!((&row["entity"], &row["reason"]), (&json!("all"), &json!("MISSING_FIELD")));
        assert_eq!(row["field"], "bank_account_id");
    }
}
