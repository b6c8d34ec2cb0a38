//! A row's JSON with everything personal masked, for quarantine, logs and errors.
//!
//! The order and the names of the fields stay, so that a person can see what is wrong; values of
//! fields that nobody knows are hidden altogether.

use crate::mapping::{
    card,
    json::{Mask, Scalar, SourceField, elements, members},
    patterns, text,
};

const HIDDEN: &str = "***";
/// How much of a row that is too large, or no object, is shown.
const SHOWN_BYTES_MAX: usize = 4_096;
/// Levels of nesting that are looked into; the rows of these sources have four. What lies deeper is
/// hidden: brackets within brackets must not use the stack up.
const LEVELS_MAX: u32 = 16;

/// Masks a row by the fields that its kind is known to have.
pub(super) fn mask_row(json: &str, known: &[SourceField]) -> String {
    let json = json.trim();
    let mut out = String::with_capacity(json.len().min(SHOWN_BYTES_MAX));
    let is_valid = serde_json::from_str::<&serde_json::value::RawValue>(json).is_ok();
    if is_valid && json.starts_with('{') {
        write_object(&mut out, json, known, LEVELS_MAX);
    } else if is_valid && json.starts_with('[') {
        write_array(&mut out, json, Mask::Stars, LEVELS_MAX);
    } else {
        push_quoted(&mut out, &unstructured(json));
    }
    out
}

/// Treats a masked row once more: `treat` says what becomes of a known field's text.
///
/// What `treat` answers stands in for the text; nothing takes the whole member out.
pub(super) fn treat_row(
    masked: &str,
    known: &[SourceField],
    treat: &dyn Fn(&SourceField, &str) -> Option<String>,
) -> String {
    if !masked.starts_with('{') {
        return masked.to_owned();
    }
    let mut kept = Vec::new();
    for (key, value) in members(masked) {
        let (name, _) = text::unquote(key);
        let field = known.iter().find(|field| field.name == name && !field.target.is_empty());
        let Some(field) = field else {
            kept.push(format!("{key}:{value}"));
            continue;
        };
        let shown = match Scalar::of(value).0 {
            Scalar::Text(text) => text.into_owned(),
            Scalar::Absent | Scalar::Null => {
                kept.push(format!("{key}:{value}"));
                continue;
            }
            Scalar::Number(_) | Scalar::Bool(_) | Scalar::Other(_) => value.to_owned(),
        };
        match treat(field, &shown) {
            Some(treated) if treated == shown => kept.push(format!("{key}:{value}")),
            Some(treated) => {
                let mut member = format!("{key}:");
                push_quoted(&mut member, &treated);
                kept.push(member);
            }
            None => {}
        }
    }
    format!("{{{}}}", kept.join(","))
}

/// Masks the beginning of a row that is too large to be shown whole; a JSON string.
pub(super) fn mask_beginning(json: &str) -> String {
    let mut out = String::new();
    push_quoted(&mut out, &unstructured(json));
    out
}

/// `levels`: how many more may lie in each other.
fn write_object(out: &mut String, raw: &str, known: &[SourceField], levels: u32) {
    out.push('{');
    let mut first = true;
    for (key, value) in members(raw) {
        let (name, _) = text::unquote(key);
        let field = known.iter().find(|field| field.name == name);
        if matches!(field, Some(SourceField { mask: Mask::Forbidden, .. }))
            || text::is_forbidden_name(&name)
        {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        match field {
            Some(known) => {
                push_quoted(out, known.name);
                out.push(':');
                write_value(out, value, known.mask, levels);
            }
            // Whoever puts values where names belong would else show them.
            None => {
                push_quoted(out, &field_name(&name));
                out.push(':');
                write_value(out, value, Mask::Stars, levels);
            }
        }
    }
    out.push('}');
}

fn write_array(out: &mut String, raw: &str, mask: Mask, levels: u32) {
    out.push('[');
    for (i, element) in elements(raw).into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_value(out, element, mask, levels);
    }
    out.push(']');
}

fn write_value(out: &mut String, raw: &str, mask: Mask, levels: u32) {
    match Scalar::of(raw).0 {
        Scalar::Absent => out.push_str("null"),
        Scalar::Null | Scalar::Bool(_) => out.push_str(raw),
        Scalar::Number(digits) => {
            let shown = mask_text(digits, mask);
            if shown == digits {
                out.push_str(digits);
            } else {
                push_quoted(out, &shown);
            }
        }
        Scalar::Text(text) => push_quoted(out, &mask_text(&text, mask)),
        Scalar::Other(other) => match (mask, levels.checked_sub(1)) {
            (Mask::Nested(known), Some(left)) if other.starts_with('{') => {
                write_object(out, other, known, left);
            }
            (Mask::Nested(_), Some(left)) => write_array(out, other, mask, left),
            _ => push_quoted(out, HIDDEN),
        },
    }
}

/// A text as its field's mask shows it.
pub(super) fn mask_text(text: &str, mask: Mask) -> String {
    match mask {
        _ if text.trim().is_empty() => text.to_owned(),
        Mask::Figure => patterns::figure(text),
        Mask::Code => patterns::code(text),
        Mask::Iban if is_iban_head(text) => iban(text),
        // A name in the place of a number shows nothing of itself.
        Mask::Iban | Mask::Tail if !text.bytes().any(|byte| byte.is_ascii_digit()) => {
            HIDDEN.to_owned()
        }
        Mask::Iban | Mask::Tail => tail(text),
        Mask::Stars | Mask::Forbidden => HIDDEN.to_owned(),
        Mask::Card => card::mask_field(patterns::code(text).into()).0.into_owned(),
        Mask::Free => patterns::free(text),
        Mask::Nested(_) => patterns::name(text),
    }
}

/// The name of a field that nobody knows, without what may be somebody's number or name.
pub(super) fn field_name(name: &str) -> String {
    patterns::name(name)
}

/// Whether a text begins as IBANs do, masked ones too.
fn is_iban_head(text: &str) -> bool {
    let mut head = text.chars();
    head.by_ref().take(2).all(|c| c.is_ascii_alphabetic())
        && head.next().is_some_and(|c| c.is_ascii_digit() || c == '*' || c == ' ')
}

/// `TR94******************1001`; what is no IBAN shows its last four characters alone.
pub(super) fn iban(text: &str) -> String {
    let is_iban = text.chars().take(2).all(|c| c.is_ascii_alphabetic());
    let length = text.chars().count();
    if is_iban && length >= 12 { stars_between(text, 4, 4) } else { tail(text) }
}

/// The last four characters.
pub(super) fn tail(text: &str) -> String {
    if text.chars().count() > 4 { stars_between(text, 0, 4) } else { HIDDEN.to_owned() }
}

fn stars_between(text: &str, first: usize, last: usize) -> String {
    let length = text.chars().count();
    let shown = |i: usize| i < first || i + last >= length;
    text.chars().enumerate().map(|(i, c)| if shown(i) { c } else { '*' }).collect()
}

/// A text that is no object: numbers and IBANs masked, whatever stands in quotes hidden.
fn unstructured(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
    let shown = text.get(..end).unwrap_or_default();
    let mut out = String::with_capacity(shown.len());
    let mut parts = shown.split('"');
    let mut outside = true;
    while let Some(part) = parts.next() {
        if outside {
            out.push_str(part);
        } else {
            out.push_str("\"***\"");
            // An escaped quote does not end the text that it stands in.
            let mut inner = part;
            while inner.ends_with('\\') {
                match parts.next() {
                    Some(next) => inner = next,
                    None => break,
                }
            }
        }
        outside = !outside;
    }
    if end < text.len() {
        out.push('…');
    }
    patterns::free(&out)
}

fn push_quoted(out: &mut String, text: &str) {
    // A string always serialises; the fallback keeps the JSON whole all the same.
    let quoted = serde_json::to_string(text).unwrap_or_else(|_| format!("\"{HIDDEN}\""));
    out.push_str(&quoted);
}

/// A nested value whose members with secret names are gone.
pub(super) fn without_secrets(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    copy_without_secrets(&mut out, raw, LEVELS_MAX);
    out
}

fn copy_without_secrets(out: &mut String, raw: &str, levels: u32) {
    let is_nested = raw.starts_with(['[', '{']);
    let Some(left) = levels.checked_sub(u32::from(is_nested)) else {
        return push_quoted(out, HIDDEN);
    };
    if raw.starts_with('[') {
        out.push('[');
        for (i, element) in elements(raw).into_iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            copy_without_secrets(out, element, left);
        }
        out.push(']');
    } else if raw.starts_with('{') {
        out.push('{');
        let mut first = true;
        for (key, value) in members(raw) {
            if text::is_forbidden_name(&text::unquote(key).0) {
                continue;
            }
            if !first {
                out.push(',');
            }
            first = false;
            out.push_str(key);
            out.push(':');
            copy_without_secrets(out, value, left);
        }
        out.push('}');
    } else {
        out.push_str(raw);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The names of these fields and of the fields in them, as often as they stand in `shown`.
    fn assert_names_survive(known: &[SourceField], of: &str) {
        let members = known.iter().map(|field| match field.mask {
            Mask::Nested(inner) if !inner.is_empty() => format!(r#""{}":{{}}"#, field.name),
            _ => format!(r#""{}":"x""#, field.name),
        });
        let row = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        let shown: serde_json::Value = serde_json::from_str(&mask_row(&row, known)).unwrap();
        for field in known {
            let kept = shown.get(field.name).is_some();
            assert_eq!(kept, !matches!(field.mask, Mask::Forbidden), "{of}: {}", field.name);
            if let Mask::Nested(inner) = field.mask {
                assert_names_survive(inner, field.name);
            }
        }
    }

    #[test]
    fn names_of_documented_fields_are_shown_whole() {
        for stream in crate::domain::ids::Stream::ALL {
            assert_names_survive(crate::mapping::map::known_fields(stream), stream.name());
        }
    }

    #[test]
    fn a_name_that_nobody_documented_hides_what_stands_in_it() {
        // Put together here: no whole card number stands in the sources.
        let card = format!("{}{}", "41111111", "11111111");
        let known = crate::mapping::map::known_fields(crate::domain::ids::Stream::BankTransactions);
        for (name, shown) in [
            ("TR330006100519786457841326", "TR33******************1326"),
            (card.as_str(), "411111******1111"),
            ("10000000146", "*******0146"),
            ("mt940transaction_typ", "mt940transaction_typ"),
            ("Ayşe Örnek", "**** *****"),
        ] {
            let row = format!(r#"{{"{name}":"x","mt940transaction_type":"EFT"}}"#);
            let expected = format!(r#"{{"{shown}":"***","mt940transaction_type":"EFT"}}"#);
            assert_eq!(mask_row(&row, known), expected);
        }
    }

    #[test]
    fn a_cut_row_shows_no_text_and_no_long_number() {
        let json = r#"{"a":"x \" y","n":12345678901,"b":"secret"#;
        let shown = mask_beginning(json);
        assert_eq!(shown, r#""{\"***\":\"***\",\"***\":*******8901,\"***\":\"***\"""#);
    }

    /// With a stack that some thousands of levels would use up.
    fn on_a_small_stack(run: impl FnOnce() + Send) {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(256 * 1024);
            thread.spawn_scoped(scope, run).unwrap().join().unwrap();
        });
    }

    #[test]
    fn a_hundred_thousand_levels_are_hidden_from_the_seventeenth_on() {
        const LEVELS: usize = 100_000;
        let known = crate::mapping::map::known_fields(crate::domain::ids::Stream::BankTransactions);
        let shown = |levels: usize| {
            let (open, close) = ("[".repeat(levels.min(16)), "]".repeat(levels.min(16)));
            let innermost = if levels > 16 { "\"***\"" } else { "" };
            format!("{open}{innermost}{close}")
        };
        on_a_small_stack(|| {
            for levels in [1, 16, 17, LEVELS] {
                let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
                for name in ["tags", "account"] {
                    let row = format!(r#"{{"{name}":{deep}}}"#);
                    let expected = format!(r#"{{"{name}":{}}}"#, shown(levels));
                    assert_eq!(mask_row(&row, known), expected, "{levels} levels");
                }
                assert_eq!(without_secrets(&deep), shown(levels), "{levels} levels");
            }
            let deep = format!("{}1{}", r#"{"a":"#.repeat(LEVELS), "}".repeat(LEVELS));
            let expected = format!(r#"{}"***"{}"#, r#"{"a":"#.repeat(16), "}".repeat(16));
            assert_eq!(without_secrets(&deep), expected);
        });
    }

    proptest! {
        #[test]
        fn a_masked_row_is_json_whatever_the_row_was(text in "\\PC{0,60}") {
            let shown = mask_row(&text, &[]);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok());
        }
    }
}
