//! Avro's binary form straight from a struct, field after field, without asking the schema.
//!
//! It can, because every published struct has its schema's fields in their order (a test holds
//! them together) and the schemas use a few shapes only:
//!
//! | serde | Avro |
//! |---|---|
//! | struct | record: its fields, nothing between them |
//! | option | union `["null", …]`: branch 0 or 1, then the value |
//! | integer | int or long (a date or an instant, too): zigzag, seven bits a byte |
//! | str, bytes | string, bytes (decimals, too): length, then the bytes |
//! | seq, map | array, map: one block with its count, then an empty one |
//!
//! Looking each field up in the schema took longer than mapping and hashing together. Debug builds
//! compare every record with what the Avro library writes.

use serde::{
    Serialize, Serializer,
    ser::{self, Impossible},
};

/// A shape that no schema has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no schema has a field of this kind: {0}")]
pub(super) struct Refused(String);

impl ser::Error for Refused {
    fn custom<T: std::fmt::Display>(what: T) -> Self {
        Self(what.to_string())
    }
}

/// Appends the value's Avro bytes.
///
/// # Errors
/// Where the value holds a type that no schema has: floats, enums with content, tuples.
pub(super) fn write(out: &mut Vec<u8>, value: &impl Serialize) -> Result<(), Refused> {
    value.serialize(Binary { out })
}

struct Binary<'w> {
    out: &'w mut Vec<u8>,
}

impl<'w> Binary<'w> {
    /// The one block of an array or map; an empty one has none.
    fn block(self, length: Option<usize>) -> Result<Parts<'w>, Refused> {
        let length = length.ok_or_else(|| refused("a list of unknown length"))?;
        if length > 0 {
            put_long(self.out, length as i64);
        }
        Ok(Parts { out: self.out })
    }
}

fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_long(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

fn refused(what: &str) -> Refused {
    Refused(what.to_owned())
}

/// Fields, elements or entries, one behind the other.
struct Parts<'w> {
    out: &'w mut Vec<u8>,
}

impl Parts<'_> {
    fn add(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Refused> {
        value.serialize(Binary { out: self.out })
    }

    fn end_of_blocks(self) {
        self.out.push(0);
    }
}

impl ser::SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        self.add(value)
    }

    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}

impl ser::SerializeSeq for Parts<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.add(value)
    }

    fn end(self) -> Result<(), Refused> {
        self.end_of_blocks();
        Ok(())
    }
}

impl ser::SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        self.add(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.add(value)
    }

    fn end(self) -> Result<(), Refused> {
        self.end_of_blocks();
        Ok(())
    }
}

macro_rules! integers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<(), Refused> {
            put_long(self.out, i64::from(value));
            Ok(())
        })*
    };
}

macro_rules! refusals {
    ($($method:ident($($argument:ty),*) -> $answer:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$answer, Refused> {
            Err(refused(stringify!($method)))
        })*
    };
}

type Never = Impossible<(), Refused>;

impl<'w> Serializer for Binary<'w> {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Parts<'w>;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Parts<'w>;
    type SerializeStruct = Parts<'w>;
    type SerializeStructVariant = Never;

    integers!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);
    integers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32);

    fn serialize_bool(self, value: bool) -> Result<(), Refused> {
        self.out.push(u8::from(value));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Refused> {
        put_sized(self.out, value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Refused> {
        put_sized(self.out, value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Refused> {
        self.out.push(0);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refused> {
        put_long(self.out, 1);
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Parts<'w>, Refused> {
        self.block(length)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Parts<'w>, Refused> {
        self.block(length)
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Parts<'w>, Refused> {
        Ok(Parts { out: self.out })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<(), Refused> {
        Err(refused("serialize_newtype_variant"))
    }

    refusals! {
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_tuple(usize) -> Never;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Zigzag, seven bits a byte, the lowest first: as the Avro library reads it.
        #[test]
        fn longs_are_read_back_by_the_library(value in any::<i64>(), shift in 0_u32..64) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            write(&mut bytes, &value).unwrap();
            let schema = apache_avro::Schema::Long;
            let reader =
                apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap();
            let read = reader.read_value(&mut bytes.as_slice()).unwrap();
            prop_assert_eq!(read, apache_avro::types::Value::Long(value));
        }
    }

    #[test]
    fn what_no_schema_has_is_refused() {
        let mut bytes = Vec::new();
        assert!(write(&mut bytes, &1.5_f64).is_err());
        assert!(write(&mut bytes, &u64::MAX).is_err());
        assert!(write(&mut bytes, &(1, 2)).is_err());
    }
}
