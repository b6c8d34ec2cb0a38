use chrono::DateTime;

use super::*;
use crate::{
    api::{error::RetryClass, retry::WaitHeaders},
    domain::{ids::ConnectionId, time::Timestamp},
};

fn at() -> At {
    At { connection: ConnectionId::try_new("acme").unwrap(), operation: "account_transactions" }
}

pub(super) fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        content_type: "application/json".to_owned(),
        location: String::new(),
        wait: WaitHeaders::default(),
        limit: None,
        body: body.to_owned(),
        replaced_text: false,
        fetched_at: Timestamp(0),
        at: DateTime::UNIX_EPOCH,
    }
}

fn verdict(answer: &Answer, last_id_alone: bool) -> Error {
    let at = at();
    let asked = Asked { at: &at, last_id_alone, secrets: &["hush"] };
    let shape = envelope::Shape::List(&["transactions"]);
    match check_answer(asked, answer) {
        Err(error) => error,
        Ok(_) => {
            explain_fault(asked, answer, envelope::read_rows(&answer.body, shape).unwrap_err())
        }
    }
}

fn plain(status: u16, body: &str) -> Error {
    verdict(&answer(status, body), false)
}

#[test]
fn a_refused_address_is_named_at_any_status() {
    let body = r#"{"message":"ip_not_found IP adresi kayıtlı değil : 203.0.113.7"}"#;
    for status in [200, 401, 403, 422, 500] {
        let body = match status {
            200 => body.replace('{', r#"{"status":"error","#),
            _ => body.to_owned(),
        };
        let error = plain(status, &body);
        assert!(matches!(error, Error::IpRefused { .. }), "{status}: {error}");
        assert!(error.to_string().contains("203.0.113.7"), "{error}");
        assert_eq!(error.retry_class(), RetryClass::Refused);
    }
    let bare = r#"{"code":"ip_not_found","message":"IP adresi kayıtlı değil : 203.0.113.7"}"#;
    let error = plain(200, bare);
    assert!(matches!(error, Error::IpRefused { ip: Some(_), .. }), "no word of failure: {error}");
    let worded = r#"{"message":"Your IP 203.0.113.9 is not allowed"}"#;
    assert!(plain(403, worded).to_string().contains("203.0.113.9"));
    assert!(matches!(plain(500, worded), Error::Server { .. }));
}

#[test]
fn a_refused_address_is_told_by_words_alone() {
    let refused = [
        r#"{"status":"error","message":"IP adresiniz yetkili değil : 203.0.113.7"}"#,
        r#"{"success":false,"message":"İZİN VERİLMEYEN İP ADRESİ (203.0.113.7)"}"#,
        r#"{"message":"Your IP 203.0.113.7 is not allowed"}"#,
        r#"{"success":"false","message":"İstek yapılan ip adresi tanımlı değil : 203.0.113.7"}"#,
    ];
    for (status, body) in [200, 400, 422].iter().flat_map(|s| refused.map(|body| (*s, body))) {
        let error = plain(status, body);
        let named = matches!(&error, Error::IpRefused { ip: Some(ip), .. } if ip.to_string() == "203.0.113.7");
        assert!(named, "{status} {body}: {error}");
    }
    // What one account, one secret or too many calls are told is no refusal of the address.
    for about_else in [
        "IP adresi 203.0.113.7: hesap bulunamadı",
        "Bu hesap için yetkiniz yok. IP adresi: 203.0.113.7",
        "Kullanıcı adı veya şifre hatalı, yetkisiz giriş, IP adresi: 203.0.113.7",
        "60 requests are allowed per minute for your IP 203.0.113.7",
        "yetkisiz: 203.0.113.7",
    ] {
        let body = serde_json::json!({"status": "error", "message": about_else}).to_string();
        assert!(matches!(plain(200, &body), Error::Rejected { .. }), "{about_else}");
    }
    assert!(matches!(plain(429, refused[2]), Error::RateLimited { .. }));
    let row = r#"{"status":"error","rows":[{"message":"IP 203.0.113.7 yetkili"}]}"#;
    assert!(matches!(plain(200, row), Error::Rejected { .. }));
}

#[test]
fn a_success_may_speak_of_addresses() {
    let body = r#"{"status":"success","transactions":[{"description":"ip_not_found"}]}"#;
    let at = at();
    let asked = Asked { at: &at, last_id_alone: false, secrets: &[] };
    assert_eq!(check_answer(asked, &answer(200, body)), Ok(Verdict::Read));
}

#[test]
fn redirects_name_their_target_without_query() {
    let mut redirected = answer(302, "<html>");
    redirected.location = "https://host.example/login".to_owned();
    let error = verdict(&redirected, false);
    assert!(error.to_string().contains("https://host.example/login"), "{error}");
    assert_eq!(error.retry_class(), RetryClass::Refused);
}

#[test]
fn statuses_have_their_classes() {
    let retry = RetryClass::Retry { after: None };
    for (status, class) in [
        (400, RetryClass::Permanent),
        (401, RetryClass::Refused),
        (403, RetryClass::Refused),
        (404, RetryClass::Permanent),
        (408, retry),
        (422, RetryClass::Permanent),
        (429, RetryClass::Retry { after: Some(std::time::Duration::from_secs(60)) }),
        (500, retry),
        (503, retry),
        (200, RetryClass::Permanent),
    ] {
        assert_eq!(plain(status, "<html>Too Many Attempts.").retry_class(), class, "{status}");
    }
}

#[test]
fn a_long_rest_is_told() {
    let mut busy = answer(503, "{}");
    busy.wait.retry_after = Some("14400".to_owned());
    let error = verdict(&busy, false);
    assert!(error.to_string().contains("again in 14400 s"), "{error}");
    let after = Some(std::time::Duration::from_secs(14_400));
    assert_eq!(error.retry_class(), RetryClass::Retry { after });
}

#[test]
fn last_id_alone_is_told_from_other_refusals() {
    let body = r#"{"message":"The given data was invalid.","errors":{"beginDate":["required"]}}"#;
    for status in [400, 422] {
        let error = verdict(&answer(status, body), true);
        assert_eq!(error.retry_class(), RetryClass::DatesRequired);
        assert_eq!(verdict(&answer(status, body), false).retry_class(), RetryClass::Permanent);
    }
    let turkish = r#"{"status":"error","message":"Tarih alanı zorunludur"}"#;
    assert_eq!(verdict(&answer(200, turkish), true).retry_class(), RetryClass::DatesRequired);
    let other = r#"{"message":"lastId is no number"}"#;
    assert_eq!(verdict(&answer(422, other), true).retry_class(), RetryClass::Permanent);
    let passing = r#"{"status":"error","message":"system update"}"#;
    for status in [200, 400, 422] {
        assert_eq!(verdict(&answer(status, passing), true).retry_class(), RetryClass::Permanent);
    }
}

#[test]
fn gateway_codes_mean_the_same_at_every_status() {
    let body = |code: &str| {
        format!(r#"{{"Header":{{"StatusCode":"{code}","StatusDescription":"hush 12345678"}}}}"#)
    };
    let error = |code: &str| plain(400, &body(code));
    assert!(matches!(error("ACBG000001"), Error::Unauthorized { .. }));
    assert!(matches!(error("ACBG000003"), Error::RateLimited { .. }));
    assert!(matches!(error("ACBG000005"), Error::TokenRefused { .. }));
    assert!(matches!(error("ACBG000006"), Error::KeyLocked { .. }));
    assert!(matches!(error("ACBG000008"), Error::Server { .. }));
    assert!(matches!(error("ACBG000010"), Error::IpRefused { ip: None, .. }));
    let shown = error("ACBH000645").to_string();
    assert!(shown.contains("ACBH000645 *** ***"), "{shown}");
    let at = at();
    let asked = Asked { at: &at, last_id_alone: false, secrets: &[] };
    assert_eq!(check_answer(asked, &answer(400, &body("ACBH000202"))), Ok(Verdict::Empty));
}

#[test]
fn an_unauthenticated_success_counts_as_401() {
    let body = r#"{"status":"error","message":"Unauthenticated."}"#;
    assert!(matches!(plain(200, body), Error::Unauthorized { .. }));
    let bare = r#"{"message":"Unauthenticated."}"#;
    assert!(matches!(plain(200, bare), Error::Unauthorized { .. }));
    let code = r#"{"code":"ACBG000002"}"#;
    assert!(matches!(plain(200, code), Error::Unauthorized { .. }));
}

#[test]
fn what_stands_in_rows_is_no_refusal() {
    let rows = r#"[{"description":"ip_not_found","message":"Unauthenticated."}]"#;
    for body in [format!(r#"{{"rows":{rows}}}"#), format!(r#"{{"message":"later","x":{rows}}}"#)] {
        assert!(matches!(plain(200, &body), Error::Protocol { .. }), "{body}");
    }
}

#[test]
fn bodies_are_described_by_size_and_type_only() {
    let mut page = answer(200, "<html>canary 5440781234566021</html>");
    page.content_type = "text/html; charset=UTF-8".to_owned();
    let shown = format!("{0} {0:?}", verdict(&page, false));
    assert!(shown.contains("36 bytes of text/html"), "{shown}");
    assert!(!shown.contains("canary") && !shown.contains("5440"), "{shown}");
}

#[test]
fn every_message_names_connection_and_call() {
    for status in [302, 400, 401, 403, 404, 429, 500] {
        let shown = plain(status, "{}").to_string();
        assert!(shown.starts_with("connection acme: account_transactions"), "{shown}");
    }
}

#[test]
fn words_of_a_token_that_is_good_no_more_ask_for_a_new_one() {
    for body in [
        r#"{"success":false,"message":"Token süresi doldu"}"#,
        r#"{"status":"Token is Expired"}"#,
        r#"{"status":"error","message":"Token is Invalid"}"#,
        r#"{"message":"Geçersiz token."}"#,
        r#"{"success":false,"message":"Oturum süreniz dolmuş"}"#,
    ] {
        for status in [200, 400, 403, 422] {
            let error = plain(status, body);
            assert!(matches!(error, Error::Unauthorized { .. }), "{status} {body}: {error}");
        }
    }
    for body in [
        r#"{"success":false,"message":"geçersiz işlem"}"#.to_owned(),
        r#"{"success":false,"message":"token limiti aşıldı"}"#.to_owned(),
        format!(r#"{{"success":false,"message":"geçersiz{}token"}}"#, " x".repeat(300)),
    ] {
        let error = plain(200, &body);
        assert!(matches!(error, Error::Rejected { .. }), "{body}: {error}");
    }
}
