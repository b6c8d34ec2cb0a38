//! What nobody may see: a card number, a person, credentials, made here so that no text of the
//! repository is one.

use vomsis_connect::sandbox::simulator::{APP_KEY, APP_SECRET};

/// A person's name.
pub(crate) const NAME: &str = "Kanarya Çıtkuşu";
/// A person's address.
pub(crate) const MAIL: &str = "kanarya.citkusu@example.com";

/// Numbers that are valid of their kind.
#[derive(Debug, Clone)]
pub(crate) struct Canaries {
    pub(crate) pan: String,
    pub(crate) national_id: String,
    pub(crate) iban: String,
}

impl Canaries {
    /// The same each time.
    pub(crate) fn new() -> Self {
        let digits =
            |text: &str| -> Vec<u32> { text.chars().filter_map(|c| c.to_digit(10)).collect() };
        let body = format!("4{}", "53201879".repeat(2).get(..14).unwrap());
        let sum: u32 = digits(&body)
            .iter()
            .rev()
            .enumerate()
            .map(|(at, d)| if at % 2 == 0 { d * 2 / 10 + d * 2 % 10 } else { *d })
            .sum();
        let pan = format!("{body}{}", (10 - sum % 10) % 10);

        let start = digits("598203417");
        let odd: u32 = start.iter().step_by(2).sum();
        let even: u32 = start.iter().skip(1).step_by(2).sum();
        let tenth = (odd * 7 + 100 - even) % 10;
        let eleventh = (start.iter().sum::<u32>() + tenth) % 10;
        let national_id = format!("{}{tenth}{eleventh}", "598203417");

        let account = "0006200000987654321098";
        let checked = format!("{account}292700");
        let rest = checked.chars().fold(0, |rest, c| (rest * 10 + c.to_digit(10).unwrap()) % 97);
        let iban = format!("TR{:02}{account}", 98 - rest);
        Self { pan, national_id, iban }
    }

    /// All of them, and the simulator's credentials.
    pub(crate) fn all(&self) -> [&str; 7] {
        [&self.pan, &self.national_id, &self.iban, NAME, MAIL, APP_KEY, APP_SECRET]
    }

    /// What an API could say about a person; a name among words cannot be told from other words.
    pub(crate) fn sentence(&self) -> String {
        let Self { pan, national_id, iban } = self;
        format!(
            "kart {pan} kimlik {national_id} hesap {iban} {MAIL} {APP_KEY} {APP_SECRET} reddedildi"
        )
    }
}

/// No canary, and no account number that is valid, stands in what a process logged.
#[track_caller]
pub(crate) fn assert_log_is_clean(log: &str) {
    let planted = Canaries::new();
    assert_clean("the log", log, &planted.all().map(str::to_owned));
    let words = log.split(|c: char| !c.is_ascii_alphanumeric());
    let ibans: Vec<_> = words.filter(|word| is_iban(word)).collect();
    assert_eq!(ibans.len(), 0, "the log shows account numbers: {ibans:?}");
}

/// `TR` and 24 digits whose remainder is right.
fn is_iban(word: &str) -> bool {
    let Some(digits) = word.strip_prefix("TR") else { return false };
    let (Some(check), Some(account)) = (digits.get(..2), digits.get(2..)) else { return false };
    let number = format!("{account}2927{check}");
    let digits = number.chars().map(|c| c.to_digit(10));
    let rest = digits.into_iter().try_fold(0, |rest, digit| Some((rest * 10 + digit?) % 97));
    word.len() == 26 && rest == Some(1)
}

/// None of these stands in the text.
#[track_caller]
pub(crate) fn assert_clean(place: &str, text: &str, canaries: &[String]) {
    for canary in canaries {
        if let Some(at) = text.find(canary.as_str()) {
            let start = text.floor_char_boundary(at.saturating_sub(200));
            let shown = text.get(start..at).unwrap_or_default();
            panic!("{place} shows {canary:?} after {shown:?}");
        }
    }
}
