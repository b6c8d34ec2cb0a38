//! Words that are kept or published: without card numbers, and no longer than they need to be.

use crate::mapping::mask_cards;

/// Characters that are kept of any text.
const CHARACTERS_MAX: usize = 500;

/// Masks card numbers and cuts what is too long; doing it again changes nothing.
pub(super) fn clean(text: &str) -> String {
    let masked = mask_cards(text);
    if masked.chars().count() <= CHARACTERS_MAX {
        return masked.into_owned();
    }
    // A cut can leave the beginning of a longer number, which then looks like a card.
    let cut: String = masked.chars().take(CHARACTERS_MAX).collect();
    mask_cards(&cut).into_owned()
}

/// As [`clean`], for what may be missing.
pub(super) fn clean_option(text: Option<&str>) -> Option<String> {
    text.map(clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests::card;

    #[test]
    fn cards_are_masked_and_long_texts_cut() {
        let shown = clean(&format!("card {} refused", card()));
        assert_eq!(shown, "card 411111******1111 refused");
        assert_eq!(clean(&"ş".repeat(600)).chars().count(), CHARACTERS_MAX);
    }

    #[test]
    fn a_cut_through_digits_leaves_no_card() {
        // 20 digits in a row are no card; their first 16 are.
        let text = format!("{}{}9999", "x".repeat(CHARACTERS_MAX - 16), card());
        let shown = clean(&text);
        assert!(shown.ends_with("411111******1111"), "{shown}");
        assert_eq!(clean(&shown), shown);
    }
}
