//! One pass against two: over the same bytes they find the same rows at the same places, or the
//! same fault.

use std::ops::Range;

use proptest::prelude::*;

use super::super::{
    Collection, Fault, RawValue, read_any_collection, read_collection, spans_in, without_margins,
};

/// The names under which the calls look for their rows.
const KEYS: [&[&str]; 5] = [
    &["transactions", "data"],
    &["data", "transactions"],
    &["accounts", "banks", "account", "data"],
    &["data", "stations", "terminals"],
    &["customer", "customers", "data"],
];

/// A list's places, or an object's.
fn places(body: &str, found: Result<Collection<'_>, Fault>) -> Result<(bool, Places), Fault> {
    let (is_list, values) = match found? {
        Collection::List(rows) => (true, rows),
        Collection::Object(row) => (false, vec![row]),
    };
    Ok((is_list, spans_in(body, values)?))
}

type Places = Vec<Range<u32>>;

/// What is read, after a look that the two passes alone read the same.
fn read_both_ways(body: &str, keys: &[&str]) -> Result<(bool, Places), Fault> {
    let by_two = places(body, read_any_collection(body, keys));
    assert_eq!(places(body, read_collection(body, keys)), by_two, "{keys:?} of {body:?}");
    by_two
}

fn rows_at_once<'a>(body: &'a str, keys: &[&str]) -> Option<Vec<&'a str>> {
    let rows = super::read_rows(without_margins(body), keys)?;
    Some(rows.into_iter().map(RawValue::get).collect())
}

#[test]
fn the_usual_envelope_is_read_at_once() {
    for (body, rows) in [
        (
            r#"{"status":"success","transactions":[{"id":1},{"id":2}]}"#,
            &[r#"{"id":1}"#, r#"{"id":2}"#][..],
        ),
        ("\u{feff}\n{\"data\":[ ] , \"x\":{\"transactions\":[1]}} \r\n", &[]),
        (r#"{"d\u0061ta":[1, [2,"]"] ,-0.5e+9]}"#, &["1", r#"[2,"]"]"#, "-0.5e+9"]),
        (r#"{"status":200,"success":1,"data":["\ud800"]}"#, &[r#""\ud800""#]),
        (r#"{"meta":{"last_page":1},"next_page_url":null,"data":[]}"#, &[]),
        (
            r#"{"x":1e999999,"data":[123456789012345678901234567890.5]}"#,
            &["123456789012345678901234567890.5"],
        ),
    ] {
        let keys = KEYS[0];
        assert_eq!(rows_at_once(body, keys).as_deref(), Some(rows), "{body}");
        assert!(read_both_ways(body, keys).is_ok_and(|(is_list, _)| is_list), "{body}");
    }
}

#[test]
fn what_is_unusual_is_left_to_two_passes() {
    for body in [
        r#"{"status":200,"status":"error","data":[]}"#,
        // Two collections, or another thing than a list in its place.
        r#"{"data":[{"id":1}],"transactions":[{"id":2}]}"#,
        r#"{"data":[{"id":1}],"data":[{"id":2}]}"#,
        r#"{"data":[{"id":1}],"data":null}"#,
        r#"{"transactions":null,"data":[{"id":1}]}"#,
        r#"{"data":null}"#,
        r#"{"data":""}"#,
        r#"{"data":{"data":[{"id":1}]}}"#,
        r#"{"data":{"0":{"id":1}}}"#,
        r#"{"data":{"message":"later"}}"#,
        r#"{"data":{}}"#,
        r#"{"other":[]}"#,
        r#"{}"#,
        r#"[{"id":1}]"#,
        // Failures and pages.
        r#"{"data":[{"id":1}],"status":"error","message":"no"}"#,
        r#"{"data":[],"success":false}"#,
        r#"{"data":[],"status":[]}"#,
        r#"{"data":[{"id":1}],"meta":{"last_page":2}}"#,
        r#"{"data":[{"id":1}],"last_page":"2"}"#,
        r#"{"data":[{"id":1}],"next_page_url":"x"}"#,
        // Damage.
        r#"{"data":[{"id":1}]"#,
        r#"{"data":[{"id":1}]}x"#,
        r#"{"data":[{"id":1}]}{"data":[]}"#,
        r#"{"data":[{"id":1}]}\u0000"#,
        r#"{"data":[{"id":1,}]}"#,
        r#"{"data":[1,]}"#,
        r#"{"data":[01]}"#,
        r#"{"data":[1],}"#,
        r#"{"\ud800":1,"data":[1]}"#,
        r#"{"data":[1],"x":"\q"}"#,
        "{\"data\":[1],\"x\":\"\n\"}",
        "{\"data\":[1\u{a0}]}",
        " \u{feff}{\"data\":[1]}",
        "<html>",
        "",
    ] {
        assert_eq!(rows_at_once(body, KEYS[0]), None, "{body}");
        for keys in KEYS {
            drop(read_both_ways(body, keys));
        }
    }
}

#[test]
fn any_depth_is_read_the_same() {
    for depth in [1, 126, 127, 128, 129, 5_000] {
        let (open, close) = ("[{\"a\":".repeat(depth), "}]".repeat(depth));
        let body = format!("{{\"data\":[{open}1{close}],\"x\":{open}1{close}}}");
        assert!(read_both_ways(&body, KEYS[0]).is_ok_and(|(is_list, _)| is_list), "{depth}");
        let cut = body.replacen("}]", "]", 1);
        assert!(read_both_ways(&cut, KEYS[0]).is_err(), "{depth}");
    }
}

/// White space between two tokens, and now and then what JSON takes for none.
fn gap() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        12 => Just(""),
        4 => prop::sample::select(vec![" ", "\n\t", "\r\n  "]),
        1 => prop::sample::select(vec!["\u{a0}", "\u{b}", "\u{feff}", "\0"]),
    ]
}

fn field_name() -> impl Strategy<Value = String> {
    let said = [
        "status",
        "success",
        "meta",
        "last_page",
        "next_page_url",
        "message",
        "errors",
        "error",
        "id",
        "0",
        "17",
        "",
        r"d\u0061ta",
        r"stat\u0075s",
        r"\ud800",
        r"\ud83d\ude00",
        r"\n",
        "\u{131}d",
    ];
    prop_oneof![
        3 => prop::sample::select(KEYS.concat()),
        2 => prop::sample::select(said.to_vec()),
    ]
    .prop_map(|name| format!("\"{name}\""))
}

/// A JSON value as text; a few are none.
fn value() -> impl Strategy<Value = String> {
    let words = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "2",
        "200",
        "1e999",
        "-1.5E-7",
        "01",
        "1.",
        "+1",
        "nul",
        "184467440737095516161844674407370955161.5",
        r#""""#,
        r#""success""#,
        r#""SUCCESS""#,
        r#""error""#,
        r#""1""#,
        r#""x?page=2""#,
        r#""a\"b]}\\""#,
        r#""\ud83d\ude00\ud800""#,
        r#""\u00zz""#,
        r#""İşlem""#,
        "\"\t\"",
        "[]",
        "{}",
    ];
    let leaf = prop::sample::select(words.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec((gap(), inner.clone(), gap()), 0..4).prop_map(|items| {
                let items: Vec<_> = items.iter().map(|(a, v, b)| format!("{a}{v}{b}")).collect();
                format!("[{}]", items.join(","))
            }),
            object(inner),
        ]
    })
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = ((gap(), field_name(), gap()), (gap(), value, gap()));
    prop::collection::vec(member, 0..5).prop_map(|members| {
        let members: Vec<_> = members
            .iter()
            .map(|((a, name, b), (c, value, d))| format!("{a}{name}{b}:{c}{value}{d}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

/// An envelope as the API writes it, its fields in any order.
fn envelope() -> impl Strategy<Value = String> {
    let list = prop::collection::vec((gap(), value()), 0..4).prop_map(|rows| {
        let rows: Vec<_> = rows.iter().map(|(gap, row)| format!("{gap}{row}")).collect();
        format!("[{}]", rows.join(","))
    });
    let fields = [
        r#""status":"success""#,
        r#""success":true"#,
        r#""status":"error","message":"no""#,
        r#""meta":{"last_page":1}"#,
        r#""meta":{"last_page":"3"}"#,
        r#""next_page_url":null"#,
    ];
    let fields = prop::sample::subsequence(fields.to_vec(), 0..3);
    (fields, prop::sample::select(KEYS.concat()), list, any::<prop::sample::Index>()).prop_map(
        |(fields, key, list, place)| {
            let mut members: Vec<_> = fields.into_iter().map(str::to_owned).collect();
            members.insert(place.index(members.len() + 1), format!("\"{key}\":{list}"));
            format!("{{{}}}", members.join(","))
        },
    )
}

/// What becomes of a body under way.
#[derive(Debug, Clone)]
enum Damage {
    /// Everything from here on is missing.
    Cut,
    Missing,
    Put(&'static [u8]),
    /// The bytes from the first place to the second come twice.
    Repeat,
}

fn damage() -> impl Strategy<Value = Damage> {
    let puts: [&[u8]; 22] = [
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b" ",
        b"0",
        b"-",
        b"e",
        b"\0",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"null",
        b"[]",
        b"{}",
        b"\"data\":[1],",
        b",\"success\":false",
    ];
    prop_oneof![
        Just(Damage::Cut),
        Just(Damage::Missing),
        prop::sample::select(puts.to_vec()).prop_map(Damage::Put),
        Just(Damage::Repeat),
    ]
}

type Place = prop::sample::Index;

fn damaged(body: &str, damages: &[(Damage, Place, Place)]) -> String {
    let mut bytes = body.as_bytes().to_vec();
    for (damage, from, to) in damages {
        let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
        match damage {
            Damage::Cut => bytes.truncate(from),
            Damage::Missing => drop(bytes.drain(from.min(to)..to.min(from + 3).max(from.min(to)))),
            Damage::Put(what) => drop(bytes.splice(from..from, what.iter().copied())),
            Damage::Repeat => {
                let twice = bytes[from.min(to)..from.max(to)].to_vec();
                drop(bytes.splice(to..to, twice));
            }
        }
    }
    // As the client decodes an answer.
    String::from_utf8_lossy(&bytes).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_body_is_read_the_same(
        body in prop_oneof![envelope(), object(value()), value()],
        margins in (gap(), gap()),
        damages in prop::collection::vec((damage(), any::<Place>(), any::<Place>()), 0..3),
    ) {
        let body = damaged(&format!("{}{body}{}", margins.0, margins.1), &damages);
        for keys in KEYS {
            drop(read_both_ways(&body, keys));
        }
    }
}
