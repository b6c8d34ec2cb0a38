//! `topics`, `schemas` and `checkpoint` against a real broker and registry.

use std::{collections::BTreeSet, time::Duration};

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use vomsis_connect::domain::{ids::Stream, schemas};

use super::stage::Stage;
use crate::harness::{
    avro::Decoder,
    kafka::shared_broker,
    registry::{register, set_compatibility, shared_registry},
    topics::{create_topic, read_to_end},
    wait::{wait_for, wait_until},
};

const DEADLINE: Duration = Duration::from_secs(120);

fn states(rows: &Value) -> BTreeSet<&str> {
    rows.as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap()).collect()
}

#[test]
fn topics_are_planned_created_and_then_left_alone() {
    let stage = Stage::new("topics");
    let plan = stage.expect(0, &["topics", "plan", "-o", "json"]);
    assert_eq!(states(&plan.json()), BTreeSet::from(["missing"]));
    let warned = stage.expect(0, &["check", "--only", "kafka"]);
    assert!(warned.stdout.contains("14 missing"), "{warned:?}");
    let applied = stage.expect(0, &["topics", "apply", "-o", "json"]);
    assert_eq!(states(&applied.json()), BTreeSet::from(["created"]));
    assert!(applied.stderr.contains("14 topics created, 0 were there"), "{applied:?}");
    let again = stage.expect(0, &["topics", "apply", "--yes"]);
    assert!(again.stderr.contains("0 topics created, 14 were there"), "{again:?}");
    let plan = stage.expect(0, &["topics", "plan", "-o", "json"]).json();
    assert_eq!(states(&plan), BTreeSet::from(["ok"]));
    let state = plan.as_array().unwrap().iter();
    let state = state.last().unwrap();
    let there =
        json!({"partitions": 2, "replication": 1, "cleanup": "compact", "min_insync_replicas": 1});
    assert_eq!(state["actual"], there);
    assert_eq!(state["warning"], Value::Null);
    assert_eq!(state["key"], "connection/stream/entity[/day/chunk]");
    assert_eq!(plan[0]["holds"], "BankTransaction");
}

#[test]
fn more_replicas_than_brokers_are_told_before_anything_is_created() {
    let stage = Stage::new("replicas");
    let config = std::fs::read_to_string(stage.home.path().join("config.yaml")).unwrap();
    let three = config.replace("replication_factor: 1", "replication_factor: 3");
    assert_ne!(three, config);
    stage.home.write("config.yaml", &three);
    let both = "kafka.replication_factor wants 3 replicas of each new topic, and 1 broker is up";
    let plan = stage.expect(1, &["topics", "plan"]);
    assert_eq!(plan.stderr.matches(both).count(), 1, "{plan:?}");
    assert!(plan.stdout.contains("missing") && plan.stderr.contains("hint: start"), "{plan:?}");
    let check = stage.expect(1, &["check", "--only", "kafka", "-o", "json"]);
    assert_eq!(
        (&check.step("replicas")["status"], &check.step("replicas")["detail"]),
        (&json!("failed"), &json!(both))
    );
    let apply = stage.expect(69, &["topics", "apply", "--yes"]);
    assert!(apply.stderr.starts_with(&format!("warning: {both}")), "{apply:?}");
    // Of topics that are there, only what they are is told.
    stage.home.write("config.yaml", &config);
    stage.expect(0, &["topics", "apply", "--yes"]);
    stage.home.write("config.yaml", &three);
    let plan = stage.expect(1, &["topics", "plan"]);
    assert!(!plan.stderr.contains(both) && plan.stderr.contains("has 1 replica,"), "{plan:?}");
}

#[test]
fn a_topic_with_the_wrong_partitions_or_policy_is_an_error_that_names_both_values() {
    let stage = Stage::new("mismatch");
    let brokers = shared_broker().bootstrap();
    let state = format!("{}.internal.state", stage.prefix);
    create_topic(brokers, &state, 5, &[("cleanup.policy", "delete")]);
    let bank = format!("{}.bank.transactions", stage.prefix);
    create_topic(brokers, &bank, 2, &[("cleanup.policy", "compact")]);
    let assignment = format!("{}.internal.assignment", stage.prefix);
    create_topic(brokers, &assignment, 3, &[]);
    let plan = stage.expect(1, &["topics", "plan"]);
    assert!(plan.stdout.contains("5, wanted 2"), "{plan:?}");
    assert!(plan.stdout.contains("compact, wanted delete"), "{plan:?}");
    assert!(plan.stdout.contains("connection/account_id"), "{plan:?}");
    let run = stage.expect(1, &["run"]);
    for said in [&plan.stderr, &run.stderr] {
        let wrong = [
            format!("error: topic {bank} has cleanup.policy=compact, wanted delete\n"),
            format!("error: topic {assignment} has 3 partitions, kafka.shards wants 2\n"),
            format!(
                "error: topic {state} has 5 partitions, kafka.shards wants 2; has \
                 cleanup.policy=delete, wanted compact\n"
            ),
        ];
        assert!(said.contains(&wrong.concat()), "{said}");
        assert!(said.contains("hint: ") && said.contains("nothing is changed"), "{said}");
    }
    assert!(run.stderr.contains("topics plan shows"), "{run:?}");
    let apply = stage.expect(1, &["topics", "apply", "--yes"]);
    assert!(apply.stdout.is_empty(), "nothing is created beside a conflict: {apply:?}");
    let plan = stage.expect(1, &["topics", "plan", "-o", "json"]).json();
    assert_eq!(states(&plan), BTreeSet::from(["missing", "mismatch"]));
    let check = stage.expect(1, &["check", "--only", "kafka"]);
    assert!(check.stdout.contains("has 5 partitions"), "{check:?}");
}

#[test]
fn schemas_are_checked_registered_and_listed_with_their_ids() {
    let stage = Stage::new("schemas");
    let checked = stage.expect(0, &["schemas", "check", "-o", "json"]);
    assert_eq!(states(&checked.json()), BTreeSet::from(["new"]));
    let config = std::fs::read_to_string(stage.home.path().join("config.yaml")).unwrap();
    let verify = config.replace("schema_registry: {", "schema_registry: {mode: verify, ");
    stage.home.write("verify.yaml", &verify);
    let verify = || {
        let mut process = stage.home.connector(&["schemas", "check", "--config", "verify.yaml"]);
        (process.wait(DEADLINE), process.stderr())
    };
    let (code, stderr) = verify();
    assert!(code == 1 && stderr.contains("schemas register adds them"), "{code}: {stderr}");
    let registered = stage.expect(0, &["schemas", "register", "-o", "json"]).json();
    assert_eq!(registered.as_array().unwrap().len(), 12);
    assert_eq!(verify().0, 0);
    let checked = stage.expect(0, &["schemas", "check", "-o", "json"]);
    assert_eq!(states(&checked.json()), BTreeSet::from(["registered"]));
    let listed = stage.expect(0, &["schemas", "list", "-o", "json"]).json();
    let ids = |rows: &Value| -> Vec<Value> {
        rows.as_array().unwrap().iter().map(|row| row["id"].clone()).collect()
    };
    assert_eq!(ids(&listed), ids(&registered));
    assert_eq!(listed[0]["subject"], format!("{}.bank.transactions-value", stage.prefix));
    assert_eq!(listed[0]["fields"], 37);
}

#[test]
fn an_incompatible_schema_is_refused_and_its_differences_are_named() {
    let stage = Stage::new("incompatible");
    let registry = shared_registry().url();
    let subject = format!("{}.tos.payments-value", stage.prefix);
    let theirs = schemas::TOS_PAYMENT.json.replace("\"gateway_object_id\"", "\"gateway\"");
    let mut theirs: Value = serde_json::from_str(&theirs).unwrap();
    let fields = theirs["fields"].as_array_mut().unwrap();
    let raw = fields.iter_mut().find(|field| field["name"] == "type_raw").unwrap();
    *raw = json!({"name": "type_raw", "type": "long"});
    register(registry, &subject, &theirs.to_string());
    set_compatibility(registry, &subject, "BACKWARD_TRANSITIVE");
    let check = stage.expect(1, &["schemas", "check"]);
    assert!(check.stdout.contains("INCOMPATIBLE"), "{check:?}");
    for difference in ["type_raw: registered as", "gateway_object_id: not in the registered"] {
        assert!(check.stdout.contains(difference), "{difference}: {check:?}");
    }
    assert!(check.stderr.contains("hint: "), "{check:?}");
    let all = stage.expect(1, &["check", "--only", "registry"]);
    assert!(all.stdout.contains("would be refused"), "{all:?}");
    let refused = stage.expect(1, &["schemas", "register", "--yes"]);
    assert!(refused.stderr.contains(&subject) && refused.stdout.is_empty(), "{refused:?}");
}

#[test]
fn checkpoints_are_listed_beside_a_running_connector_and_previews_foretell_its_events() {
    let stage = Stage::new("checkpoint");
    let missing = stage.expect(1, &["checkpoint", "list"]);
    assert!(missing.stderr.contains("nothing was ever committed"), "{missing:?}");
    let arguments = ["preview", "bank_transactions", "--since", "9d", "--limit", "100000"];
    let events = stage.expect(0, &arguments).lines();
    let id = |event: &Value| event["meta"]["event_id"].as_str().unwrap().to_owned();
    let foretold: BTreeSet<String> = events.iter().map(|event| id(&event["value"])).collect();
    assert_eq!(foretold.len(), events.len(), "windows share a day, and no event stands twice");
    let mut connector = stage.start(&["run"]);
    connector.wait_for_status("/readyz", 200, DEADLINE);
    let listed = |more: &[&str]| {
        let arguments = [&["checkpoint", "list", "-o", "json"], more].concat();
        stage.expect(0, &arguments).json()
    };
    let bank = || listed(&["--stream", "bank_transactions", "--connection", "acme"]);
    let is_done = |rows: &Value| {
        let rows = rows.as_array().unwrap();
        let done = |row: &Value| row["backfill_next"].is_null() && row["cursor"].is_i64();
        rows.len() >= 3
            && rows.iter().any(done)
            && rows.iter().all(|r| r["backfill_next"].is_null())
    };
    wait_until("the backfill is done", DEADLINE, || is_done(&bank()));
    let topic = format!("{}.{}", stage.prefix, Stream::BankTransactions.topic_suffix());
    let decoder = Decoder::new(shared_registry().url());
    let published: BTreeSet<String> = read_to_end(shared_broker().bootstrap(), &topic)
        .iter()
        .map(|record| decoder.decode(record.value.as_ref().unwrap()))
        .map(|event| id(&event))
        .collect();
    assert!(!published.is_empty());
    assert_eq!(published, foretold, "a preview shows the very events that run publishes");
    let rows = bank();
    let seen: u64 = rows.as_array().unwrap().iter().map(|r| r["seen_rows"].as_u64().unwrap()).sum();
    assert_eq!(usize::try_from(seen).unwrap(), published.len());
    let nobody = stage.expect(2, &["checkpoint", "list", "--connection", "other"]);
    assert!(nobody.stderr.contains("the configuration has acme"), "{nobody:?}");
    tailed(&stage);
    tailed_from_a_time(&stage, &published);
    let table = stage.expect(0, &["checkpoint", "list", "--stream", "bank_transactions"]);
    assert!(table.stdout.contains("done") && table.stdout.contains("COVERED AT"), "{table:?}");
    let state = stage.expect(0, &["check", "--only", "state"]);
    assert!(state.stdout.contains("another process holds it"), "{state:?}");
    assert!(connector.is_running(), "nobody took its lock");
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0);
}

/// The events again, as `tail` shows them; a registry that is away is no fault of theirs.
fn tailed(stage: &Stage) {
    let tail = ["tail", "bank.transactions", "--from", "beginning", "--limit"];
    let shown = stage.expect(0, &[&tail[..], &["2"]].concat()).lines();
    assert_eq!(shown.len(), 2);
    assert!(shown.iter().all(|event| event["value"]["amount"].is_string()), "{shown:?}");
    for wrong in [["0", "-o", "json"], ["2", "-o", "yaml"]] {
        let outcome = stage.expect(2, &[&tail[..], &wrong].concat());
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
    }
    let config = std::fs::read_to_string(stage.home.path().join("config.yaml")).unwrap();
    let away = config.replace(shared_registry().url(), "http://127.0.0.1:9");
    assert_ne!(away, config);
    stage.home.write("away.yaml", &away);
    let arguments = [&tail[..], &["2", "--config", "away.yaml"]].concat();
    let mut process = stage.home.connector(&arguments);
    let code = process.wait(DEADLINE);
    let stderr = process.stderr();
    assert!(code == 69 && stderr.contains("schema registry http://127.0.0.1:9"), "{stderr}");
}

/// What was published since a time, and nothing of before.
fn tailed_from_a_time(stage: &Stage, before: &BTreeSet<String>) {
    let since = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut ledger = stage.simulator.ledger();
    let rows = ledger.rows(Stream::BankTransactions);
    let account = rows.into_iter().max_by_key(|row| row.id).unwrap().entity;
    ledger.add_rows(Stream::BankTransactions, &account, vec![Map::new()]).unwrap();
    drop(ledger);
    let tail = ["tail", "bank.transactions", "--limit", "1", "--from"];
    let shown = |from| stage.expect(0, &[&tail[..], &[from]].concat()).lines().remove(0);
    let id = |event: &Value| event["value"]["meta"]["event_id"].as_str().unwrap().to_owned();
    assert!(!before.contains(&id(&shown(&since))), "{since}");
    assert!(before.contains(&id(&shown("1h"))), "an hour ago there was nothing yet");
}

#[test]
fn a_long_backfill_says_every_ten_seconds_how_far_it_is() {
    let stage = Stage::new("progress");
    let slow = "slow=300ms:account_transactions".parse().unwrap();
    stage.simulator.set_faults(vec![slow]);
    let config = stage.home.path().join("config.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("concurrency: 8", "concurrency: 1").replace("start: 5d", "start: 300d");
    std::fs::write(&config, text).unwrap();
    let connector = stage.start(&["run"]);
    // Each stream tells its own, in no order; how long it takes is known once something was read.
    let line = wait_for("the progress of the bank's history", DEADLINE, || {
        let lines = connector.stderr();
        let mut lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| {
            line["code"] == "VOM-SRC-006"
                && line["stream"] == "bank_transactions"
                && !line["eta_s"].is_null()
        })
    });
    for field in ["percent", "done", "entities", "rows", "eta_s"] {
        assert!(line[field].is_u64(), "{field}: {line}");
    }
    assert!(connector.stdout().is_empty(), "a log is no data");
}
