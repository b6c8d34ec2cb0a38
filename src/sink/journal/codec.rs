//! Keys and bytes of the journal topic, versioned.
//!
//! | record | key | value |
//! |---|---|---|
//! | one command's story | `connection/reference_no/command_id` | `0x11`, version, JSON list of events |
//! | identity of the partition | `_identity` | `0x12`, version, JSON |
//! | newest owner (partition 0) | `_owner` | `0x13`, version, JSON |
//! | kill switch (partition 0) | `_stop` | `0x14`, version, JSON |
//! | a person's decision | `_resolve/connection/reference_no/command_id` | `0x15`, version, JSON |
//!
//! No connection whose id begins with `_` can have commands, so the keys cannot meet. A newer
//! version, or a kind that does not belong under its key, stops the sink, unless a later record of the
//! key takes its place: guessing could pay twice.

use serde::{Serialize, de::DeserializeOwned};

use crate::{mapping::mask_cards, sink::command::CommandKey};

use super::{
    entry::Entry,
    event::JournalEvent,
    records::{Identity, Owner, Resolve, Stop},
    status::IllegalTransition,
};

const VERSION: u8 = 1;
/// Of a key that is no text so much is shown.
const KEY_BYTES_SHOWN: usize = 64;
const KIND_ENTRY: u8 = 0x11;
const KIND_IDENTITY: u8 = 0x12;
const KIND_OWNER: u8 = 0x13;
const KIND_STOP: u8 = 0x14;
const KIND_RESOLVE: u8 = 0x15;

/// The key of the partition's identity.
pub const IDENTITY_KEY: &str = "_identity";
/// The key of the newest owner, in partition 0.
pub const OWNER_KEY: &str = "_owner";
/// The key of the kill switch, in partition 0.
pub const STOP_KEY: &str = "_stop";
const RESOLVE_PREFIX: &str = "_resolve/";

/// A record of the journal, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// One command's story.
    Command(Box<Entry>),
    /// Whose journal the partition is.
    Identity(Identity),
    /// Which owner is the newest.
    Owner(Owner),
    /// The kill switch.
    Stop(Stop),
    /// A person's decision about a command.
    Resolve(CommandKey, Resolve),
}

/// What a key of the journal names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalKey {
    /// One command's story.
    Command(CommandKey),
    /// Whose journal the partition is.
    Identity,
    /// Which owner is the newest.
    Owner,
    /// The kill switch.
    Stop,
    /// A person's decision about a command.
    Resolve(CommandKey),
}

/// Why bytes of the journal cannot be read; each stops the sink, unless a later record of the key takes
/// their place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No key of this program's form.
    #[error(
        "journal key {:?} is none of this program's: stop whoever writes there, then write a \
         tombstone under the same key into the same partition; docs/payments.md says how",
        mask_cards(.0)
    )]
    Key(String),
    /// Written by a newer program.
    #[error(
        "journal record {} has format version {version}, this program reads up to {VERSION}: \
         run the newer program",
        mask_cards(.key)
    )]
    Newer {
        /// Whose.
        key: String,
        /// Its version.
        version: u8,
    },
    /// The bytes are not what the key names.
    #[error(
        "journal record {} is damaged: {detail}; do not delete it, write what a backup has under \
         its key over it; docs/payments.md says how",
        mask_cards(.key)
    )]
    Damaged {
        /// Whose.
        key: String,
        /// What does not fit.
        detail: String,
    },
    /// The events contradict each other.
    #[error(
        "journal record {} tells an impossible story: {illegal}; do not delete it, docs/payments.md \
         says what to do",
        mask_cards(.key)
    )]
    Impossible {
        /// Whose.
        key: String,
        /// What cannot be.
        illegal: IllegalTransition,
    },
}

impl JournalKey {
    /// Reads a key.
    ///
    /// # Errors
    /// Where it is none of this program's.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let command = |text| CommandKey::parse(text).map_err(|_| ());
        let parsed = match text {
            IDENTITY_KEY => Ok(Self::Identity),
            OWNER_KEY => Ok(Self::Owner),
            STOP_KEY => Ok(Self::Stop),
            other => match other.strip_prefix(RESOLVE_PREFIX) {
                Some(key) => command(key).map(Self::Resolve),
                None => command(other).map(Self::Command),
            },
        };
        parsed.map_err(|()| Error::Key(text.to_owned()))
    }
}

/// The key of a person's decision about a command.
pub fn resolve_key(key: &CommandKey) -> String {
    format!("{RESOLVE_PREFIX}{key}")
}

/// One command's story as bytes.
pub fn encode_entry(entry: &Entry) -> Vec<u8> {
    encode(KIND_ENTRY, entry.events())
}

/// The partition's identity as bytes.
pub fn encode_identity(identity: &Identity) -> Vec<u8> {
    encode(KIND_IDENTITY, identity)
}

/// The newest owner as bytes.
pub fn encode_owner(owner: Owner) -> Vec<u8> {
    encode(KIND_OWNER, &owner)
}

/// The kill switch as bytes.
pub fn encode_stop(stop: &Stop) -> Vec<u8> {
    encode(KIND_STOP, stop)
}

/// A person's decision as bytes.
pub fn encode_resolve(resolve: &Resolve) -> Vec<u8> {
    encode(KIND_RESOLVE, resolve)
}

fn encode(kind: u8, value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    let mut bytes = vec![kind, VERSION];
    // Writing texts and numbers to a Vec cannot fail; bare headers would be refused on read.
    if serde_json::to_writer(&mut bytes, value).is_err() {
        bytes.truncate(2);
    }
    bytes
}

/// What a record of the journal's topic says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The newest word under its key.
    Said(Record),
    /// The command's story is forgotten.
    Forgotten(CommandKey),
    /// What people decided about the command is forgotten.
    Undecided(CommandKey),
    /// Another key's word is taken back.
    TakenBack,
}

/// Reads a record as it lies in the topic: its key, and its value where it is no tombstone.
///
/// # Errors
/// Where anything about it is not certain.
pub fn read_line(key: &[u8], value: Option<&[u8]>) -> Result<Line, Error> {
    let key = match std::str::from_utf8(key) {
        Ok(key) => key,
        // As under any key of another program.
        Err(_) if value.is_none() => return Ok(Line::TakenBack),
        Err(_) => return Err(no_text(key)),
    };
    if let Some(value) = value {
        return decode(key, value).map(Line::Said);
    }
    Ok(match JournalKey::parse(key) {
        Ok(JournalKey::Command(key)) => Line::Forgotten(key),
        Ok(JournalKey::Resolve(key)) => Line::Undecided(key),
        // Also a key of another program: a tombstone under it says nothing that counts here.
        Ok(_) | Err(_) => Line::TakenBack,
    })
}

/// A key that is no text, in the digits by which it can be taken back.
pub fn no_text(key: &[u8]) -> Error {
    let shown = key.iter().take(KEY_BYTES_SHOWN).map(|byte| format!("{byte:02x}"));
    let more = if key.len() > KEY_BYTES_SHOWN { "…" } else { "" };
    Error::Key(format!("0x{}{more}", shown.collect::<String>()))
}

/// Reads any record of the journal.
///
/// # Errors
/// Where anything about it is not certain.
pub fn decode(key: &str, bytes: &[u8]) -> Result<Record, Error> {
    match JournalKey::parse(key)? {
        JournalKey::Command(command) => {
            let events: Vec<JournalEvent> = read(key, KIND_ENTRY, bytes)?;
            Entry::from_events(command, events)
                .map(|entry| Record::Command(Box::new(entry)))
                .map_err(|illegal| Error::Impossible { key: key.to_owned(), illegal })
        }
        JournalKey::Identity => read(key, KIND_IDENTITY, bytes).map(Record::Identity),
        JournalKey::Owner => read(key, KIND_OWNER, bytes).map(Record::Owner),
        JournalKey::Stop => read(key, KIND_STOP, bytes).map(Record::Stop),
        JournalKey::Resolve(command) => {
            read(key, KIND_RESOLVE, bytes).map(|resolve| Record::Resolve(command, resolve))
        }
    }
}

fn read<T: DeserializeOwned>(key: &str, wanted: u8, bytes: &[u8]) -> Result<T, Error> {
    let damaged = |detail: String| Error::Damaged { key: key.to_owned(), detail };
    let [kind, version, json @ ..] = bytes else {
        return Err(damaged("it is shorter than its header".into()));
    };
    if *kind != wanted {
        return Err(damaged(format!(
            "its kind is {kind:#04x}, under this key it is {wanted:#04x}"
        )));
    }
    match *version {
        VERSION => serde_json::from_slice(json).map_err(|e| damaged(shape_only(&e))),
        0 => Err(damaged("version 0 was never written".into())),
        version => Err(Error::Newer { key: key.to_owned(), version }),
    }
}

/// Where the JSON is wrong, without quoting from it.
fn shape_only(error: &serde_json::Error) -> String {
    format!("its JSON is wrong at column {} ({:?})", error.column(), error.classify())
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
