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
        /// When the last complete answer or live poll that had the row was read, UTC; null where
        /// the process that noticed its absence never saw it, as after a restart.
        last_seen_at: Option<Timestamp>,
        /// When the first complete answer that lacked the row was read, UTC; `meta.fetched_at` is
        /// the second one's time. A restart begins the count anew.
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
