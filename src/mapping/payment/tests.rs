use super::*;
use crate::mapping::tests::luhn_valid;

/// The document's own answer.
const SAMPLE: &str = r#"{
    "islem_id": 513,
    "type": "iptal",
    "trans_id": "730657",
    "response": "Approved",
    "proc_return_code": "00",
    "iade_tutar": null,
    "error_code": "00",
    "error_message": "",
    "status": "approved",
    "status_detail": "approved"
}"#;
const DECLINED: &str = r#"{"islem_id":514,"type":"iade","trans_id":"730658","response":"Declined","proc_return_code":"13","iade_tutar":null,"error_code":"13","error_message":"Tutar uygun değil","status":"declined","status_detail":"declined"}"#;

fn money(text: &str) -> Money {
    Money::parse(text).unwrap()
}

fn refund(amount: &str) -> Change {
    Change::Refund { amount: money(amount) }
}

fn unclear(change: Change, body: &str) -> String {
    match answer(change, 200, body) {
        Verdict::Unclear { detail } => detail,
        decided => panic!("{decided:?} from {body}"),
    }
}

#[test]
fn the_documents_answer_is_an_approved_cancel() {
    let expected = Provider {
        transaction_id: Some("730657".into()),
        operation_id: Some(513),
        code: Some("00".into()),
        message: None,
        refunded_total: None,
    };
    assert_eq!(answer(Change::Cancel, 200, SAMPLE), Verdict::Approved(expected.clone()));
    let with_mark = format!("\u{feff}{SAMPLE}\n");
    assert_eq!(answer(Change::Cancel, 200, &with_mark), Verdict::Approved(expected));
    assert!(unclear(refund("1"), SAMPLE).contains("type"));
}

#[test]
fn amounts_are_exact_as_numbers_and_as_texts() {
    for total in ["\"209000.01\"", "209000.01", "\"209000.010\"", "209000.0100"] {
        let body = SAMPLE.replace("iptal", "İade").replace("null", total);
        let Verdict::Approved(provider) = answer(refund("209000.01"), 200, &body) else {
            panic!("{body}")
        };
        assert_eq!(provider.refunded_total, Some(money("209000.01")), "{total}");
    }
    for total in ["209000.009999", "1e6", "\"1.234,56\"", "\"₺5\"", "[]", "12345678901234567890"]
    {
        let body = SAMPLE.replace("iptal", "iade").replace("null", total);
        assert!(unclear(refund("5"), &body).contains("iade_tutar"), "{total}");
    }
    let body = SAMPLE.replace("iptal", "iade").replace("null", "\"4.99\"");
    // Too little is no doubt about what was approved: the result leaves it out and says so.
    for amount in ["5", "4.99"] {
        assert!(matches!(answer(refund(amount), 200, &body), Verdict::Approved(_)), "{amount}");
    }
}

#[test]
fn a_detail_counts_by_its_text_alone() {
    let with = |body: &str, word: &str, detail: &str| {
        let from =
            format!("\"status_detail\":{}\"{word}\"", if word == "approved" { " " } else { "" });
        assert!(body.contains(&from), "{from}");
        body.replace(&from, &format!("\"status_detail\":{detail}"))
    };
    for detail in [
        "{}",
        "[]",
        "null",
        "7",
        "[\"declined\",\"approved\"]",
        r#"{"title":"Onay","status":"successful"}"#,
        r#"{"status":{"status":"declined"}}"#,
        r#"{"status":["approved"]}"#,
    ] {
        let body = with(SAMPLE, "approved", detail);
        assert!(matches!(answer(Change::Cancel, 200, &body), Verdict::Approved(_)), "{detail}");
        let body = with(DECLINED, "declined", detail);
        assert!(matches!(answer(refund("5"), 200, &body), Verdict::Declined(_)), "{detail}");
    }
    let (yes, no) = (r#"{"status":"approved"}"#, r#" {"title":"Red","status":"Declined"}"#);
    let approved = |detail| answer(Change::Cancel, 200, &with(SAMPLE, "approved", detail));
    let declined = |detail| answer(refund("5"), 200, &with(DECLINED, "declined", detail));
    assert!(matches!(approved(yes), Verdict::Approved(_)));
    assert!(matches!(declined(no), Verdict::Declined(_)));
    let twice = r#"{"status":"approved","status":"declined"}"#;
    for verdict in [approved(no), declined(yes), approved(twice), declined(twice)] {
        assert!(matches!(verdict, Verdict::Unclear { .. }), "{verdict:?}");
    }
}

#[test]
fn a_refusal_is_one_only_where_nothing_says_otherwise() {
    let Verdict::Declined(provider) = answer(refund("5"), 200, DECLINED) else { panic!() };
    assert_eq!(provider.code.as_deref(), Some("13"));
    assert_eq!(provider.message.as_deref(), Some("Tutar uygun değil"));
    let error = DECLINED.replace("\"Declined\"", "\"Error\"");
    assert_eq!(unclear(refund("5"), &error), "response is Error, which is no refusal (code 13)");
    for code in ["68", "91", "96"] {
        let body = DECLINED.replace("\"13\"", &format!("\" {code}\""));
        assert_ne!(body, DECLINED);
        let told = unclear(refund("5"), &body);
        assert!(told.ends_with(&format!("the bank's answer is not known (code {code})")), "{told}");
        // What stands in the code's place and is none may be anything.
        let card = error.replace("\"13\"", "\"5440 7812\"");
        assert_eq!(unclear(refund("5"), &card), "response is Error, which is no refusal");
    }
    let bare = r#"{"response":"Declined","status":"declined"}"#;
    assert!(matches!(answer(Change::Cancel, 200, bare), Verdict::Declined(_)));
}

#[test]
fn every_contradiction_is_unclear() {
    for (from, to) in [
        ("\"Approved\"", "\"Declined\""),
        ("\"Approved\"", "\"Error\""),
        ("\"Approved\"", "\"Pending\""),
        ("\"Approved\"", "null"),
        ("\"Approved\"", "true"),
        ("\"Approved\"", "{}"),
        ("\"status\": \"approved\"", "\"status\": \"declined\""),
        ("\"status\": \"approved\"", "\"status\": \"error\""),
        ("\"status\": \"approved\"", "\"status\": \"\""),
        ("\"status\": \"approved\"", "\"status\": \"başarılı\""),
        ("\"status\": \"approved\"", "\"x\": \"approved\""),
        ("\"status_detail\": \"approved\"", "\"status_detail\": \"declined\""),
        ("\"proc_return_code\": \"00\"", "\"proc_return_code\": \"51\""),
        ("\"proc_return_code\": \"00\"", "\"proc_return_code\": 0"),
        ("\"error_code\": \"00\"", "\"error_code\": \"99\""),
        ("\"iptal\"", "\"iade\""),
        ("\"iptal\"", "\"islem\""),
        ("\"iptal\"", "null"),
        ("\"islem_id\": 513", "\"success\": false"),
    ] {
        let body = SAMPLE.replacen(from, to, 1);
        assert_ne!(body, SAMPLE, "{from}");
        unclear(Change::Cancel, &body);
    }
    for (from, to) in [
        ("\"Declined\"", "\"Approved\""),
        ("\"status\":\"declined\"", "\"status\":\"approved\""),
        ("\"status\":\"declined\"", "\"status\":\"error\""),
        ("\"status_detail\":\"declined\"", "\"status_detail\":\"approved\""),
        ("\"proc_return_code\":\"13\"", "\"proc_return_code\":\"00\""),
        ("\"error_code\":\"13\"", "\"error_code\":\"00\""),
        ("\"iade\"", "\"iptal\""),
        ("\"islem_id\":514", "\"success\":true"),
    ] {
        let body = DECLINED.replacen(from, to, 1);
        assert_ne!(body, DECLINED, "{from}");
        unclear(refund("5"), &body);
    }
}

#[test]
fn codes_that_are_absent_contradict_nothing() {
    for code in ["null", "\"\"", "\" \""] {
        let body = SAMPLE.replace("\"00\"", code);
        assert!(matches!(answer(Change::Cancel, 200, &body), Verdict::Approved(_)), "{code}");
    }
}

#[test]
fn what_is_no_answer_is_unclear() {
    for (body, says) in [
        ("", "empty"),
        (" \u{feff}", "JSON"),
        ("<!DOCTYPE html><html>4111</html>", "HTML"),
        ("\u{feff}<html>", "HTML"),
        ("Too Many Attempts.", "JSON"),
        ("null", "JSON"),
        ("[]", "JSON"),
        ("{}", "missing"),
        (r#"{"success":true,"data":{"response":"Approved","status":"approved"}}"#, "missing"),
    ] {
        let detail = unclear(Change::Cancel, body);
        assert!(detail.contains(says), "{body}: {detail}");
    }
    for end in 0..SAMPLE.len() {
        unclear(Change::Cancel, SAMPLE.get(..end).unwrap());
    }
    unclear(Change::Cancel, &format!("{SAMPLE}{SAMPLE}"));
    for status in [100, 199, 302, 307, 401, 422, 429, 500, 504] {
        let Verdict::Unclear { detail } = answer(Change::Cancel, status, SAMPLE) else {
            panic!("{status}")
        };
        assert_eq!(detail, format!("HTTP status {status}"));
    }
}

#[test]
fn a_key_that_stands_twice_decides_nothing() {
    for key in ["status", "response", "proc_return_code", "st\\u0061tus", "nobody_knows"] {
        let once = SAMPLE.replacen('{', &format!("{{\"{key}\":\"approved\","), 1);
        let twice = once.replacen('{', &format!("{{\"{key}\":\"approved\","), 1);
        assert_eq!(unclear(Change::Cancel, &twice), "a key stands twice", "{key}");
    }
}

#[test]
fn no_card_and_no_markup_passes_on() {
    let card = luhn_valid("400012341234123");
    let message = format!("kart {card} reddedildi");
    let body = DECLINED.replace("Tutar uygun değil", &message).replace("730658", &card);
    let Verdict::Declined(provider) = answer(refund("5"), 200, &body) else { panic!() };
    let text = serde_json::to_string(&provider).unwrap();
    assert!(!text.contains(&card) && text.contains("400012******"), "{text}");
    let body = DECLINED.replace("Tutar uygun değil", "<form><input name=cvv value=123>");
    let Verdict::Declined(provider) = answer(refund("5"), 200, &body) else { panic!() };
    assert_eq!(provider.message, None);
    let body = DECLINED.replace("Tutar uygun değil", &"ş\\n".repeat(1000));
    let Verdict::Declined(provider) = answer(refund("5"), 200, &body) else { panic!() };
    assert_eq!(provider.message.unwrap().chars().count(), TEXT_CHARS_MAX);
    // What cannot be read is not quoted either.
    let bad = body.replace("\"iade\"", &format!("\"{card}\""));
    assert!(!unclear(refund("5"), &bad).contains("4000"));
}

const FOUND: &str =
    r#"{"referanceNo":"VP1","amount":"2.55","paidAmount":"2.58","status":"Başarılı"}"#;

#[test]
fn find_tells_status_and_amount_in_any_spelling() {
    for (word, status) in [
        ("Başarılı", VirtualPosStatus::Successful),
        ("BAŞARILI", VirtualPosStatus::Successful),
        ("Basarısız ", VirtualPosStatus::Failed),
        ("İptal", VirtualPosStatus::Cancelled),
        ("i\u{307}ptal", VirtualPosStatus::Cancelled),
        ("iade", VirtualPosStatus::Refunded),
        ("İADE", VirtualPosStatus::Refunded),
    ] {
        let state = found_state(&FOUND.replace("Başarılı", word), "VP1").unwrap();
        assert_eq!((state.status, state.amount), (status, Some(money("2.55"))), "{word}");
        assert_eq!((state.refunded, state.currency), (None, None));
        assert!(state.refunded_unknown, "it tells no sum");
    }
    for (json, says) in [
        (FOUND.replace("Başarılı", "Bekliyor"), "status"),
        (FOUND.replace("\"Başarılı\"", "null"), "status"),
        (FOUND.replace("2.55", "2,55"), "amount"),
        (FOUND.replace("VP1", "VP2"), "referanceNo"),
        (FOUND.replace("{\"ref", "{\"status\":\"İade\",\"ref"), "twice"),
        ("[]".to_owned(), "JSON"),
    ] {
        let error = found_state(&json, "VP1").unwrap_err().to_string();
        assert!(error.contains(says), "{json}: {error}");
        assert!(!error.contains("Bekliyor") && !error.contains("VP2"), "{error}");
    }
}

const LISTED: &str = r#"{"id":1,"referans_kodu":"VP1","tutar":"100.00","para_birimi":"TL","durum":1,"tur":"islem","iade_tutar":"12.50","status_detail":{"title":"Başarılı","status":"successful"}}"#;

#[test]
fn the_list_tells_what_was_given_back_and_in_which_currency() {
    let state = listed_state(LISTED).unwrap();
    let expected = PaymentState {
        status: VirtualPosStatus::Successful,
        amount: Some(money("100")),
        refunded: Some(money("12.5")),
        refunded_unknown: false,
        currency: Some("TRY".into()),
    };
    assert_eq!(state, expected);
    let number = LISTED.replace("\"12.50\"", "12.5");
    assert_eq!(listed_state(&number).unwrap(), expected);
    let none = LISTED.replace("\"12.50\"", "null");
    assert_eq!(listed_state(&none).unwrap(), PaymentState { refunded: None, ..expected.clone() });
    for bad in ["\"12,50\"", "\"-12.50\"", "{}", "\"on\""] {
        let untold = listed_state(&LISTED.replace("\"12.50\"", bad)).unwrap();
        let unknown = PaymentState { refunded: None, refunded_unknown: true, ..expected.clone() };
        assert_eq!(untold, unknown, "{bad}");
    }
    for (from, to) in [
        ("\"TL\"", "\"Türk Lirası\""),
        ("successful", "waiting"),
        ("\"id\":1", "\"iade_tutar\":\"1.00\""),
    ] {
        assert!(listed_state(&LISTED.replace(from, to)).is_err(), "{to}");
    }
}

#[test]
fn only_payments_are_found_by_their_reference() {
    assert_eq!(reference_of(LISTED).as_deref(), Some("VP1"));
    assert_eq!(reference_of(&LISTED.replace("VP1", "A\\/\\u015f")).as_deref(), Some("A/ş"));
    for (from, to) in [("islem", "iade"), ("islem", "İptal"), ("\"VP1\"", "null"), ("{", "[")] {
        assert_eq!(reference_of(&LISTED.replacen(from, to, 1)), None, "{to}");
    }
    assert!(reference_of(&LISTED.replace("islem", "yeni")).is_some(), "nobody knows what it is");
}

#[test]
fn find_and_the_list_must_agree() {
    let listed = listed_state(LISTED).unwrap();
    let found = found_state(&FOUND.replace("2.55", "100"), "VP1").unwrap();
    assert_eq!(join(found.clone(), listed.clone()), Ok(listed.clone()));
    let other = PaymentState { amount: Some(money("99.99")), ..found.clone() };
    assert!(join(other, listed.clone()).unwrap_err().to_string().contains("amount"));
    let other = PaymentState { status: VirtualPosStatus::Refunded, ..found };
    assert!(join(other, listed).unwrap_err().to_string().contains("status"));
}
