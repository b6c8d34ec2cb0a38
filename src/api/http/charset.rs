//! The text of a body: UTF-8, as JSON is, or the charset that its `Content-Type` names. Pure.
//!
//! UTF-8 goes first, for servers name charsets that they do not write. Bytes that are neither are
//! replaced, and it is said that some were.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// The text, and whether characters of it were replaced.
pub(super) fn text_of(bytes: Vec<u8>, content_type: &str) -> (String, bool) {
    match named_charset(content_type).filter(|named| is_written_in(&bytes, named)) {
        Some(encoding) => {
            let (text, _, is_damaged) = encoding.decode(&bytes);
            (text.into_owned(), is_damaged)
        }
        None => match String::from_utf8(bytes) {
            Ok(text) => (text, false),
            Err(other) => (String::from_utf8_lossy(other.as_bytes()).into_owned(), true),
        },
    }
}

/// Whether the bytes are in the charset that was named, rather than in UTF-8. Latin text in UTF-16 is
/// UTF-8 as well, with a zero byte beside each letter, which JSON has nowhere.
fn is_written_in(bytes: &[u8], named: &'static Encoding) -> bool {
    let is_wide = bytes.contains(&0);
    match [UTF_16LE, UTF_16BE].contains(&named) {
        true => is_wide && (str::from_utf8(bytes).is_ok() || !is_damaged_utf8(bytes)),
        false => !is_wide && str::from_utf8(bytes).is_err() && !is_damaged_utf8(bytes),
    }
}

/// Whether bytes are UTF-8 that was damaged, not another charset: that has hardly a letter that is one
/// of UTF-8 by chance.
fn is_damaged_utf8(bytes: &[u8]) -> bool {
    let (mut letters, mut damages) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        letters += chunk.valid().chars().filter(|letter| !letter.is_ascii()).count();
        damages += usize::from(!chunk.invalid().is_empty());
    }
    letters > damages
}

fn named_charset(content_type: &str) -> Option<&'static Encoding> {
    let parameters = content_type.split(';').skip(1);
    let charset = parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find_map(|(name, value)| name.trim().eq_ignore_ascii_case("charset").then_some(value))?;
    Encoding::for_label(charset.trim().trim_matches('"').as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Şişli ğüı €";

    #[test]
    fn a_named_charset_is_read_and_utf_8_goes_first() {
        for (label, encoding) in [
            ("windows-1254", "windows-1254"),
            ("ISO-8859-9", "windows-1254"),
            ("\"WINDOWS-1254\"", "windows-1254"),
            ("utf-16", "utf-16le"),
        ] {
            let content_type = format!("application/json; Charset={label}");
            let encoding = Encoding::for_label(encoding.as_bytes()).unwrap();
            let bytes = match encoding.output_encoding() == encoding {
                true => encoding.encode(TEXT).0.into_owned(),
                false => TEXT.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            };
            assert_eq!(text_of(bytes, &content_type), (TEXT.to_owned(), false), "{label}");
            let bytes = TEXT.as_bytes().to_vec();
            assert_eq!(text_of(bytes, &content_type), (TEXT.to_owned(), false), "{label}");
        }
    }

    #[test]
    fn utf_8_that_is_damaged_or_misnamed_stays_utf_8() {
        for charset in ["iso-8859-9", "utf-16"] {
            let mut bytes = TEXT.as_bytes().to_vec();
            let content_type = format!("application/json; charset={charset}");
            assert_eq!(text_of(bytes.clone(), &content_type), (TEXT.to_owned(), false));
            bytes.push(0xc5);
            let damaged = (format!("{TEXT}\u{fffd}"), true);
            assert_eq!(text_of(bytes, &content_type), damaged, "{charset}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_replaced_and_said() {
        for content_type in ["", "application/json", "text/html; charset=none", "a; charset=utf-8"]
        {
            let found = text_of(b"\xfe{}".to_vec(), content_type);
            assert_eq!(found, ("\u{fffd}{}".to_owned(), true), "{content_type}");
        }
        let (text, replaced) = text_of(vec![0x00, 0xd8, b'a', 0], "a; charset=utf-16le");
        assert_eq!((&*text, replaced), ("\u{fffd}a", true));
    }
}
