//! A payment command that may be executed, and why another one may not.
//!
//! | what is wrong                                        | what becomes of it                |
//! |------------------------------------------------------|-----------------------------------|
//! | command id no uuid, connection id no key part        | rejected topic, INVALID_ID        |
//! | record key is not `connection/reference_no`          | rejected topic, WRONG_KEY         |
//! | type, amount, currency, requested_by, reference_no   | result REJECTED                   |
//! | connection unknown or without a virtual POS          | result REJECTED                   |
//! | nothing                                              | accepted; expiry is the plan's    |
//!
//! The first two get no result, because a result needs a key that cannot be another command's.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{ids::ConnectionId, money::Money, time::Timestamp, vocabulary::CommandType};

use super::{
    payload::{Digest, Payload},
    text::clean,
};

/// Characters of a reference that the API can have.
const REFERENCE_CHARACTERS_MAX: usize = 64;
/// Bytes of a reference up to which a result can be keyed by it.
const REFERENCE_BYTES_MAX: usize = 1024;
/// The smallest unit of an amount, as [`Money::unscaled`] counts: a hundredth.
const CENT: i128 = 10_i128.pow(Money::SCALE - 2);

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
#[error("command key {0:?} is not connection/reference_no/command_id")]
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

/// What a connection can do for commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No connection of that name is configured.
    Unknown,
    /// It has no credentials for the virtual POS.
    NoVirtualPos,
    /// It can execute commands.
    Ready,
}

/// What a record of the command topic turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intake {
    /// A command to be journaled and executed.
    Accepted(Command),
    /// A command that gets a result REJECTED.
    Invalid {
        /// Which.
        key: CommandKey,
        /// What can be said of it.
        outline: Outline,
        /// What the sender must change.
        why: String,
    },
    /// No command: its bytes go to the rejected topic.
    Rejected(Rejection),
}

/// Why a record goes to the rejected topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The word of the header `vomsis_reason`.
    pub reason: RejectedBecause,
    /// The text of the header `vomsis_detail`.
    pub detail: String,
}

/// The words of `vomsis_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectedBecause {
    /// No Avro, or bytes that its schema does not explain.
    Undecodable,
    /// The record's key is not the command's reference.
    WrongKey,
    /// Readable, but no `PaymentCommand`.
    WrongSchema,
    /// An id that results cannot be keyed by.
    InvalidId,
}

impl RejectedBecause {
    /// The word as it stands in the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "UNDECODABLE",
            Self::WrongKey => "WRONG_KEY",
            Self::WrongSchema => "WRONG_SCHEMA",
            Self::InvalidId => "INVALID_ID",
        }
    }
}

impl Rejection {
    /// A rejection whose detail holds no card number.
    pub fn new(reason: RejectedBecause, detail: &str) -> Self {
        Self { reason, detail: clean(detail) }
    }
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

/// Decides what a decoded payload under a record key is; see the table above.
pub fn read(
    payload: &Payload,
    record_key: Option<&[u8]>,
    access: impl Fn(&ConnectionId) -> Access,
) -> Intake {
    let key = match read_key(payload, record_key) {
        Ok(key) => key,
        Err(rejection) => return Intake::Rejected(rejection),
    };
    match read_order(payload, access(&key.connection)) {
        Ok(order) => Intake::Accepted(Command { key, order }),
        Err(why) => {
            let outline = Outline {
                kind: payload.kind(),
                amount: payload.amount,
                expires_at: payload.expires_at,
                digest: payload.digest(),
            };
            Intake::Invalid { key, outline, why: clean(&why) }
        }
    }
}

fn read_key(payload: &Payload, record_key: Option<&[u8]>) -> Result<CommandKey, Rejection> {
    let invalid = |detail: &str| Rejection::new(RejectedBecause::InvalidId, detail);
    let id = Uuid::try_parse(&payload.command_id)
        .map_err(|_| invalid(&format!("command_id {:?} is no uuid", payload.command_id)))?;
    if id.is_nil() {
        return Err(invalid("command_id is the nil uuid, which every forgetful sender shares"));
    }
    let connection =
        ConnectionId::try_new(&payload.connection_id).map_err(|e| invalid(&e.to_string()))?;
    if connection.as_str().starts_with('_') {
        return Err(invalid("connection ids that begin with _ are the journal's own"));
    }
    if payload.reference_no.len() > REFERENCE_BYTES_MAX {
        let length = payload.reference_no.len();
        return Err(invalid(&format!("reference_no has {length} bytes, no key holds that")));
    }
    let key = CommandKey {
        connection,
        reference_no: payload.reference_no.as_str().into(),
        command_id: id,
    };
    let expected = key.reference().to_string();
    if record_key != Some(expected.as_bytes()) {
        let found = record_key.map(String::from_utf8_lossy);
        return Err(Rejection::new(
            RejectedBecause::WrongKey,
            &format!("the record's key is {found:?}, it must be {expected:?}"),
        ));
    }
    Ok(key)
}

fn read_order(payload: &Payload, access: Access) -> Result<Order, String> {
    check_reference(&payload.reference_no)?;
    let connection = &payload.connection_id;
    match access {
        Access::Ready => {}
        Access::Unknown => return Err(format!("connection {connection} is not configured")),
        Access::NoVirtualPos => {
            return Err(format!("connection {connection} has no virtual_pos, which commands need"));
        }
    }
    if payload.requested_by.trim().is_empty() {
        return Err("requested_by is blank, it must say who asks".into());
    }
    Ok(Order {
        kind: read_kind(payload)?,
        currency: payload.currency.as_deref().map(read_currency).transpose()?,
        requested_by: clean(payload.requested_by.trim()),
        requested_at: payload.requested_at,
        expires_at: payload.expires_at,
        digest: payload.digest(),
    })
}

fn check_reference(reference: &str) -> Result<(), String> {
    if reference.trim().is_empty() {
        return Err("reference_no is blank".into());
    }
    let length = reference.chars().count();
    if length > REFERENCE_CHARACTERS_MAX {
        return Err(format!(
            "reference_no has {length} characters, at most {REFERENCE_CHARACTERS_MAX} are possible"
        ));
    }
    if reference.chars().any(char::is_control) {
        return Err("reference_no holds control characters".into());
    }
    Ok(())
}

fn read_kind(payload: &Payload) -> Result<Kind, String> {
    match (payload.kind(), payload.amount) {
        (CommandType::Unknown, _) => {
            Err(format!("type {:?} is neither CANCEL nor REFUND", payload.r#type))
        }
        (CommandType::Cancel, None) => Ok(Kind::Cancel),
        (CommandType::Cancel, Some(amount)) => {
            Err(format!("a CANCEL has no amount, this one has {amount}"))
        }
        (CommandType::Refund, None) => Err("a REFUND needs an amount".into()),
        (CommandType::Refund, Some(amount)) if amount <= Money::ZERO => {
            Err(format!("amount {amount} is not above zero"))
        }
        (CommandType::Refund, Some(amount)) if amount.unscaled() % CENT != 0 => {
            Err(format!("amount {amount} has more than two decimals"))
        }
        (CommandType::Refund, Some(amount)) => Ok(Kind::Refund { amount }),
    }
}

/// Upper case, and `TRY` for the older `TL`, as payments are read.
fn read_currency(text: &str) -> Result<String, String> {
    let code = text.trim().to_uppercase();
    match code.as_str() {
        "" => Err("currency is blank; leave it out where any is right".into()),
        "TL" => Ok("TRY".into()),
        _ => Ok(clean(&code)),
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
