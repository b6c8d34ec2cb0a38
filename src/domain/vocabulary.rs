//! Closed vocabularies: real enums here, plain strings with an `allowed` list in the schemas.
//!
//! A text that is not known is UNKNOWN; the source's own text stands beside it in `…_raw`.

use crate::domain::ids::Stream;

/// Defines a vocabulary whose first word is its empty state.
macro_rules! vocabulary {
    (
        $(#[$doc:meta])*
        $type:ident { $first:ident = $first_word:literal, $($word:ident = $text:literal,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub enum $type {
            #[doc = concat!("`", $first_word, "`")]
            #[default]
            $first,
            $(
                #[doc = concat!("`", $text, "`")]
                $word,
            )*
        }

        impl $type {
            /// Every word, in the schema's order.
            pub const ALL: &'static [Self] = &[Self::$first, $(Self::$word,)*];

            /// The word as it stands in events.
            pub const fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $(Self::$word => $text,)*
                }
            }

            /// The word behind an exact text.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $first_word => Some(Self::$first),
                    $($text => Some(Self::$word),)*
                    _ => None,
                }
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<'a> crate::domain::fields::Field<'a> for $type {
            fn field_mut(&mut self) -> crate::domain::fields::FieldMut<'_, 'a> {
                crate::domain::fields::FieldMut::Clearable(
                    crate::domain::fields::Clearable::vocabulary(self),
                )
            }
        }
    };
}

vocabulary! {
    /// The API that a row came from.
    Source {
        Unknown = "UNKNOWN",
        VomsisBankV2 = "VOMSIS_BANK_V2",
        VomsisVirtualPosV3 = "VOMSIS_VIRTUAL_POS_V3",
        VakifbankTos = "VAKIFBANK_TOS",
    }
}

vocabulary! {
    /// Kind of bank movement, as Vomsis classifies it.
    Category {
        Unknown = "UNKNOWN",
        Bonoal = "BONOAL",
        Bonosat = "BONOSAT",
        Cekode = "CEKODE",
        Cektah = "CEKTAH",
        Dbsode = "DBSODE",
        Dbstah = "DBSTAH",
        Digode = "DIGODE",
        Digtah = "DIGTAH",
        Doval = "DOVAL",
        Dovsat = "DOVSAT",
        Faizgel = "FAIZGEL",
        Faizgid = "FAIZGID",
        Fatodeme = "FATODEME",
        Fonal = "FONAL",
        Fonsat = "FONSAT",
        Gmngid = "GMNGID",
        Ihrisl = "IHRISL",
        Ithisl = "ITHISL",
        Kartharc = "KARTHARC",
        Kartode = "KARTODE",
        Kiragid = "KIRAGID",
        Kkdf = "KKDF",
        Krdkul = "KRDKUL",
        Krdode = "KRDODE",
        Masrkom = "MASRKOM",
        Nakcek = "NAKCEK",
        Nakyat = "NAKYAT",
        Ogshgs = "OGSHGS",
        Persode = "PERSODE",
        Posblc = "POSBLC",
        Posblg = "POSBLG",
        Posyat = "POSYAT",
        Posyatiad = "POSYATIAD",
        Repocek = "REPOCEK",
        Repoyat = "REPOYAT",
        Sgkode = "SGKODE",
        Sntode = "SNTODE",
        Snttah = "SNTTAH",
        Temmekt = "TEMMEKT",
        Trfgel = "TRFGEL",
        Trfgid = "TRFGID",
        Vdhsacma = "VDHSACMA",
        Vdhskapa = "VDHSKAPA",
        Vergiode = "VERGIODE",
        Virmgel = "VIRMGEL",
        Virmgid = "VIRMGID",
    }
}

vocabulary! {
    /// Whether an account was debited or credited.
    Direction {
        Unknown = "UNKNOWN",
        Debit = "DEBIT",
        Credit = "CREDIT",
    }
}

vocabulary! {
    /// Brand of a card.
    CardBrand {
        Unknown = "UNKNOWN",
        Visa = "VISA",
        Mastercard = "MASTERCARD",
        Amex = "AMEX",
        Troy = "TROY",
    }
}

vocabulary! {
    /// Kind of a POS transaction.
    PosKind {
        Unknown = "UNKNOWN",
        Sale = "SALE",
        Refund = "REFUND",
        Void = "VOID",
    }
}

vocabulary! {
    /// State of a virtual-POS payment.
    VirtualPosStatus {
        Unknown = "UNKNOWN",
        Successful = "SUCCESSFUL",
        Failed = "FAILED",
        Cancelled = "CANCELLED",
        Refunded = "REFUNDED",
    }
}

vocabulary! {
    /// Kind of a virtual-POS row.
    VirtualPosKind {
        Unknown = "UNKNOWN",
        Payment = "PAYMENT",
        Cancel = "CANCEL",
        Refund = "REFUND",
    }
}

vocabulary! {
    /// Kind of a TOS payment.
    TosType {
        Unknown = "UNKNOWN",
        None = "NONE",
        ToAccount = "TO_ACCOUNT",
        ToName = "TO_NAME",
        CreditCard = "CREDIT_CARD",
        Return = "RETURN",
    }
}

vocabulary! {
    /// What a payment command asks for.
    CommandType {
        Unknown = "UNKNOWN",
        Cancel = "CANCEL",
        Refund = "REFUND",
    }
}

vocabulary! {
    /// What became of a payment command.
    Outcome {
        Unknown = "UNKNOWN",
        Succeeded = "SUCCEEDED",
        Declined = "DECLINED",
        Rejected = "REJECTED",
        Expired = "EXPIRED",
        Duplicate = "DUPLICATE",
        InDoubt = "IN_DOUBT",
        Parked = "PARKED",
    }
}

vocabulary! {
    /// Why a row could not become an event.
    RejectionReason {
        Unknown = "UNKNOWN",
        MissingField = "MISSING_FIELD",
        InvalidAmount = "INVALID_AMOUNT",
        InvalidId = "INVALID_ID",
        InvalidType = "INVALID_TYPE",
        UnsupportedCurrency = "UNSUPPORTED_CURRENCY",
        TooLarge = "TOO_LARGE",
    }
}

impl Source {
    /// The API that serves a stream.
    pub const fn of(stream: Stream) -> Self {
        match stream {
            Stream::BankTransactions
            | Stream::PosTransactions
            | Stream::Banks
            | Stream::Accounts
            | Stream::Terminals
            | Stream::TransactionTypes => Self::VomsisBankV2,
            Stream::VirtualPosTransactions | Stream::Installments | Stream::Customers => {
                Self::VomsisVirtualPosV3
            }
            Stream::TosPayments => Self::VakifbankTos,
        }
    }
}
