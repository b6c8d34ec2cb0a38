//! What goes into the mapping and what comes out.

use std::borrow::Cow;

use crate::{
    config::model::DateType,
    domain::{
        content::Content,
        ids::SourceId,
        time::{Day, Timestamp},
        vocabulary::RejectionReason,
        warnings::Warnings,
    },
};

/// What the mapping needs to know beside the row itself.
#[derive(Debug, Clone, Copy)]
pub struct RowContext<'a> {
    /// Account id, station id, institution code or `all`.
    pub entity: &'a str,
    /// Which bank date decides the window and the booking day.
    pub date_type: DateType,
    /// The account's currency, already normalised, for bank rows without one.
    pub entity_currency: Option<&'a str>,
    /// Whether unknown fields are carried.
    pub carry_extras: bool,
    /// Whether the body held invalid UTF-8 that was replaced by U+FFFD.
    pub replaced_text: bool,
    /// `Header.ObjectID` of a TOS answer.
    pub gateway_object_id: Option<&'a str>,
}

/// The days that count for "inside the window"; a fixed array, so that a row costs no allocation.
pub type WindowDays = [Option<Day>; 8];

/// A row as one record, ready to be hashed, compared and published.
#[derive(Debug)]
pub struct Mapped<'a> {
    /// The row's id in the source.
    pub source_id: SourceId,
    /// Booking day, where it can be read.
    pub day: Option<Day>,
    /// Days that count for "inside the window".
    pub window_days: WindowDays,
    /// Business time of the row.
    pub newest_at: Option<Timestamp>,
    /// The Kafka key after `connection/`.
    pub key: Cow<'a, str>,
    /// A hash of the source's `key` field, to notice one that stands under two ids.
    pub source_key: Option<u64>,
    /// The record, its meta still empty.
    pub record: Content<'a>,
    /// What was noticed and not changed.
    pub warnings: Warnings,
    /// Unknown fields as text; empty unless they are carried.
    pub extras: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// How many fields the model does not know.
    pub unknown_fields: u32,
}

/// A row that cannot become a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The row's id, where it can be read.
    pub source_id: Option<SourceId>,
    /// What its record's key would end with; `None` where the row does not tell it, which is then its entity.
    pub key: Option<Box<str>>,
    /// Why.
    pub reason: RejectionReason,
    /// The source field that is to blame.
    pub field: Option<&'static str>,
    /// What is wrong, without the value.
    pub detail: String,
    /// The row's JSON, masked.
    pub raw: String,
    /// Booking day, where it can be read.
    pub day: Option<Day>,
    /// Days that count for "inside the window".
    pub window_days: WindowDays,
}

/// What is known of a row before its record: needed for rows that are rejected, too.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) source_id: Option<SourceId>,
    /// What the record's key ends with, once the row has told it.
    pub(super) key: Option<Box<str>>,
    pub(super) day: Option<Day>,
    pub(super) window_days: WindowDays,
    pub(super) newest_at: Option<Timestamp>,
}

/// The parts of a row that became a record.
#[derive(Debug)]
pub(super) struct Body<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) source_key: Option<u64>,
    pub(super) record: Content<'a>,
}

impl<'a> Body<'a> {
    /// A record without a key of the source's own.
    pub(super) fn plain(key: Cow<'a, str>, record: Content<'a>) -> Self {
        Self { key, source_key: None, record }
    }
}

/// `bank_account_id` 73 as the key text; borrowed where the source wrote it plainly.
pub(super) fn id_text(id: i64) -> Cow<'static, str> {
    Cow::Owned(id.to_string())
}
