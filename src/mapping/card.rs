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

/// A free text with the middle of every card number in it hidden.
pub fn mask_cards(text: &str) -> Cow<'_, str> {
    mask_runs(text).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Masks every card-like run of a free text; nothing where there is none.
pub(super) fn mask_runs(text: &str) -> Option<String> {
    let mut masked = mask_runs_once(text)?;
    // What a mask leaves of one run may be the end of another: each pass hides at least three
    // digits more, so this ends.
    while let Some(again) = mask_runs_once(&masked) {
        masked = again;
    }
    Some(masked)
}

fn mask_runs_once(text: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mapping::tests::luhn_valid;

    fn grouped(number: &str, separator: &str) -> String {
        let groups: Vec<&str> = (0..number.len())
            .step_by(4)
            .filter_map(|at| number.get(at..number.len().min(at + 4)))
            .collect();
        groups.join(separator)
    }

    #[test]
    fn a_card_field_shows_six_and_four_digits() {
        for (text, shown, hidden) in [
            ("1234********6789", "1234********6789", false),
            ("544078******6021", "544078******6021", false),
            ("4000123412341235", "400012******1235", true),
            ("4000 1234 1234 1235", "4000 12** **** 1235", true),
            ("40001234****1235", "400012******1235", true),
            ("40001234XXXX1235", "400012**XXXX1235", true),
            ("1235", "1235", false),
        ] {
            assert_eq!(mask_field(text.into()), (shown.into(), hidden), "{text}");
        }
    }

    #[test]
    fn cards_in_free_texts_are_found_in_groups_and_alone() {
        let card = luhn_valid("400012341234123");
        let last = card.get(12..).unwrap();
        for (text, shown) in [
            (format!("kart {card}."), format!("kart 400012******{last}.")),
            (grouped(&card, " "), format!("4000 12** **** {last}")),
            (grouped(&card, "-"), format!("4000-12**-****-{last}")),
            (format!("x{card}y"), format!("x400012******{last}y")),
        ] {
            assert_eq!(mask_runs(&text).as_deref(), Some(shown.as_str()));
        }
    }

    #[test]
    fn what_is_no_card_is_left_alone() {
        let card = luhn_valid("400012341234123");
        let wrong = format!(
            "{}{}",
            card.get(..15).expect("long enough"),
            (card.as_bytes()[15] - b'0' + 1) % 10
        );
        for text in [
            wrong,
            format!("{card}0000000"),
            grouped(&card, "  "),
            grouped(&card, "."),
            "no digits at all".to_owned(),
        ] {
            assert_eq!(mask_runs(&text), None, "{text}");
        }
    }

    #[test]
    fn a_card_beside_other_groups_hides_its_middle() {
        let card = luhn_valid("400012341234123");
        let text = format!("12 34 {} 56 7", grouped(&card, " "));
        let shown = mask_runs(&text).unwrap();
        assert!(shown.contains("12** ****") || shown.contains("** ****"), "{shown}");
        assert!(!shown.contains("1234 1234"));
    }

    proptest! {
        #[test]
        fn masked_texts_hold_no_card(text in "[0-9 a-]{0,60}", front in "[1-9][0-9]{11,17}") {
            for text in [text.clone(), format!("{text} {}", luhn_valid(&front))] {
                let shown = mask_runs(&text).unwrap_or_else(|| text.clone());
                prop_assert_eq!(mask_runs(&shown), None, "masking again changes nothing");
                prop_assert_eq!(shown.len(), text.len());
            }
        }

        #[test]
        fn a_masked_field_shows_ten_digits_at_most(text in "[0-9*xX -]{0,30}") {
            let (shown, _) = mask_field((&text).into());
            prop_assert!(shown.chars().filter(char::is_ascii_digit).count() <= 10);
            prop_assert_eq!(mask_field(shown.as_ref().into()).1, false);
        }
    }
}
