//! Why the ledger refuses an operation.

use crate::domain::ids::Stream;

/// An operation that would make the ground truth contradict itself.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The stream has no rows of its own, or no entities of its own.
    #[error("stream {0} cannot be changed this way, use a stream that holds such rows")]
    WrongStream(Stream),
    /// No row or entity of that id.
    #[error("{stream} has no {id}, list the ledger to see what is there")]
    Unknown {
        /// Where it was looked for.
        stream: Stream,
        /// The id as it was asked for.
        id: String,
    },
    /// Another row has the id.
    #[error("{stream} has a row {id} already, edit it instead")]
    Taken {
        /// The stream of the row.
        stream: Stream,
        /// The id.
        id: i64,
    },
    /// A payment that nobody could have made.
    #[error("payment cannot be added: {0}")]
    Unfit(&'static str),
    /// A row that is not JSON.
    #[error("row could not be written as json")]
    Json(#[from] serde_json::Error),
}
