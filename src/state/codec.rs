//! Keys and bytes of the state topic, versioned.
//!
//! | record | key | value |
//! |---|---|---|
//! | checkpoint | `connection/stream/entity` | `0x01`, then JSON; of version 2 while it is marked |
//! | chunk of seen rows | `connection/stream/entity/day/chunk` | `0x02`, then rows |
//! | identity of the partition | `_identity` | `0x03`, then a uuid |
//! | an operator's acceptance of a loss | `_reset` | `0x04`, then JSON |
//! | whose partition it is | `_deployment` | `0x06`, then what its transactional ids begin with |
//! | refused TOS tokens | `connection/tos_payments/_access/refusals` | `0x05`, then JSON |
//!
//! The first byte is the kind, the second the version of its format. A newer version than this
//! program knows stops the shard: guessing would repeat or lose rows.

use crate::domain::{
    ids::{ConnectionId, EntityKey, Stream},
    refusals::TosRefusals,
    time::Day,
};

use super::{
    chunk::{self, decode_chunk},
    position::Checkpoint,
    reset::Reset,
    seen::{Chunk, ChunkId},
};

pub use super::chunk::encode_chunk;

const KIND_CHECKPOINT: u8 = 1;
pub(super) const KIND_CHUNK: u8 = 2;
const KIND_IDENTITY: u8 = 3;
const KIND_RESET: u8 = 4;
const KIND_REFUSALS: u8 = 5;
const KIND_DEPLOYMENT: u8 = 6;
/// The version of every format that never changed.
const VERSION: u8 = 1;
/// A checkpoint that is marked (`gap`, `behind`, `ended`). One is written so only while it is: an older
/// program, in a rollout or after it, goes on reading all others.
const MARKED: u8 = 2;

/// The key under which a partition's identity lies.
pub const IDENTITY_KEY: &str = "_identity";
/// The key under which an operator's acceptance of a loss lies.
pub const RESET_KEY: &str = "_reset";
/// The key under which it stands whose partition it is.
pub const DEPLOYMENT_KEY: &str = "_deployment";
/// What follows the stream in the key of refused tokens; no entity has a key of four parts.
const REFUSALS_KEY: [&str; 2] = ["_access", "refusals"];

/// What a key of the state topic names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateKey {
    /// The position of an entity.
    Checkpoint(EntityKey),
    /// One chunk of an entity's seen rows.
    Chunk(EntityKey, ChunkId),
    /// The partition's own identity.
    Identity,
    /// An operator's acceptance of a loss.
    Reset,
    /// Whose partition it is.
    Deployment,
    /// How many TOS tokens of a connection were refused.
    Refusals(ConnectionId),
}

/// A record of the state topic, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateValue {
    /// The position of an entity.
    Checkpoint(Checkpoint),
    /// One chunk of seen rows.
    Chunk(Chunk),
    /// A uuid made when the partition was first written.
    Identity(String),
    /// An operator's acceptance of a loss.
    Reset(Reset),
    /// What the transactional ids of those who may write it begin with.
    Deployment(String),
    /// How many TOS tokens were refused.
    Refusals(TosRefusals),
}

/// Why bytes of the state topic cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The key is not of this program's form.
    #[error(
        "state key {0:?} is none that this program knows: a newer program may have written it, run the newer program"
    )]
    Key(String),
    /// The value is of no kind of this program's.
    #[error(
        "state record is of kind {0}, which this program does not know: a newer program may have written it, run the newer program"
    )]
    Unknown(u8),
    /// The value was written by a newer program.
    #[error(
        "state record of kind {kind} has format version {version}, this program reads up to {}: run the newer program",
        newest(.kind)
    )]
    Newer {
        /// Kind byte.
        kind: u8,
        /// Version byte.
        version: u8,
    },
    /// The bytes end early or contradict themselves.
    #[error("state record is damaged: {0}")]
    Damaged(&'static str),
}

impl StateKey {
    /// Reads a key.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text {
            IDENTITY_KEY => return Ok(Self::Identity),
            RESET_KEY => return Ok(Self::Reset),
            DEPLOYMENT_KEY => return Ok(Self::Deployment),
            _ => {}
        }
        let wrong = || Error::Key(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        if let [connection, stream, rest @ ..] = parts.as_slice()
            && *stream == Stream::TosPayments.name()
            && rest == REFUSALS_KEY
        {
            return Ok(Self::Refusals(ConnectionId::try_new(connection).map_err(|_| wrong())?));
        }
        let (connection, stream, entity) = match parts.as_slice() {
            [c, s, e] | [c, s, e, _, _] => (*c, *s, *e),
            _ => return Err(wrong()),
        };
        let key = EntityKey {
            connection: ConnectionId::try_new(connection).map_err(|_| wrong())?,
            stream: Stream::parse(stream).ok_or_else(wrong)?,
            entity: entity.into(),
        };
        match parts.as_slice() {
            [_, _, _, day, index] => {
                let day = Day(day.parse().map_err(|_| wrong())?);
                let index = index.parse().map_err(|_| wrong())?;
                Ok(Self::Chunk(key, ChunkId { day, index }))
            }
            _ => Ok(Self::Checkpoint(key)),
        }
    }
}

/// The key of an entity's checkpoint.
pub fn checkpoint_key(entity: &EntityKey) -> String {
    entity.to_string()
}

/// The key of one chunk; the day counts from 1970-01-01.
pub fn chunk_key(entity: &EntityKey, chunk: ChunkId) -> String {
    format!("{entity}/{}/{}", chunk.day.0, chunk.index)
}

/// The key of a connection's refused TOS tokens.
pub fn refusals_key(connection: &ConnectionId) -> String {
    let [access, refusals] = REFUSALS_KEY;
    format!("{connection}/{}/{access}/{refusals}", Stream::TosPayments)
}

/// A checkpoint as bytes.
pub fn encode_checkpoint(checkpoint: &Checkpoint) -> Vec<u8> {
    let version = if checkpoint.is_marked() { MARKED } else { VERSION };
    as_json([KIND_CHECKPOINT, version], checkpoint)
}

/// An operator's acceptance of a loss as bytes.
pub fn encode_reset(reset: &Reset) -> Vec<u8> {
    as_json([KIND_RESET, VERSION], reset)
}

/// A connection's refused TOS tokens as bytes.
pub fn encode_refusals(refusals: &TosRefusals) -> Vec<u8> {
    as_json([KIND_REFUSALS, VERSION], refusals)
}

fn as_json(header: [u8; 2], value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = header.to_vec();
    // Writing plain values to a Vec as JSON cannot fail; an empty value would be refused on read.
    if serde_json::to_writer(&mut bytes, value).is_err() {
        bytes.truncate(2);
    }
    bytes
}

/// The partition's identity as bytes.
pub fn encode_identity(uuid: &str) -> Vec<u8> {
    [&[KIND_IDENTITY, VERSION], uuid.as_bytes()].concat()
}

/// Whose partition it is, as bytes.
pub fn encode_deployment(deployment: &str) -> Vec<u8> {
    [&[KIND_DEPLOYMENT, VERSION], deployment.as_bytes()].concat()
}

/// The newest version of a known kind's format that this program reads.
const fn newest(kind: &u8) -> u8 {
    match *kind {
        KIND_CHUNK => chunk::NEWEST,
        KIND_CHECKPOINT => MARKED,
        _ => VERSION,
    }
}

/// Reads any value of the state topic.
pub fn decode(bytes: &[u8]) -> Result<StateValue, Error> {
    let [kind, version, rest @ ..] = bytes else {
        return Err(Error::Damaged("shorter than its header"));
    };
    if !(KIND_CHECKPOINT..=KIND_DEPLOYMENT).contains(kind) {
        return Err(Error::Unknown(*kind));
    }
    if *version > newest(kind) {
        return Err(Error::Newer { kind: *kind, version: *version });
    }
    match *kind {
        KIND_CHECKPOINT => serde_json::from_slice(rest)
            .map(StateValue::Checkpoint)
            .map_err(|_| Error::Damaged("checkpoint is not the JSON of this version")),
        KIND_CHUNK => decode_chunk(rest).map(StateValue::Chunk),
        KIND_IDENTITY => String::from_utf8(rest.to_vec())
            .map(StateValue::Identity)
            .map_err(|_| Error::Damaged("identity is not text")),
        KIND_DEPLOYMENT => String::from_utf8(rest.to_vec())
            .map(StateValue::Deployment)
            .map_err(|_| Error::Damaged("deployment is not text")),
        KIND_RESET => serde_json::from_slice(rest)
            .map(StateValue::Reset)
            .map_err(|_| Error::Damaged("reset is not the JSON of this version")),
        KIND_REFUSALS => serde_json::from_slice(rest)
            .map(StateValue::Refusals)
            .map_err(|_| Error::Damaged("refusals are not the JSON of this version")),
        unknown => Err(Error::Unknown(unknown)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::Timestamp;

    fn entity() -> EntityKey {
        EntityKey {
            connection: ConnectionId::try_new("acme").unwrap(),
            stream: Stream::BankTransactions,
            entity: "38".into(),
        }
    }

    #[test]
    fn keys_read_back_as_what_they_name() {
        let chunk = ChunkId { day: Day(19_000), index: 3 };
        assert_eq!(checkpoint_key(&entity()), "acme/bank_transactions/38");
        assert_eq!(
            StateKey::parse(&chunk_key(&entity(), chunk)),
            Ok(StateKey::Chunk(entity(), chunk))
        );
        assert_eq!(
            StateKey::parse("acme/bank_transactions/38"),
            Ok(StateKey::Checkpoint(entity()))
        );
        assert_eq!(StateKey::parse(DEPLOYMENT_KEY), Ok(StateKey::Deployment));
        assert_eq!(
            decode(&encode_deployment("prod.vomsis.g")),
            Ok(StateValue::Deployment("prod.vomsis.g".into()))
        );
        assert!(StateKey::parse("acme/nothing/38").is_err());
        let connection = entity().connection;
        assert_eq!(StateKey::parse(&refusals_key(&connection)), Ok(StateKey::Refusals(connection)));
        assert!(StateKey::parse("acme/bank_transactions/_access/refusals").is_err());
    }

    #[test]
    fn operator_records_and_refusals_of_version_1_still_load() {
        let bytes = b"\x04\x01{\"by\":\"ops\",\"why\":\"w\",\"at\":7,\"noted_identity\":\"a\",\"noted_end\":9,\"start\":3}";
        let reset = Reset {
            by: "ops".into(),
            why: "w".into(),
            at: Timestamp(7),
            noted_identity: Some("a".into()),
            noted_end: 9,
            start: 3,
        };
        assert_eq!(decode(bytes), Ok(StateValue::Reset(reset.clone())));
        assert_eq!(encode_reset(&reset), bytes);
        let bytes = b"\x05\x01{\"refused\":2,\"salt\":\"s\",\"digest\":\"0a0b0c0d\"}";
        let refusals = TosRefusals { refused: 2, salt: "s".into(), digest: "0a0b0c0d".into() };
        assert_eq!(decode(bytes), Ok(StateValue::Refusals(refusals.clone())));
        assert_eq!(encode_refusals(&refusals), bytes);
    }

    #[test]
    fn checkpoint_of_version_1_still_loads() {
        let bytes = b"\x01\x01{\"cursor\":9,\"start\":18000,\"backfill_next\":null,\"seen_from\":18005,\"newest_at\":5,\"covered_at\":7}";
        let expected = Checkpoint {
            cursor: Some(9),
            start: Day(18_000),
            backfill_next: None,
            seen_from: Day(18_005),
            newest_at: Some(Timestamp(5)),
            covered_at: Timestamp(7),
            gap: false,
            behind: false,
            ended: false,
        };
        assert_eq!(decode(bytes), Ok(StateValue::Checkpoint(expected.clone())));
        assert_eq!(encode_checkpoint(&expected), bytes);
        // What an older program would not understand it must not read; what it does, it may.
        let bytes = b"\x01\x02{\"cursor\":9,\"start\":18000,\"backfill_next\":null,\"seen_from\":18005,\"newest_at\":5,\"covered_at\":7,\"behind\":true}";
        let marked = Checkpoint { behind: true, ..expected };
        assert_eq!(decode(bytes), Ok(StateValue::Checkpoint(marked.clone())));
        assert_eq!(encode_checkpoint(&marked), bytes);
        let bytes = b"\x01\x02{\"cursor\":9,\"start\":18000,\"backfill_next\":null,\"seen_from\":18005,\"newest_at\":5,\"covered_at\":7,\"ended\":true}";
        let marked = Checkpoint { ended: true, ..expected };
        assert_eq!(decode(bytes), Ok(StateValue::Checkpoint(marked.clone())));
        assert_eq!(encode_checkpoint(&marked), bytes);
    }

    #[test]
    fn newer_formats_are_refused_by_name() {
        assert_eq!(decode(&[1, 3, b'{']), Err(Error::Newer { kind: 1, version: 3 }));
        let chunk = decode(&[2, 3, 0]).unwrap_err();
        assert!(chunk.to_string().contains("reads up to 2"), "{chunk}");
        for version in [1, 2] {
            let kind = decode(&[9, version, 0]).unwrap_err();
            assert_eq!(kind, Error::Unknown(9));
            assert!(kind.to_string().ends_with("run the newer program"), "{kind}");
        }
        for key in ["_shards", "acme/pauses/38", "acme/bank_transactions/38/x"] {
            let key = StateKey::parse(key).unwrap_err();
            assert!(key.to_string().ends_with("run the newer program"), "{key}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(decode(&bytes));
        }
    }
}
