//! What a token request that brought no token says about the credentials. Pure.
//!
//! Five refusals lock the bank's key of TOS, so a request counts as refused unless the answer shows
//! that nobody can have judged the secret. What may as well be an outage of the bank counts once there
//! is a refusal on record: alone it must not need a person's word to end.
//!
//! | what came                                                    | judged    |
//! |--------------------------------------------------------------|-----------|
//! | no connection                                                | `No`      |
//! | no answer in time, or none at all                            | `Perhaps` |
//! | the gateway's codes for plan limit and address; `ip_not_found`, an address in words with 401 or 403 | `No` |
//! | its codes for trouble of its own                             | `Perhaps` |
//! | an `error` of OAuth, any other `ACBG` code, at every status  | `Yes`     |
//! | 404, 405, 408, 413, 414, 415, 421, 425, 426, 429, 431, 503   | `No`      |
//! | other 5xx; an OAuth `error` for trouble of its own           | `Perhaps` |
//! | a page instead of JSON, with 2xx or 3xx                      | `Perhaps` |
//! | every other status, 2xx without a token and 3xx included     | `Yes`     |

use super::{
    Asked, BodySays, GatewayCode, as_token_refusal, gateway_code, shown_message, surely_names_ip,
};
use crate::api::{
    allow::Api,
    envelope::{parse_body, parse_fields},
    error::Error,
    http::Answer,
};

/// Whether the server may have compared the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    Yes,
    Perhaps,
    No,
}

/// A token request that brought none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoToken {
    pub(crate) error: Error,
    pub(crate) judged: Judged,
}

/// There is no whole answer; `status` is that of the part that came.
pub(crate) fn of_lost_answer(api: Api, error: Error, status: Option<u16>) -> NoToken {
    let judged = match (status, &error) {
        // A token was on its way, probably.
        (Some(200..400), _) => Judged::Perhaps,
        (Some(status), _) => of_status(status),
        (None, Error::Timeout { .. } | Error::Broken { .. }) => Judged::Perhaps,
        (None, _) => Judged::No,
    };
    match status {
        Some(status) if judged == Judged::Yes && (api == Api::Tos || is_a_no(status)) => {
            let message = match &error {
                Error::Broken { detail, .. } => format!("no token, the answer broke off: {detail}"),
                _ => "no token, the answer did not come whole".to_owned(),
            };
            NoToken { error: refused(error, status, Some(message)), judged }
        }
        _ => NoToken { error, judged },
    }
}

/// The answer is there, and gives no token for the reason that `error` tells.
pub(crate) fn of_answer(api: Api, asked: Asked<'_>, answer: &Answer, error: Error) -> NoToken {
    let says = BodySays::read(&answer.body);
    let told = of_code(says.code.as_deref()).or_else(|| of_oauth(&answer.body));
    // An address that is refused is refused before any secret is read; it is asked for again by itself. Words
    // alone do not show that.
    let is_sure = told == Some(Judged::No) || surely_names_ip(&says, answer.status);
    if told != Some(Judged::Yes) && is_sure && matches!(error, Error::IpRefused { .. }) {
        return NoToken { error, judged: Judged::No };
    }
    // A page that is no JSON is not the bank's: a proxy's, or a maintenance notice.
    let foreign = answer.status < 400 && parse_body(&answer.body).is_err();
    let by_status = if foreign { Judged::Perhaps } else { of_status(answer.status) };
    let judged = told.unwrap_or(by_status);
    // What is only doubtful is told as it is where no key is known to lock.
    let is_refusal = api == Api::Tos || told.is_some() || is_a_no(answer.status);
    if judged != Judged::Yes || !is_refusal {
        return NoToken { error: as_token_refusal(error), judged };
    }
    let message = shown_message(&says, asked.secrets).or_else(|| match &error {
        Error::Protocol { detail, .. } | Error::NotJson { detail, .. } => {
            Some(format!("no token: {detail}"))
        }
        _ => None,
    });
    NoToken { error: refused(error, answer.status, message), judged }
}

const fn is_a_no(status: u16) -> bool {
    matches!(status, 400 | 401 | 403)
}

/// As a refusal of the credentials, where the error is not one of access already.
fn refused(error: Error, status: u16, message: Option<String>) -> Error {
    match as_token_refusal(error) {
        Error::Timeout { at }
        | Error::Broken { at, .. }
        | Error::Server { at, .. }
        | Error::RateLimited { at, .. }
        | Error::NotFound { at, .. }
        | Error::NotJson { at, .. }
        | Error::Protocol { at, .. }
        | Error::TooLarge { at, .. } => Error::TokenRefused { at, status, message },
        other => other,
    }
}

fn of_code(code: Option<&str>) -> Option<Judged> {
    let code = code?;
    match gateway_code(code) {
        Some(GatewayCode::PlanLimit | GatewayCode::IpRefused) => Some(Judged::No),
        Some(GatewayCode::System) => Some(Judged::Perhaps),
        Some(GatewayCode::Token | GatewayCode::WrongSecret | GatewayCode::Locked) => {
            Some(Judged::Yes)
        }
        None => code.starts_with("ACBG").then_some(Judged::Yes),
    }
}

/// `error` as OAuth has it (RFC 6749 §5.2 and §4.1.2.1). Any other word there, `maintenance` or
/// `too_many_requests`, is a framework's or a proxy's, and the status says what it means.
fn of_oauth(body: &str) -> Option<Judged> {
    let fields = parse_body(body).ok().and_then(|root| parse_fields(root.get()))?;
    match fields.text("error")?.as_str() {
        "server_error" | "temporarily_unavailable" => Some(Judged::Perhaps),
        "invalid_client"
        | "invalid_grant"
        | "invalid_request"
        | "invalid_scope"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "access_denied" => Some(Judged::Yes),
        _ => None,
    }
}

fn of_status(status: u16) -> Judged {
    match status {
        404 | 405 | 408 | 413..=415 | 421 | 425 | 426 | 429 | 431 | 503 => Judged::No,
        500..=599 => Judged::Perhaps,
        _ => Judged::Yes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{error::At, verdict::tests::answer},
        domain::ids::ConnectionId,
    };

    fn at() -> At {
        At { connection: ConnectionId::try_new("acme").unwrap(), operation: "tos_token" }
    }

    fn judged(status: u16, body: &str) -> (Judged, Error) {
        let (answer, at) = (answer(status, body), at());
        let asked = Asked { at: &at, last_id_alone: false, secrets: &["hush"] };
        let error = match super::super::check_answer(asked, &answer) {
            Err(error) => error,
            Ok(_) => {
                let fault = crate::api::envelope::Fault::Protocol("no access_token".to_owned());
                super::super::explain_fault(asked, &answer, fault)
            }
        };
        let NoToken { error, judged } = of_answer(Api::Tos, asked, &answer, error);
        (judged, error)
    }

    #[test]
    fn an_oauth_error_and_a_gateway_code_count_at_every_status() {
        for status in [200, 302, 400, 401, 403, 404, 429, 500, 503] {
            for body in [
                r#"{"error":"invalid_client","error_description":"hush"}"#,
                r#"{"code":"ACBG000005"}"#,
                r#"{"Header":{"StatusCode":"ACBG000001"}}"#,
                r#"{"Header":{"StatusCode":"ACBG000042"}}"#,
            ] {
                let (judged, error) = judged(status, body);
                assert_eq!(judged, Judged::Yes, "{status} {body}");
                let is_refusal =
                    matches!(error, Error::TokenRefused { .. } | Error::Redirected { .. });
                assert!(is_refusal && !error.to_string().contains("hush"), "{status}: {error}");
            }
        }
    }

    #[test]
    fn an_address_in_the_text_does_not_hide_a_wrong_secret() {
        let body = r#"{"Header":{"StatusCode":"ACBG000005","StatusDescription":"ip 203.0.113.7"}}"#;
        for status in [401, 403] {
            let (judged, error) = judged(status, body);
            assert!(
                judged == Judged::Yes && matches!(error, Error::TokenRefused { .. }),
                "{error}"
            );
        }
        let (worded, error) = judged(403, r#"{"message":"IP 203.0.113.7 is not allowed"}"#);
        assert!(worded == Judged::No && matches!(error, Error::IpRefused { .. }), "{error}");
        let (named, error) = judged(403, r#"{"message":"ip_not_found : 203.0.113.7"}"#);
        assert!(named == Judged::No && matches!(error, Error::IpRefused { .. }), "{error}");
        // By its words alone, the secret may have been read: the bank counts.
        let (words, error) = judged(400, r#"{"message":"Your IP 203.0.113.7 is not allowed"}"#);
        assert!(words == Judged::Yes && matches!(error, Error::IpRefused { .. }), "{error}");
        let (code, _) = judged(401, r#"{"Header":{"StatusCode":"ACBG000010"}}"#);
        assert_eq!(code, Judged::No);
    }

    #[test]
    fn a_status_counts_unless_nobody_can_have_looked_at_the_secret() {
        let of = |judged_as: Judged| -> Vec<u16> {
            let all = [
                200, 204, 302, 400, 401, 403, 404, 405, 408, 409, 413, 422, 425, 429, 500, 502,
                503, 504,
            ];
            all.into_iter().filter(|status| judged(*status, "<html>").0 == judged_as).collect()
        };
        assert_eq!(of(Judged::Yes), [400, 401, 403, 409, 422]);
        assert_eq!(of(Judged::Perhaps), [200, 204, 302, 500, 502, 504]);
        assert_eq!(judged(200, "{}").0, Judged::Yes);
        assert_eq!(of(Judged::No), [404, 405, 408, 413, 425, 429, 503]);
        for word in ["too_many_requests", "maintenance", "timeout", "InternalServerError"] {
            let body = format!(r#"{{"error":"{word}"}}"#);
            assert_eq!(judged(429, &body).0, Judged::No, "{word}");
            assert!(matches!(judged(429, &body).1, Error::RateLimited { .. }), "{word}");
            assert_eq!(judged(503, &body).0, Judged::No, "{word}");
            assert!(matches!(judged(500, &body).1, Error::Server { .. }), "{word}");
        }
        let framework = r#"{"status":503,"error":"Service Unavailable","path":"/token"}"#;
        assert_eq!(judged(503, framework).0, Judged::No);
        assert_eq!(judged(500, r#"{"error":"server_error"}"#).0, Judged::Perhaps);
    }

    #[test]
    fn a_success_without_a_token_is_a_refusal_that_says_so() {
        let (judged, error) = judged(200, r#"{"status":"success"}"#);
        assert_eq!(judged, Judged::Yes);
        assert!(error.to_string().contains("no token: no access_token"), "{error}");
    }

    #[test]
    fn an_answer_that_is_cut_counts_by_its_status() {
        let broken = || Error::Broken { at: at(), detail: "reset".to_owned() };
        for status in [400, 401, 403] {
            let NoToken { error, judged } = of_lost_answer(Api::Tos, broken(), Some(status));
            assert_eq!(judged, Judged::Yes);
            assert!(matches!(error, Error::TokenRefused { status: told, .. } if told == status));
        }
        assert_eq!(of_lost_answer(Api::Tos, broken(), Some(200)).judged, Judged::Perhaps);
        let elsewhere = of_lost_answer(Api::BankPos, broken(), Some(200)).error;
        assert!(matches!(elsewhere, Error::Broken { .. }), "{elsewhere}");
        let elsewhere = of_lost_answer(Api::BankPos, broken(), Some(401)).error;
        assert!(matches!(elsewhere, Error::TokenRefused { .. }), "{elsewhere}");
        assert_eq!(of_lost_answer(Api::Tos, broken(), Some(429)).judged, Judged::No);
        assert_eq!(of_lost_answer(Api::Tos, broken(), None).judged, Judged::Perhaps);
        assert_eq!(
            of_lost_answer(Api::Tos, Error::Timeout { at: at() }, None).judged,
            Judged::Perhaps
        );
        let connect = Error::Connect { at: at(), detail: String::new() };
        assert_eq!(
            of_lost_answer(Api::Tos, connect.clone(), None),
            NoToken { error: connect, judged: Judged::No }
        );
    }
}
