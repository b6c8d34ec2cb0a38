//! A list's rows sifted as they come: a row that nobody looks for is not kept. Pure.
//!
//! What is left is the same answer with `{}` in the place of each such row, and it is judged by the
//! same rules as a whole one. It has as many rows, and it is JSON where the whole is and nowhere else:
//! only what is an object by itself, and stands outside every text, is left out. Rows are known where
//! they usually stand, in a list under one of the keys or in a bare list; elsewhere all is kept.

use std::{fmt, ops::Range};

use serde::de::IgnoredAny;

/// What is looked for in a list.
#[derive(Clone, Copy)]
pub(crate) struct Sieve<'k> {
    /// The keys under which the list may stand.
    pub(crate) keys: &'static [&'static str],
    /// Whether a row, one JSON object, is looked for.
    pub(crate) keeps: &'k (dyn Fn(&str) -> bool + Sync),
}

impl fmt::Debug for Sieve<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sieve").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// How far an answer is read. Places are those in what is left of it.
#[derive(Debug)]
pub(super) struct Sifting<'k> {
    sieve: Sieve<'k>,
    /// Brackets that are open.
    depth: usize,
    in_text: bool,
    is_escaped: bool,
    /// The last text without its quotes: before a colon, a key.
    text: Range<usize>,
    /// The value that comes in the outermost object has one of the keys.
    is_named: bool,
    /// How many brackets are open where a row begins; nothing outside the list.
    rows_at: Option<usize>,
    row_from: Option<usize>,
}

impl<'k> Sifting<'k> {
    pub(super) fn new(sieve: Sieve<'k>) -> Self {
        Self {
            sieve,
            depth: 0,
            in_text: false,
            is_escaped: false,
            text: 0..0,
            is_named: false,
            rows_at: None,
            row_from: None,
        }
    }

    /// Adds the next piece of the answer, cut anywhere, to what is left of it.
    pub(super) fn sift(&mut self, piece: &[u8], left: &mut Vec<u8>) {
        for byte in piece {
            left.push(*byte);
            if self.in_text {
                self.go_on_in_text(*byte, left.len());
            } else {
                self.go_on(*byte, left);
            }
        }
    }

    fn go_on_in_text(&mut self, byte: u8, read: usize) {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = true,
            b'"' => {
                self.in_text = false;
                self.text.end = read - 1;
            }
            _ => {}
        }
    }

    fn go_on(&mut self, byte: u8, left: &mut Vec<u8>) {
        match byte {
            b'"' => {
                self.in_text = true;
                self.text.start = left.len();
            }
            b':' if self.depth == 1 => {
                let key = left.get(self.text.clone()).unwrap_or_default();
                self.is_named = self.sieve.keys.iter().any(|known| known.as_bytes() == key);
            }
            b',' if self.depth == 1 => self.is_named = false,
            b'{' | b'[' => {
                let is_list = byte == b'[';
                if is_list && (self.depth == 0 || self.depth == 1 && self.is_named) {
                    self.rows_at = Some(self.depth + 1);
                } else if !is_list && self.rows_at == Some(self.depth) {
                    self.row_from = Some(left.len() - 1);
                }
                self.depth += 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.rows_at == Some(self.depth)
                    && let Some(from) = self.row_from.take()
                {
                    self.settle(from, left);
                }
                self.rows_at = self.rows_at.filter(|rows_at| self.depth >= *rows_at);
            }
            _ => {}
        }
    }

    /// Keeps a row that is looked for, and all that is no JSON: what is wrong with the answer is told
    /// by what reads it.
    fn settle(&self, from: usize, left: &mut Vec<u8>) {
        let row = left.get(from..).and_then(|row| std::str::from_utf8(row).ok());
        let is_object = |row: &&str| serde_json::from_str::<IgnoredAny>(row).is_ok();
        if row.filter(is_object).is_some_and(|row| !(self.sieve.keeps)(row)) {
            left.truncate(from);
            left.extend_from_slice(b"{}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::envelope::{Shape, parse_body, read_rows};

    const KEYS: &[&str] = &["data", "transactions"];

    fn is_wanted(row: &str) -> bool {
        row.contains("wanted")
    }

    /// What is left of a body that comes in pieces of this size.
    fn sifted_in(body: &str, piece: usize) -> String {
        let mut left = Vec::new();
        let mut sifting = Sifting::new(Sieve { keys: KEYS, keeps: &is_wanted });
        body.as_bytes().chunks(piece).for_each(|piece| sifting.sift(piece, &mut left));
        String::from_utf8(left).unwrap()
    }

    fn sifted(body: &str) -> String {
        let left = sifted_in(body, usize::MAX);
        assert_eq!(sifted_in(body, 1), left, "cut anywhere");
        left
    }

    /// The wanted rows and how many there are, or what is wrong, as the reader of all answers says.
    fn read(body: &str) -> Result<(Vec<String>, usize), String> {
        let found = read_rows(body, Shape::List(KEYS)).map_err(|fault| {
            // The places of damage are those of what is left.
            format!("{fault:?}").split(" at line").next().unwrap().to_owned()
        })?;
        let row = |span: &Range<u32>| {
            body.get(span.start as usize..span.end as usize).unwrap().to_owned()
        };
        let wanted = found.spans.iter().map(row).filter(|row| is_wanted(row)).collect();
        Ok((wanted, found.spans.len()))
    }

    #[test]
    fn rows_that_nobody_looks_for_leave_their_place() {
        for (body, left) in [
            (
                r#"{"success":true,"data":[{"a":1},{"a":"wanted"}, {}]}"#,
                r#"{"success":true,"data":[{},{"a":"wanted"}, {}]}"#,
            ),
            (r#"[{"a":[{"b":"wanted"}]},{"a":[{"b":1}]}]"#, r#"[{"a":[{"b":"wanted"}]},{}]"#),
            (
                "\u{feff} {\"transactions\" : [ {\"a\":\"}\\\"]\"} ] , \"x\" : [ {\"a\":1} ] }",
                "\u{feff} {\"transactions\" : [ {} ] , \"x\" : [ {\"a\":1} ] }",
            ),
            (
                r#"{"x":{"data":[{"a":1}]},"meta":[{"a":1}],"data":[]}"#,
                r#"{"x":{"data":[{"a":1}]},"meta":[{"a":1}],"data":[]}"#,
            ),
            (r#"{"data":{"data":[{"a":1}]}}"#, r#"{"data":{"data":[{"a":1}]}}"#),
            (r#"{"data":[1,"{}",[{"a":1}],{"a":1}]}"#, r#"{"data":[1,"{}",[{"a":1}],{}]}"#),
        ] {
            assert_eq!(sifted(body), left, "{body}");
        }
    }

    #[test]
    fn an_answer_that_is_cut_or_damaged_stays_so() {
        let whole = r#"{"success":true,"data":[{"a":1},{"a":"wanted"},{"a":{"b":[2]}}],"n":"x"}"#;
        for end in 0..whole.len() {
            let cut = whole.get(..end).unwrap();
            let left = sifted(cut);
            assert!(parse_body(&left).is_err(), "{left}");
            assert_eq!(read(&left), read(cut), "{left}");
        }
        for body in [
            r#"{"data":[{"a":1},,{"a":2}]}"#,
            r#"{"data":[{"a":1} {"a":2}]}"#,
            r#"{"data":[{"a":1]}]}"#,
            r#"{"data":[{"a":01},{"a":2}]}"#,
            r#"{"data":[{"a":1}]}]}"#,
            r#"{"success":false,"data":[{"a":1}]}"#,
            r#"{"success":true,"rows":[{"a":1}]}"#,
            r#"{"last_page":2,"data":[{"a":1}]}"#,
            r#"{"data":[{"a":1}],"data":[{"a":"wanted"}]}"#,
            "<html>[{\"a\":1}]</html>",
        ] {
            assert_eq!(read(&sifted(body)), read(body), "{body}");
        }
    }

    fn rows() -> impl Strategy<Value = Value> {
        let row = prop_oneof![
            "\\PC{0,8}".prop_map(|text| json!({ "a": text, "wanted": [1, {"b": "]}"}] })),
            "\\PC{0,8}".prop_map(|text| json!({ "a": { "b": text } })),
            Just(json!(1)),
        ];
        prop::collection::vec(row, 0..6).prop_map(Value::from)
    }

    proptest! {
        #[test]
        fn what_is_left_says_what_the_whole_says(
            rows in rows(),
            key in prop::sample::select(vec!["data", "transactions", "meta", ""]),
            success in any::<bool>(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), "[a\"\\\\{}\\[\\],:0]{0,2}"), 0..3),
            piece in 1_usize..9,
        ) {
            let answer = if key.is_empty() { rows } else { json!({ key: rows, "success": success }) };
            let mut text: Vec<char> = answer.to_string().chars().collect();
            for (place, with) in damage {
                let place = place.index(text.len());
                drop(text.splice(place..=place, with.chars()));
                if text.is_empty() { text.push(' '); }
            }
            let body: String = text.into_iter().collect();
            let left = sifted_in(&body, piece);
            prop_assert_eq!(parse_body(&left).is_ok(), parse_body(&body).is_ok(), "{}", body);
            prop_assert_eq!(read(&left), read(&body), "{}", body);
        }
    }
}
