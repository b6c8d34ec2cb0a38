//! Single fields of a row's JSON, read before anything else of it is looked at.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The number in a field, written as one or as a text.
pub(super) fn number(row: &str, name: &str) -> Option<i64> {
    text(row, name)?.parse().ok()
}

/// A field as it stands in the row, without the quotes of a text; nothing where it is null.
pub(super) fn text<'a>(row: &'a str, name: &str) -> Option<&'a str> {
    let raw = raw(row, name).filter(|raw| *raw != "null")?;
    Some(raw.trim_matches('"'))
}

/// The JSON of a field, of the last one where the name stands there twice, as in the mapping.
pub(super) fn raw<'a>(row: &'a str, name: &str) -> Option<&'a str> {
    let mut deserializer = serde_json::Deserializer::from_str(row);
    Field(name).deserialize(&mut deserializer).ok()?.map(RawValue::get)
}

struct Field<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(Is(self.0))? {
            if wanted {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a key is this one, without a copy of it.
struct Is<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_whatever_stands_around_it() {
        let row = r#"{"a":{"id":1},"id":"7","n":null,"x":"q\"","id":8}"#;
        assert_eq!(number(row, "id"), Some(8), "the last one counts");
        assert_eq!((raw(row, "a"), text(row, "n")), (Some(r#"{"id":1}"#), None));
        assert_eq!((number(row, "x"), number(row, "y"), number("[]", "id")), (None, None, None));
        assert_eq!(number(r#"{"id":"7"}"#, "id"), Some(7));
        assert_eq!(number(r#"{"id":1.0}"#, "id"), None, "no id is guessed at");
    }
}
