//! Whether a record of the command topic is a command that may be executed, and why not.
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

use uuid::Uuid;

use crate::{
    domain::{ids::ConnectionId, money::Money, vocabulary::CommandType},
    mapping::mask_free,
};

use super::{
    command::{Command, CommandKey, Kind, Order, Outline},
    journal::{Arrival, Entry},
    payload::{Digest, Payload},
    text::clean,
};

/// Characters of a reference that the API can have.
const REFERENCE_CHARACTERS_MAX: usize = 64;
/// Bytes of a reference up to which a result can be keyed by it.
const REFERENCE_BYTES_MAX: usize = 1024;
/// The smallest unit of an amount, as [`Money::unscaled`] counts: a hundredth.
const CENT: i128 = 10_i128.pow(Money::SCALE - 2);

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
    /// Every word.
    pub const ALL: [Self; 4] =
        [Self::Undecodable, Self::WrongKey, Self::WrongSchema, Self::InvalidId];

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
    /// A rejection whose detail holds no number or address of a person, wherever the sender wrote it.
    /// The record itself lies beside it, untouched.
    pub fn new(reason: RejectedBecause, detail: &str) -> Self {
        Self { reason, detail: clean(&mask_free(detail)) }
    }
}

/// What a command is to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing is known of it: it is journaled and taken up.
    New,
    /// The very record that it was journaled from, read once more: what came of it was published in the
    /// transaction that journaled it.
    Read,
    /// The same command again: its last result, if there is one, is published again as it was.
    Again,
    /// Another payload under an id that is taken: it is answered DUPLICATE, the first one stands.
    Duplicate,
}

impl Intake {
    /// Key and digest of what can be journaled.
    pub const fn known_by(&self) -> Option<(&CommandKey, Digest)> {
        match self {
            Self::Accepted(command) => Some((&command.key, command.order.digest)),
            Self::Invalid { key, outline, .. } => Some((key, outline.digest)),
            Self::Rejected(_) => None,
        }
    }
}

/// Compares a command, and where its record stands, with the journal's entry under its key.
pub fn recall(existing: Option<&Entry>, digest: Digest, arrival: Arrival) -> Known {
    match existing {
        None => Known::New,
        Some(entry) if entry.digest() == digest && entry.arrival() == Some(arrival) => Known::Read,
        Some(entry) if entry.digest() == digest => Known::Again,
        Some(_) => Known::Duplicate,
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
        (CommandType::Refund, Some(amount)) => {
            check_amount(amount)?;
            Ok(Kind::Refund { amount })
        }
    }
}

/// Whether so much can be refunded.
///
/// # Errors
/// What the sender must change.
pub fn check_amount(amount: Money) -> Result<(), String> {
    if amount <= Money::ZERO {
        return Err(format!("amount {amount} is not above zero"));
    }
    if amount.unscaled() % CENT != 0 {
        return Err(format!("amount {amount} has more than two decimals"));
    }
    Ok(())
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

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
