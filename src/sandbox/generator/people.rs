//! Invented people, companies, IBANs and numbers: valid in form, of nobody.

use crate::sandbox::random::Random;

const FIRST_NAMES: [&str; 24] = [
    "Ayşe", "Mehmet", "Elif", "Çağrı", "Şebnem", "İlker", "Gülşah", "Oğuz", "Zeynep", "Ümit",
    "Işıl", "Barış", "Özge", "Tuğçe", "Kerem", "Nilüfer", "Doğan", "Melike", "Serkan", "Büşra",
    "Yiğit", "Esra", "Hakan", "Damla",
];
const LAST_NAMES: [&str; 20] = [
    "Yıldızoğlu",
    "Karaçam",
    "Güneşli",
    "Öztoprak",
    "Çelikbaş",
    "Şahinkaya",
    "Akdeniz",
    "İnceoğlu",
    "Üstündağ",
    "Demirağ",
    "Kocabıyık",
    "Tuncer",
    "Erdoğmuş",
    "Balcı",
    "Sarıkaya",
    "Gökalp",
    "Uçar",
    "Işık",
    "Tekin",
    "Yalçınöz",
];
const COMPANY_STEMS: [&str; 20] = [
    "Mavi Liman",
    "Kızılırmak",
    "Çınaraltı",
    "Yeşil Vadi",
    "Öncü Anadolu",
    "Şimal",
    "Altın Başak",
    "Göksu",
    "Üçyıldız",
    "İpek Köprü",
    "Boğaz Rüzgârı",
    "Toros",
    "Efes Sanat",
    "Doruk",
    "Zeytinli",
    "Kuzey Işığı",
    "Pamukova",
    "Gümüşdere",
    "Ege Çiçeği",
    "Aras",
];
const COMPANY_FIELDS: [&str; 12] = [
    "Tekstil",
    "Lojistik",
    "Gıda",
    "Yazılım",
    "İnşaat",
    "Otomotiv",
    "Turizm",
    "Mobilya",
    "Enerji",
    "Sağlık",
    "Matbaa",
    "Elektrik",
];
const COMPANY_FORMS: [&str; 3] = ["San. ve Tic. A.Ş.", "Ltd. Şti.", "A.Ş."];

/// Slug, title and EFT code of the banks that the sandbox knows.
pub(in crate::sandbox) const BANKS: [(i64, &str, &str, &str); 9] = [
    (1, "garanti", "Garanti", "00062"),
    (2, "isbankasi", "İş Bankası", "00064"),
    (3, "akbank", "Akbank", "00046"),
    (4, "yapikredi", "Yapı Kredi", "00067"),
    (5, "finansbank", "QNB Finansbank", "00111"),
    (6, "vakifbank", "VakıfBank", "00015"),
    (7, "ziraat", "Ziraat Bankası", "00010"),
    (19, "albaraka", "Albaraka Türk", "00203"),
    (22, "denizbank", "Denizbank", "00134"),
];

pub(in crate::sandbox) fn person(random: &mut Random) -> String {
    format!("{} {}", random.pick(&FIRST_NAMES), random.pick(&LAST_NAMES))
}

pub(in crate::sandbox) fn first_name(random: &mut Random) -> String {
    (*random.pick(&FIRST_NAMES)).to_owned()
}

pub(in crate::sandbox) fn company(random: &mut Random) -> String {
    let stem = random.pick(&COMPANY_STEMS);
    let field = random.pick(&COMPANY_FIELDS);
    format!("{stem} {field} {}", random.pick(&COMPANY_FORMS))
}

/// A card as a source may show it: six digits, six stars, four digits; no whole number exists.
pub(in crate::sandbox) fn masked_card(random: &mut Random) -> String {
    let bin = random.pick(&["979200", "540099", "415599", "528900", "979299"]);
    format!("{bin}******{}", random.digits(4))
}

/// A Turkish IBAN that passes mod 97, of an account number that no bank gave out.
pub(in crate::sandbox) fn iban(random: &mut Random, bank_code: &str) -> String {
    let bban = format!("{bank_code}0{}", random.digits(16));
    // T = 29 and R = 27 in the arithmetic of ISO 13616; 00 stands for the check digits.
    let check = 98 - mod97(&format!("{bban}292700"));
    format!("TR{check:02}{bban}")
}

/// The remainder of a long decimal text by 97.
pub(in crate::sandbox) fn mod97(digits: &str) -> u32 {
    digits.chars().filter_map(|c| c.to_digit(10)).fold(0, |rest, digit| (rest * 10 + digit) % 97)
}

/// An eleven-digit national id with both check digits right.
pub(in crate::sandbox) fn national_id(random: &mut Random) -> String {
    let base: Vec<i64> =
        random.digits(9).chars().filter_map(|c| c.to_digit(10)).map(i64::from).collect();
    let odd: i64 = base.iter().step_by(2).sum();
    let even: i64 = base.iter().skip(1).step_by(2).sum();
    let tenth = (odd * 7 - even).rem_euclid(10);
    let eleventh = (base.iter().sum::<i64>() + tenth) % 10;
    let head: String = base.iter().map(ToString::to_string).collect();
    format!("{head}{tenth}{eleventh}")
}

/// A ten-digit tax number with its check digit right.
pub(in crate::sandbox) fn tax_no(random: &mut Random) -> String {
    let head = random.digits(9);
    let sum: u32 = head
        .chars()
        .filter_map(|c| c.to_digit(10))
        .zip(1_u32..)
        .map(|(digit, place)| match (digit + 10 - place) % 10 {
            9 => 9,
            rest => rest * 2_u32.pow(10 - place) % 9,
        })
        .sum();
    format!("{head}{}", (10 - sum % 10) % 10)
}

/// `1234` kuruş as `12.34`, the sign in front.
pub(in crate::sandbox) fn amount(kurus: i64) -> String {
    let sign = if kurus < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", kurus.abs() / 100, kurus.abs() % 100)
}

/// The way back from [`amount`]; nothing for any other text.
pub(in crate::sandbox) fn kurus(amount: &str) -> Option<i64> {
    let (whole, fraction) = amount.split_once('.')?;
    if fraction.len() != 2 {
        return None;
    }
    format!("{whole}{fraction}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ibans_pass_mod_97() {
        let mut random = Random::new(3);
        for _ in 0..200 {
            let iban = iban(&mut random, "00134");
            assert_eq!(iban.len(), 26);
            let (head, bban) = iban.split_at(4);
            let rotated = format!("{bban}2927{}", head.trim_start_matches("TR"));
            assert_eq!(mod97(&rotated), 1, "{iban}");
        }
    }

    #[test]
    fn national_ids_and_tax_numbers_have_the_right_length() {
        let mut random = Random::new(4);
        for _ in 0..200 {
            assert_eq!(national_id(&mut random).len(), 11);
            assert_eq!(tax_no(&mut random).len(), 10);
        }
    }

    #[test]
    fn amounts_survive_the_round_trip() {
        for value in [0, 5, 99, 100, -1, -250, 20_900_000] {
            assert_eq!(kurus(&amount(value)), Some(value), "{}", amount(value));
        }
    }
}
