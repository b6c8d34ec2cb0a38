//! Every topic of a deployment as it should be, and what lies in it.

use serde::Serialize;

use crate::{
    config::model::Kafka,
    domain::{ids::Stream, schemas},
};

/// Brokers that must hold a record before it counts as written, where there are as many.
pub(super) const MIN_INSYNC_REPLICAS: i32 = 2;

/// The assignment topic without its prefix.
pub const ASSIGNMENT: &str = "internal.assignment";
/// The state topic without its prefix.
pub const STATE: &str = "internal.state";
/// The topic of rows that cannot be mapped, without its prefix.
pub const QUARANTINE: &str = "quarantine";
/// The topic of rows that disappeared, without its prefix.
pub const DELETIONS: &str = "deletions";
/// The topic that payment commands arrive on, without its prefix.
pub const COMMANDS: &str = "payment.commands";
/// The topic of what became of payment commands, without its prefix.
pub const RESULTS: &str = "payment.results";
/// The topic of records that are no payment commands, without its prefix.
pub const REJECTED_COMMANDS: &str = "payment.commands.rejected";
/// The topic of the payment journal, without its prefix.
pub const JOURNAL: &str = "internal.payment-journal";

/// How a topic keeps its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cleanup {
    /// By age.
    Delete,
    /// The newest record of each key.
    Compact,
}

impl Cleanup {
    /// As the broker spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
        }
    }
}

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Desired {
    /// The full name.
    pub name: String,
    /// What its keys are made of.
    pub key: &'static str,
    /// What it holds: the record of its values, or a few words.
    pub holds: &'static str,
    /// Partitions to create it with.
    pub partitions: i32,
    /// Whether another count than `partitions` breaks the protocol.
    pub partitions_fixed: bool,
    /// The topic that must have exactly as many partitions, wherever that is there already.
    #[serde(skip)]
    pub partitions_like: Option<String>,
    /// Replicas to create it with.
    pub replication: i32,
    /// Cleanup policy; `None` where the topic holds no data.
    pub cleanup: Option<Cleanup>,
    /// `min.insync.replicas` to create it with; `None` where the topic holds no data.
    pub min_insync_replicas: Option<i32>,
    /// Whether losing its newest records would repeat rows or payments: state and journal.
    #[serde(skip)]
    pub holds_truth: bool,
}

/// Every topic of the deployment; those of payments only with the sink.
pub fn desired(kafka: &Kafka, payments: bool) -> Vec<Desired> {
    let topic = |suffix: &str, cleanup, partitions_fixed| Desired {
        name: kafka.topic(suffix),
        key: key(suffix),
        holds: holds(suffix),
        partitions: kafka.shards,
        partitions_fixed,
        partitions_like: None,
        replication: kafka.replication_factor,
        cleanup,
        min_insync_replicas: cleanup.map(|_| MIN_INSYNC_REPLICAS.min(kafka.replication_factor)),
        holds_truth: suffix == STATE || suffix == JOURNAL,
    };
    let mut topics: Vec<Desired> = Stream::ALL
        .iter()
        .map(|stream| {
            let cleanup = if stream.is_reference() { Cleanup::Compact } else { Cleanup::Delete };
            topic(stream.topic_suffix(), Some(cleanup), false)
        })
        .collect();
    topics.push(topic(DELETIONS, Some(Cleanup::Delete), false));
    topics.push(topic(QUARANTINE, Some(Cleanup::Delete), false));
    topics.push(topic(ASSIGNMENT, None, true));
    topics.push(topic(STATE, Some(Cleanup::Compact), true));
    if payments {
        topics.push(topic(COMMANDS, Some(Cleanup::Delete), false));
        topics.push(topic(RESULTS, Some(Cleanup::Delete), false));
        topics.push(topic(REJECTED_COMMANDS, Some(Cleanup::Delete), false));
        let commands = Some(kafka.topic(COMMANDS));
        let journal = topic(JOURNAL, Some(Cleanup::Compact), false);
        topics.push(Desired { partitions_like: commands, ..journal });
    }
    topics
}

/// What the keys of a topic are made of; `suffix` is its name without the prefix.
fn key(suffix: &str) -> &'static str {
    match suffix {
        "bank.transactions" => "connection/account_id",
        "pos.transactions" => "connection/station_id",
        "tos.payments" => "connection/institution_code",
        "virtual-pos.transactions" | COMMANDS | RESULTS => "connection/reference_no",
        REJECTED_COMMANDS => "as the command came",
        DELETIONS | QUARANTINE => "as the row's own topic",
        "reference.installments" => "connection/family/pos_id/installment/currency",
        ASSIGNMENT => "none, holds no records",
        STATE => "connection/stream/entity[/day/chunk]",
        JOURNAL => "connection/reference_no/command_id",
        // Of every other list of reference data.
        _ => "connection/id",
    }
}

/// The record that the values of a topic are, or what they are instead.
fn holds(suffix: &str) -> &'static str {
    let schema = schemas::ALL.iter().find(|schema| schema.topic_suffix == suffix);
    match (schema, suffix) {
        (Some(schema), _) => schema.name,
        (None, REJECTED_COMMANDS) => "the command's bytes, headers say why",
        (None, ASSIGNMENT) => "none",
        (None, _) => "the connector's own",
    }
}
