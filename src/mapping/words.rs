//! The source's words for closed vocabularies.

use crate::{
    domain::vocabulary::{
        CardBrand, Category, Direction, PosKind, TosType, VirtualPosKind, VirtualPosStatus,
    },
    mapping::text::Folded,
};

/// Finds the folded word in a table; anything else is UNKNOWN.
fn known<T: Copy + Default>(text: Option<&str>, table: &[(&str, T)]) -> T {
    let folded = text.and_then(Folded::of);
    let found = folded.and_then(|word| table.iter().find(|(name, _)| *name == word.as_str()));
    found.map_or_else(T::default, |(_, value)| *value)
}

/// One of the documented codes.
pub(super) fn category(text: Option<&str>) -> Category {
    let Some(text) = text else { return Category::Unknown };
    if let Some(exact) = Category::parse(text) {
        return exact;
    }
    let Some(folded) = Folded::of(text) else { return Category::Unknown };
    let same = |category: &&Category| category.as_str().eq_ignore_ascii_case(folded.as_str());
    Category::ALL.iter().find(same).copied().unwrap_or_default()
}

/// `borclu` is money out, `alacakli` money in.
pub(super) fn direction(text: Option<&str>) -> Direction {
    match text {
        Some("borclu") => Direction::Debit,
        Some("alacakli") => Direction::Credit,
        _ => known(
            text,
            &[
                ("borclu", Direction::Debit),
                ("alacakli", Direction::Credit),
                ("borc", Direction::Debit),
                ("alacak", Direction::Credit),
            ],
        ),
    }
}

/// The brand that POS rows call the card's sub-type.
pub(super) fn card_brand(text: Option<&str>) -> CardBrand {
    known(
        text,
        &[
            ("visa", CardBrand::Visa),
            ("mastercard", CardBrand::Mastercard),
            ("amex", CardBrand::Amex),
            ("americanexpress", CardBrand::Amex),
            ("troy", CardBrand::Troy),
        ],
    )
}

/// `Satış`, `İade`, `İptal`.
pub(super) fn pos_kind(text: Option<&str>) -> PosKind {
    known(text, &[("satis", PosKind::Sale), ("iade", PosKind::Refund), ("iptal", PosKind::Void)])
}

/// The list's English words, the detail's Turkish ones, and the one code that has been seen.
pub(super) fn virtual_pos_status(text: Option<&str>) -> VirtualPosStatus {
    known(
        text,
        &[
            ("successful", VirtualPosStatus::Successful),
            ("basarili", VirtualPosStatus::Successful),
            ("failed", VirtualPosStatus::Failed),
            ("basarisiz", VirtualPosStatus::Failed),
            ("cancel", VirtualPosStatus::Cancelled),
            ("cancelled", VirtualPosStatus::Cancelled),
            ("iptal", VirtualPosStatus::Cancelled),
            ("refund", VirtualPosStatus::Refunded),
            ("refunded", VirtualPosStatus::Refunded),
            ("iade", VirtualPosStatus::Refunded),
            ("1", VirtualPosStatus::Successful),
        ],
    )
}

/// `islem`, `iptal`, `iade`.
pub(super) fn virtual_pos_kind(text: Option<&str>) -> VirtualPosKind {
    known(
        text,
        &[
            ("islem", VirtualPosKind::Payment),
            ("iptal", VirtualPosKind::Cancel),
            ("iade", VirtualPosKind::Refund),
        ],
    )
}

/// The documented names of the numbers.
pub(super) fn tos_type_named(name: &str) -> Option<TosType> {
    Some(match Folded::of(name)?.as_str() {
        "none" => TosType::None,
        "hesaba" => TosType::ToAccount,
        "isme" => TosType::ToName,
        "kredikarti" => TosType::CreditCard,
        "iade" => TosType::Return,
        _ => return None,
    })
}

/// The documented numbers; 4 is not among them.
pub(super) const fn tos_type(number: Option<i32>) -> TosType {
    match number {
        Some(0) => TosType::None,
        Some(1) => TosType::ToAccount,
        Some(2) => TosType::ToName,
        Some(3) => TosType::CreditCard,
        Some(5) => TosType::Return,
        _ => TosType::Unknown,
    }
}
