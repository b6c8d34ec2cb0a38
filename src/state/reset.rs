//! An operator's decision to go on with a state partition that lost something.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// Who accepted which loss, and why; it lies in the very partition that it is about, so that it
/// counts wherever the shard is run and is gone with the partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Who decided.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
    /// The identity that the group had noted: its notes count no more.
    pub noted_identity: Option<String>,
    /// The end that the group had noted, for people.
    pub noted_end: i64,
    /// The first offset that was there: offsets before it may be missing.
    pub start: i64,
}
