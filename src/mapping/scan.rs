//! The members of a JSON object as texts, in one pass.
//!
//! Most of a row is short strings without escapes and whole numbers: those are cut out here, nested
//! values too, and everything else (escapes, fractions) is left to `serde_json`. Whatever it accepts
//! is accepted and whatever it refuses is refused, as a test holds.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Deeper values are left to `serde_json`.
const DEPTH_MAX: u32 = 64;

/// A raw value of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value<'a> {
    pub(super) raw: &'a str,
    /// A string without escapes: what stands between its quotes is its text.
    pub(super) is_plain_text: bool,
}

/// What stands next in an object.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// The member that was expected.
    Expected(Value<'a>),
    /// Any member, with its key still quoted.
    Other(&'a str, Value<'a>),
    /// Nothing: the object ends, and nothing stands behind it.
    End,
}

/// The members of one object, one after the other.
pub(super) struct Members<'a> {
    scan: Scan<'a>,
    begun: bool,
}

impl<'a> Members<'a> {
    /// `None` where the text is no object.
    pub(super) fn of(json: &'a str) -> Option<Self> {
        let mut scan = Scan { json, at: 0 };
        scan.take(b'{')?;
        Some(Self { scan, begun: false })
    }

    /// The next member, or `None` where the text is not one JSON object and nothing else.
    ///
    /// The `expected` name is only compared, which is less work than cutting a key out; it must not
    /// hold what JSON escapes.
    pub(super) fn next(&mut self, expected: Option<&str>) -> Option<Next<'a>> {
        let scan = &mut self.scan;
        let begun = std::mem::replace(&mut self.begun, true);
        if begun && scan.take(b',').is_none() {
            scan.take(b'}')?;
            return scan.end();
        }
        if !begun && scan.take(b'}').is_some() {
            return scan.end();
        }
        scan.skip_space();
        let is_expected = expected.is_some_and(|name| scan.take_name(name).is_some());
        let key = if is_expected { None } else { Some(scan.string()?.raw) };
        scan.take(b':')?;
        scan.skip_space();
        let value = scan.value()?;
        Some(key.map_or(Next::Expected(value), |key| Next::Other(key, value)))
    }
}

/// The elements of an array, or `None` where the text is not one JSON array and nothing else.
pub(super) fn elements(json: &str) -> Option<Vec<&str>> {
    let mut scan = Scan { json, at: 0 };
    let mut elements = Vec::new();
    scan.take(b'[')?;
    if scan.take(b']').is_none() {
        loop {
            scan.skip_space();
            elements.push(scan.value()?.raw);
            if scan.take(b',').is_none() {
                break;
            }
        }
        scan.take(b']')?;
    }
    scan.end().map(|_| elements)
}

struct Scan<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a [u8] {
        self.json.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn next_byte(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.next_byte(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    /// Skips white space and this byte, where it comes next.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        (self.next_byte() == Some(byte)).then(|| self.at += 1)
    }

    /// Skips this name with its quotes, where it comes next.
    fn take_name(&mut self, name: &str) -> Option<()> {
        let behind = self.rest().strip_prefix(b"\"")?.strip_prefix(name.as_bytes())?;
        (behind.first() == Some(&b'"')).then(|| self.at += name.len() + 2)
    }

    fn end(&mut self) -> Option<Next<'a>> {
        self.skip_space();
        (self.at == self.json.len()).then_some(Next::End)
    }

    fn value(&mut self) -> Option<Value<'a>> {
        match self.next_byte()? {
            b'"' => self.string(),
            b'{' | b'[' => self.nested(),
            _ => self.word(),
        }
    }

    fn string(&mut self) -> Option<Value<'a>> {
        let inner = self.rest().strip_prefix(b"\"")?;
        let length = plain_length(inner);
        match inner.get(length)? {
            b'"' => Some(Value { raw: self.cut(length + 2)?, is_plain_text: true }),
            b'\\' => self.left_to_serde(),
            _ => None,
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<Value<'a>> {
        let ends = |byte: &&u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\t' | b'\r');
        let length = self.rest().iter().take_while(|byte| !ends(byte)).count();
        let word = self.cut(length)?;
        let known = matches!(word, "null" | "true" | "false") || is_whole_number(word);
        let is_word = known || serde_json::from_str::<IgnoredAny>(word).is_ok();
        is_word.then_some(Value { raw: word, is_plain_text: false })
    }

    /// An array or an object.
    fn nested(&mut self) -> Option<Value<'a>> {
        let start = self.at;
        // One bit a level, the innermost one lowest: whether it is an object.
        let (mut depth, mut kinds) = (0, 0_u64);
        loop {
            match self.next_byte()? {
                open @ (b'{' | b'[') if depth < DEPTH_MAX => {
                    (depth, kinds) = (depth + 1, kinds << 1 | u64::from(open == b'{'));
                    self.at += 1;
                    if self.take(closing(kinds)).is_none() {
                        self.skip_key(kinds)?;
                        continue;
                    }
                    (depth, kinds) = (depth - 1, kinds >> 1);
                }
                b'{' | b'[' => {
                    self.at = start;
                    return self.left_to_serde();
                }
                _ => drop(self.value()?),
            }
            while depth > 0 && self.take(b',').is_none() {
                self.take(closing(kinds))?;
                (depth, kinds) = (depth - 1, kinds >> 1);
            }
            if depth == 0 {
                let raw = self.json.get(start..self.at)?;
                return Some(Value { raw, is_plain_text: false });
            }
            self.skip_key(kinds)?;
        }
    }

    /// To the next value: over white space and, within an object, a key.
    fn skip_key(&mut self, kinds: u64) -> Option<()> {
        self.skip_space();
        if kinds & 1 == 1 {
            self.string()?;
            self.take(b':')?;
            self.skip_space();
        }
        Some(())
    }

    fn left_to_serde(&mut self) -> Option<Value<'a>> {
        let rest = self.json.get(self.at..)?;
        let value =
            serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>().next()?.ok()?;
        Some(Value { raw: self.cut(value.get().len())?, is_plain_text: false })
    }

    fn cut(&mut self, length: usize) -> Option<&'a str> {
        let text = self.json.get(self.at..self.at + length)?;
        self.at += length;
        Some(text)
    }
}

/// What ends the innermost level.
const fn closing(kinds: u64) -> u8 {
    if kinds & 1 == 1 { b'}' } else { b']' }
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
        scanned_expecting(json, None)
    }

    /// What is found where this name is expected all the time.
    fn scanned_expecting(json: &str, name: Option<&str>) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        let mut members = Members::of(json)?;
        loop {
            let (key, value) = match members.next(name)? {
                Next::Expected(value) => (format!("\"{}\"", name.unwrap()), value),
                Next::Other(key, value) => (key.to_owned(), value),
                Next::End => return Some(found),
            };
            let is_plain = value.raw.starts_with('"') && !value.raw.contains('\\');
            assert_eq!(value.is_plain_text, is_plain, "{}", value.raw);
            found.push((key, value.raw.to_owned()));
        }
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
            r#"{"a":[1,2}}"#,
            r#"{"a":{"b":1]}"#,
            r#"{"a":[{"b":[]}]}"#,
            r#"{"a":{"b" 1}}"#,
            r#"{"a":{"b":{},}}"#,
            r#"{"a":12345678901234567890123.5}"#,
            r#"{"ş":"ğüşiöç İstanbul"}"#,
            r#"{"a":1 2}"#,
            r#"{"a":[]]}"#,
            r#"{"a":1e999}"#,
        ] {
            assert_eq!(scanned(json), expected(json), "{json}");
            assert_eq!(scanned_expecting(json, Some("a")), expected(json), "{json}");
        }
    }

    #[test]
    fn any_depth_is_cut_as_serde_cuts_it() {
        for depth in [1, 63, 64, 65, 200] {
            let (open, close) = ("[{\"b\" :".repeat(depth), "} ]".repeat(depth));
            let json = format!("{{\"a\":{open}[ 1 , {{ }} ]{close}}}");
            assert_eq!(scanned(&json), expected(&json), "{depth}");
            let cut = json.replace("} ]}", "]}");
            assert_eq!(scanned(&cut), expected(&cut), "{depth}");
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
            let plain = |name: &&String| !name.contains(['"', '\\']);
            for name in object.as_object().unwrap().keys().filter(plain) {
                prop_assert_eq!(scanned_expecting(&json, Some(name)), expected(&json));
            }
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
            prop_assert_eq!(scanned_expecting(&json, Some("a")), expected(&json), "{}", json);
            let array = format!("[{json},{json}]");
            let by_serde: Option<Vec<&RawValue>> = serde_json::from_str(&array).ok();
            let by_serde = by_serde.map(|found| found.iter().map(|raw| raw.get()).collect());
            prop_assert_eq!(elements(&array), by_serde, "{}", array);
        }
    }
}
