//! From a row of JSON to a record of the event model, or to a typed rejection.
//!
//! Everything here is pure: the same row and context always give the same record and hash.

mod bank;
mod card;
mod checks;
mod dates;
mod hash;
mod json;
mod map;
mod patterns;
pub mod payment;
mod pos;
pub mod privacy;
mod raw;
mod reader;
mod reference;
mod row;
mod scan;
mod text;
mod tos;
mod virtual_pos;
mod words;

pub use card::mask_cards;
pub use hash::{EVENT_NAMESPACE, HASH_RULE, content_hash, event_id, rejected_hash};
pub use map::{ROW_BYTES_MAX, map_mentioned_customer, map_row, outgrown, shown_beginning};
pub(crate) use patterns::free as mask_free;
pub use privacy::PrivacyRules;
pub use row::{Mapped, Rejection, RowContext, WindowDays};

#[cfg(test)]
mod tests;
