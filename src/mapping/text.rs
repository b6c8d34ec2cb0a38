//! Texts: JSON escapes, Turkish case folding, names that betray a secret.

use std::borrow::Cow;

/// Longer words than this are in no vocabulary.
const FOLDED_MAX: usize = 32;

/// A quoted JSON string as text; lone surrogates become U+FFFD and are reported.
pub(super) fn unquote(quoted: &str) -> (Cow<'_, str>, bool) {
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if inner.contains('\\') {
        let (text, replaced) = unescape(inner);
        (Cow::Owned(text), replaced)
    } else {
        (Cow::Borrowed(inner), false)
    }
}

fn unescape(inner: &str) -> (String, bool) {
    let mut text = String::with_capacity(inner.len());
    let mut replaced = false;
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut chars = escape.chars();
        let kind = chars.next();
        rest = chars.as_str();
        match kind {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('u') => {
                let (decoded, after) = unicode_escape(rest);
                replaced |= decoded.is_none();
                text.push(decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = after;
            }
            Some(other) => text.push(other),
            None => {}
        }
    }
    text.push_str(rest);
    (text, replaced)
}

/// The character behind `XXXX` (and a following low surrogate), and what stands after it.
fn unicode_escape(rest: &str) -> (Option<char>, &str) {
    let Some((unit, after)) = hex_unit(rest) else { return (None, rest) };
    if !(0xd800..0xdc00).contains(&unit) {
        return (char::from_u32(unit), after);
    }
    let low = after.strip_prefix("\\u").and_then(hex_unit);
    match low {
        Some((low, after_low)) if (0xdc00..0xe000).contains(&low) => {
            (char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)), after_low)
        }
        _ => (None, after),
    }
}

fn hex_unit(text: &str) -> Option<(u32, &str)> {
    let (digits, after) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, after))
}

/// A word for comparison: Turkish letters as their plain ones, case, combining marks and
/// separators gone. `Alacaklı `, `ALACAKLI` and `alacakli` are one word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folded {
    bytes: [u8; FOLDED_MAX],
    length: usize,
}

impl Folded {
    /// Nothing where the text is longer than any word or holds letters of another alphabet.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut folded = Self { bytes: [0; FOLDED_MAX], length: 0 };
        for c in text.chars() {
            let Some(plain) = fold(c) else {
                if is_skipped(c) {
                    continue;
                }
                return None;
            };
            *folded.bytes.get_mut(folded.length)? = plain;
            folded.length += 1;
        }
        Some(folded)
    }

    /// The folded word.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

/// A letter or digit as its plain one.
const fn fold(c: char) -> Option<u8> {
    Some(match c {
        'a'..='z' | '0'..='9' => c as u8,
        'A'..='Z' => c.to_ascii_lowercase() as u8,
        'ı' | 'İ' => b'i',
        'ş' | 'Ş' => b's',
        'ç' | 'Ç' => b'c',
        'ğ' | 'Ğ' => b'g',
        'ö' | 'Ö' => b'o',
        'ü' | 'Ü' => b'u',
        'â' | 'Â' => b'a',
        'î' | 'Î' => b'i',
        'û' | 'Û' => b'u',
        _ => return None,
    })
}

/// Combining marks (`i` + U+0307 is what a foreign lowercase makes of `İ`) and separators.
const fn is_skipped(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | ' ' | '\t' | '\n' | '\r' | '\u{a0}' | '_' | '-' | '.')
}

/// Whether a key names something that must never leave the decoder.
///
/// However long it is, and whatever stands between its letters: `card[cvv]` is one. Letters of other
/// alphabets stay, so that what stands around them is not one word.
pub(super) fn is_forbidden_name(name: &str) -> bool {
    const FORBIDDEN: [&str; 15] = [
        "password",
        "passwd",
        "sifre",
        "parola",
        "secret",
        "token",
        "cvv",
        "cvc",
        "cv2",
        "appkey",
        "apikey",
        "authorization",
        "guvenlikkod",
        "guvenliknumara",
        "securitycode",
    ];
    let foreign = |c: char| (c.is_alphanumeric() && !is_skipped(c)).then_some(c);
    let folded: String =
        name.chars().filter_map(|c| fold(c).map(char::from).or_else(|| foreign(c))).collect();
    FORBIDDEN.iter().any(|word| folded.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turkish_spellings_of_a_word_fold_to_one() {
        for spelling in ["Alacaklı ", "ALACAKLI", "alacakli", "ALACAKLİ", "alacakli\u{307}"] {
            assert_eq!(Folded::of(spelling).unwrap().as_str(), "alacakli", "{spelling}");
        }
        assert_eq!(Folded::of("İşlem Başarısız").unwrap().as_str(), "islembasarisiz");
        assert!(Folded::of("успех").is_none());
        assert!(Folded::of(&"a".repeat(33)).is_none());
    }

    #[test]
    fn escapes_decode_and_lone_surrogates_are_replaced() {
        assert_eq!(unquote(r#""a\n\"\u015f\/""#), (Cow::Borrowed("a\n\"ş/"), false));
        assert_eq!(unquote(r#""\ud83d\ude00""#), (Cow::Borrowed("😀"), false));
        assert_eq!(unquote(r#""x\ud83dy""#), (Cow::Borrowed("x\u{fffd}y"), true));
        assert_eq!(unquote(r#""\ude00""#), (Cow::Borrowed("\u{fffd}"), true));
        assert_eq!(unquote(r#""\ud83d\u0041""#), (Cow::Borrowed("\u{fffd}A"), true));
    }

    #[test]
    fn names_of_secrets_are_known_in_any_spelling() {
        assert!(is_forbidden_name("user_Password") && is_forbidden_name("ŞİFRE"));
        assert!(!is_forbidden_name("description"));
    }

    #[test]
    fn names_of_secrets_are_known_at_any_length_and_with_any_sign_in_them() {
        for name in [
            "virtual_pos_customer_account_password",
            "card[cvv]",
            "user:password",
            "$password",
            "credentials/token",
            "password(hash)",
            "şi\u{307}fre",
            "müşteri → şifre",
            "пароль password",
            "güvenlik_kodu",
            "güvenlikKodu",
            "card.security_code",
            "cv2",
            "Authorization",
        ] {
            assert!(is_forbidden_name(name), "{name}");
        }
        // Within the longest name that anybody would write, and in no other.
        assert!(is_forbidden_name(&format!("{}_cvv", "x".repeat(10_000))));
        assert!(!is_forbidden_name(&"x".repeat(10_000)) && !is_forbidden_name("passжword"));
    }
}
