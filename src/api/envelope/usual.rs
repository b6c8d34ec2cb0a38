//! The usual envelope, an object with one list under a known key, in one pass: bodies are large, and
//! cutting the object first and its list then would read every row twice.
//!
//! It may only find what the two passes find: what is not usual beyond doubt is theirs to read or to
//! refuse, and so is every answer that a check objects to.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Fields, check_success, check_unpaged};

/// An object whose list is cut already.
struct Usual<'a> {
    /// The fields beside the list.
    fields: Fields<'a>,
    /// The elements of the list.
    rows: Vec<&'a RawValue>,
}

/// The rows of an object that says no failure and no further page, and in which exactly one field
/// has one of these names, and is a list. None of the names may be one that the checks read.
pub(super) fn read_rows<'a>(json: &'a str, keys: &[&str]) -> Option<Vec<&'a RawValue>> {
    if !json.starts_with('{') {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let usual = Reader { keys }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    check_success(&usual.fields).ok()?;
    check_unpaged(&usual.fields).ok()?;
    Some(usual.rows)
}

struct Reader<'k> {
    keys: &'k [&'k str],
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Usual<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Usual<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Usual<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with one list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Usual<'de>, A::Error> {
        let (mut fields, mut list) = (Vec::new(), None);
        while let Some(key) = map.next_key::<String>()? {
            if !self.keys.contains(&key.as_str()) {
                fields.push((key, map.next_value()?));
            } else if list.replace(map.next_value::<Vec<&'de RawValue>>()?).is_some() {
                return Err(A::Error::custom("two lists"));
            }
        }
        let rows = list.ok_or_else(|| A::Error::custom("no list"))?;
        Ok(Usual { fields: Fields(fields), rows })
    }
}

#[cfg(test)]
mod tests;
