//! What every published record has in common.

use serde::Serialize;

/// What happened to the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Op {
    /// First content of the row.
    #[serde(rename = "CREATED")]
    Created,
    /// Another content than the last.
    #[serde(rename = "UPDATED")]
    Updated,
    /// Gone from two complete reads; only in `RowDeletion`.
    #[serde(rename = "DELETED")]
    Deleted,
}
