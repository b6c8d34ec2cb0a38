//! Believable Turkish rows from a seed: names, descriptions, balances that add up to the kuruş.
//!
//! Every function is pure in the random source it is handed, so one seed gives one history.

pub(super) mod bank;
pub(super) mod bank_types;
pub(super) mod entities;
pub(super) mod people;
pub(super) mod pos;
pub(super) mod tos;
pub(super) mod virtual_pos;

use chrono::NaiveDateTime;

/// The source's date and time form without a zone.
pub(super) const DATE_TIME: &str = "%Y-%m-%d %H:%M:%S";

/// A time in the source's date and time form.
pub(super) fn date_time(at: NaiveDateTime) -> String {
    at.format(DATE_TIME).to_string()
}
