//! The members of a JSON object as texts, in one pass.
//!
//! Most of a row is short strings without escapes and whole numbers: those are cut out here, and
//! everything else (escapes, fractions, nested values) is left to `serde_json`. Whatever it accepts
//! is accepted and whatever it refuses is refused, as a test holds.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Calls back with every key, still quoted, and its raw value; `None` where the text is not one
/// JSON object and nothing else. Members before the fault were called back then.
pub(super) fn members<'a>(json: &'a str, mut member: impl FnMut(&'a str, &'a str)) -> Option<()> {
    let mut scan = Scan { json, at: 0 };
    scan.take(b'{')?;
    if scan.take(b'}').is_none() {
        loop {
            scan.skip_space();
            let key = scan.string()?;
            scan.take(b':')?;
            scan.skip_space();
            member(key, scan.value()?);
            if scan.take(b',').is_none() {
                break;
            }
        }
        scan.take(b'}')?;
    }
    scan.skip_space();
    (scan.at == json.len()).then_some(())
}

struct Scan<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a [u8] {
        self.json.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let space = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\t' | b'\r');
        self.at += self.rest().iter().take_while(space).count();
    }

    /// Skips white space and this byte, where it comes next.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        (self.rest().first() == Some(&byte)).then(|| self.at += 1)
    }

    fn value(&mut self) -> Option<&'a str> {
        match self.rest().first()? {
            b'"' => self.string(),
            b'{' | b'[' => self.left_to_serde(),
            _ => self.word(),
        }
    }

    fn string(&mut self) -> Option<&'a str> {
        let inner = self.rest().strip_prefix(b"\"")?;
        let length = plain_length(inner);
        match inner.get(length)? {
            b'"' => self.cut(length + 2),
            b'\\' => self.left_to_serde(),
            _ => None,
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<&'a str> {
        let ends = |byte: &&u8| matches!(byte, b',' | b'}' | b' ' | b'\n' | b'\t' | b'\r');
        let length = self.rest().iter().take_while(|byte| !ends(byte)).count();
        let word = self.cut(length)?;
        let known = matches!(word, "null" | "true" | "false") || is_whole_number(word);
        (known || serde_json::from_str::<IgnoredAny>(word).is_ok()).then_some(word)
    }

    fn left_to_serde(&mut self) -> Option<&'a str> {
        let rest = self.json.get(self.at..)?;
        let value =
            serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>().next()?.ok()?;
        self.cut(value.get().len())
    }

    fn cut(&mut self, length: usize) -> Option<&'a str> {
        let text = self.json.get(self.at..self.at + length)?;
        self.at += length;
        Some(text)
    }
}

fn is_whole_number(word: &str) -> bool {
    let digits = word.as_bytes();
    let leading_zero = digits.len() > 1 && digits.first() == Some(&b'0');
    !digits.is_empty() && !leading_zero && digits.iter().all(u8::is_ascii_digit)
}

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How many bytes come before a quote, a backslash or a control character; eight at a time.
fn plain_length(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let found = special_bytes(u64::from_le_bytes(*word));
        if found != 0 {
            return i * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let special = |byte: &&u8| **byte < 0x20 || matches!(byte, b'"' | b'\\');
    words.len() * 8 + tail.iter().take_while(|byte| !special(byte)).count()
}

/// The high bit of each special byte; bits above the lowest one may be wrong, for it borrows.
fn special_bytes(word: u64) -> u64 {
    let quote = word ^ (EACH * b'"' as u64);
    let backslash = word ^ (EACH * b'\\' as u64);
    let below = |bytes: u64, limit: u64| bytes.wrapping_sub(EACH * limit) & !bytes & HIGH;
    below(quote, 1) | below(backslash, 1) | below(word, 0x20)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn scanned(json: &str) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        members(json, |key, value| found.push((key.to_owned(), value.to_owned())))?;
        Some(found)
    }

    /// What `serde_json` finds.
    fn expected(json: &str) -> Option<Vec<(String, String)>> {
        crate::mapping::json::members_strictly(json).ok().map(|members| {
            members.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        })
    }

    #[test]
    fn edges_are_what_serde_says() {
        for json in [
            "{}",
            " { } ",
            "{,}",
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":-0.0e+5}"#,
            r#"{"a":+1}"#,
            r#"{"a":"x\u00fcy\"z"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\x"}"#,
            r#"{"\u0061":[1,{"b":"]"}]}"#,
            "{\"a\":\"tab\there\"}",
            "{\"a\" : \n1 , \"b\":\ttrue}",
            r#"{"a":nul}"#,
            r#"{"a":NaN}"#,
            r#"{"a":1}x"#,
            r#"{"a":1"#,
            r#"{"a":"open"#,
            r#"{a:1}"#,
            "[]",
            "",
            "null",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":[1,2}"#,
            r#"{"a":1]}"#,
            r#"{"a":12345678901234567890123.5}"#,
            r#"{"ş":"ğüşiöç İstanbul"}"#,
            r#"{"a":1 2}"#,
            r#"{"a":[]]}"#,
            r#"{"a":1e999}"#,
        ] {
            assert_eq!(scanned(json), expected(json), "{json}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn objects_are_cut_as_serde_cuts_them(
            members in prop::collection::btree_map(any::<String>(), value(), 0..8),
            pretty in any::<bool>(),
        ) {
            let object = Value::Object(members.into_iter().collect());
            let json = if pretty { format!("{object:#}") } else { object.to_string() };
            prop_assert!(scanned(&json).is_some());
            prop_assert_eq!(scanned(&json), expected(&json));
        }

        #[test]
        fn damaged_objects_are_refused_as_serde_refuses_them(
            members in prop::collection::btree_map("[a-z]{0,3}", value(), 1..5),
            damage in prop::collection::vec((any::<prop::sample::Index>(), "[\\PC\t\"\\\\{}\\[\\],:0-9]"), 1..4),
        ) {
            let mut text: Vec<char> = Value::Object(members.into_iter().collect()).to_string().chars().collect();
            for (place, with) in damage {
                let place = place.index(text.len());
                drop(text.splice(place..=place, with.chars()));
            }
            let json: String = text.into_iter().collect();
            prop_assert_eq!(scanned(&json), expected(&json), "{}", json);
        }
    }
}
