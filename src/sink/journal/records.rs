//! What lies in the journal topic beside the commands: the deployment's marks and people's words.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// Whose journal a partition is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Made when the partition was first written.
    pub uuid: String,
    /// What the transactional ids of the deployment begin with; two sinks with other ones cannot
    /// fence each other.
    pub transactional_prefix: String,
}

/// Which owner is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// Counted up by each owner in its first transaction, from 1.
    pub epoch: u64,
}

/// The kill switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// Whether nothing new is executed.
    pub stopped: bool,
    /// Who said so.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What a person found out about a parked command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Finding {
    /// The money moved.
    Executed,
    /// It did not.
    NotExecuted,
}

/// A person's decision about a parked command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// What they found out.
    pub outcome: Finding,
    /// How they know.
    pub evidence: String,
    /// Who they are.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}
