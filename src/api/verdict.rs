//! What an answer means: the table from status, headers and body to an error or to success. Pure.
//!
//! | answer                                            | verdict                             |
//! |---------------------------------------------------|-------------------------------------|
//! | "no movements" code of the gateway, any status    | success, no rows                    |
//! | the gateway's general codes, any status           | as each of them means               |
//! | `ip_not_found`, an IP text with 401/403, or a message that refuses an address with any status that tells of no trouble of its own | `IpRefused` |
//! | 2xx                                               | what the envelope says; without rows and envelope, what code and message say of access |
//! | 3xx                                               | `Redirected`                        |
//! | 401, "Unauthenticated", or words of a token that is good no more | `Unauthorized` (one new token) |
//! | 403                                               | `Forbidden`                         |
//! | 404                                               | `NotFound`; told by the API's own body, or not |
//! | a no that asks for dates, when only `lastId` was sent | `DatesRequired`                 |
//! | 408, 425, 5xx                                     | `Server`                            |
//! | 422, errors about the reference of the payment that was asked for | `NotFound`, told    |
//! | 429                                               | `RateLimited`                       |
//! | any other                                         | `Rejected`                          |

mod dates;
pub(crate) mod token;

use super::{
    allow::Operation,
    envelope::{self, Fault, Fields},
    error::{At, Error},
    http::Answer,
    scrub,
};

/// A body of a sentence or two.
const SENTENCE_BYTES_MAX: usize = 400;

/// What the caller knows about its call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) at: &'a At,
    /// `lastId` was sent without dates.
    pub(crate) last_id_alone: bool,
    /// Never to be shown, should the API repeat them.
    pub(crate) secrets: &'a [&'a str],
}

/// How the body of an answer is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As its envelope says.
    Read,
    /// As a success without rows.
    Empty,
}

/// What status and headers say.
pub(crate) fn check_answer(asked: Asked<'_>, answer: &Answer) -> Result<Verdict, Error> {
    if (200..300).contains(&answer.status) {
        return Ok(Verdict::Read);
    }
    let body = BodySays::read(&answer.body);
    if body.code.as_deref().is_some_and(envelope::means_empty) {
        return Ok(Verdict::Empty);
    }
    Err(refusal(asked, answer, body))
}

/// The error behind a fault that the envelope of a successful status told.
pub(crate) fn explain_fault(asked: Asked<'_>, answer: &Answer, fault: Fault) -> Error {
    let at = asked.at.clone();
    match fault {
        Fault::NotJson { cut_short: true, detail } => Error::Broken { at, detail },
        Fault::NotJson { detail, .. } => Error::NotJson {
            at,
            status: answer.status,
            bytes: answer.body.len(),
            content_type: scrub::scrub(&answer.content_type, asked.secrets),
            detail,
        },
        Fault::Protocol(detail) => {
            let says = BodySays::read(&answer.body);
            if says.refuses_access() {
                return refusal(asked, answer, says);
            }
            Error::Protocol { at, detail }
        }
        Fault::TooManyRows => Error::TooLarge { at, limit: envelope::ROWS_MAX, unit: "rows" },
        Fault::Refused { code, message } => {
            let raw = BodySays { code, message, ..BodySays::read(&answer.body) };
            refusal(asked, answer, raw)
        }
    }
}

/// At a token endpoint, being told no is about the credentials.
fn as_token_refusal(error: Error) -> Error {
    match error {
        Error::Unauthorized { at, status, message }
        | Error::Forbidden { at, status, message }
        | Error::Rejected { at, status, message } => Error::TokenRefused { at, status, message },
        other => other,
    }
}

/// What the body of a refusal says, unscrubbed.
#[derive(Debug, Default)]
struct BodySays {
    code: Option<String>,
    message: Option<String>,
    /// The whole body in lower case, where it is short enough to be a message.
    text: String,
    /// Whether the virtual POS itself says that it has no such thing.
    tells_of_nothing: bool,
    /// Whether its errors are about the reference.
    refuses_reference: bool,
    /// Whether it asks for dates.
    asks_for_dates: bool,
}

impl BodySays {
    fn read(body: &str) -> Self {
        let text = body.get(..body.len().min(16 * 1024)).unwrap_or(body).to_lowercase();
        let root = envelope::parse_body(body).ok();
        let Some(fields) = root.and_then(|root| envelope::parse_fields(root.get())) else {
            return Self { text, ..Self::default() };
        };
        let header = envelope::tos_header(&fields);
        let code = header.as_ref().map(|(code, _)| code.clone()).or_else(|| code_of(&fields));
        let message = header.and_then(|(_, message)| message);
        let message = message.or_else(|| envelope::message_of(&fields));
        let tells_of_nothing = envelope::tells_of_no_payment(&fields);
        let refuses_reference = envelope::refuses_the_reference(&fields);
        let asks_for_dates = dates::are_asked_for(&fields, message.as_deref());
        Self { code, message, text, tells_of_nothing, refuses_reference, asks_for_dates }
    }

    /// Whether a body without the rows that it should have says in its own fields why: a refusal has
    /// come with status 200, and without a word of failure. What stands in rows is not heeded.
    fn refuses_access(&self) -> bool {
        let fields = [self.code.as_deref(), self.message.as_deref()];
        let says = |word: &str| {
            fields.iter().flatten().any(|text| text.to_ascii_lowercase().contains(word))
        };
        self.code.as_deref().and_then(gateway_code).is_some()
            || says("ip_not_found")
            || fields.iter().flatten().any(|text| refuses_the_token(&text.to_lowercase()))
            || self.message.as_deref().is_some_and(refuses_the_address)
    }
}

fn code_of(fields: &Fields<'_>) -> Option<String> {
    ["code", "StatusCode", "error_code"].iter().find_map(|name| fields.text(name))
}

/// What the gateway's general codes mean, whatever the status they came with.
enum GatewayCode {
    Token,
    PlanLimit,
    WrongSecret,
    Locked,
    System,
    IpRefused,
}

fn gateway_code(code: &str) -> Option<GatewayCode> {
    match code {
        "ACBG000001" | "ACBG000002" => Some(GatewayCode::Token),
        "ACBG000003" | "ACBG000004" => Some(GatewayCode::PlanLimit),
        "ACBG000005" => Some(GatewayCode::WrongSecret),
        "ACBG000006" => Some(GatewayCode::Locked),
        "ACBG000008" | "ACBG000009" => Some(GatewayCode::System),
        "ACBG000010" => Some(GatewayCode::IpRefused),
        _ => None,
    }
}

fn refusal(asked: Asked<'_>, answer: &Answer, says: BodySays) -> Error {
    let (at, status) = (asked.at.clone(), answer.status);
    let message = shown_message(&says, asked.secrets);
    let after = answer.wait.asked(answer.at);
    if let Some(code) = says.code.as_deref().and_then(gateway_code) {
        return match code {
            GatewayCode::Token => Error::Unauthorized { at, status, message },
            GatewayCode::PlanLimit => {
                Error::RateLimited { at, after: answer.wait.after_429(answer.at) }
            }
            GatewayCode::WrongSecret => Error::TokenRefused { at, status, message },
            GatewayCode::Locked => Error::KeyLocked { at },
            GatewayCode::System => Error::Server { at, status, after, message },
            GatewayCode::IpRefused => Error::IpRefused { at, ip: scrub::find_ip(&says.text) },
        };
    }
    // After the codes: a wrong secret is one, whichever address its text names.
    if names_ip(&says, status) {
        return Error::IpRefused { at, ip: scrub::find_ip(&says.text) };
    }
    match status {
        300..=399 => {
            let location = scrub::scrub_location(&answer.location, asked.secrets);
            let location = if location.is_empty() { "nowhere".to_owned() } else { location };
            Error::Redirected { at, status, location }
        }
        401 => Error::Unauthorized { at, status, message },
        403 if refuses_the_token(&says.text) => Error::Unauthorized { at, status, message },
        403 => Error::Forbidden { at, status, message },
        404 => Error::NotFound { at, status, is_told: says.tells_of_nothing },
        422 if says.refuses_reference && at.operation == Operation::FindPayment.name() => {
            Error::NotFound { at, status, is_told: true }
        }
        429 => Error::RateLimited { at, after: answer.wait.after_429(answer.at) },
        408 | 425 | 500..=599 => Error::Server { at, status, after, message },
        _ if refuses_the_token(&says.text) => Error::Unauthorized { at, status, message },
        _ if asked.last_id_alone && says.asks_for_dates => Error::DatesRequired { at, status },
        _ => Error::Rejected { at, status, message },
    }
}

/// Whether a text, in lower case, says that the token is good no more: a Laravel API may say so with any
/// status.
fn refuses_the_token(text: &str) -> bool {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    // Of a long text nobody knows what the words are about.
    says(&["unauthenticated"])
        || (text.len() <= SENTENCE_BYTES_MAX
            && says(&["token", "oturum"])
            && says(&[
                "expired",
                "invalid",
                "not valid",
                "doldu",
                "dolmuş",
                "geçersiz",
                "gecersiz",
            ]))
}

fn shown_message(says: &BodySays, secrets: &[&str]) -> Option<String> {
    let message = says.message.as_deref().map(|text| scrub::scrub(text, secrets));
    let code = says.code.as_deref().map(|code| {
        // Gateway codes are letters and six digits, which scrubbing would take for an account.
        let plain = code.len() <= 16 && code.bytes().all(|b| b.is_ascii_alphanumeric());
        if plain && code.starts_with('A') { code.to_owned() } else { scrub::scrub(code, secrets) }
    });
    match (code, message) {
        (Some(code), Some(message)) => Some(format!("{code} {message}")),
        (code, message) => code.or(message),
    }
    .filter(|text| !text.is_empty())
}

fn names_ip(says: &BodySays, status: u16) -> bool {
    // A server in trouble, or one that counts calls, may name the address that asked as well.
    let is_about_itself = matches!(status, 408 | 425 | 429 | 500..=599);
    surely_names_ip(says, status)
        || (!is_about_itself && says.message.as_deref().is_some_and(refuses_the_address))
}

/// By more than its words: whoever asks for a token may have had its secret judged otherwise.
fn surely_names_ip(says: &BodySays, status: u16) -> bool {
    says.text.contains("ip_not_found")
        || (matches!(status, 401 | 403) && tells_an_address(&lowered(&says.text)))
}

/// Whether a message says that the address of the caller is not let in: the status of such a refusal is
/// written nowhere (`api-contract.md`, question 10). Of one that is about something else too, such as an
/// account, a secret or the number of calls, nobody knows that: the whole API would be left alone for it.
fn refuses_the_address(message: &str) -> bool {
    const ADDRESS: [&str; 3] = ["ip adres", "ip address", "your ip"];
    const NOT_LET_IN: [&str; 9] = [
        "tanıml",
        "tanıms",
        "kayıtl",
        "yetki",
        "izin",
        "engel",
        "allowed",
        "authorized",
        "blocked",
    ];
    const SOMETHING_ELSE: [&str; 10] = [
        "hesap",
        "hesab",
        "referans",
        "kullanıcı",
        "şifre",
        "parola",
        "dakika",
        "account",
        "password",
        "minute",
    ];
    let text = lowered(message);
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    text.len() <= SENTENCE_BYTES_MAX
        && tells_an_address(&text)
        && says(&ADDRESS)
        && says(&NOT_LET_IN)
        && !says(&SOMETHING_ELSE)
}

/// In lower case, in which a capital dotted İ is two characters.
fn lowered(text: &str) -> String {
    text.to_lowercase().replace("i\u{307}", "i")
}

/// Whether a text, in lower case, names an address as one.
fn tells_an_address(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    words.any(|word| word == "ip") && scrub::find_ip(text).is_some()
}

#[cfg(test)]
mod tests;
