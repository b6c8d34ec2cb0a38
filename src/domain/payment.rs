//! A virtual-POS payment as the API tells it, and what the API said to one attempt to change it.

use serde::{Deserialize, Serialize};

use crate::domain::{money::Money, vocabulary::VirtualPosStatus};

/// What is to be done to a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Take it back whole, on the day it was made.
    Cancel,
    /// Give back so much of it.
    Refund {
        /// In units of the payment's currency.
        amount: Money,
    },
}

/// Where a payment stands: `/transaction/find` put together with its row of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentState {
    /// Whether it was taken, cancelled or refunded.
    #[serde(with = "words")]
    pub status: VirtualPosStatus,
    /// What was paid, in units of the currency. Source: amount, tutar.
    #[serde(default, with = "amounts", skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// What was given back so far; nothing where the API told none. Source: iade_tutar.
    #[serde(default, with = "amounts", skip_serializing_if = "Option::is_none")]
    pub refunded: Option<Money>,
    /// Whether nobody knows what was given back: no list showed the payment, or not so that its sum can
    /// be read. Without this, no sum means that nothing was given back of a payment that stands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refunded_unknown: bool,
    /// Its currency, `TRY` for `TL`. Source: para_birimi, which only the list has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// What the API says about an operation that it decided on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// The bank's transaction id. Source: trans_id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// The API's id of the operation. Source: islem_id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<i64>,
    /// The bank's answer code. Source: proc_return_code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The bank's answer text, card numbers masked. Source: error_message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What was given back so far. Source: iade_tutar.
    #[serde(default, with = "amounts", skip_serializing_if = "Option::is_none")]
    pub refunded_total: Option<Money>,
}

/// How the answer to the one POST reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every part of the answer says that it was done.
    Approved(Provider),
    /// Every part of the answer says that it was not.
    Declined(Provider),
    /// Anything else: the money may have moved.
    Unclear {
        /// What does not fit, without personal data.
        detail: String,
    },
}

/// Money as exact decimal text in stored JSON.
pub mod amounts {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::domain::money::Money;

    /// Writes `"12.50"`, or null.
    pub fn serialize<S: Serializer>(
        amount: &Option<Money>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match amount {
            Some(amount) => serializer.collect_str(amount),
            None => serializer.serialize_none(),
        }
    }

    /// Reads what [`serialize`] wrote.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Money>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| Money::parse(&text).map_err(D::Error::custom)).transpose()
    }
}

/// A payment's status as its word in stored JSON.
mod words {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::domain::vocabulary::VirtualPosStatus;

    pub(super) fn serialize<S: Serializer>(
        status: &VirtualPosStatus,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(status.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<VirtualPosStatus, D::Error> {
        let word = String::deserialize(deserializer)?;
        // A word of a newer program is not known here, which is what UNKNOWN says.
        Ok(VirtualPosStatus::parse(&word).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_amounts_stay_exact() {
        let state = PaymentState {
            status: VirtualPosStatus::Refunded,
            amount: Money::parse("209000.01").ok(),
            refunded: Money::parse("0.1").ok(),
            refunded_unknown: false,
            currency: Some("TRY".into()),
        };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(
            text,
            r#"{"status":"REFUNDED","amount":"209000.01","refunded":"0.10","currency":"TRY"}"#
        );
        assert_eq!(serde_json::from_str::<PaymentState>(&text).unwrap(), state);
        let bare: PaymentState = serde_json::from_str(r#"{"status":"NEW_WORD"}"#).unwrap();
        assert_eq!((bare.status, bare.refunded), (VirtualPosStatus::Unknown, None));
        assert!(!bare.refunded_unknown, "as older programs wrote it");
        let untold = PaymentState { refunded: None, refunded_unknown: true, ..state };
        let text = serde_json::to_string(&untold).unwrap();
        assert_eq!(serde_json::from_str::<PaymentState>(&text).unwrap(), untold);
    }
}
