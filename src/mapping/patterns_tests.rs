use proptest::prelude::*;

use super::*;
use crate::mapping::tests::luhn_valid;

/// Numbers that are valid of their kind, put together here so that the sources hold none.
const TURKISH: &str = "TR330006100519786457841326";
const BRITISH: &str = "GB29NWBK60161331926819";

fn in_fours(text: &str, joint: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(joint)
}

#[test]
fn an_account_keeps_four_characters_at_either_end_in_every_spelling() {
    for joint in ["", " ", "-", ".", "  ", "\u{a0}", "\u{202f}", " - ", "\u{2011}"] {
        for iban in [TURKISH, BRITISH] {
            let written = in_fours(iban, joint);
            let (hidden, last) = (iban.len() - 8, iban.get(iban.len() - 4..).unwrap());
            let stars = format!("{}{}{last}", iban.get(..4).unwrap(), "*".repeat(hidden));
            let expected = format!("hesap {} geldi", in_fours(&stars, joint));
            for mask in [code, figure] {
                let shown = mask(&written);
                assert!(!shown.contains(iban.get(8..12).unwrap()), "{written:?}: {shown}");
            }
            assert_eq!(free(&format!("hesap {written} geldi")), expected);
        }
    }
}

#[test]
fn an_account_is_found_wherever_it_begins_and_whatever_is_wrong_with_it() {
    for (text, shown) in [
        // Joined to a word, in small letters, with its country apart.
        (format!("HESAP{TURKISH}"), "HESAPTR33******************1326"),
        (format!("{TURKISH}hesabi"), "TR33******************1326hesabi"),
        (TURKISH.to_lowercase(), "tr33******************1326"),
        (
            format!("TR {}", in_fours(TURKISH.get(2..).unwrap(), " ")),
            "TR 33** **** **** **** **** 1326",
        ),
        // The check digits are wrong, or a digit is missing.
        (TURKISH.replace("TR33", "TR34"), "TR34******************1326"),
        (in_fours(&TURKISH.replace("TR33", "TR34"), " "), "TR34 **** **** **** **** **13 26"),
        (in_fours(&BRITISH.replace("GB29", "GB30"), "-"), "GB30-****-****-****-**68-19"),
        (TURKISH.get(..25).unwrap().to_owned(), "TR33*****************4132"),
        (in_fours(TURKISH.get(..25).unwrap(), " "), "TR33 **** **** **** **** *413 2"),
        ("XX12 3456 7890 1234 5678".to_owned(), "XX12 **** **** **** 5678"),
    ] {
        assert_eq!(free(&text), shown, "{text}");
        assert_eq!(code(&text).matches('*').count(), shown.matches('*').count(), "{text}");
    }
}

#[test]
fn identities_telephones_and_mail_addresses_are_masked_in_every_spelling() {
    for (text, shown) in [
        ("tckn 10000000146, fiş 77", "tckn *******0146, fiş 77"),
        ("TC10000000146", "TC*******0146"),
        ("100 000 001 46", "*** *** *01 46"),
        ("100-000-001-46", "***-***-*01-46"),
        ("10 000 000 146", "** *** **0 146"),
        ("100\u{a0}000\u{a0}001\u{a0}46", "***\u{a0}***\u{a0}*01\u{a0}46"),
        ("1 0 0 0 0 0 0 0 1 4 6", "* * * * * * * 0 1 4 6"),
        ("tel 0532 123 45 67 evde", "tel **** *** ** ** evde"),
        ("0532-123-45-67", "****-***-**-**"),
        ("0532.123.45.67", "****.***.**.**"),
        ("(0532) 123 45 67", "(****) *** ** **"),
        ("0(212) 555 12 34", "*(***) *** ** **"),
        ("0212 555 1234", "**** *** ****"),
        ("0532 1234567", "**** *******"),
        ("05321234567", "***********"),
        ("532 123 45 67", "*** *** ** **"),
        ("+90 532 123 45 67", "+** *** *** ** **"),
        ("+90 (532) 123 45 67", "+** (***) *** ** **"),
        ("+905321234567", "+************"),
        ("0090 532 123 45 67", "**** *** *** ** **"),
        ("+44 20 7946 0958", "+** ** **** ****"),
        ("yaz a.b+c@mail.example.com adresine", "yaz *** adresine"),
        ("çağrı@örnek.com.tr", "***"),
    ] {
        assert_eq!(free(text), shown, "{text}");
        assert!(!code(text).contains("0146") || shown.contains('1'), "{text}");
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count();
        assert_eq!(digits(&code(text)), digits(shown), "{text}");
        assert_eq!(digits(&figure(text)), digits(shown), "{text}");
    }
}

#[test]
fn what_an_engineer_needs_is_shown_as_it_came() {
    let free_texts = [
        "SN:58689 DNZ 107322 209000.00 TRY",
        "ABC1234 12345678",
        "10.03.2022 13:50 1.234,56 TL komisyon 0.25",
        "2022-03-10 13:50:45 12 345 678,90 TL",
        "fiş 20220310-000123 ref FT22069X8KQ2",
        "POS 0000123 batch 000045 @ 12:00",
        "02.03.2022 123 TL",
        // Its digits are those of a national id.
        "2022-03-10 000 adet",
    ];
    for text in free_texts {
        assert_eq!(free(text), text);
    }
    for text in [
        "12,50x",
        "1.234,56",
        "1e3",
        "-209000.00",
        "NaN",
        "null",
        "TÜRK LİRASI",
        "12.50 TRY",
        "2022-03-10T13:50:45.000000Z",
        "2022-03-10 13:50:45",
        "10.03.2022",
        "13.50.45",
        "true",
        "987654321.12",
        "x",
    ] {
        assert_eq!(figure(text), text);
    }
    for text in [
        "borclu",
        "ödünç",
        "TRFGEL",
        "FT22069X8KQ2",
        "169VPCE5C20E03814BD1",
        "20220000392549",
        "2022000039254816",
        "00123456789",
        "s-41789/2022",
        "2022/03/000123456",
        "VIRMAN_GIDEN",
        "1234567890",
        "a7c0ffee-1234-4bcd-9e12-000000000001",
    ] {
        assert_eq!(code(text), text);
    }
}

#[test]
fn no_name_stands_where_a_figure_or_a_code_belongs() {
    for (text, as_figure, as_code) in [
        ("Ayşe Örnek", "**** *****", "**** *****"),
        ("Ayşe", "****", "Ayşe"),
        ("12,50 Ayşe Örnek", "12,50 **** *****", "12,50 **** *****"),
        ("A. Yılmaz", "*. ******", "*. ******"),
        ("AYS\u{327}E O\u{308}RNEK", "***** ******", "***** ******"),
        ("Ayşe 77", "**** 77", "Ayşe 77"),
    ] {
        assert_eq!((figure(text).as_str(), code(text).as_str()), (as_figure, as_code), "{text}");
    }
}

#[test]
fn cards_are_masked_everywhere() {
    let card = luhn_valid("400012341234123");
    let last = card.get(12..).unwrap();
    for mask in [free, code, figure] {
        assert_eq!(mask(&card), format!("400012******{last}"));
        assert_eq!(mask(&in_fours(&card, ".")), format!("4000.12**.****.{last}"));
        assert_eq!(mask(&format!("{card}.1234567")), format!("400012******{last}.1234567"));
    }
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
    fn masking_again_hides_no_less_and_never_fails(text in "\\PC{0,60}") {
        for mask in [free, code, figure, name] {
            let once = mask(&text);
            let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count();
            prop_assert!(digits(&mask(&once)) <= digits(&once));
        }
    }

    /// Whatever stands around it and between its groups, and of whatever country it is.
    #[test]
    fn no_account_survives(
        before in "[a-zçş ]{0,9}[ :,/(]", after in "([ ,.)][a-zçş ]{0,9})?",
        joint in "([ .-]|\u{a0})?", account in "[0-9]{24}",
    ) {
        let iban = format!("TR{account}");
        let shown = free(&format!("{before}{}{after}", in_fours(&iban, &joint)));
        prop_assert!(!shown.contains(&in_fours(iban.get(4..22).unwrap(), &joint)));
        prop_assert!(shown.chars().filter(char::is_ascii_digit).count() <= 6);
    }
}
