//! A row's JSON with everything personal masked, for quarantine, logs and errors.
//!
//! The order and the names of the fields stay, so that a person can see what is wrong; values of
//! fields that nobody knows are hidden altogether.

use crate::mapping::{
    card,
    json::{Mask, Scalar, SourceField, elements, members},
    text,
};

const HIDDEN: &str = "***";
/// How much of a row that is too large, or no object, is shown.
const SHOWN_BYTES_MAX: usize = 4_096;
/// Shorter runs of digits are no identity, tax or telephone number.
const DIGITS_MIN: usize = 9;
/// The shortest IBAN of any country.
const IBAN_MIN: usize = 15;

/// Masks a row by the fields that its kind is known to have.
pub(super) fn mask_row(json: &str, known: &[SourceField]) -> String {
    let json = json.trim();
    let mut out = String::with_capacity(json.len().min(SHOWN_BYTES_MAX));
    let is_valid = serde_json::from_str::<&serde_json::value::RawValue>(json).is_ok();
    if is_valid && json.starts_with('{') {
        write_object(&mut out, json, known);
    } else if is_valid && json.starts_with('[') {
        write_array(&mut out, json, Mask::Stars);
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

fn write_object(out: &mut String, raw: &str, known: &[SourceField]) {
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
                write_value(out, value, known.mask);
            }
            // Whoever puts values where names belong would else show them.
            None => {
                push_quoted(out, &free(&name));
                out.push(':');
                write_value(out, value, Mask::Stars);
            }
        }
    }
    out.push('}');
}

fn write_array(out: &mut String, raw: &str, mask: Mask) {
    out.push('[');
    for (i, element) in elements(raw).into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_value(out, element, mask);
    }
    out.push(']');
}

fn write_value(out: &mut String, raw: &str, mask: Mask) {
    match Scalar::of(raw).0 {
        Scalar::Absent => out.push_str("null"),
        Scalar::Null | Scalar::Bool(_) => out.push_str(raw),
        Scalar::Number(digits) if matches!(mask, Mask::Open) => out.push_str(digits),
        Scalar::Number(digits) => push_quoted(out, &mask_text(digits, mask)),
        Scalar::Text(text) => push_quoted(out, &mask_text(&text, mask)),
        Scalar::Other(other) => match mask {
            Mask::Nested(known) if other.starts_with('{') => write_object(out, other, known),
            Mask::Nested(_) => write_array(out, other, mask),
            _ => push_quoted(out, HIDDEN),
        },
    }
}

/// A text as its field's mask shows it.
pub(super) fn mask_text(text: &str, mask: Mask) -> String {
    match mask {
        _ if text.trim().is_empty() => text.to_owned(),
        Mask::Open => text.to_owned(),
        Mask::Iban => iban(text),
        Mask::Tail => tail(text),
        Mask::Stars | Mask::Forbidden => HIDDEN.to_owned(),
        Mask::Card => card::mask_field(text.into()).0.into_owned(),
        Mask::Free | Mask::Nested(_) => free(text),
    }
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

/// A free text whose cards, IBANs and long numbers are masked.
pub(super) fn free(text: &str) -> String {
    // IBANs first: part of one may look like a card, and would hide the rest from this search.
    let without_ibans = hide_ibans(text);
    hide_digit_runs(&card::mask_runs(&without_ibans).unwrap_or(without_ibans))
}

/// Words that begin as IBANs do, groups of four included, keep four characters at either end.
fn hide_ibans(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = iban_end(&chars, at);
        let word: String = chars[at..end].iter().collect();
        if end > at + 1 {
            out.push_str(&stars_between(&word, 4, 4));
        } else {
            out.push_str(&word);
        }
        at = end;
    }
    out
}

/// Where the IBAN that begins here ends, or the next character where none begins.
fn iban_end(chars: &[char], start: usize) -> usize {
    let begins = start == 0 || !chars[start - 1].is_ascii_alphanumeric();
    let shape = chars.get(start..start + 4).is_some_and(|head| {
        head[..2].iter().all(char::is_ascii_alphabetic)
            && head[2..].iter().all(char::is_ascii_digit)
    });
    if !begins || !shape {
        return start + 1;
    }
    let (mut at, mut length) = (start, 0);
    while let Some(c) = chars.get(at) {
        let next_is_digit = chars.get(at + 1).is_some_and(char::is_ascii_digit);
        match c {
            c if c.is_ascii_alphanumeric() => length += 1,
            ' ' if next_is_digit => {}
            _ => break,
        }
        at += 1;
    }
    if length >= IBAN_MIN { at } else { start + 1 }
}

/// Runs of nine digits and more show their last four.
fn hide_digit_runs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    let flush = |run: &mut String, out: &mut String| {
        if run.len() >= DIGITS_MIN {
            out.push_str(&stars_between(run, 0, 4));
        } else {
            out.push_str(run);
        }
        run.clear();
    };
    for c in text.chars() {
        if c.is_ascii_digit() {
            run.push(c);
        } else {
            flush(&mut run, &mut out);
            out.push(c);
        }
    }
    flush(&mut run, &mut out);
    out
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
    free(&out)
}

fn push_quoted(out: &mut String, text: &str) {
    // A string always serialises; the fallback keeps the JSON whole all the same.
    let quoted = serde_json::to_string(text).unwrap_or_else(|_| format!("\"{HIDDEN}\""));
    out.push_str(&quoted);
}

/// A nested value whose members with secret names are gone.
pub(super) fn without_secrets(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    copy_without_secrets(&mut out, raw);
    out
}

fn copy_without_secrets(out: &mut String, raw: &str) {
    if raw.starts_with('[') {
        out.push('[');
        for (i, element) in elements(raw).into_iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            copy_without_secrets(out, element);
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
            copy_without_secrets(out, value);
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

    #[test]
    fn a_free_text_keeps_its_words_and_hides_its_numbers() {
        for (text, shown) in [
            ("tckn 10000000146, fiş 77", "tckn *******0146, fiş 77"),
            ("TR330006100519786457841326 hesabı", "TR33******************1326 hesabı"),
            ("TR33 0006 1005 1978 6457 8413 26.", "TR33************************3 26."),
            ("SN:58689 DNZ 107322 209000.00 TRY", "SN:58689 DNZ 107322 209000.00 TRY"),
            ("ABC1234 12345678", "ABC1234 12345678"),
        ] {
            assert_eq!(free(text), shown);
        }
    }

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
            ("mt940transaction_typ", "mt94********tion_typ"),
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

    proptest! {
        #[test]
        fn no_long_digit_run_survives(text in "[a-zA-Z0-9 *.-]{0,80}") {
            let shown = free(&text);
            let longest = shown.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
            prop_assert!(longest.unwrap_or_default() < DIGITS_MIN);
            prop_assert_eq!(shown.chars().count(), text.chars().count());
        }

        #[test]
        fn a_masked_row_is_json_whatever_the_row_was(text in "\\PC{0,60}") {
            let shown = mask_row(&text, &[]);
            prop_assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok());
        }
    }
}
