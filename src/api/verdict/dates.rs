//! Whether a refusal asks for dates. Pure.
//!
//! Whoever takes "system update" for it sends dates from then on, and loses the rows that were
//! booked before them. So the refusal must name one of the two parameters, or a sentence must say in
//! the API's two languages that a date is wanted.

use crate::api::envelope::Fields;

/// The parameters, without blanks and underscores.
const PARAMETERS: [&str; 2] = ["begindate", "enddate"];

/// Whether `errors` names a date parameter, or the message asks for dates.
pub(super) fn are_asked_for(fields: &Fields<'_>, message: Option<&str>) -> bool {
    let invalid = fields.object("errors");
    let named = invalid.is_some_and(|errors| errors.0.iter().any(|(field, _)| is_parameter(field)));
    named || message.is_some_and(asks)
}

fn is_parameter(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| c.is_ascii_alphabetic()).collect();
    PARAMETERS.contains(&plain.to_ascii_lowercase().as_str())
}

fn asks(message: &str) -> bool {
    // Also what is left of a capital dotted letter.
    let message = message.to_lowercase().replace('\u{307}', "");
    let words: Vec<&str> =
        message.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.iter().any(|word| is_parameter(word))
        || (words.iter().any(|word| is_date(word)) && words.iter().any(|word| is_demand(word)))
}

/// Turkish declines by endings; no other word of its begins like this one.
fn is_date(word: &str) -> bool {
    matches!(word, "date" | "dates") || word.starts_with("tarih")
}

fn is_demand(word: &str) -> bool {
    const WHOLE: [&str; 12] = [
        "required",
        "require",
        "requires",
        "must",
        "missing",
        "mandatory",
        "needed",
        "provide",
        "specify",
        "empty",
        "eksik",
        "şart",
    ];
    const BEGINNINGS: [&str; 8] =
        ["zorunlu", "gerek", "girin", "girilme", "belirt", "boş", "doldur", "gönder"];
    WHOLE.contains(&word) || BEGINNINGS.iter().any(|beginning| word.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::envelope::{message_of, parse_fields};

    fn asked(body: &str) -> bool {
        let fields = parse_fields(body).unwrap();
        are_asked_for(&fields, message_of(&fields).as_deref())
    }

    #[test]
    fn a_refusal_that_wants_dates_is_known_in_both_languages() {
        for body in [
            r#"{"message":"The given data was invalid.","errors":{"beginDate":["x"]}}"#,
            r#"{"message":"The given data was invalid.","errors":{"end_date":["x"]}}"#,
            r#"{"message":"The begin date field is required."}"#,
            r#"{"error":"Required: beginDate and endDate or lastId"}"#,
            r#"{"message":"beginDate is missing"}"#,
            r#"{"message":"no endDate was given"}"#,
            r#"{"status":"error","message":"Tarih alanı doldurulmalıdır"}"#,
            r#"{"status":"error","message":"Tarih alanı zorunludur"}"#,
            r#"{"status":"error","message":"BAŞLANGIÇ TARİHİ GEREKLİDİR"}"#,
            r#"{"status":"error","message":"Tarih aralığı boş olamaz"}"#,
        ] {
            assert!(asked(body), "{body}");
        }
    }

    #[test]
    fn a_refusal_in_which_a_word_only_looks_like_a_date_is_none() {
        for body in [
            r#"{"status":"error","message":"system update"}"#,
            r#"{"status":"error","message":"a required update is under way"}"#,
            r#"{"message":"cannot validate lastId, it must be a number"}"#,
            r#"{"message":"The given data was invalid.","errors":{"lastId":["x"]},"updated_at":1}"#,
            r#"{"message":"Server Error","date":"2026-11-01","required":true}"#,
            r#"{"message":"out of date"}"#,
            r#"{"message":"Tarihsel veri yok"}"#,
            r#"{"message":""}"#,
        ] {
            assert!(!asked(body), "{body}");
        }
    }
}
