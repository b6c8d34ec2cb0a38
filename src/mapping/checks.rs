//! Check digits of IBANs, identity and tax numbers: reasons to warn, never to reject.

use std::borrow::Cow;

use crate::domain::warnings::{Warning, Warnings};

/// Takes spaces out and makes letters upper case; warns about a Turkish IBAN that fails mod 97.
pub(super) fn iban<'a>(text: Cow<'a, str>, warnings: &mut Warnings) -> Cow<'a, str> {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'*';
    let tidy = |c: char| !c.is_whitespace() && !c.is_ascii_lowercase();
    let iban = if text.bytes().all(plain) || text.chars().all(tidy) {
        text
    } else {
        let kept = text.chars().filter(|c| !c.is_whitespace());
        Cow::Owned(kept.map(|c| c.to_ascii_uppercase()).collect())
    };
    // A masked IBAN cannot be checked; other countries have other lengths.
    if iban.starts_with("TR") && !iban.contains('*') && !is_turkish_iban(&iban) {
        warnings.insert(Warning::InvalidIban);
    }
    iban
}

/// 26 characters whose number, the first four put last, leaves 1 when divided by 97.
fn is_turkish_iban(iban: &str) -> bool {
    if iban.len() != 26 {
        return false;
    }
    let (front, back) = iban.as_bytes().split_at(4);
    let mut remainder: u32 = 0;
    for byte in back.iter().chain(front) {
        remainder = match byte {
            b'0'..=b'9' => remainder * 10 + u32::from(byte - b'0'),
            b'A'..=b'Z' => remainder * 100 + u32::from(byte - b'A') + 10,
            _ => return false,
        };
        // Dividing now and then is enough: a hundred times this still fits.
        if remainder > 1_000_000 {
            remainder %= 97;
        }
    }
    remainder % 97 == 1
}

/// Warns about a national identity number that cannot be one; masked ones cannot be checked.
pub(super) fn national_id(text: &str, warnings: &mut Warnings) {
    if !text.contains('*') && !is_national_id(text.trim()) {
        warnings.insert(Warning::InvalidNationalId);
    }
}

/// Warns about a tax number that cannot be one; persons use their identity number as theirs.
pub(super) fn tax_no(text: &str, warnings: &mut Warnings) {
    let trimmed = text.trim();
    if !text.contains('*') && !is_tax_no(trimmed) && !is_national_id(trimmed) {
        warnings.insert(Warning::InvalidTaxNo);
    }
}

fn digits<const N: usize>(text: &str) -> Option<[u32; N]> {
    let bytes: [u8; N] = text.as_bytes().try_into().ok()?;
    bytes.iter().all(u8::is_ascii_digit).then(|| bytes.map(|byte| u32::from(byte - b'0')))
}

/// Eleven digits, the first not 0, the last two computed from the others.
pub(super) fn is_national_id(text: &str) -> bool {
    let Some(d) = digits::<11>(text) else { return false };
    let odd = d[0] + d[2] + d[4] + d[6] + d[8];
    let even = d[1] + d[3] + d[5] + d[7];
    let tenth = (odd * 7 + 100 - even) % 10;
    let eleventh = (odd + even + d[9]) % 10;
    d[0] != 0 && d[9] == tenth && d[10] == eleventh
}

/// Ten digits, the last computed from the others.
pub(super) fn is_tax_no(text: &str) -> bool {
    let Some(d) = digits::<10>(text) else { return false };
    let sum: u32 = (0..9)
        .zip(d)
        .map(|(i, digit)| {
            let shifted = (digit + 9 - i) % 10;
            if shifted == 9 { 9 } else { shifted * (1 << (9 - i)) % 9 }
        })
        .sum();
    d[9] == (10 - sum % 10) % 10
}
