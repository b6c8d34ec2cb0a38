//! Single fields of a row's JSON, read before anything else of it is looked at.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize as _,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// The number in a field, written as one or as a text, as the mapping reads it: rows are shared out
/// by it, and one that the mapping knows better would be two accounts'.
pub(super) fn number(row: &str, name: &str) -> Option<i64> {
    let raw = raw(row, name)?;
    if raw.starts_with('"') { unquoted(raw)?.trim().parse().ok() } else { raw.parse().ok() }
}

/// The text behind a quoted one; nothing where it holds half of a character.
fn unquoted(quoted: &str) -> Option<Cow<'_, str>> {
    match quoted.get(1..quoted.len().checked_sub(1)?) {
        Some(bare) if !bare.contains('\\') => Some(Cow::Borrowed(bare)),
        _ => serde_json::from_str::<String>(quoted).ok().map(Cow::Owned),
    }
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

/// Whether a key is this one, without a copy of it. Read raw: a key that is half a character, which
/// the mapping passes over, must not hide the others.
struct Is<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let key = <&RawValue>::deserialize(deserializer)?;
        Ok(unquoted(key.get()).is_some_and(|key| key == self.0))
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

    #[test]
    fn a_number_is_read_as_the_mapping_reads_it() {
        for row in [
            r#"{"id":"73 "}"#,
            r#"{"id":"\u0037\u0033"}"#,
            r#"{"\u0069d":73}"#,
            r#"{"\ud800":1,"id":73,"x":"\udc00"}"#,
            r#"{"id": 73 }"#,
        ] {
            assert_eq!(number(row, "id"), Some(73), "{row}");
        }
        for row in [r#"{"id":"\ud800"}"#, r#"{"id":"7 3"}"#, r#"{"id":null}"#, r#"{"id":""}"#] {
            assert_eq!(number(row, "id"), None, "{row}");
        }
    }
}
