//! The state topic loses something: the shards stop, nothing is published twice, and an operator
//! has a way on.

use std::{collections::BTreeSet, fs};

use rdkafka::{
    Offset,
    admin::AdminOptions,
    consumer::{BaseConsumer, Consumer},
};
use serde_json::Value;
use vomsis_connect::{domain::ids::ConnectionId, shards::placement::shard_of};

use super::stage::{BANK, DEADLINE, Stage, end, lines_with, probe, unmet};
use crate::harness::{
    damage,
    topics::{admin, block_on},
    wait::{GENEROUS, wait_until},
};

const REGRESSED: &str = "VOM-SHD-006";
const MISCOUNTED: &str = "VOM-SHD-008";
const SHARDS: i32 = 2;

/// Deletes the state topic and makes an empty one of its name.
fn recreate(stage: &Stage) {
    damage::recreate(stage.brokers(), &stage.topic("internal.state"), SHARDS, "compact");
}

/// Deletes the first records of the state topic, or all of them.
fn cut(stage: &Stage, up_to: Offset) {
    damage::cut(stage.brokers(), &stage.topic("internal.state"), SHARDS, up_to);
}

fn ends(stage: &Stage) -> Vec<(i64, i64)> {
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", stage.brokers())
        .set("isolation.level", "read_uncommitted")
        .create()
        .unwrap();
    let topic = stage.topic("internal.state");
    (0..SHARDS).map(|shard| consumer.fetch_watermarks(&topic, shard, GENEROUS).unwrap()).collect()
}

/// All event ids of the bank rows, and how many records there are.
fn event_ids(stage: &Stage) -> (BTreeSet<String>, usize) {
    let records = stage.published(BANK);
    let ids = records.iter().map(|record| record.headers["ce_id"].clone()).collect();
    (ids, records.len())
}

fn reset(stage: &Stage, more: &[&str]) -> (i32, Vec<Value>, String) {
    let arguments = ["checkpoint", "reset", "--why", "lost in an exercise", "--by", "ops"];
    let (code, stdout, stderr) = stage.command(&[&arguments, more, &["-o", "json"]].concat());
    (code, serde_json::from_str(&stdout).unwrap_or_default(), stderr)
}

/// Fills the topics, damages the state, and goes the whole way to the end of the trouble.
fn lose_and_recover(name: &str, without_cache: bool, damage: impl Fn(&Stage)) {
    let stage = Stage::new(name);
    let mut connector = stage.start();
    stage.wait_for_all();
    end(&mut connector);
    let (ids, published) = event_ids(&stage);
    damage(&stage);
    if without_cache {
        fs::remove_dir_all(stage.home.path().join("state")).unwrap();
    }

    let mut connector = stage.home.run();
    let lines = connector.wait_for_lines(REGRESSED, 2, DEADLINE);
    for line in &lines {
        assert!(line.contains("STATE_REGRESSION") && line.contains("checkpoint reset"), "{line}");
    }
    assert_eq!((probe(&mut connector, "/livez"), probe(&mut connector, "/readyz")), (200, 503));
    stage.add_rows(2);
    let before = ends(&stage);
    let (code, rows, said) = reset(&stage, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(rows.len() == 2 && rows.iter().all(|row| row["state"] == "lost"), "{rows:?}");
    assert!(said.contains("nothing was changed") && said.contains("--yes"), "{said}");
    assert_eq!(ends(&stage), before, "without --yes nothing is written");
    assert_eq!(event_ids(&stage), (ids.clone(), published), "a stopped shard publishes nothing");

    let (code, rows, said) = reset(&stage, &["--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(rows.iter().all(|row| row["state"] == "accepted"), "{rows:?}");
    connector.wait_for_status("/readyz", 200, DEADLINE);
    wait_until("the new rows are published", DEADLINE, || {
        event_ids(&stage).0.len() >= ids.len() + 2
    });
    assert_eq!(lines_with(&connector, REGRESSED), 2, "said once a shard: {}", connector.stderr());
    end(&mut connector);
    let (after, _) = event_ids(&stage);
    assert!(after.is_superset(&ids), "repeated rows have the ids that they had");
    assert_eq!(after.len(), ids.len() + 2);

    let (code, rows, said) = reset(&stage, &["--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("nothing to accept"), "{said}");
    for row in &rows {
        assert_eq!((&row["state"], &row["accepted"]["by"]), (&"ok".into(), &"ops".into()));
        assert_eq!(row["accepted"]["why"], "lost in an exercise");
    }
    let mut connector = stage.start();
    stage.add_rows(1);
    wait_until("the next row is published", DEADLINE, || {
        event_ids(&stage).0.len() >= ids.len() + 3
    });
    end(&mut connector);
    assert!(stage.most_repeated() <= 2, "once before the reset and once after it");
}

/// As the brokers do it when a group was empty for `offsets.retention.minutes`.
fn forget_the_note(stage: &Stage) {
    let options = AdminOptions::new().request_timeout(Some(GENEROUS));
    wait_until("the group and its offsets are gone", GENEROUS, || {
        block_on(admin(stage.brokers()).delete_groups(&[&stage.prefix], &options))
            .is_ok_and(|done| done[0].is_ok())
    });
}

#[test]
fn a_cut_state_topic_stops_the_shards_though_the_note_has_expired() {
    for without_cache in [false, true] {
        lose_and_recover("cut-unnoted", without_cache, |stage| {
            cut(stage, Offset::Offset(2));
            forget_the_note(stage);
        });
    }
}

#[test]
fn a_note_that_has_expired_is_no_loss_and_is_made_again() {
    let stage = Stage::new("unnoted");
    let mut connector = stage.start();
    stage.wait_for_all();
    end(&mut connector);
    for without_cache in [false, true] {
        forget_the_note(&stage);
        if without_cache {
            fs::remove_dir_all(stage.home.path().join("state")).unwrap();
        }
        let mut connector = stage.start();
        stage.add_rows(2);
        stage.wait_for_all();
        end(&mut connector);
        stage.assert_exactly_once();
        assert_eq!(lines_with(&connector, REGRESSED), 0, "{}", connector.stderr());
    }
    recreate(&stage);
    stage.home.run().wait_for_lines(REGRESSED, 2, DEADLINE);
}

#[test]
fn a_state_topic_that_is_recreated_under_way_stops_its_shard() {
    let stage = Stage::new("recreated-running");
    let mut connector = stage.start();
    stage.wait_for_all();
    let before = event_ids(&stage);
    recreate(&stage);
    stage.add_rows(2);
    let line = connector.wait_for_line(REGRESSED, DEADLINE);
    assert!(line.contains("STATE_REGRESSION"), "{line}");
    assert_eq!((probe(&mut connector, "/livez"), probe(&mut connector, "/readyz")), (200, 503));
    assert_eq!(event_ids(&stage), before, "nothing is published beside a state that is lost");
    end(&mut connector);
}

const MOVED: &str = "VOM-SHD-015";

#[test]
fn shards_that_are_raised_with_both_topics_stop_before_anything_is_published_again() {
    let stage = Stage::new("raised-with-topics");
    let mut connector = stage.start();
    stage.wait_for_all();
    end(&mut connector);
    let before = event_ids(&stage);
    let acme = ConnectionId::try_new("acme").unwrap();
    let place = shard_of(&acme, SHARDS);
    let raised = (SHARDS + 1..).find(|shards| shard_of(&acme, *shards) != place).unwrap();
    let count = usize::try_from(raised).unwrap();
    for suffix in ["internal.assignment", "internal.state"] {
        damage::widen(stage.brokers(), &stage.topic(suffix), count);
    }
    stage.change("kafka:", "shards: 2", &format!("shards: {raised}"));
    let mut connector = stage.home.run();
    let lines = connector.wait_for_lines(MOVED, count, DEADLINE);
    assert!(lines.iter().all(|line| line.contains("set kafka.shards back")), "{lines:?}");
    assert_eq!((probe(&mut connector, "/livez"), probe(&mut connector, "/readyz")), (200, 503));
    let (code, _, said) = reset(&stage, &["--yes"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("acme") && said.contains("nothing was changed"), "{said}");
    assert_eq!(event_ids(&stage), before, "a stopped shard publishes nothing");
    end(&mut connector);
}

const OTHERS: &str = "VOM-SHD-013";

#[test]
fn another_deployments_state_stops_the_shards_until_an_operator_takes_them_over() {
    let stage = Stage::new("deployment");
    let mut connector = stage.start();
    stage.wait_for_all();
    // One of another group, which fences nobody of this one.
    let folder = stage.home.path().join("elsewhere").display().to_string();
    let elsewhere = [("VOMSIS__KAFKA__GROUP", "elsewhere"), ("VOMSIS__STATE__DIR", &folder)];
    let mut other = stage.home.run_with(&elsewhere);
    let lines = other.wait_for_lines(OTHERS, 2, DEADLINE);
    assert!(lines[0].contains("elsewhere") && lines[0].contains("checkpoint reset"), "{lines:?}");
    assert_eq!((probe(&mut other, "/livez"), probe(&mut other, "/readyz")), (200, 503));
    stage.add_rows(2);
    stage.wait_for_all();
    end(&mut connector);
    stage.assert_exactly_once();

    let file = stage.home.path().join("config.yaml");
    let ours = fs::read_to_string(&file).unwrap();
    let group = format!("group: \"{}\"", stage.prefix);
    stage.change("group", &group, "group: \"elsewhere\"");
    let (code, rows, said) = reset(&stage, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(rows.len() == 2 && rows.iter().all(|row| row["state"] == "other"), "{rows:?}");
    let (code, rows, said) = reset(&stage, &["--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(rows.iter().all(|row| row["state"] == "accepted"), "{rows:?}");
    other.wait_for_status("/readyz", 200, DEADLINE);
    stage.add_rows(2);
    stage.wait_for_all();
    end(&mut other);
    stage.assert_exactly_once();

    fs::write(&file, ours).unwrap();
    let mut former = stage.home.run();
    former.wait_for_lines(OTHERS, 2, DEADLINE);
    end(&mut former);
}

#[test]
fn a_recreated_state_topic_stops_the_shards_until_an_operator_accepts_it() {
    lose_and_recover("recreated", false, recreate);
}

#[test]
fn an_emptied_state_topic_stops_the_shards_without_a_cache_too() {
    lose_and_recover("emptied", true, |stage| cut(stage, Offset::End));
}

#[test]
fn a_cut_state_topic_stops_the_shards_until_an_operator_accepts_it() {
    lose_and_recover("cut", false, |stage| cut(stage, Offset::Offset(2)));
}

#[test]
fn a_recreated_state_topic_stops_the_shards_without_a_cache_too() {
    lose_and_recover("recreated-bare", true, recreate);
}

#[test]
fn an_emptied_state_topic_stops_the_shards_whatever_the_cache_says() {
    lose_and_recover("emptied-cached", false, |stage| cut(stage, Offset::End));
}

#[test]
fn a_cut_state_topic_stops_the_shards_without_a_cache_too() {
    lose_and_recover("cut-bare", true, |stage| cut(stage, Offset::Offset(2)));
}

#[test]
fn shards_that_are_added_under_way_are_told_once_and_refused_at_the_next_start() {
    let stage = Stage::new("widened");
    let mut connector = stage.start();
    stage.wait_for_all();
    damage::widen(stage.brokers(), &stage.topic("internal.assignment"), 3);
    let line = connector.wait_for_line(MISCOUNTED, DEADLINE);
    let said: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&said["partitions"], &said["shards"]), (&3.into(), &2.into()), "{line}");
    stage.add_rows(3);
    stage.wait_for_all();
    assert_eq!(probe(&mut connector, "/readyz"), 200, "{:?}", unmet(&mut connector));
    assert_eq!(lines_with(&connector, MISCOUNTED), 1, "said once: {}", connector.stderr());
    end(&mut connector);
    stage.assert_exactly_once();
    let mut connector = stage.home.run();
    assert_eq!(connector.wait(DEADLINE), 1, "{}", connector.stderr());
    assert!(connector.stderr().contains("VOM-KFK-004"), "{}", connector.stderr());
}

#[test]
fn more_partitions_than_shards_are_refused_at_the_start_with_both_numbers() {
    for suffix in ["internal.assignment", "internal.state"] {
        let stage = Stage::new("raised");
        let (code, _, said) = stage.command(&["topics", "apply", "--yes"]);
        assert_eq!(code, 0, "{said}");
        let topic = stage.topic(suffix);
        damage::widen(stage.brokers(), &topic, 3);
        let mut connector = stage.home.run();
        assert_eq!(connector.wait(DEADLINE), 1, "{}", connector.stderr());
        let said = connector.stderr();
        let expected = format!("topic {topic} has 3 partitions, kafka.shards wants 2");
        assert!(said.contains("VOM-KFK-004") && said.contains(&expected), "{said}");
    }
}
