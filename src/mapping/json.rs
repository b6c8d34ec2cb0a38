//! One JSON object into the texts of its known fields, borrowed and in one pass.
//!
//! Values stay as they stand in the answer until a mapping asks for them: numbers keep every
//! digit, and nothing is decoded twice. Keys usually come in the documented order, so the next
//! known name is tried first.

use std::borrow::Cow;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::mapping::{scan, text};

/// More than any row kind has.
pub(super) const FIELDS_MAX: usize = 48;

/// How a source field is shown where only masked text may stand (quarantine).
#[derive(Debug, Clone, Copy)]
pub(super) enum Mask {
    /// As sent: class N or C.
    Open,
    /// Four characters at either end.
    Iban,
    /// The last four characters: identity, tax and account numbers.
    Tail,
    /// Nothing: names and contacts.
    Stars,
    /// The first six and the last four digits.
    Card,
    /// Free text without long numbers, IBANs and cards.
    Free,
    /// Not even the key.
    Forbidden,
    /// Element by element with the shape of its own.
    Nested(&'static [SourceField]),
}

/// A field that the source is known to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct SourceField {
    pub(super) name: &'static str,
    pub(super) mask: Mask,
    /// The record's field that it becomes, or nothing where it is not carried.
    pub(super) target: &'static str,
}

/// The known fields of one kind of row, as an enum.
pub(super) trait Key: Copy {
    /// The fields in documented order.
    const FIELDS: &'static [SourceField];
    /// The position in [`Self::FIELDS`].
    fn position(self) -> usize;
    /// The name that the source gives it.
    fn name(self) -> &'static str {
        Self::FIELDS[self.position()].name
    }
}

/// Defines the known fields of a row: `keys! { BankKey { Id = "id", Open, "transaction_id"; … } }`.
macro_rules! keys {
    ($key:ident { $($variant:ident = $name:literal, $mask:expr, $target:literal;)* }) => {
        #[derive(Debug, Clone, Copy)]
        #[repr(usize)]
        pub(super) enum $key { $($variant),* }

        // Fields that are known but not carried have a key, too; and a row has room for all.
        const _: () = assert!([$($key::$variant as usize),*].len() <= $crate::mapping::json::FIELDS_MAX);

        impl $crate::mapping::json::Key for $key {
            const FIELDS: &'static [$crate::mapping::json::SourceField] = &[
                $($crate::mapping::json::SourceField {
                    name: $name,
                    mask: $mask,
                    target: $target,
                }),*
            ];

            fn position(self) -> usize {
                self as usize
            }
        }
    };
}
pub(super) use keys;

/// The texts of one object's known fields, and what else was seen.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    values: [&'a str; FIELDS_MAX],
    pub(super) unknown: u32,
    pub(super) duplicate: bool,
    pub(super) extras: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// A JSON value as far as a mapping needs to know it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'a> {
    Absent,
    Null,
    Text(Cow<'a, str>),
    /// The digits as they stand in the answer.
    Number(&'a str),
    Bool(bool),
    /// An array or an object.
    Other(&'a str),
}

impl<'a> Fields<'a> {
    /// Reads an object; anything else is nothing.
    pub(super) fn read(
        json: &'a str,
        known: &'static [SourceField],
        carry_extras: bool,
    ) -> Option<Self> {
        let mut fields =
            Self { values: [""; FIELDS_MAX], unknown: 0, duplicate: false, extras: Vec::new() };
        let mut unknown_names: Vec<&str> = Vec::new();
        let mut expected = 0;
        // Keys are taken raw too: a lone surrogate in a key must not lose the row.
        scan::members(json, |key, value| match find(known, key, expected) {
            Some(position) => {
                expected = position + 1;
                fields.duplicate |= !fields.values[position].is_empty();
                fields.values[position] = value;
            }
            None => {
                fields.unknown += 1;
                fields.duplicate |= unknown_names.contains(&key);
                unknown_names.push(key);
                if carry_extras {
                    push_extra(&mut fields.extras, key, value);
                }
            }
        })?;
        Some(fields)
    }

    /// The raw JSON of a field; empty where it is absent.
    pub(super) fn raw(&self, position: usize) -> &'a str {
        self.values[position]
    }
}

impl<'a> Scalar<'a> {
    /// Looks at a raw JSON value; the flag says that a lone surrogate was replaced.
    pub(super) fn of(raw: &'a str) -> (Self, bool) {
        let Some(first) = raw.as_bytes().first() else { return (Self::Absent, false) };
        match first {
            b'"' => {
                let (text, replaced) = text::unquote(raw);
                (Self::Text(text), replaced)
            }
            b'n' => (Self::Null, false),
            b't' => (Self::Bool(true), false),
            b'f' => (Self::Bool(false), false),
            b'[' | b'{' => (Self::Other(raw), false),
            _ => (Self::Number(raw), false),
        }
    }
}

/// The known field behind a quoted key; the expected one is tried first.
fn find(known: &'static [SourceField], quoted: &str, expected: usize) -> Option<usize> {
    let bare = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if known.get(expected).is_some_and(|field| field.name == bare) {
        return Some(expected);
    }
    if bare.contains('\\') {
        let (decoded, _) = text::unquote(quoted);
        return known.iter().position(|field| field.name == decoded);
    }
    known.iter().position(|field| field.name == bare)
}

/// Carries an unknown field as text, unless its name says that it is a secret.
fn push_extra<'a>(extras: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>, key: &'a str, value: &'a str) {
    let (name, _) = text::unquote(key);
    if text::is_forbidden_name(&name) {
        return;
    }
    let value = match Scalar::of(value).0 {
        Scalar::Text(text) => text,
        _ if value.starts_with(['{', '[']) => {
            Cow::Owned(crate::mapping::raw::without_secrets(value))
        }
        _ => Cow::Borrowed(value),
    };
    extras.retain(|(known, _)| *known != name);
    extras.push((name, value));
}

/// A value's text, borrowed from the input.
struct Raw<'a>(&'a str);

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Raw(raw.get()))
    }
}

/// The elements of an array, or the values of an object (PHP writes either), raw.
pub(super) fn elements(raw: &str) -> Vec<&str> {
    let parsed: Result<Vec<Raw<'_>>, _> = serde_json::from_str(raw);
    match parsed {
        Ok(elements) => elements.into_iter().map(|raw| raw.0).collect(),
        Err(_) => members(raw).into_iter().map(|(_, value)| value).collect(),
    }
}

/// The members of an object in their order, keys still quoted; nothing where it is no object.
pub(super) fn members(raw: &str) -> Vec<(&str, &str)> {
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    deserializer.deserialize_map(Members).unwrap_or_default()
}

/// The same, where the text is one object and nothing else.
#[cfg(test)]
pub(super) fn members_strictly(json: &str) -> Result<Vec<(&str, &str)>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let members = deserializer.deserialize_map(Members)?;
    deserializer.end()?;
    Ok(members)
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(&'de str, &'de str)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key::<Raw<'de>>()? {
            members.push((key.0, map.next_value::<Raw<'de>>()?.0));
        }
        Ok(members)
    }
}
