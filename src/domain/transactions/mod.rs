//! Movements of money, one record a kind.

mod bank;
mod pos;
mod tos;
mod virtual_pos;

use std::borrow::Cow;

use serde::Serialize;

pub use bank::BankTransaction;
pub use pos::PosTransaction;
pub use tos::TosPayment;
pub use virtual_pos::VirtualPosTransaction;

/// A label on a bank movement.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Tag<'a> {
    /// Id of the label.
    pub tag_id: Option<i64>,
    /// Id of the label on this movement.
    pub detail_id: Option<i64>,
    /// Text of the label.
    pub name: Option<Cow<'a, str>>,
}
