//! What an event says of what happened.

use crate::domain::record::Op;

/// The CloudEvents type of a record and what happened to it.
pub(super) fn event_type(record: &str, op: Op) -> String {
    let op = match op {
        Op::Created => "created",
        Op::Updated => "updated",
        Op::Deleted => "deleted",
    };
    format!("io.vomsis.v1.{record}.{op}")
}
