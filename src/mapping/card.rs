//! Card numbers: finding them, and showing at most the first six and the last four digits.

use std::borrow::Cow;

const FIRST: usize = 6;
const LAST: usize = 4;
const PAN_MIN: usize = 13;
const PAN_MAX: usize = 19;

/// The check digit of card numbers.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| {
            let value = u32::from(digit - b'0');
            if i % 2 == 0 { value } else { value * 2 / 10 + value * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Masks a card field: of its places (digits and mask characters) beyond ten, those between the
/// first six and the last four show no digit. The flag says that something was hidden.
pub(super) fn mask_field(text: Cow<'_, str>) -> (Cow<'_, str>, bool) {
    let is_place = |c: char| c.is_ascii_digit() || matches!(c, '*' | 'x' | 'X' | '#' | '•');
    let places = text.chars().filter(|c| is_place(*c)).count();
    if places <= FIRST + LAST {
        return (text, false);
    }
    let mut place = 0;
    let mut hidden = false;
    let masked: String = text
        .chars()
        .map(|c| {
            if !is_place(c) {
                return c;
            }
            place += 1;
            if c.is_ascii_digit() && place > FIRST && place <= places - LAST {
                hidden = true;
                '*'
            } else {
                c
            }
        })
        .collect();
    if hidden { (Cow::Owned(masked), true) } else { (text, false) }
}

/// Whether a whole text is a card number: 13–19 digits in groups, Luhn-valid.
pub(super) fn is_card(text: &str) -> bool {
    let text = text.trim();
    let mut found = false;
    card_runs(text.as_bytes(), |from, to| found |= from == 0 && to == text.len());
    found
}

/// Masks every card-like run of a free text; nothing where there is none.
pub(super) fn mask_runs(text: &str) -> Option<String> {
    let mut hidden: Vec<usize> = Vec::new();
    let bytes = text.as_bytes();
    card_runs(bytes, |from, to| {
        let places: Vec<usize> = (from..to).filter(|i| bytes[*i].is_ascii_digit()).collect();
        hidden.extend(&places[FIRST..places.len() - LAST]);
    });
    if hidden.is_empty() {
        return None;
    }
    // Runs may overlap: what any of them hides stays hidden.
    hidden.sort_unstable();
    let masked = text
        .char_indices()
        .map(|(at, c)| if hidden.binary_search(&at).is_ok() { '*' } else { c })
        .collect();
    Some(masked)
}

/// Calls back with every run of 13–19 digits, made of whole groups joined by single spaces or
/// dashes, whose check digit is right.
fn card_runs(bytes: &[u8], mut found: impl FnMut(usize, usize)) {
    let mut start = 0;
    while start < bytes.len() {
        if !bytes[start].is_ascii_digit() {
            start += 1;
            continue;
        }
        runs_from(bytes, start, &mut found);
        while bytes.get(start).is_some_and(u8::is_ascii_digit) {
            start += 1;
        }
    }
}

fn runs_from(bytes: &[u8], start: usize, found: &mut impl FnMut(usize, usize)) {
    let mut digits = [0; PAN_MAX];
    let mut count = 0;
    let mut at = start;
    loop {
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            let Some(place) = digits.get_mut(count) else { return };
            *place = *digit;
            count += 1;
            at += 1;
        }
        if count >= PAN_MIN && luhn(&digits[..count]) {
            found(start, at);
        }
        let joined = matches!(bytes.get(at), Some(b' ' | b'-'));
        if !joined || !bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
            return;
        }
        at += 1;
    }
}
