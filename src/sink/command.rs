//! A payment command: which one, and what it asks for.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::{ids::ConnectionId, money::Money, time::Timestamp, vocabulary::CommandType},
    mapping::mask_cards,
};

use super::payload::Digest;

/// The payment that commands are about; its commands run one after another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Whose payment.
    pub connection: ConnectionId,
    /// The payment's reference.
    pub no: Arc<str>,
}

/// Which command: the key of its journal entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandKey {
    /// Whose payment.
    pub connection: ConnectionId,
    /// The payment's reference.
    pub reference_no: Arc<str>,
    /// The id that the sender chose.
    pub command_id: Uuid,
}

/// A key that is not `connection/reference_no/command_id`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("command key {:?} is not connection/reference_no/command_id", mask_cards(.0))]
pub struct InvalidKey(String);

/// What to do with the payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE", deny_unknown_fields)]
pub enum Kind {
    /// Give a part or all of it back.
    Refund {
        /// In units of the payment's currency; above zero, at most two decimals.
        #[serde(with = "exact")]
        amount: Money,
    },
    /// Undo it as a whole.
    Cancel,
}

/// What a valid command asks for, beside its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What to do.
    pub kind: Kind,
    /// The currency that the sender expects, upper case; `TRY` for `TL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Who asked for it.
    pub requested_by: String,
    /// When it was asked for, as the sender says.
    pub requested_at: Timestamp,
    /// After this instant nothing is sent; without it the command never expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Over every field of the payload.
    pub digest: Digest,
}

/// A command that may be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Which.
    pub key: CommandKey,
    /// What it asks for.
    pub order: Order,
}

/// What can be said of a command that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outline {
    /// What to do, UNKNOWN where that was the trouble.
    #[serde(with = "words")]
    pub kind: CommandType,
    /// The amount that was asked for.
    #[serde(
        default,
        with = "crate::domain::payment::amounts",
        skip_serializing_if = "Option::is_none"
    )]
    pub amount: Option<Money>,
    /// Until when it was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Over every field of the payload.
    pub digest: Digest,
}

impl Kind {
    /// The word of events.
    pub const fn word(self) -> CommandType {
        match self {
            Self::Refund { .. } => CommandType::Refund,
            Self::Cancel => CommandType::Cancel,
        }
    }

    /// What a refund gives back; a cancel names no amount.
    pub const fn amount(self) -> Option<Money> {
        match self {
            Self::Refund { amount } => Some(amount),
            Self::Cancel => None,
        }
    }
}

impl Order {
    /// What a result says of it.
    pub const fn outline(&self) -> Outline {
        Outline {
            kind: self.kind.word(),
            amount: self.kind.amount(),
            expires_at: self.expires_at,
            digest: self.digest,
        }
    }

    /// Whether it is too late to send anything; the instant itself is still in time.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| now > expires_at)
    }
}

impl CommandKey {
    /// The payment that it is about.
    pub fn reference(&self) -> Reference {
        Reference { connection: self.connection.clone(), no: Arc::clone(&self.reference_no) }
    }

    /// The connection as it may stand where many read: senders have put cards into any field. Records
    /// keep the key as it is.
    pub fn shown_connection(&self) -> Cow<'_, str> {
        mask_cards(self.connection.as_str())
    }

    /// The reference, as [`shown_connection`](Self::shown_connection).
    pub fn shown_reference(&self) -> Cow<'_, str> {
        mask_cards(&self.reference_no)
    }

    /// All of the key, as [`shown_connection`](Self::shown_connection).
    pub fn shown(&self) -> String {
        let (connection, reference) = (self.shown_connection(), self.shown_reference());
        format!("{connection}/{reference}/{}", self.command_id.hyphenated())
    }

    /// Reads what `Display` wrote: the reference may hold slashes, the two ends cannot.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let wrong = || InvalidKey(text.to_owned());
        let (connection, rest) = text.split_once('/').ok_or_else(wrong)?;
        let (reference_no, command_id) = rest.rsplit_once('/').ok_or_else(wrong)?;
        let connection = ConnectionId::try_new(connection).map_err(|_| wrong())?;
        let id = Uuid::try_parse(command_id).map_err(|_| wrong())?;
        // One command has one key: other spellings of the same uuid are no keys of ours.
        if id.hyphenated().to_string() != command_id || connection.as_str().starts_with('_') {
            return Err(wrong());
        }
        Ok(Self { connection, reference_no: reference_no.into(), command_id: id })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.connection, self.no)
    }
}

impl fmt::Display for CommandKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.connection, self.reference_no, self.command_id.hyphenated())
    }
}

/// An amount as exact decimal text.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::domain::money::Money;

    pub(super) fn serialize<S: Serializer>(amount: &Money, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(amount)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Money, D::Error> {
        Money::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// A command's type as its word.
mod words {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::domain::vocabulary::CommandType;

    pub(super) fn serialize<S: Serializer>(kind: &CommandType, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(kind.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<CommandType, D::Error> {
        Ok(CommandType::parse(&String::deserialize(from)?).unwrap_or_default())
    }
}
