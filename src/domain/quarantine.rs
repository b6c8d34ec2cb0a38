//! Rows that could not become events, and rows that disappeared.

use std::borrow::Cow;

use crate::domain::{
    fields::record, meta::EventMeta, time::Timestamp, vocabulary::RejectionReason,
};

record! {
    /// A row that two complete reads no longer showed.
    RowDeletion = "RowDeletion" with meta {
        /// Stream of the row.
        stream: Cow<'a, str>,
        /// Account, terminal, institution or all: what was polled.
        entity: Cow<'a, str>,
        /// The row's id in the source.
        source_id: Cow<'a, str>,
        /// When the row was last in an answer, UTC.
        last_seen_at: Timestamp,
        /// When the row was first missing from a complete answer, UTC.
        first_absent_at: Timestamp,
    }
}

record! {
    /// A row that could not become an event; if it is mended later, it comes as CREATED.
    QuarantinedRow = "QuarantinedRow" with meta {
        /// Stream of the row.
        stream: Cow<'a, str>,
        /// Account, terminal, institution or all: what was polled.
        entity: Cow<'a, str>,
        /// Why the row could not become an event.
        reason: RejectionReason,
        /// The source field that is to blame.
        field: Option<Cow<'a, str>>,
        /// What is wrong, without the value.
        detail: Cow<'a, str>,
        /// The row's JSON with identifiers, names, contacts and cards masked.
        raw: Cow<'a, str>,
    }
}
