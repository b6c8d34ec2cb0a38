//! The hash that tells one content of a row from another, and the id made from it.

use std::fmt::Write as _;

use serde::{Serialize, Serializer, ser};
use sha1::{Digest as _, Sha1};
use uuid::{Builder, Uuid};
use xxhash_rust::xxh3::xxh3_128;

use super::{json::members, text::unquote};
use crate::domain::{
    content::Content,
    ids::{ConnectionId, SourceId, Stream},
};

/// The version of the hash rule that new chunks of seen rows carry.
pub const HASH_RULE: u8 = 1;

/// The namespace of event ids: UUIDv5 of the URL namespace and `https://vomsis-connect/event/v1`.
pub const EVENT_NAMESPACE: Uuid = Uuid::from_u128(0x42fc_11d4_ebb6_562b_b0fd_6367_771d_1532);

/// Fields that count only since a later rule, as `(record, field, rule)`: a row hashed under an
/// older rule is compared without them, so an upgrade that maps one more field re-emits nothing.
const LATER_FIELDS: &[(&str, &str, u8)] = &[];

/// Fields that depend on the answer instead of the row.
const NOT_CONTENT: [&str; 2] = ["meta", "gateway_object_id"];

/// 128 bits over the content, before any privacy rule; equal rows have equal hashes however their
/// amounts are written.
///
/// `rule` is the version under which the other hash was made; `scratch` only saves allocations.
pub fn content_hash(content: &Content<'_>, rule: u8, scratch: &mut Vec<u8>) -> u128 {
    hash_with(content, rule, LATER_FIELDS, scratch)
}

/// Members of a bank row that belong to its account: one feed nests them and the other does not, and
/// the balance in them moves with every other row.
const NOT_OF_THE_ROW: [&str; 2] = ["account", "bank"];

/// 128 bits over the text of a row that cannot be mapped, which tell whether it was quarantined as
/// it is before.
pub fn rejected_hash(stream: Stream, json: &str) -> u128 {
    let foreign = |key: &str| NOT_OF_THE_ROW.contains(&&*unquote(key).0);
    let members = if stream == Stream::BankTransactions { members(json) } else { Vec::new() };
    if !members.iter().any(|(key, _)| foreign(key)) {
        return xxh3_128(json.trim().as_bytes());
    }
    let own: Vec<String> = members
        .iter()
        .filter(|(key, _)| !foreign(key))
        .map(|(key, value)| format!("{key}:{value}"))
        .collect();
    xxh3_128(format!("{{{}}}", own.join(",")).as_bytes())
}

fn hash_with(
    content: &Content<'_>,
    rule: u8,
    later: &[(&str, &str, u8)],
    scratch: &mut Vec<u8>,
) -> u128 {
    scratch.clear();
    let record = content.record_name();
    let writer = Canonical {
        out: scratch,
        counts: &|field| {
            !NOT_CONTENT.contains(&field)
                && !later.iter().any(|(r, f, since)| *r == record && *f == field && *since > rule)
        },
    };
    // Writing to a vector cannot fail, and no record holds a type that the writer refuses.
    let written = content.serialize(writer);
    debug_assert!(written.is_ok());
    xxh3_128(scratch)
}

/// The id of an event: the same row, version and content always give the same one.
pub fn event_id(
    connection: &ConnectionId,
    stream_name: &str,
    source_id: &SourceId,
    version: i32,
    hash: u128,
) -> Uuid {
    let mut name = String::with_capacity(128);
    // Writing to a string cannot fail.
    let written = write!(name, "{connection}/{stream_name}/{source_id}/{version}/{hash:032x}");
    debug_assert!(written.is_ok());
    uuid_v5(&EVENT_NAMESPACE, name.as_bytes())
}

/// A name's UUIDv5 (RFC 9562, 5.5), as `Uuid::new_v5` gives it: the crate behind that one does not use the
/// processor's SHA-1 instructions, and each event has such an id.
fn uuid_v5(namespace: &Uuid, name: &[u8]) -> Uuid {
    let hash = Sha1::new().chain_update(namespace.as_bytes()).chain_update(name).finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
    Builder::from_sha1_bytes(bytes).into_uuid()
}

/// Writes values so that equal contents give equal bytes and others do not: every value carries
/// its type and length, every field its name; null fields are left out.
struct Canonical<'w> {
    out: &'w mut Vec<u8>,
    counts: &'w dyn Fn(&str) -> bool,
}

const EVERY_FIELD: &dyn Fn(&str) -> bool = &|_| true;

impl Canonical<'_> {
    fn sized(self, tag: u8, bytes: &[u8]) -> Result<bool, std::fmt::Error> {
        self.out.push(tag);
        self.out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.out.extend_from_slice(bytes);
        Ok(true)
    }
}

macro_rules! integers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<bool, Self::Error> {
            self.serialize_i64(i64::from(value))
        })*
    };
}

/// The answer is whether the value is there, so that null fields can be taken back.
impl<'w> Serializer for Canonical<'w> {
    type Ok = bool;
    type Error = std::fmt::Error;
    type SerializeSeq = Parts<'w>;
    type SerializeTuple = ser::Impossible<bool, Self::Error>;
    type SerializeTupleStruct = ser::Impossible<bool, Self::Error>;
    type SerializeTupleVariant = ser::Impossible<bool, Self::Error>;
    type SerializeMap = ser::Impossible<bool, Self::Error>;
    type SerializeStruct = Parts<'w>;
    type SerializeStructVariant = ser::Impossible<bool, Self::Error>;

    integers!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32);
    integers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32);

    fn serialize_bool(self, value: bool) -> Result<bool, Self::Error> {
        self.out.push(if value { b't' } else { b'f' });
        Ok(true)
    }

    fn serialize_i64(self, value: i64) -> Result<bool, Self::Error> {
        self.out.push(b'i');
        self.out.extend_from_slice(&value.to_le_bytes());
        Ok(true)
    }

    fn serialize_str(self, value: &str) -> Result<bool, Self::Error> {
        self.sized(b's', value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<bool, Self::Error> {
        self.sized(b'b', value)
    }

    fn serialize_none(self) -> Result<bool, Self::Error> {
        self.out.push(b'n');
        Ok(false)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<bool, Self::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<bool, Self::Error> {
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Parts<'w>, Self::Error> {
        self.out.push(b'[');
        self.out.extend_from_slice(&(length.unwrap_or_default() as u64).to_le_bytes());
        Ok(Parts { out: self.out, counts: EVERY_FIELD })
    }

    fn serialize_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Parts<'w>, Self::Error> {
        self.out.push(b'{');
        Ok(Parts { out: self.out, counts: self.counts })
    }

    fn serialize_u64(self, _: u64) -> Result<bool, Self::Error> {
        Err(std::fmt::Error)
    }
    fn serialize_f32(self, _: f32) -> Result<bool, Self::Error> {
        Err(std::fmt::Error)
    }
    fn serialize_f64(self, _: f64) -> Result<bool, Self::Error> {
        Err(std::fmt::Error)
    }
    fn serialize_char(self, _: char) -> Result<bool, Self::Error> {
        Err(std::fmt::Error)
    }
    fn serialize_unit(self) -> Result<bool, Self::Error> {
        Err(std::fmt::Error)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<bool, Self::Error> {
        Err(std::fmt::Error)
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<bool, Self::Error> {
        Err(std::fmt::Error)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<bool, Self::Error> {
        Err(std::fmt::Error)
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Self::Error> {
        Err(std::fmt::Error)
    }
    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Self::Error> {
        Err(std::fmt::Error)
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Self::Error> {
        Err(std::fmt::Error)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Self::Error> {
        Err(std::fmt::Error)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Self::Error> {
        Err(std::fmt::Error)
    }
    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The elements of a sequence or the fields of a struct.
struct Parts<'w> {
    out: &'w mut Vec<u8>,
    counts: &'w dyn Fn(&str) -> bool,
}

impl ser::SerializeSeq for Parts<'_> {
    type Ok = bool;
    type Error = std::fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Self::Error> {
        value.serialize(Canonical { out: self.out, counts: EVERY_FIELD }).map(|_| ())
    }

    fn end(self) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

impl ser::SerializeStruct for Parts<'_> {
    type Ok = bool;
    type Error = std::fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        if !(self.counts)(name) {
            return Ok(());
        }
        let before = self.out.len();
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b':');
        if !value.serialize(Canonical { out: self.out, counts: EVERY_FIELD })? {
            self.out.truncate(before);
        }
        Ok(())
    }

    fn end(self) -> Result<bool, Self::Error> {
        self.out.push(b'}');
        Ok(true)
    }
}
