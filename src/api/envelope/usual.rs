//! The usual envelope, an object with one list under a known key, in one pass: bodies are large, and
//! cutting the object first and its list then would read every row twice.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Fields;

/// An object whose list is cut already.
pub(super) struct Usual<'a> {
    /// The fields beside the list.
    pub(super) fields: Fields<'a>,
    /// The elements of the list.
    pub(super) rows: Vec<&'a RawValue>,
}

/// Reads an object in which exactly one field has one of these names, and is a list; whatever else it
/// is, or where it is damaged, is for the caller to find out.
pub(super) fn read<'a>(json: &'a str, keys: &[&str]) -> Option<Usual<'a>> {
    if !json.starts_with('{') {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let usual = Reader { keys }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(usual)
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
