//! What there is beside what there should be. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::words::counted;

use super::{
    Error,
    desired::{Cleanup, Desired, MIN_INSYNC_REPLICAS},
};

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actual {
    /// Its partitions.
    pub partitions: i32,
    /// Replicas of the partition that has the fewest.
    pub replication: i32,
    /// Its `cleanup.policy`, as the broker spells it.
    pub cleanup: String,
    /// Its `min.insync.replicas`, where the broker tells it.
    pub min_insync_replicas: Option<i32>,
}

/// What to do about one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Step {
    /// It is as it should be.
    Keep {
        /// The topic.
        topic: Desired,
        /// What is there.
        found: Actual,
    },
    /// It is missing.
    Create {
        /// The topic.
        topic: Desired,
    },
    /// It is there and wrong; nothing is changed by itself.
    Conflict {
        /// The topic.
        topic: Desired,
        /// What is there.
        found: Actual,
        /// All that is wrong, with both values of each, in one line.
        reason: String,
    },
}

/// Compares what there should be with what there is.
pub fn plan(desired: &[Desired], actual: &BTreeMap<String, Actual>) -> Vec<Step> {
    desired
        .iter()
        .cloned()
        .map(|mut topic| {
            let pattern = topic.partitions_like.as_ref();
            let pattern = pattern.and_then(|name| Some((name, actual.get(name)?.partitions)));
            topic.partitions = pattern.map_or(topic.partitions, |(_, partitions)| partitions);
            match actual.get(&topic.name) {
                None => Step::Create { topic },
                Some(found) => match conflict(&topic, found, pattern) {
                    None => Step::Keep { topic, found: found.clone() },
                    Some(reason) => Step::Conflict { topic, found: found.clone(), reason },
                },
            }
        })
        .collect()
}

/// All that is wrong with a topic, in one line with both values of each; replicas stop nobody, so
/// they are only told beside what does.
fn conflict(topic: &Desired, found: &Actual, pattern: Option<(&String, i32)>) -> Option<String> {
    let mut wrong = Vec::new();
    match pattern {
        Some((name, partitions)) if partitions != found.partitions => wrong.push(format!(
            "has {}, {name} has {partitions}: both must have as many, because a \
             command's journal lies in the partition of the same number",
            counted(found.partitions, "partition")
        )),
        None if topic.partitions_fixed && found.partitions != topic.partitions => {
            wrong.push(format!(
                "has {}, kafka.shards wants {}",
                counted(found.partitions, "partition"),
                topic.partitions
            ));
        }
        Some(_) | None => {}
    }
    if let Some(wanted) = topic.cleanup.map(Cleanup::as_str)
        && found.cleanup != wanted
    {
        wrong.push(format!("has cleanup.policy={}, wanted {wanted}", found.cleanup));
    }
    if wrong.is_empty() {
        return None;
    }
    wrong.extend(replicas(topic, found));
    Some(format!("topic {} {}", topic.name, wrong.join("; ")))
}

fn replicas(topic: &Desired, found: &Actual) -> Option<String> {
    let (there, wanted) = (found.replication, topic.replication);
    (there != wanted).then(|| {
        format!("has {}, kafka.replication_factor wants {wanted}", counted(there, "replica"))
    })
}

/// How the replicas of a topic that is else as it must be differ from what was asked for.
pub fn other_replication(topic: &Desired, found: &Actual) -> Option<String> {
    replicas(topic, found).map(|wrong| format!("topic {} {wrong}", topic.name))
}

/// Why a missing topic cannot be created: it is to have more replicas than there are brokers.
pub fn too_few_brokers(step: &Step, brokers: i32) -> Option<String> {
    let Step::Create { topic } = step else { return None };
    let wanted = topic.replication;
    let are = if brokers == 1 { "is" } else { "are" };
    let there = counted(brokers, "broker");
    (wanted > brokers).then(|| {
        format!(
            "kafka.replication_factor wants {wanted} replicas of each new topic, and {there} {are} up"
        )
    })
}

/// Why a topic that is as it must be may still lose what was committed; a warning, because the
/// brokers' defaults are the operator's.
pub fn weakness(step: &Step) -> Option<String> {
    let Step::Keep { topic, found } = step else { return None };
    let there = found.min_insync_replicas?;
    let is_weak =
        topic.holds_truth && found.replication > MIN_INSYNC_REPLICAS && there < MIN_INSYNC_REPLICAS;
    is_weak.then(|| {
        format!(
            "topic {} has min.insync.replicas={there} with {} replicas: what one broker alone \
             holds counts as committed, and is lost with it; set it to {MIN_INSYNC_REPLICAS}",
            topic.name, found.replication
        )
    })
}

/// Says no where topics conflict, or are missing and may not be created; else what to create.
pub fn check(steps: &[Step], may_create: bool) -> Result<Vec<Desired>, Error> {
    let mut conflicts = Vec::new();
    let mut missing = Vec::new();
    for step in steps {
        match step {
            Step::Keep { .. } => {}
            Step::Create { topic } => missing.push(topic.clone()),
            Step::Conflict { reason, .. } => conflicts.push(reason.clone()),
        }
    }
    if !conflicts.is_empty() {
        return Err(Error::Conflict(conflicts.join("\n")));
    }
    if !may_create && !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|topic| topic.name.as_str()).collect();
        return Err(Error::Missing(names.join(", ")));
    }
    Ok(missing)
}
