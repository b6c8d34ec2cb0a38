//! What `/api/v1/status` answers, and `status` shows: no amounts, account numbers or names.

use serde::{Deserialize, Serialize};

/// Whoever knows how things stand.
pub trait StatusSource: Send + Sync {
    /// How things stand now.
    fn status(&self) -> Status;
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// Since its start.
    pub uptime_seconds: u64,
    /// Which configuration is in force.
    pub config_hash: String,
    /// The whole in one sentence: `healthy`, or what is not.
    pub verdict: String,
    /// The shards of this replica.
    pub shards: Vec<ShardStatus>,
    /// The payment sink on this replica; nothing where it is off.
    #[serde(default)]
    pub sink: Option<SinkStatus>,
    /// The streams of this replica, an entry an entity.
    pub streams: Vec<StreamStatus>,
}

/// The payment sink on this replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// `standby`, `restoring`, `owned`, `waiting`, `halted`, `retrying` or `stopped`.
    pub state: String,
    /// Why, where it is one of the last four.
    pub why: Option<String>,
    /// Commands in doubt or parked; of the replica that executes them, like the two below.
    #[serde(default)]
    pub in_doubt: u64,
    /// Since when the oldest of them is.
    #[serde(default)]
    pub oldest_in_doubt: Option<String>,
    /// Commands that were taken in and have no answer yet.
    #[serde(default)]
    pub waiting: u64,
}

/// One shard of this replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// Its number.
    pub shard: i32,
    /// `restoring`, `owned`, `fenced` or `stopped`.
    pub state: String,
    /// The connections that it holds.
    pub connections: Vec<String>,
}

/// One entity of one stream; times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// Whose.
    pub connection: String,
    /// Which stream.
    pub stream: String,
    /// Which account, terminal or institution; `all` for lists.
    pub entity: String,
    /// `healthy`, `late` (the last success is longer ago than `freshness_slo`), `failing`,
    /// `backfilling 40 %`, `stopped`, `never synced`.
    pub state: String,
    /// Last successful poll.
    pub last_success: Option<String>,
    /// Business time of the newest row.
    pub newest_record: Option<String>,
    /// Up to when everything was read, as the last checkpoint has it.
    pub checkpoint: Option<String>,
    /// When it is polled again; nothing while a poll is under way, while it is stopped, and where
    /// only a changed secret or a person brings the next one.
    pub next_poll: Option<String>,
    /// The last error, until a poll succeeds.
    pub last_error: Option<LastError>,
    /// Events that this process published in the last 24 hours, whatever day their rows are of: those
    /// of the hour of the clock that runs and of the 23 before it. It begins anew with each process.
    pub rows_24h: u64,
    /// Since when these are counted: 23 to 24 hours ago, or when this process took the entity over.
    #[serde(default)]
    pub rows_24h_since: Option<String>,
}

/// What went wrong last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    pub time: String,
    /// The code of `docs/errors.md`.
    pub code: String,
    /// In full, with nothing that identifies a person or an account.
    pub message: String,
}
