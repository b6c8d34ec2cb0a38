//! Card numbers: finding them, and showing at most the first six and the last four digits.

use std::borrow::Cow;

const FIRST: usize = 6;
const LAST: usize = 4;
const PAN_MIN: usize = 13;
const PAN_MAX: usize = 19;
/// Digits of a group beside a loose joint, and of one that ends the number after it: cards are
/// grouped 4-4-4-4, 4-6-5, 4-6-4 or 4-4-4-4-3.
const LOOSE_GROUP_MIN: usize = 4;
const LOOSE_LAST_MIN: usize = 3;
/// Characters between two groups: more is a column of a table.
const JOINT_MAX: usize = 8;

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
    card_runs(text, |from, to| found |= from == 0 && to == text.len());
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
    card_runs(text, |from, to| {
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

/// Calls back with every run of 13–19 digits, made of whole groups with a [`Joint`] between them,
/// whose check digit is right.
fn card_runs(text: &str, mut found: impl FnMut(usize, usize)) {
    let bytes = text.as_bytes();
    let mut start = 0;
    while start < bytes.len() {
        if !bytes[start].is_ascii_digit() {
            start += 1;
            continue;
        }
        runs_from(text, start, &mut found);
        while bytes.get(start).is_some_and(u8::is_ascii_digit) {
            start += 1;
        }
    }
}

fn runs_from(text: &str, start: usize, found: &mut impl FnMut(usize, usize)) {
    let bytes = text.as_bytes();
    let mut digits = [0; PAN_MAX];
    let mut count = 0;
    let mut at = start;
    let mut before = Joint::Tight;
    loop {
        let first_of_group = count;
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            let Some(place) = digits.get_mut(count) else { return };
            *place = *digit;
            count += 1;
            at += 1;
        }
        let group = count - first_of_group;
        let may_end = before == Joint::Tight || group >= LOOSE_LAST_MIN;
        if count >= PAN_MIN && may_end && luhn(&digits[..count]) {
            found(start, at);
        }
        let Some((joint, next)) = joint(text, at) else { return };
        let is_loose = before == Joint::Loose || joint == Joint::Loose;
        if is_loose && group < LOOSE_GROUP_MIN {
            return;
        }
        (before, at) = (joint, next);
    }
}

/// What stands between two groups of digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    /// One blank or dash, as cards are printed: groups of any length.
    Tight,
    /// Anything else that may stand for it. Dates, amounts and addresses are written with dots and
    /// slashes too, so only groups as long as a card's count.
    Loose,
}

/// The joint at this place and where the next group begins; nothing where no digit follows.
fn joint(text: &str, at: usize) -> Option<(Joint, usize)> {
    let rest = text.get(at..)?;
    let mut marks = 0;
    let mut length = 0;
    for (count, c) in rest.chars().enumerate() {
        if c.is_ascii_digit() {
            let is_tight = length == 1 && matches!(rest.as_bytes().first(), Some(b' ' | b'-'));
            let joint = if is_tight { Joint::Tight } else { Joint::Loose };
            return (length > 0).then_some((joint, at + length));
        }
        marks += usize::from(is_mark(c));
        if count >= JOINT_MAX || marks > 1 || !(is_mark(c) || is_blank(c)) {
            return None;
        }
        length += c.len_utf8();
    }
    None
}

/// White space of every kind, also what has no width.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// What joins groups of digits beside blanks.
pub(super) fn is_mark(c: char) -> bool {
    matches!(c, '-' | '.' | '/' | '_' | '·' | '\u{2010}'..='\u{2015}' | '\u{2212}')
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

    fn cut<'a>(number: &'a str, lengths: &[usize]) -> Vec<&'a str> {
        let mut rest = number;
        let mut groups = Vec::new();
        for length in lengths {
            let (group, left) = rest.split_at(*length);
            groups.push(group);
            rest = left;
        }
        groups
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
    fn cards_are_found_whatever_stands_between_their_groups() {
        let card = luhn_valid("400012341234123");
        let last = card.get(12..).unwrap();
        let separators =
            [".", "/", "_", "  ", "    ", " - ", " / ", ". ", "\t", "\n", "\u{a0}", "\u{a0}\u{a0}"];
        let others =
            ["\u{2007}", "\u{2009}", "\u{202f}", "\u{200b}", "\u{ad}", "–", "\u{2011}", "·"];
        for separator in separators.into_iter().chain(others) {
            let text = grouped(&card, separator);
            let shown = format!("4000{separator}12**{separator}****{separator}{last}");
            assert_eq!(mask_runs(&text).as_deref(), Some(shown.as_str()), "{text:?}");
            assert!(is_card(&text), "{text:?}");
        }
        let mixed = format!("no 4000.1234  1234\u{a0}{last}, tesekkurler");
        let shown = format!("no 4000.12**  ****\u{a0}{last}, tesekkurler");
        assert_eq!(mask_runs(&mixed), Some(shown));
        let amex = luhn_valid("37001234123412");
        let dotted = cut(&amex, &[4, 6, 5]).join(".");
        let long = grouped(&luhn_valid("400012341234123412"), ".");
        assert!(mask_runs(&dotted).is_some() && mask_runs(&long).is_some(), "4-6-5 and 4-4-4-4-3");
    }

    #[test]
    fn dates_amounts_and_addresses_are_no_cards_however_their_digits_add_up() {
        let card = luhn_valid("400012341234123");
        let pairs: Vec<&str> = (0..8).filter_map(|at| card.get(at * 2..at * 2 + 2)).collect();
        let triples: Vec<&str> = (0..4).filter_map(|at| card.get(at * 3..at * 3 + 3)).collect();
        let (head, tail) = card.split_at(12);
        for text in [
            pairs.join("."),
            pairs.join("/"),
            format!("{}.{tail}", triples.join(".")),
            cut(&card, &[2, 2, 12]).join("."),
            format!("{head}..{tail}"),
            format!("{head},{tail}"),
            format!("{head}           {tail}"),
        ] {
            assert_eq!(mask_runs(&text), None, "{text}");
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
        for text in [wrong, format!("{card}0000000"), "no digits at all".to_owned()] {
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
        fn masked_texts_hold_no_card(text in "[0-9 a./\u{a0}-]{0,60}", front in "[1-9][0-9]{11,17}") {
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
