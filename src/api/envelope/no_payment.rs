//! How the virtual POS says that there is no such payment, which nobody documented.
//!
//! | the answer to the look                                            | there is no such payment     |
//! |-------------------------------------------------------------------|------------------------------|
//! | 404, JSON, no success and no word, or words of a missing payment  | yes                          |
//! | 200, no success, `data` is null, no word                          | yes                          |
//! | 200 or a refusal, words of a missing payment                      | yes                          |
//! | the same of a record, or of a model: of a payment, or of nothing named | yes                     |
//! | 422, errors about the reference, not that it was not sent         | yes                          |
//! | 404, `Not found` alone, without a `success`: gateways say so of a path | says nothing of it        |
//! | HTML, 5xx, any other words: a customer, a gateway or a right that is missing | says nothing of it |

use serde_json::value::RawValue;

use super::{Fields, message_of, parse_fields, scalar, truthy};

/// What can be missing.
const NOUNS: [&str; 4] = ["işlem", "islem", "ödeme", "referans"];
const EXACT_NOUNS: [&str; 3] = ["transaction", "payment", "reference"];
/// Of anything: of a payment where nothing else is named before it.
const RECORDS: [&str; 3] = ["kayıt", "kayit", "kaydı"];
/// What may stand between a noun and its verb.
const FILLERS: [&str; 7] = ["was", "is", "could", "no", "numarası", "numarasi", "kodu"];
/// What may stand before a record and names nothing that it is of, or begins so: `numarasına`.
const PLAIN: [&str; 14] = [
    "ait", "bir", "bu", "böyle", "girilen", "göre", "herhangi", "hiç", "hiçbir", "ile", "ilgili",
    "için", "uygun", "nolu",
];
const PLAIN_BEGINNINGS: [&str; 18] = [
    "numara",
    "kod",
    "aranan",
    "aradığ",
    "aradig",
    "kriter",
    "sistem",
    "belirt",
    "girdiğ",
    "girilen",
    "gönder",
    "sorgu",
    "veritaban",
    "bilgi",
    "eşleş",
    "esles",
    "istenen",
    "verilen",
];
/// What Laravel says of a record that its table does not hold; the model stands behind it.
const NO_RECORD: &str = "no query results for model";
/// What the model of a payment is called, or the end of it: `Islem`, `PosTransaction`.
const MODELS: [&str; 6] = ["islem", "işlem", "odeme", "ödeme", "transaction", "payment"];
const REFERENCE_FIELDS: [&str; 2] = ["referanceNo", "referenceNo"];

/// Whether a refusal to look a payment up means that there is none, in the API's two languages: the
/// noun stands right before the verb. A record is a customer's as well, and a model one of any table:
/// those count where nothing else is named.
pub(crate) fn says_no_payment(message: &str) -> bool {
    let message = folded(message);
    let words = words_of(&message);
    let invalid = |noun: &str, verb: &str| {
        let (noun, verb) = match noun {
            "geçersiz" => (verb, noun),
            _ => (noun, verb),
        };
        noun.starts_with("referans") && verb.starts_with("geçersiz")
    };
    lacks_a_payment(&message)
        || (0..words.len()).any(|at| {
            let (before, from) = words.split_at(at);
            let place = before.iter().rposition(|word| !FILLERS.contains(word));
            let noun = place.and_then(|place| before.get(..=place)?.split_last());
            noun.zip(from.first()).is_some_and(|((noun, before), verb)| {
                let is_meant = is_noun(noun) || RECORDS.contains(noun) && is_of_payment(before);
                (is_missing(from) && is_meant) || invalid(noun, verb)
            })
        })
}

/// Whether Laravel has no record of a payment's model.
fn lacks_a_payment(message: &str) -> bool {
    let model =
        message.split(NO_RECORD).nth(1).and_then(|rest| rest.trim_start().strip_prefix('['));
    let name = model.and_then(|model| model.split(']').next()?.rsplit(['\\', '/']).next());
    name.is_some_and(|name| MODELS.iter().any(|noun| name.trim().ends_with(noun)))
}

/// Whether what stands before a record names a payment, or nothing: a number may be its reference.
fn is_of_payment(before: &[&str]) -> bool {
    let names = |word: &&&str| {
        let is_number = word.contains(|c: char| c.is_ascii_digit());
        let begins_plain = || PLAIN_BEGINNINGS.iter().any(|plain| word.starts_with(plain));
        !(is_number || FILLERS.contains(*word) || PLAIN.contains(*word) || begins_plain())
    };
    before.iter().rfind(names).is_none_or(|word| is_noun(word))
}

/// Whether the body of a 404 is the virtual POS's own word that there is no such payment: its envelope
/// of a refusal without a message, or a message that says so. A proxy between, or another API under
/// `base_url`, answers 404 too, with a page or with JSON of its own.
pub(crate) fn tells_of_no_payment(fields: &Fields<'_>) -> bool {
    match message_of(fields) {
        Some(message) => {
            says_no_payment(&message) || (is_refusal(fields) && says_nothing_else(fields))
        }
        None => is_refusal(fields),
    }
}

/// Whether a body of a successful status is a refusal because there is no such payment.
pub(crate) fn refuses_for_no_payment(body: &str) -> bool {
    let Some(fields) = parse_fields(body.trim_start_matches('\u{feff}').trim()) else {
        return false;
    };
    is_refusal(&fields)
        && match message_of(&fields) {
            Some(message) => says_no_payment(&message) || says_nothing_else(&fields),
            // And nothing else that may say why.
            None => {
                let says = |(name, value): &(String, &RawValue)| {
                    name != "success" && !matches!(value.get(), "null" | "\"\"")
                };
                fields.get("data").is_some() && !fields.0.iter().any(says)
            }
        }
}

/// Whether the errors of a refused question are about the reference, other than that it is missing: it
/// is always sent.
pub(crate) fn refuses_the_reference(fields: &Fields<'_>) -> bool {
    let is_missing = |text: &str| {
        let text = folded(text);
        ["required", "zorunlu", "gerekli"].iter().any(|word| text.contains(word))
    };
    fields.object("errors").is_some_and(|errors| {
        REFERENCE_FIELDS
            .iter()
            .filter_map(|name| errors.get(name))
            .any(|why| !is_missing(why.get()))
    })
}

/// `Not found`, and nothing of what.
fn says_nothing_else(fields: &Fields<'_>) -> bool {
    let message = folded(&fields.get("message").and_then(scalar).unwrap_or_default());
    let words = words_of(&message);
    is_missing(&words) && words.len() <= 2
}

fn is_refusal(fields: &Fields<'_>) -> bool {
    fields.first(&["success"]).is_some_and(|success| !truthy(success))
}

fn is_missing(words: &[&str]) -> bool {
    match words {
        ["not", "found", ..] => true,
        [verb, ..] => verb.starts_with("bulunamad"),
        [] => false,
    }
}

/// With the endings of Turkish: `işlemi`, `ödemeniz`.
fn is_noun(word: &str) -> bool {
    EXACT_NOUNS.contains(&word) || NOUNS.iter().any(|noun| word.starts_with(noun))
}

/// Lower case, without what is left of a capital dotted letter.
fn folded(message: &str) -> String {
    message.to_lowercase().replace('\u{307}', "")
}

fn words_of(message: &str) -> Vec<&str> {
    message.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect()
}
