//! From the tree to a shape, with the place and the key of whatever does not fit.
//!
//! A text becomes a number, a boolean or a text because the shape asks for one, never because it
//! looks like one. Messages never repeat a value: it may be somebody's account or password. A number
//! that is too short to be either is the one exception.
//!
//! serde ends at the first misfit. [`Passed`] holds those that are known, so that another reading
//! looks past them and finds the next.

use std::collections::HashSet;

use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor,
    },
    forward_to_deserialize_any,
};

use super::{
    error::Origin,
    tree::{Key, Node, Value},
};

/// Why the tree has not the wanted shape.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) what: What,
    pub(crate) at: Option<Origin>,
    /// The node that does not fit, or in which something is missing.
    spot: Option<Spot>,
    /// Only a placeholder does not fit; nobody wrote that.
    is_made_up: bool,
    /// From the innermost step to the outermost.
    steps: Vec<String>,
}

/// What does not fit.
#[derive(Debug)]
pub(crate) enum What {
    UnknownKey { key: String, known: &'static [&'static str] },
    Missing(&'static str),
    Other(String),
}

/// A node of the tree, known by its address: the tree stays where it is while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Spot(usize);

impl Spot {
    fn of(node: &Node) -> Self {
        Self(std::ptr::from_ref(node).addr())
    }
}

/// What another reading looks past. What it then reads is no configuration, only a way to find the
/// other misfits.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// Read as if they were not written.
    hidden: HashSet<Spot>,
    /// Keys of a section, read as if they were written.
    filled: HashSet<(Spot, &'static str)>,
}

impl Passed {
    /// Looks past one more misfit from now on; `false` where that did not help before.
    pub(crate) fn pass(&mut self, misfit: &Misfit) -> bool {
        match (misfit.spot, &misfit.what) {
            _ if misfit.is_made_up => false,
            (None, _) => false,
            (Some(section), What::Missing(key)) => self.filled.insert((section, key)),
            (Some(node), What::UnknownKey { .. } | What::Other(_)) => self.hidden.insert(node),
        }
    }

    fn hides(&self, node: &Node) -> bool {
        self.hidden.contains(&Spot::of(node))
    }

    fn filled(&self, section: &Node) -> Vec<&'static str> {
        let section = Spot::of(section);
        let filled = self.filled.iter().filter(|(spot, _)| *spot == section);
        filled.map(|(_, key)| *key).collect()
    }
}

impl Misfit {
    fn new(what: What) -> Self {
        Self { what, at: None, spot: None, is_made_up: false, steps: Vec::new() }
    }

    fn other(message: String) -> Self {
        Self::new(What::Other(message))
    }

    /// It is `node` that does not fit, unless that is known already; it was written at `origin`.
    fn at(mut self, origin: &Origin, node: &Node) -> Self {
        self.at.get_or_insert_with(|| origin.clone());
        self.spot.get_or_insert_with(|| Spot::of(node));
        self
    }

    fn below(mut self, step: String) -> Self {
        self.steps.push(step);
        self
    }

    /// `connections[0].quota`; empty for the file itself.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        path
    }
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.what {
            What::UnknownKey { key, .. } => write!(f, "unknown key {key:?}"),
            What::Missing(field) => write!(f, "{field:?} is missing"),
            What::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::other(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::other(format!("expected {expected}, found {}", kind(&found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::other(format!("expected {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::other(format!("expected one of {}", expected.join(", ")))
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::new(What::UnknownKey { key: key.to_owned(), known })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(What::Missing(field))
    }
}

/// Characters of a number that may be repeated: fewer than an account, a card or a phone has.
const SHOWN_MAX: usize = 6;

/// Whether a plain scalar is a number to whoever wrote it.
fn is_number(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

const fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a section",
        _ => "a text",
    }
}

/// Gives the tree a shape.
pub(crate) fn shape<T: DeserializeOwned>(root: &Node, passed: &Passed) -> Result<T, Misfit> {
    T::deserialize(From { node: root, passed }).map_err(|misfit| misfit.at(&root.at, root))
}

#[derive(Clone, Copy)]
struct From<'a> {
    node: &'a Node,
    passed: &'a Passed,
}

impl<'a> From<'a> {
    /// The text of a plain scalar: only those are numbers and booleans.
    fn plain(self) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar { text, plain: true } if !self.node.is_null() => Some(text),
            Value::Scalar { .. } | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What stands there, in words.
    fn found(self) -> String {
        let found = match &self.node.value {
            _ if self.node.is_null() => Unexpected::Unit,
            Value::Scalar { text, plain: true } if is_number(text) => {
                return if text.len() <= SHOWN_MAX {
                    format!("the number {text}")
                } else {
                    "a number".to_owned()
                };
            }
            Value::Scalar { text, .. } => Unexpected::Str(text),
            Value::List(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
        };
        kind(&found).to_owned()
    }

    fn unfit(self, expected: &dyn Expected) -> Misfit {
        Misfit::other(format!("expected {expected}, found {}", self.found()))
    }

    fn number<T: std::str::FromStr>(self, expected: &str) -> Result<T, Misfit> {
        let number = self.plain().and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.unfit(&expected))
    }

    fn text(self, expected: &dyn Expected) -> Result<&'a str, Misfit> {
        match &self.node.value {
            Value::Scalar { text, .. } if !self.node.is_null() => Ok(text),
            _ => Err(self.unfit(expected)),
        }
    }

    /// An empty section (`kafka:` with nothing below it) has all defaults.
    fn entries<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.node.value {
            Value::Map(entries) => visitor.visit_map(Entries::of(self, entries)),
            _ if self.node.is_null() => visitor.visit_map(Entries::of(self, &[])),
            _ => Err(self.unfit(&"a section with keys")),
        }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            // Where a type goes below zero, its key says for itself what it allows.
            let least = if <$type>::MIN == 0 { "from 0 to" } else { "up to" };
            let wanted = format!("a whole number {least} {}", <$type>::MAX);
            visitor.$visit(self.number::<$type>(&wanted)?)
        }
    )*};
}

impl<'de> Deserializer<'de> for From<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.node.value {
            _ if self.node.is_null() => visitor.visit_unit(),
            Value::Scalar { text, .. } => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items::of(self, items)),
            Value::Map(_) => self.entries(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.plain() {
            Some("true" | "True" | "TRUE") => visitor.visit_bool(true),
            Some("false" | "False" | "FALSE") => visitor.visit_bool(false),
            _ => Err(self.unfit(&"true or false")),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8; deserialize_i16 visit_i16 i16; deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64; deserialize_u8 visit_u8 u8; deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32; deserialize_u64 visit_u64 u64;
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_f32(self.number("a number")?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_f64(self.number("a number")?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_str(self.text(&"a text")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.node.value {
            Value::List(items) => visitor.visit_seq(Items::of(self, items)),
            _ if self.node.is_null() => visitor.visit_seq(Items::of(self, &[])),
            _ => Err(self.unfit(&"a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.entries(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.entries(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let expected = format!("one of {}", variants.join(", "));
        visitor.visit_enum(self.text(&expected.as_str())?.into_deserializer())
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a> {
    rest: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
    passed: &'a Passed,
}

impl<'a> Items<'a> {
    fn of(list: From<'a>, items: &'a [Node]) -> Self {
        Self { rest: items.iter().enumerate(), passed: list.passed }
    }
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        let passed = self.passed;
        let Some((index, node)) = self.rest.find(|(_, node)| !passed.hides(node)) else {
            return Ok(None);
        };
        let item = seed.deserialize(From { node, passed });
        item.map(Some).map_err(|misfit| misfit.at(&node.at, node).below(format!("[{index}]")))
    }
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, (Key, Node)>,
    next: Option<&'a (Key, Node)>,
    passed: &'a Passed,
    filled: Vec<&'static str>,
}

impl<'a> Entries<'a> {
    fn of(section: From<'a>, entries: &'a [(Key, Node)]) -> Self {
        let filled = section.passed.filled(section.node);
        Self { rest: entries.iter(), next: None, passed: section.passed, filled }
    }
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        let key = |text: &str| -> Result<Option<K::Value>, Misfit> {
            let text: de::value::StrDeserializer<'_, Misfit> = text.into_deserializer();
            seed.deserialize(text).map(Some)
        };
        let passed = self.passed;
        self.next = self.rest.find(|(_, node)| !passed.hides(node));
        match self.next {
            Some((written, node)) => {
                key(&written.text).map_err(|misfit| misfit.at(&written.at, node))
            }
            None => self.filled.pop().map_or(Ok(None), key),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let Some((key, node)) = self.next else {
            let value = seed.deserialize(Placeholder);
            return value.map_err(|misfit| Misfit { is_made_up: true, ..misfit });
        };
        let value = seed.deserialize(From { node, passed: self.passed });
        value.map_err(|misfit| misfit.at(&node.at, node).below(key.text.clone()))
    }
}

/// The value of a key that is missing: an empty list where one is wanted, else an empty text.
struct Placeholder;

impl<'de> Deserializer<'de> for Placeholder {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_str("")
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_seq(de::value::SeqDeserializer::new(std::iter::empty::<&str>()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}
