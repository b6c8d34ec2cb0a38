//! From the tree to a shape, with the place and the key of whatever does not fit.
//!
//! A text becomes a number, a boolean or a text because the shape asks for one, never because it
//! looks like one. Messages never repeat a value: it may be somebody's account or password.

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

impl Misfit {
    fn other(message: String) -> Self {
        Self { what: What::Other(message), at: None, steps: Vec::new() }
    }

    fn at(mut self, origin: &Origin) -> Self {
        self.at.get_or_insert_with(|| origin.clone());
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
        let what = What::UnknownKey { key: key.to_owned(), known };
        Self { what, at: None, steps: Vec::new() }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { what: What::Missing(field), at: None, steps: Vec::new() }
    }
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
pub(crate) fn shape<T: DeserializeOwned>(root: &Node) -> Result<T, Misfit> {
    T::deserialize(From(root)).map_err(|misfit| misfit.at(&root.at))
}

#[derive(Clone, Copy)]
struct From<'a>(&'a Node);

impl<'a> From<'a> {
    /// The text of a plain scalar: only those are numbers and booleans.
    fn plain(self) -> Option<&'a str> {
        match &self.0.value {
            Value::Scalar { text, plain: true } if !self.0.is_null() => Some(text),
            Value::Scalar { .. } | Value::List(_) | Value::Map(_) => None,
        }
    }

    fn unexpected(self) -> Unexpected<'a> {
        match &self.0.value {
            _ if self.0.is_null() => Unexpected::Unit,
            Value::Scalar { text, .. } => Unexpected::Str(text),
            Value::List(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
        }
    }

    fn number<T: std::str::FromStr>(self, expected: &'static str) -> Result<T, Misfit> {
        self.plain()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| de::Error::invalid_type(self.unexpected(), &expected))
    }

    fn text(self, expected: &dyn Expected) -> Result<&'a str, Misfit> {
        match &self.0.value {
            Value::Scalar { text, .. } if !self.0.is_null() => Ok(text),
            _ => Err(de::Error::invalid_type(self.unexpected(), expected)),
        }
    }

    /// An empty section (`kafka:` with nothing below it) has all defaults.
    fn entries<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.0.value {
            Value::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), next: None }),
            _ if self.0.is_null() => visitor.visit_map(Entries { rest: [].iter(), next: None }),
            _ => Err(de::Error::invalid_type(self.unexpected(), &"a section with keys")),
        }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            visitor.$visit(self.number::<$type>("a whole number in range")?)
        }
    )*};
}

impl<'de> Deserializer<'de> for From<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.0.value {
            _ if self.0.is_null() => visitor.visit_unit(),
            Value::Scalar { text, .. } => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items { rest: items.iter().enumerate() }),
            Value::Map(_) => self.entries(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.plain() {
            Some("true" | "True" | "TRUE") => visitor.visit_bool(true),
            Some("false" | "False" | "FALSE") => visitor.visit_bool(false),
            _ => Err(de::Error::invalid_type(self.unexpected(), &"true or false")),
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
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.0.value {
            Value::List(items) => visitor.visit_seq(Items { rest: items.iter().enumerate() }),
            _ if self.0.is_null() => visitor.visit_seq(Items { rest: [].iter().enumerate() }),
            _ => Err(de::Error::invalid_type(self.unexpected(), &"a list")),
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
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        let Some((index, node)) = self.rest.next() else { return Ok(None) };
        let item = seed.deserialize(From(node));
        item.map(Some).map_err(|misfit| misfit.at(&node.at).below(format!("[{index}]")))
    }
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, (Key, Node)>,
    next: Option<&'a (Key, Node)>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        self.next = self.rest.next();
        let Some((key, _)) = self.next else { return Ok(None) };
        let text: de::value::StrDeserializer<'_, Misfit> = key.text.as_str().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|misfit| misfit.at(&key.at))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let Some((key, node)) = self.next else {
            return Err(Misfit::other("a value without a key".to_owned()));
        };
        let value = seed.deserialize(From(node));
        value.map_err(|misfit| misfit.at(&node.at).below(key.text.clone()))
    }
}
