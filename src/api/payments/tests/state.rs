//! How a payment stands, from what a scripted API tells.

use super::*;

pub(super) fn found(status: &str, amount: &str) -> String {
    format!(
        r#"{{"success":true,"data":{{"referanceNo":"R1","amount":"{amount}","status":"{status}"}}}}"#
    )
}

pub(super) fn listed(reference: &str, status: &str, refunded: &str) -> String {
    format!(
        r#"{{"success":true,"data":[{{"referans_kodu":"{reference}","tutar":"100.00","para_birimi":"TL","iade_tutar":{refunded},"tur":"islem","status_detail":{{"status":"{status}"}}}}]}}"#
    )
}

#[tokio::test]
async fn a_state_is_find_and_the_list_of_the_status_that_it_tells() {
    let fake = Fake::with_token(|path, _| match path {
        "/transaction/find" => json(200, &found("İade", "100.00")),
        _ => json(200, &listed("R1", "refund", "\"100.00\"")),
    })
    .await;
    let state = fake.client().payment_state(Purpose::Payment, "R1").await.unwrap().unwrap();
    assert_eq!(state.status, VirtualPosStatus::Refunded);
    assert_eq!(state.refunded, Money::parse("100").ok());
    assert_eq!(state.currency.as_deref(), Some("TRY"));
    assert_eq!(fake.last().line, "GET /transactions-list?status=refund");
}

#[tokio::test]
async fn a_payment_that_changes_between_the_two_calls_is_looked_at_again() {
    let fake = Fake::with_token(|path, nth| match (path, nth) {
        ("/transaction/find", 0) => json(200, &found("Başarılı", "100.00")),
        ("/transaction/find", _) => json(200, &found("İade", "100.00")),
        (_, 0) => json(200, r#"{"success":true,"data":[]}"#),
        _ => json(200, &listed("R1", "refund", "\"100.00\"")),
    })
    .await;
    let state = fake.client().payment_state(Purpose::Payment, "R1").await.unwrap().unwrap();
    assert_eq!(state.status, VirtualPosStatus::Refunded);
    assert_eq!(fake.count("/transaction/find"), 2);
}

#[tokio::test]
async fn a_sum_that_no_list_tells_is_not_known_and_not_none() {
    const NONE: &str = r#"{"success":true,"data":[]}"#;
    use VirtualPosStatus::{Cancelled, Failed, Refunded, Successful};
    for (word, list, status, looks) in [
        ("Başarılı", NONE.to_owned(), Successful, 3),
        ("Başarılı", listed("R2", "successful", "null"), Successful, 3),
        ("Başarılı", listed("R1", "successful", "\"1,5\""), Successful, 1),
        ("İade", NONE.to_owned(), Refunded, 3),
        ("İptal", NONE.to_owned(), Cancelled, 3),
        ("Başarısız", NONE.to_owned(), Failed, 3),
    ] {
        let fake = Fake::with_token(move |path, _| match path {
            "/transaction/find" => json(200, &found(word, "100.00")),
            _ => json(200, &list),
        })
        .await;
        let client = fake.client();
        let look = async |wanted| client.look(Purpose::Payment, wanted, "R1").await;
        let state = look(Wanted::Sum).await.unwrap().state.unwrap();
        let told = (state.status, state.refunded, state.refunded_unknown);
        assert_eq!(told, (status, None, true), "{word}");
        assert_eq!(fake.count("/transaction/find"), looks, "{word}");
        assert!(look(Wanted::KnownSum).await.is_err(), "{word}");
    }
}

#[tokio::test]
async fn a_list_that_fails_is_waited_for_unless_nothing_of_it_is_wanted() {
    for (status, body) in [(500, "{}"), (200, r#"{"success":true,"data":[{"#), (200, "{}")] {
        let fake = Fake::with_token(move |path, _| match path {
            "/transaction/find" => json(200, &found("Başarılı", "100.00")),
            _ => json(status, body),
        })
        .await;
        let client = fake.client();
        assert!(client.look(Purpose::Doubt, Wanted::Sum, "R1").await.is_err(), "{status} {body}");
        let lists = fake.count("/transactions-list");
        let looked = client.look(Purpose::Doubt, Wanted::Status, "R1").await.unwrap();
        assert_eq!(looked.state.unwrap().status, VirtualPosStatus::Successful);
        assert_eq!(fake.count("/transactions-list"), lists, "none was asked for");
    }
}

#[tokio::test]
async fn half_a_state_is_an_error_and_an_unknown_payment_is_none() {
    for (find, list) in [
        (found("Başarılı", "99.00"), listed("R1", "successful", "null")),
        (found("Bekliyor", "100.00"), listed("R1", "successful", "null")),
        (found("Başarılı", "100.00").replace("R1", "R7"), listed("R1", "successful", "null")),
    ] {
        let fake = Fake::with_token(move |path, _| match path {
            "/transaction/find" => json(200, &find),
            _ => json(200, &list),
        })
        .await;
        let error = fake.client().payment_state(Purpose::Payment, "R1").await.unwrap_err();
        assert_eq!(error.retry_class(), RetryClass::Permanent, "{error}");
        assert!(fake.count("/transaction/find") <= 3);
    }
    for (status, none) in [
        (404, r#"{"success":false}"#),
        (404, r#"{"success":false,"message":"İşlem bulunamadı"}"#),
        (404, r#"{"message":"Transaction not found."}"#),
        (200, r#"{"success":true,"data":[]}"#),
        (200, r#"{"success":true,"data":null}"#),
        (200, r#"{"success":false,"message":"İşlem bulunamadı"}"#),
        (200, r#"{"success":"false","message":"TRANSACTION NOT FOUND"}"#),
        (422, r#"{"message":"The payment was not found."}"#),
        (400, r#"{"success":false,"message":"Bu referans ile kayıt bulunamadı."}"#),
        (400, r#"{"success":false,"message":"Kayıt bulunamadı"}"#),
        (400, r#"{"success":false,"message":"VP1 referans numarasına ait kayıt bulunamadı"}"#),
        (400, r#"{"success":false,"message":"VP1 için herhangi bir kayıt bulunamadı"}"#),
        (400, r#"{"success":false,"message":"Aradığınız kriterlere uygun kayıt bulunamadı"}"#),
        (400, r#"{"success":false,"message":"Sistemde kayıt bulunamadı."}"#),
        (400, r#"{"success":false,"message":"Gönderilen bilgilerle eşleşen kayıt bulunamadı"}"#),
        (400, r#"{"success":false,"message":"İşlem kaydı bulunamadı"}"#),
        (400, r#"{"success":false,"message":"Bu ödemeye ait kayit bulunamadi"}"#),
        (404, r#"{"message":"No query results for model [App\\Models\\Islem] VP1"}"#),
        (404, r#"{"message":"No query results for model [App\\Models\\PosTransaction]."}"#),
        (404, r#"{"message":"No query results for model [App\\İşlem] VP1"}"#),
        (404, r#"{"success":false,"message":"Not found."}"#),
        (404, r#"{"success":false,"message":"Ödeme işlemi bulunamadı"}"#),
        (404, r#"{"success":false}"#),
        (200, r#"{"success":false,"data":null}"#),
        (200, r#"{"success":false,"data":null,"message":""}"#),
        (200, r#"{"success":false,"message":"Referans numarası bulunamadı"}"#),
        (200, r#"{"success":false,"message":"bulunamadı"}"#),
        (200, r#"{"success":false,"message":"GEÇERSİZ REFERANS"}"#),
        (200, r#"{"success":false,"message":"Referans no geçersiz."}"#),
        (
            422,
            r#"{"message":"The given data was invalid.","errors":{"referanceNo":["The selected referance no is invalid."]}}"#,
        ),
        (422, r#"{"errors":{"referenceNo":["seçilen referans geçersiz"]}}"#),
    ] {
        let fake = Fake::with_token(move |_, _| json(status, none)).await;
        assert_eq!(fake.client().payment_state(Purpose::Payment, "R1").await, Ok(None), "{none}");
    }
}

#[tokio::test]
async fn a_no_that_is_not_about_the_payment_is_an_error() {
    for foreign in [
        "<html><title>404 Not Found</title><body>Transaction not found</body></html>",
        "",
        "{}",
        "[]",
        "404 page not found",
        r#"{"success":true}"#,
        r#"{"message":"no Route matched with those values"}"#,
        r#"{"status":404,"error":"Not Found","path":"/transaction/find"}"#,
        r#"{"success":false,"message":"Firma bulunamadı"}"#,
        r#"{"message":"The route api/vpos/v3/transaction/find could not be found."}"#,
        r#"{"message":"Route not found"}"#,
        r#"{"message":"Not Found"}"#,
        r#"{"message":"Bulunamadı"}"#,
        r#"{"message":"No query results for model [App\\Models\\Bayi] 3"}"#,
        r#"{"message":"No query results for model [App\\Payment\\Gateway]."}"#,
        r#"{"message":"No query results for model"}"#,
    ] {
        let fake = Fake::with_token(move |_, _| json(404, foreign)).await;
        let error = fake.client().payment_state(Purpose::Payment, "R1").await.unwrap_err();
        assert!(matches!(error, Error::NotFound { is_told: false, .. }), "{foreign}: {error}");
    }
    for refused in [
        r#"{"success":false,"message":"Firma bulunamadı"}"#,
        r#"{"success":false,"message":"Bu işlem için yetkiniz bulunmamaktadır"}"#,
        r#"{"success":false,"message":"Ödeme kuruluşu bulunamadı"}"#,
        r#"{"success":false,"message":"Kayıtlı sanal POS bulunamadı"}"#,
        r#"{"success":false,"message":"payment gateway not found"}"#,
        r#"{"success":false,"message":"Müşteri kaydı bulunamadı"}"#,
        r#"{"success":false,"message":"Üye işyeri kaydı bulunamadı"}"#,
        r#"{"success":false,"message":"Bu müşteri için kayıt bulunamadı"}"#,
        r#"{"success":false,"message":"Sistemde üye kaydı bulunamadı"}"#,
        r#"{"success":false,"message":"İşlem yapan üyeye ait kayit bulunamadi"}"#,
        r#"{"success":false,"message":"No query results for model [App\\Models\\Bayi] 3"}"#,
        r#"{"data":null,"message":"busy"}"#,
        r#"{"success":false,"message":"İşlem şu an yapılamıyor"}"#,
        r#"{"success":false,"data":null,"code":"busy"}"#,
        r#"{"success":false,"data":null,"error":{"text":"busy"}}"#,
        r#"{"success":false}"#,
        r#"{"success":true}"#,
    ] {
        let fake = Fake::with_token(move |_, _| json(200, refused)).await;
        assert!(fake.client().payment_state(Purpose::Payment, "R1").await.is_err(), "{refused}");
    }
    for (status, refused) in [
        (422, r#"{"errors":{"referanceNo":["The referance no field is required."]}}"#),
        (422, r#"{"errors":{"posId":["The selected pos id is invalid."]}}"#),
        (500, r#"{"success":false,"message":"İşlem bulunamadı"}"#),
        (503, r#"{"message":"No query results for model [X]"}"#),
        (200, "<html>İşlem bulunamadı</html>"),
    ] {
        let fake = Fake::with_token(move |_, _| json(status, refused)).await;
        assert!(fake.client().payment_state(Purpose::Payment, "R1").await.is_err(), "{refused}");
    }
    let fake = Fake::with_token(|_, _| json(503, "{}")).await;
    let error = fake.client().payment_state(Purpose::Payment, "R1").await.unwrap_err();
    assert_eq!(error.retry_class(), RetryClass::Retry { after: None }, "{error}");
}

#[tokio::test]
async fn many_states_share_few_lists() {
    let lists = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lists);
    let fake = Fake::with_token(move |path, _| match path {
        "/transaction/find" => json(200, &found("Başarılı", "100.00")),
        _ => {
            counted.fetch_add(1, Ordering::SeqCst);
            json(200, &listed("R1", "successful", "null"))
        }
    })
    .await;
    let client = fake.client();
    let states = join_all((0..64).map(|_| client.payment_state(Purpose::Payment, "R1"))).await;
    assert!(states.iter().all(|state| matches!(state, Ok(Some(_)))));
    // Eight calls at a time: those that find together list together.
    let lists = lists.load(Ordering::SeqCst);
    assert!((1..=32).contains(&lists), "{lists}");
}
