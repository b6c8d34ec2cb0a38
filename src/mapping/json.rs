//! One JSON object into the texts of its known fields, borrowed and in one pass.
//!
//! Values stay as they stand in the answer until a mapping asks for them: numbers keep every
//! digit, and nothing is decoded twice. Keys usually come in the documented order, so the next
//! known name is tried first.

use std::{borrow::Cow, collections::HashSet};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::mapping::{
    map::ROW_BYTES_MAX,
    scan::{self, Members, Next, Value},
    text,
};

/// More than any row kind has.
pub(super) const FIELDS_MAX: usize = 48;

/// How a source field is shown where only masked text may stand (quarantine).
#[derive(Debug, Clone, Copy)]
pub(super) enum Mask {
    /// A number, an instant, a flag or a currency: digits, and no words.
    Figure,
    /// A code, or a name of things: one word; persons' numbers are masked in it as in a free text.
    Code,
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

        // Their names are compared with raw keys.
        const _: () = assert!($($crate::mapping::json::is_plain_name($name))&&*);

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

/// Whether JSON writes a name without escapes, however it is written.
pub(super) const fn is_plain_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !(bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
            return false;
        }
        at += 1;
    }
    true
}

/// The texts of one object's known fields, and what else was seen.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    values: [&'a str; FIELDS_MAX],
    /// One bit a field: whether its value is a string without escapes.
    plain_texts: u64,
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
        let mut fields = Self {
            values: [""; FIELDS_MAX],
            plain_texts: 0,
            unknown: 0,
            duplicate: false,
            extras: Vec::new(),
        };
        let is_too_large = json.len() > ROW_BYTES_MAX;
        let mut unknown_names: Vec<&str> = Vec::new();
        let mut expected = 0;
        let mut members = Members::of(json)?;
        loop {
            // Keys are taken raw too: a lone surrogate in a key must not lose the row.
            let (key, value) = match members.next(known.get(expected).map(|field| field.name))? {
                Next::Expected(value) => {
                    fields.put(expected, value);
                    expected += 1;
                    continue;
                }
                Next::Other(key, value) => (key, value),
                Next::End => {
                    fields.duplicate |= has_repeats(&mut unknown_names);
                    keep_the_last(&mut fields.extras);
                    return Some(fields);
                }
            };
            if let Some(position) = find(known, key) {
                fields.put(position, value);
                expected = position + 1;
                continue;
            }
            fields.unknown += 1;
            // Of a row that is too large only the id and the days are told.
            if is_too_large {
                continue;
            }
            unknown_names.push(key);
            if carry_extras {
                push_extra(&mut fields.extras, key, value.raw);
            }
        }
    }

    fn put(&mut self, position: usize, value: Value<'a>) {
        self.duplicate |= !self.values[position].is_empty();
        self.values[position] = value.raw;
        let bit = 1 << position;
        self.plain_texts =
            if value.is_plain_text { self.plain_texts | bit } else { self.plain_texts & !bit };
    }

    /// The raw JSON of a field; empty where it is absent.
    pub(super) fn raw(&self, position: usize) -> &'a str {
        self.values[position]
    }

    /// A field's text, where it is a string without escapes.
    pub(super) fn plain_text(&self, position: usize) -> Option<&'a str> {
        if self.plain_texts & (1 << position) == 0 {
            return None;
        }
        let quoted = self.values[position];
        quoted.get(1..quoted.len() - 1)
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

/// The known field behind a quoted key.
fn find(known: &'static [SourceField], quoted: &str) -> Option<usize> {
    let bare = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
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
    extras.push((name, value));
}

/// Whether a name stands there twice. At the end, and in order: a row may have a hundred thousand.
fn has_repeats(names: &mut [&str]) -> bool {
    names.sort_unstable();
    !names.is_sorted_by(|one, next| one < next)
}

/// Of extras with one name the last counts, and it stays in its place.
fn keep_the_last(extras: &mut Vec<(Cow<'_, str>, Cow<'_, str>)>) {
    let mut names: Vec<&str> = extras.iter().map(|(name, _)| &**name).collect();
    if !has_repeats(&mut names) {
        return;
    }
    let mut later = HashSet::with_capacity(extras.len());
    extras.reverse();
    extras.retain(|(name, _)| later.insert(name.clone()));
    extras.reverse();
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
    let values = || members(raw).into_iter().map(|(_, value)| value).collect();
    scan::elements(raw).unwrap_or_else(values)
}

/// The members of an object in their order, keys still quoted; nothing where it is no object.
pub(super) fn members(raw: &str) -> Vec<(&str, &str)> {
    let mut deserializer = serde_json::Deserializer::from_str(raw);
    deserializer.deserialize_map(MemberList).unwrap_or_default()
}

/// The same, where the text is one object and nothing else.
#[cfg(test)]
pub(super) fn members_strictly(json: &str) -> Result<Vec<(&str, &str)>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let members = deserializer.deserialize_map(MemberList)?;
    deserializer.end()?;
    Ok(members)
}

struct MemberList;

impl<'de> Visitor<'de> for MemberList {
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
