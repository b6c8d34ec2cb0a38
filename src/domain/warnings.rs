//! What the mapping notices about a row without changing it.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! warnings {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One thing that was noticed; the names are part of the event model.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Warning {
            $($(#[$doc])* $variant,)*
        }

        impl Warning {
            /// Every warning, in the event model's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in events.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

warnings! {
    /// The sign of the amount contradicts the direction.
    SignMismatch = "SIGN_MISMATCH",
    /// Gross minus commission is not net.
    NetMismatch = "NET_MISMATCH",
    /// A local time that happened twice; the earlier instant was taken.
    AmbiguousTime = "AMBIGUOUS_TIME",
    /// A local time that never happened; it was shifted by the gap.
    NonexistentTime = "NONEXISTENT_TIME",
    /// A date or time that cannot be read; the field is null.
    InvalidTime = "INVALID_TIME",
    /// A Turkish IBAN whose check digits are wrong.
    InvalidIban = "INVALID_IBAN",
    /// A tax number of the wrong length or with a wrong check digit.
    InvalidTaxNo = "INVALID_TAX_NO",
    /// A national identity number of the wrong length or with wrong check digits.
    InvalidNationalId = "INVALID_NATIONAL_ID",
    /// Both spellings of the receiver's IBAN are there, and they differ.
    ConflictingIban = "CONFLICTING_IBAN",
    /// A card number was masked (further) than it came.
    CardRemasked = "CARD_REMASKED",
    /// The row's JSON held a key twice; the last one counted.
    DuplicateJsonKey = "DUPLICATE_JSON_KEY",
    /// Bytes or escapes that are no text were replaced by U+FFFD.
    ReplacedText = "REPLACED_TEXT",
    /// Created at or below the entity's cursor.
    Late = "LATE",
    /// The source's `key` stands under another id in the look-back.
    RepeatedSourceKey = "REPEATED_SOURCE_KEY",
    // From here on: optional fields for display whose value is of a wrong type; the field is null.
    // They are named for the record's field, and documented in docs/streams.md.
    /// `bank_order` of a movement.
    UnreadableBankOrder = "UNREADABLE:bank_order",
    /// `display_order` of an account.
    UnreadableDisplayOrder = "UNREADABLE:display_order",
    /// `order` of a bank.
    UnreadableOrder = "UNREADABLE:order",
    /// `description` of a transaction.
    UnreadableDescription = "UNREADABLE:description",
    /// `note` of a movement.
    UnreadableNote = "UNREADABLE:note",
    /// `explanation` of a TOS payment.
    UnreadableExplanation = "UNREADABLE:explanation",
    /// `statement_text` of a TOS payment.
    UnreadableStatementText = "UNREADABLE:statement_text",
    /// `type_raw` of a TOS payment, and no documented name either.
    UnreadableTypeRaw = "UNREADABLE:type_raw",
    /// `error_code` of a TOS payment.
    UnreadableErrorCode = "UNREADABLE:error_code",
    /// `tags` of a movement, or one of them.
    UnreadableTags = "UNREADABLE:tags",
}

impl Warning {
    /// Whether it names a field that could not be read.
    pub const fn is_of_unreadable_field(self) -> bool {
        self as u8 >= Self::UnreadableBankOrder as u8
    }
}

/// A set of warnings; copied freely.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Warnings(u32);

impl Warnings {
    /// No warning.
    pub const NONE: Self = Self(0);

    /// Adds one; adding it again changes nothing.
    pub const fn insert(&mut self, warning: Warning) {
        self.0 |= 1 << warning as u8;
    }

    /// Whether it is in the set.
    pub const fn contains(self, warning: Warning) -> bool {
        self.0 & (1 << warning as u8) != 0
    }

    /// The first one that names a field which could not be read.
    pub fn unreadable_field(self) -> Option<&'static str> {
        let mut named = Warning::ALL.iter().filter(|w| w.is_of_unreadable_field());
        named.find(|w| self.contains(**w)).map(|w| w.as_str())
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The names, in the event model's order.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        Warning::ALL.iter().filter(move |w| self.contains(**w)).map(|w| w.as_str())
    }
}

impl From<Warning> for Warnings {
    fn from(warning: Warning) -> Self {
        let mut set = Self::NONE;
        set.insert(warning);
        set
    }
}

impl fmt::Debug for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Warnings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;
        let mut seq = serializer.serialize_seq(Some(self.len()))?;
        for name in self.iter() {
            seq.serialize_element(name)?;
        }
        seq.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_the_models_order_whatever_the_order_of_insertion() {
        let mut set = Warnings::NONE;
        set.insert(Warning::RepeatedSourceKey);
        set.insert(Warning::SignMismatch);
        set.insert(Warning::SignMismatch);
        assert_eq!(set.iter().collect::<Vec<_>>(), ["SIGN_MISMATCH", "REPEATED_SOURCE_KEY"]);
        assert_eq!(set.len(), 2);
        assert!(set.contains(Warning::SignMismatch) && !set.contains(Warning::Late));
        assert_eq!(set.unreadable_field(), None);
        set.insert(Warning::UnreadableNote);
        assert_eq!(set.unreadable_field(), Some("UNREADABLE:note"));
        assert!(!Warning::RepeatedSourceKey.is_of_unreadable_field());
    }
}
