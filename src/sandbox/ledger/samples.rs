//! The source documents' own sample rows, at their documented ids and dates.

use serde::de::DeserializeOwned;

use crate::sandbox::generator::entities::Fields;

/// Account of the sample bank row.
pub(super) const ACCOUNT: &str = "73";
/// Terminal of the sample POS row.
pub(super) const STATION: &str = "1";
/// Institution of the sample TOS payment, and of the generated ones.
pub(super) const INSTITUTION: &str = "0006624";
/// The one entity of the virtual-POS list.
pub(super) const WHOLE: &str = crate::domain::ids::EntityKey::WHOLE;

pub(super) const BANKS: &str = include_str!("../samples/banks.json");
pub(super) const ACCOUNTS: &str = include_str!("../samples/accounts.json");
pub(super) const TERMINALS: &str = include_str!("../samples/terminals.json");
pub(super) const INSTALLMENTS: &str = include_str!("../samples/installments.json");
pub(super) const BANK_ROWS: &str = include_str!("../samples/bank_transactions.json");
pub(super) const POS_ROWS: &str = include_str!("../samples/pos_transactions.json");
pub(super) const VIRTUAL_POS_ROWS: &str = include_str!("../samples/virtual_pos_transactions.json");
pub(super) const TOS_ROWS: &str = include_str!("../samples/tos_payments.json");
const FIND: &str = include_str!("../samples/find.json");

/// Reads a sample; the files are part of the program, so an empty answer is a broken build that
/// the tests of this room would show.
pub(super) fn read<T: DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}

/// The id before that of the documented cancel.
pub(super) const LAST_CHANGE: i64 = 512;

/// The documented answer of `/transaction/find`, whose payment is in no list.
pub(in crate::sandbox) fn find_sample() -> Fields {
    read(FIND)
}
