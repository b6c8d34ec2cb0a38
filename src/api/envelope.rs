//! What an answer's body says: success or not, and where its rows are. Pure.
//!
//! The vendor's envelopes differ by endpoint and by release; `Shape` names what is accepted where.
//! A missing collection is an error and never "no rows": rows that only seem to be gone would be
//! taken for deleted ones.

mod no_payment;
mod usual;

use std::ops::Range;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

pub(crate) use self::no_payment::{
    refuses_for_no_payment, refuses_the_reference, says_no_payment, tells_of_no_payment,
};
use super::rows::offset;

/// More rows than this in one answer are refused.
pub(crate) const ROWS_MAX: usize = 200_000;
/// The gateway's "done".
const TOS_DONE: [&str; 2] = ["APIGW000000", "ACBG000000"];
/// "No movements", sent as an error.
const TOS_EMPTY: [&str; 1] = ["ACBH000202"];

/// Which envelope a call answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `status`/`success` and rows under one of these keys; customers may come as a bare list.
    List(&'static [&'static str]),
    /// One thing under one of these keys, as an object or as a list of one, or the body itself; an
    /// empty list is none.
    One(&'static [&'static str]),
    /// The TOS gateway's header, result flag and rows.
    Tos,
}

/// Why a body gives no rows. Nothing in it quotes the body except `message`, which is still to be
/// scrubbed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON at all.
    NotJson { detail: String, cut_short: bool },
    /// The API says no.
    Refused { code: Option<String>, message: Option<String> },
    /// JSON, but not this call's.
    Protocol(String),
    /// More rows than [`ROWS_MAX`].
    TooManyRows,
}

/// Where the rows stand in the body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Found {
    pub(crate) spans: Vec<Range<u32>>,
    pub(crate) gateway_object_id: Option<String>,
}

/// An object's fields in their order, values unread.
pub(crate) struct Fields<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The first of these fields that exists and is not null.
    fn first(&self, names: &[&str]) -> Option<&'a RawValue> {
        names.iter().find_map(|name| self.get(name).filter(|value| value.get() != "null"))
    }

    pub(crate) fn object(&self, name: &str) -> Option<Self> {
        self.get(name).and_then(|value| parse_fields(value.get()))
    }

    /// A string, number or boolean as text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name).and_then(scalar)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

pub(crate) fn parse_fields(json: &str) -> Option<Fields<'_>> {
    json.starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
}

pub(crate) fn parse_list(json: &str) -> Option<Vec<&RawValue>> {
    json.starts_with('[').then(|| serde_json::from_str(json).ok()).flatten()
}

/// A string, number or boolean as text; null, lists and objects are none.
pub(crate) fn scalar(value: &RawValue) -> Option<String> {
    let json = value.get();
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str(json).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(json.to_owned()),
    }
}

/// The body as one JSON value, or why not.
pub(crate) fn parse_body(body: &str) -> Result<&RawValue, Fault> {
    serde_json::from_str::<&RawValue>(body.trim_start_matches('\u{feff}')).map_err(|error| {
        // serde_json's own text may quote the body, so only the kind and the place are taken.
        let html = body.trim_start().starts_with('<');
        let cut_short = !html && error.is_eof();
        let kind = if html {
            "it looks like HTML".to_owned()
        } else if cut_short {
            "it ends too early".to_owned()
        } else {
            format!("damaged at line {} column {}", error.line(), error.column())
        };
        Fault::NotJson { detail: kind, cut_short }
    })
}

/// What a body is at its top.
enum Root<'a> {
    Object(Fields<'a>),
    /// A list, a bare value, or an object with keys that are no text.
    Other(&'a RawValue),
}

/// Without a byte order mark and white space around it.
fn without_margins(body: &str) -> &str {
    body.trim_start_matches('\u{feff}').trim_matches([' ', '\t', '\n', '\r'])
}

/// Reads an object's fields at once instead of looking at the whole body first: bodies are large.
fn read_root(body: &str) -> Result<Root<'_>, Fault> {
    match parse_fields(without_margins(body)) {
        Some(fields) => Ok(Root::Object(fields)),
        None => parse_body(body).map(Root::Other),
    }
}

/// Finds the rows of a successful answer.
pub(crate) fn read_rows(body: &str, shape: Shape) -> Result<Found, Fault> {
    match shape {
        Shape::List(keys) => {
            let rows = match read_collection(body, keys)? {
                Collection::List(rows) => rows,
                Collection::Object(row) if may_stand_alone(row, keys) => vec![row],
                Collection::Object(_) => {
                    return Err(Fault::Protocol(format!(
                        "one object where {} should be a list",
                        keys.join(" or ")
                    )));
                }
            };
            let spans = spans_in(body, rows)?;
            Ok(Found { spans, gateway_object_id: None })
        }
        Shape::One(keys) => {
            let row = match bare_thing(body, keys) {
                Some(thing) => Some(thing),
                None => read_single_value(body, keys)?,
            };
            let spans = spans_in(body, row.into_iter().collect())?;
            Ok(Found { spans, gateway_object_id: None })
        }
        Shape::Tos => read_tos(body),
    }
}

/// The whole body, where it is a thing with an id and no envelope: `status` is then its own.
fn bare_thing<'a>(body: &'a str, keys: &[&str]) -> Option<&'a RawValue> {
    let root = parse_body(body).ok()?;
    let fields = parse_fields(root.get())?;
    (fields.first(keys).is_none() && fields.first(&["id"]).is_some()).then_some(root)
}

/// Finds the one object of an answer that describes one thing; an empty list is none.
pub(crate) fn read_single<'a>(body: &'a str, keys: &[&str]) -> Result<Option<&'a str>, Fault> {
    Ok(read_single_value(body, keys)?.map(RawValue::get))
}

fn read_single_value<'a>(body: &'a str, keys: &[&str]) -> Result<Option<&'a RawValue>, Fault> {
    let rows = match read_collection(body, keys)? {
        Collection::Object(row) => return Ok(Some(row)),
        Collection::List(rows) => rows,
    };
    match rows.as_slice() {
        [] => Ok(None),
        [row] => Ok(Some(row)),
        more => Err(Fault::Protocol(format!("one object expected, {} found", more.len()))),
    }
}

/// The same for a call about one thing that may not exist: a `null` where it should be is none too.
pub(crate) fn read_single_or_null<'a>(body: &'a str, key: &str) -> Result<Option<&'a str>, Fault> {
    let fields = parse_fields(parse_body(body)?.get());
    let is_null = |fields: &Fields<'_>| fields.get(key).is_some_and(|value| value.get() == "null");
    match fields.filter(is_null) {
        // Without a word of success it may as well be a failure.
        Some(fields) if fields.first(&["status", "success"]).is_some() => {
            check_success(&fields).map(|()| None)
        }
        Some(_) => Err(Fault::Protocol(format!("{key} is null, and nothing says why"))),
        None => read_single(body, &[key]),
    }
}

/// Whether the answer to a token request is a success; the token itself is read elsewhere.
pub(crate) fn check_token_envelope(body: &str) -> Result<(), Fault> {
    let root = parse_body(body)?;
    let Some(fields) = parse_fields(root.get()) else {
        return Err(Fault::Protocol("the token answer is no object".to_owned()));
    };
    if let Some((code, message)) = tos_header(&fields)
        && !TOS_DONE.contains(&code.as_str())
    {
        return Err(Fault::Refused { code: Some(code), message });
    }
    check_success(&fields)
}

/// The value under the collection key of a successful answer. A bare list stands for itself where a
/// source shows one, which is for customers (`api-contract.md` §1.5): anywhere else a proxy's `[]` would
/// say that everything is gone.
pub(crate) fn collection<'a>(body: &'a str, keys: &[&str]) -> Result<&'a RawValue, Fault> {
    let fields = match read_root(body)? {
        Root::Object(fields) => fields,
        Root::Other(list) if list.get().starts_with('[') && keys.contains(&"customers") => {
            return Ok(list);
        }
        Root::Other(list) if list.get().starts_with('[') => {
            let keys = keys.join(" or ");
            return Err(Fault::Protocol(format!("a bare list, without the key {keys}")));
        }
        Root::Other(_) => {
            return Err(Fault::Protocol("neither an object nor a list".to_owned()));
        }
    };
    check_success(&fields)?;
    check_unpaged(&fields)?;
    check_once(&fields, keys)?;
    fields.first(keys).ok_or_else(|| missing(keys, &fields))
}

/// What stands under a collection's key.
enum Collection<'a> {
    List(Vec<&'a RawValue>),
    /// One object that holds no list: the only row, or no row at all.
    Object(&'a RawValue),
}

/// Whether one object in a list's place is the only row: of accounts the documents say so, and an
/// account has its id. Anywhere else `{"message":"later"}` would be read as a complete list.
fn may_stand_alone(row: &RawValue, keys: &[&str]) -> bool {
    keys.contains(&"account") && parse_fields(row.get()).is_some_and(|row| row.get("id").is_some())
}

fn read_collection<'a>(body: &'a str, keys: &[&str]) -> Result<Collection<'a>, Fault> {
    match usual::read_rows(without_margins(body), keys) {
        Some(rows) => Ok(Collection::List(rows)),
        None => read_any_collection(body, keys),
    }
}

/// The same for every answer, with a second reading of the list; alone it says what is wrong.
fn read_any_collection<'a>(body: &'a str, keys: &[&str]) -> Result<Collection<'a>, Fault> {
    let value = collection(body, keys)?;
    let Some(inner) = parse_fields(value.get()) else {
        return list_of(value).map(Collection::List);
    };
    check_unpaged(&inner)?;
    // `data.data`, `data.transactions`: one more layer, known by a list inside.
    let nested = keys
        .iter()
        .chain(&["data", "transactions"])
        .find_map(|key| inner.get(key).filter(|value| value.get().starts_with('[')));
    if let Some(nested) = nested {
        return list_of(nested).map(Collection::List);
    }
    if inner.0.is_empty() {
        return Err(Fault::Protocol("the collection is an empty object".to_owned()));
    }
    // PHP writes a list with gaps as an object keyed by position.
    let positions = inner.0.iter().all(|(key, value)| {
        key.bytes().all(|b| b.is_ascii_digit()) && value.get().starts_with('{')
    });
    if positions {
        return Ok(Collection::List(inner.0.into_iter().map(|(_, value)| value).collect()));
    }
    Ok(Collection::Object(value))
}

fn list_of(value: &RawValue) -> Result<Vec<&RawValue>, Fault> {
    parse_list(value.get())
        .ok_or_else(|| Fault::Protocol("the collection is neither list nor object".to_owned()))
}

fn missing(keys: &[&str], fields: &Fields<'_>) -> Fault {
    let found: Vec<String> =
        fields.0.iter().take(10).map(|(key, _)| super::scrub::scrub(key, &[])).collect();
    Fault::Protocol(format!("no {} in it, only [{}]", keys.join(" or "), found.join(", ")))
}

/// `status` and `success` in all their spellings; absent is fine.
fn check_success(fields: &Fields<'_>) -> Result<(), Fault> {
    check_once(fields, &["status", "success"])?;
    let status_ok = fields.first(&["status"]).is_none_or(|status| {
        scalar(status).is_some_and(|text| {
            matches!(text.to_ascii_lowercase().as_str(), "success" | "200" | "true" | "approved")
        })
    });
    let success_ok = fields.first(&["success"]).is_none_or(truthy);
    if status_ok && success_ok {
        return Ok(());
    }
    Err(Fault::Refused { code: None, message: message_of(fields) })
}

/// A key that says what the answer means stands there once: which of two holds is anybody's guess.
fn check_once(fields: &Fields<'_>, keys: &[&str]) -> Result<(), Fault> {
    let times = |name: &str| fields.0.iter().filter(|(key, _)| key == name).count();
    match keys.iter().find(|name| times(name) > 1) {
        Some(name) => Err(Fault::Protocol(format!("{name} stands in it twice"))),
        None => Ok(()),
    }
}

fn truthy(value: &RawValue) -> bool {
    scalar(value).is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "true" | "1"))
}

/// Answers are documented as unpaged; taking the first page for all would lose rows.
fn check_unpaged<'a>(fields: &Fields<'a>) -> Result<(), Fault> {
    let meta = fields.object("meta");
    let below = |holder: &Fields<'a>| {
        ["links", "pagination", "paging"].map(|name| holder.object(name)).into_iter().flatten()
    };
    let nested: Vec<_> =
        [Some(fields), meta.as_ref()].into_iter().flatten().flat_map(below).collect();
    let mut holders = [Some(fields), meta.as_ref()].into_iter().flatten().chain(&nested);
    if holders.any(has_next_page) {
        return Err(Fault::Protocol("the answer is only one page of several".to_owned()));
    }
    Ok(())
}

/// Whether a paginator says that more pages follow: Laravel's four kinds, and the usual others.
fn has_next_page(holder: &Fields<'_>) -> bool {
    let number = |name: &str| holder.text(name).and_then(|text| text.trim().parse::<u64>().ok());
    let is_told = |name: &&str| {
        let text = holder.text(name).or_else(|| holder.object(name)?.text("href"));
        text.is_some_and(|text| !matches!(text.trim(), "" | "0" | "false"))
    };
    ["last_page", "total_pages"].iter().filter_map(|name| number(name)).any(|pages| pages > 1)
        || ["next", "next_page_url", "next_cursor", "has_more", "has_more_pages"]
            .iter()
            .any(is_told)
}

/// What an error body says, unscrubbed; validation errors come with their field names.
pub(crate) fn message_of(fields: &Fields<'_>) -> Option<String> {
    let names = ["message", "error_description", "error_message", "error", "msg"];
    let message = names.iter().find_map(|name| fields.text(name).filter(|text| !text.is_empty()));
    let invalid = fields.object("errors").map(|errors| {
        errors.0.iter().take(5).map(|(field, _)| field.as_str()).collect::<Vec<_>>().join(", ")
    });
    match (message, invalid) {
        (Some(message), Some(fields)) => Some(format!("{message} ({fields})")),
        (message, invalid) => message.or(invalid),
    }
}

/// Code and message of a TOS gateway's header, where the body has one.
pub(crate) fn tos_header(fields: &Fields<'_>) -> Option<(String, Option<String>)> {
    // An older envelope of the same gateway calls it `Status`.
    let header = fields.object("Header").or_else(|| fields.object("Status"))?;
    let code = header.text("StatusCode").or_else(|| header.text("Code"))?;
    let says = ["StatusDescriptionEn", "StatusDescription", "Description", "Message"];
    Some((code, says.iter().find_map(|name| header.text(name).filter(|text| !text.is_empty()))))
}

/// Whether a code means "nothing found".
pub(crate) fn means_empty(code: &str) -> bool {
    TOS_EMPTY.contains(&code)
}

fn read_tos(body: &str) -> Result<Found, Fault> {
    let Root::Object(fields) = read_root(body)? else {
        return Err(Fault::Protocol("not an object".to_owned()));
    };
    let gateway_object_id = fields.object("Header").and_then(|header| header.text("ObjectID"));
    let empty = Found { spans: Vec::new(), gateway_object_id: gateway_object_id.clone() };
    if let Some((code, message)) = tos_header(&fields) {
        if means_empty(&code) {
            return Ok(empty);
        }
        if !TOS_DONE.contains(&code.as_str()) {
            return Err(Fault::Refused { code: Some(code), message });
        }
    }
    let Some(data) = fields.object("Data") else {
        return Err(missing(&["Data"], &fields));
    };
    if let Some(flag) = data.object("ListQueryResult") {
        let code = flag.text("ErrorCode");
        if code.as_deref().is_some_and(means_empty) {
            return Ok(empty);
        }
        if flag.first(&["Result"]).is_some_and(|result| !truthy(result)) {
            return Err(Fault::Refused { code, message: flag.text("ErrorExplanation") });
        }
    }
    let Some(result) = data.get("Result") else {
        return Err(missing(&["Data.Result"], &data));
    };
    let rows = match result.get() {
        // No document says whether that is a day without payments; to take it for one could lose them.
        "null" => {
            let flag = data.object("ListQueryResult").and_then(|flag| flag.text("Result"));
            let said = flag.map_or("nothing says why", |_| "ListQueryResult says true");
            return Err(Fault::Protocol(format!("Data.Result is null, and {said}")));
        }
        r#""""# => Vec::new(),
        "{}" => return Err(Fault::Protocol("Data.Result is an empty object".to_owned())),
        object if object.starts_with('{') => vec![result],
        _ => list_of(result)?,
    };
    Ok(Found { spans: spans_in(body, rows)?, gateway_object_id })
}

/// Where the rows, which are slices of the body, stand in it.
fn spans_in(body: &str, rows: Vec<&RawValue>) -> Result<Vec<Range<u32>>, Fault> {
    if rows.len() > ROWS_MAX {
        return Err(Fault::TooManyRows);
    }
    let base = body.as_ptr().addr();
    Ok(rows
        .into_iter()
        .map(|row| {
            let start = row.get().as_ptr().addr() - base;
            offset(start)..offset(start + row.get().len())
        })
        .collect())
}

#[cfg(test)]
mod tests;
