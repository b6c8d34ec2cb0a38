//! The client against a real HTTP server on loopback.

mod bodies;
mod counted;
pub(in crate::api) mod fake;
mod lifted;
mod refused;

use std::sync::atomic::AtomicUsize;

use axum::{
    body::{Body, Bytes},
    http::header,
};
use futures_util::{future::join_all, stream};

use self::fake::{Fake, connection, json, reply};
use super::*;
use crate::api::error::RetryClass;

const ONE_ROW: &str = r#"{"status":"success","transactions":[{"id":1}]}"#;
pub(in crate::api) const TOKEN: &str = r#"{"status":"success","token":"tok.canary.one"}"#;
const WINDOW: BankQuery = BankQuery {
    window: Some((Day(19_000), Day(19_006))),
    hours: Hours::ALL,
    last_id: None,
    date_type: DateType::SystemDate,
};

async fn poll(client: &Client) -> Result<Rows, Error> {
    client.account_transactions(Purpose::Live, 7, &WINDOW).await
}

/// Lets time pass that nothing waits for but timers.
async fn skip(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_bank_window_is_asked_for_as_documented() {
    let fake = Fake::with_token(|_, _| json(200, ONE_ROW)).await;
    let rows = poll(&fake.client()).await.unwrap();
    assert_eq!(rows.iter().collect::<Vec<_>>(), [r#"{"id":1}"#]);
    let seen = fake.last();
    assert_eq!(
        seen.line,
        "GET /accounts/7/transactions?beginDate=08-01-2022+00%3A00%3A00\
         &endDate=14-01-2022+23%3A59%3A59&dateType=system_date"
    );
    assert_eq!(seen.headers["accept"], "application/json");
    assert_eq!(seen.headers["authorization"], "Bearer tok.canary.one");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(seen.headers["user-agent"], format!("vomsis-connect/{version}"));
    assert!(seen.headers["accept-encoding"].contains("gzip"));
    assert!(seen.headers["accept-encoding"].contains("br"));
    let token = fake.seen.lock().unwrap()[0].clone();
    assert_eq!(token.body, r#"{"app_key":"canary-key","app_secret":"canary-secret"}"#);
}

#[tokio::test]
async fn the_other_calls_are_asked_for_as_documented() {
    let fake = Fake::with_token(|path, _| match path {
        "/transaction/find" => json(200, r#"{"success":true,"data":{"referanceNo":"R1"}}"#),
        "/installments" => json(200, r#"{"data":{"Axess":{"1":{"pos_id":1}}}}"#),
        "/tos/query" => json(
            200,
            r#"{"Header":{"StatusCode":"APIGW000000","ObjectID":"o"},"Data":{"Result":""}}"#,
        ),
        "/banks/5/accounts" => json(200, r#"{"status":"success","banks":[{"id":7}]}"#),
        "/accounts/7" => json(200, r#"{"status":"success","account":[{"id":7}]}"#),
        "/accounts/8" => json(200, r#"{"status":"success","account":[]}"#),
        "/customers/3" => json(200, r#"{"id":3,"status":0}"#),
        "/customers/4" => json(404, r#"{"success":false,"message":"not found"}"#),
        _ => json(200, r#"{"success":"true","data":[]}"#),
    })
    .await;
    let client = fake.client();
    let (live, day) = (Purpose::Live, Day(19_000));
    client.station_transactions(live, 9, (day, day), Some(5)).await.unwrap();
    let dates = "beginDate=08-01-2022&endDate=08-01-2022&lastId=5";
    assert_eq!(fake.last().line, format!("GET /pos-rapor/stations/9/transactions?{dates}"));
    client.virtual_pos_transactions(live, ListStatus::Refund).await.unwrap();
    assert_eq!(fake.last().line, "GET /transactions-list?status=refund");
    assert_eq!(
        client.find_payment(Purpose::Payment, "R1").await.unwrap(),
        r#"{"referanceNo":"R1"}"#
    );
    assert_eq!(fake.last().line, "GET /transaction/find?referanceNo=R1");
    let options = client.reference(live, Stream::Installments).await.unwrap();
    assert_eq!(options.iter().collect::<Vec<_>>(), [r#"{"family":"Axess","pos_id":1}"#]);
    let terminals = client.reference(live, Stream::Terminals).await.unwrap();
    assert!(terminals.is_empty());
    assert!(client.reference(live, Stream::TosPayments).await.is_err());
    let texts = |rows: Rows| rows.iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(texts(client.bank_accounts(live, 5).await.unwrap()), [r#"{"id":7}"#]);
    assert_eq!(fake.last().line, "GET /banks/5/accounts");
    assert_eq!(texts(client.account(live, 7).await.unwrap()), [r#"{"id":7}"#]);
    assert_eq!(texts(client.customer(live, 3).await.unwrap()), [r#"{"id":3,"status":0}"#]);
    assert_eq!(fake.last().line, "GET /customers/3");
    for error in [client.account(live, 8).await, client.customer(live, 4).await] {
        assert!(matches!(error, Err(Error::NotFound { .. })), "{error:?}");
    }
    let payments = client.tos_payments(live, "0006624", None, day).await.unwrap();
    assert_eq!(payments.gateway_object_id.as_deref(), Some("o"));
    assert_eq!(
        fake.last().body,
        r#"{"InstitutionCode":"0006624","InstitutionPackageNo":"","SenderAccountNo":"","InstitutionTransactionNo":"","TransactionQueryNo":"","PaymentDate":"2022-01-08T00:00:00","TransactionType":0,"ReceivertAccountIbanNo":"","ReturnDate":""}"#
    );
    let forms: Vec<String> =
        fake.seen.lock().unwrap().iter().map(|seen| seen.body.clone()).collect();
    assert!(
        forms.contains(
            &"client_id=canary-key&client_secret=canary-secret&grant_type=b2b_credentials\
          &scope=payment&consentId=R-1&resource=sandbox"
                .to_owned()
        )
    );
}

#[tokio::test]
async fn a_refusal_for_ever_costs_one_new_token_and_is_then_remembered() {
    let fake = Fake::with_token(|_, _| json(401, r#"{"message":"Unauthenticated."}"#)).await;
    let client = fake.client();
    let error = poll(&client).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert_eq!(error.retry_class(), RetryClass::Refused);
    assert_eq!(poll(&client).await.unwrap_err(), error);
    assert_eq!((fake.count("/authenticate"), fake.count("/accounts/7/transactions")), (2, 2));
    skip(Duration::from_secs(11 * 60)).await;
    poll(&client).await.unwrap_err();
    assert_eq!((fake.count("/authenticate"), fake.count("/accounts/7/transactions")), (4, 4));
}

#[tokio::test]
async fn a_token_that_ends_mid_window_is_replaced_once() {
    let fake = Fake::with_token(|_, nth| match nth {
        1 => json(401, "{}"),
        _ => json(200, ONE_ROW),
    })
    .await;
    let client = fake.client();
    for _ in 0..3 {
        assert_eq!(poll(&client).await.unwrap().len(), 1);
    }
    assert_eq!((fake.count("/authenticate"), fake.count("/accounts/7/transactions")), (2, 4));
    assert_eq!(fake.retries("account_transactions", "unauthorized"), 1);
}

#[tokio::test]
async fn many_calls_share_one_token_request() {
    let fake = Fake::with_token(|_, _| json(200, ONE_ROW)).await;
    let client = fake.client();
    let polls = join_all((0..20).map(|_| poll(&client))).await;
    assert!(polls.iter().all(Result::is_ok));
    assert_eq!((fake.count("/authenticate"), fake.count("/accounts/7/transactions")), (1, 20));
}

#[tokio::test]
async fn waiting_calls_share_the_failure_of_a_token_request() {
    let fake = Fake::start(|_, _| json(500, "{}")).await;
    let client = fake.client();
    let polls = join_all((0..20).map(|_| poll(&client))).await;
    assert!(polls.iter().all(Result::is_err));
    assert!(fake.count("/authenticate") <= 8, "{}", fake.count("/authenticate"));
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_the_token_behind() {
    let fake = Fake::with_token(|_, _| json(200, ONE_ROW)).await;
    let client = fake.client();
    {
        let mut first = std::pin::pin!(poll(&client));
        // Far enough for the renewal to be under way, then dropped.
        while fake.count("/authenticate") == 0 {
            tokio::select! { biased; _ = &mut first => break, () = tokio::task::yield_now() => {} }
        }
    }
    assert!(poll(&client).await.is_ok());
    assert_eq!(fake.count("/authenticate"), 1);
}

#[tokio::test]
async fn tos_stops_after_two_refused_tokens_until_the_secret_changes() {
    let good = Arc::new(AtomicUsize::new(0));
    let switch = Arc::clone(&good);
    let fake = Fake::start(move |path, _| match path {
        "/oauth" if switch.load(std::sync::atomic::Ordering::SeqCst) == 0 => {
            json(401, r#"{"error":"invalid_client","error_description":"canary-secret 12345678"}"#)
        }
        "/oauth" => json(200, r#"{"access_token":"t","expires_in":3600}"#),
        _ => json(200, r#"{"Header":{"StatusCode":"APIGW000000"},"Data":{"Result":[]}}"#),
    })
    .await;
    let client = fake.client();
    let ask = || client.tos_payments(Purpose::Live, "0006624", None, Day(19_000));
    let first = ask().await.unwrap_err();
    assert!(matches!(first, Error::TokenRefused { .. }), "{first}");
    assert_eq!(ask().await.unwrap_err(), first);
    assert_eq!(fake.count("/oauth"), 1);
    skip(Duration::from_secs(11 * 60)).await;
    let second = ask().await.unwrap_err();
    assert_eq!(second.retry_class(), RetryClass::LockedOut);
    assert_eq!(fake.count("/oauth"), 2);
    skip(Duration::from_secs(24 * 3600)).await;
    assert_eq!(ask().await.unwrap_err(), second);
    assert_eq!(fake.count("/oauth"), 2);
    assert!(!second.to_string().contains("resume"), "no command does that: {second}");
    good.store(1, std::sync::atomic::Ordering::SeqCst);
    fake.write_secret("another");
    skip(Duration::from_secs(4)).await;
    assert!(ask().await.unwrap().is_empty());
    assert_eq!(fake.count("/oauth"), 3);
}

#[tokio::test]
async fn a_changed_secret_ends_the_wait_even_if_it_changed_before() {
    let fake = Fake::start(|_, _| json(200, r#"{"status":"error","message":"wrong"}"#)).await;
    let client = fake.client();
    assert!(matches!(poll(&client).await.unwrap_err(), Error::TokenRefused { .. }));
    {
        let mut unchanged = std::pin::pin!(client.wait_for_change());
        let early = tokio::time::timeout(Duration::from_millis(50), &mut unchanged).await;
        assert!(early.is_err());
    }
    fake.write_secret("another");
    skip(Duration::from_secs(4)).await;
    client.wait_for_change().await;
    assert!(matches!(poll(&client).await.unwrap_err(), Error::TokenRefused { .. }));
    assert_eq!(fake.count("/authenticate"), 2);
}

#[tokio::test]
async fn a_missing_secret_file_is_named_and_nothing_is_sent() {
    let fake = Fake::with_token(|_, _| json(200, ONE_ROW)).await;
    std::fs::remove_file(fake.dir.path().join("secret")).unwrap();
    let client = fake.client();
    let error = poll(&client).await.unwrap_err();
    assert_eq!(error.retry_class(), RetryClass::Refused);
    let file = fake.dir.path().join("secret");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    assert!(fake.seen.lock().unwrap().is_empty());
    let read_at = || {
        let none: [&str; 0] = [];
        fake.metrics.config_reload_success_timestamp.with_label_values(&none).get()
    };
    assert!(read_at() < 1.0);
    fake.write_secret("here");
    skip(Duration::from_secs(4)).await;
    assert!(poll(&client).await.is_ok());
    assert!(read_at() > 1.0, "a secret was read again");
}

#[tokio::test]
async fn a_429_in_plain_text_is_waited_for() {
    let fake = Fake::with_token(|_, nth| match nth {
        0 => reply(429, "text/plain", "Too Many Attempts."),
        _ => json(200, ONE_ROW),
    })
    .await;
    let client = fake.client();
    let mut call = std::pin::pin!(poll(&client));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut call).await;
    assert!(early.is_err());
    skip(Duration::from_secs(58)).await;
    let early = tokio::time::timeout(Duration::from_millis(300), &mut call).await;
    assert!(early.is_err(), "without a word of the API it is a minute");
    assert_eq!(fake.count("/accounts/7/transactions"), 1);
    skip(Duration::from_secs(9)).await;
    assert_eq!(call.await.unwrap().len(), 1);
    assert_eq!(fake.retries("account_transactions", "rate_limited"), 1);
}

#[tokio::test]
async fn a_long_rest_is_reported_instead_of_waited_for() {
    let fake = Fake::with_token(|_, _| {
        let mut response = reply(429, "text/plain", "Too Many Attempts.");
        response.headers_mut().insert("retry-after", header::HeaderValue::from_static("900"));
        response
    })
    .await;
    let error = poll(&fake.client()).await.unwrap_err();
    let RetryClass::Retry { after: Some(after) } = error.retry_class() else { panic!("{error}") };
    assert!(after > Duration::from_secs(890), "{after:?}");
    assert_eq!(fake.count("/accounts/7/transactions"), 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let fake = Fake::with_token(|_, _| {
        let mut response = reply(302, "text/html", "<html>");
        let target = header::HeaderValue::from_static("/login?session=canary");
        response.headers_mut().insert(header::LOCATION, target);
        response
    })
    .await;
    let error = poll(&fake.client()).await.unwrap_err();
    assert!(matches!(&error, Error::Redirected { location, .. } if location == "/login"));
    assert_eq!((fake.count("/login"), fake.count("/accounts/7/transactions")), (0, 1));
}

#[tokio::test]
async fn last_id_alone_may_be_refused() {
    let fake = Fake::with_token(|_, _| {
        json(422, r#"{"message":"The given data was invalid.","errors":{"beginDate":["x"]}}"#)
    })
    .await;
    let query = BankQuery { window: None, last_id: Some(5), ..WINDOW };
    let call = fake.client();
    let error = call.connection_transactions(Purpose::Live, &query).await.unwrap_err();
    assert_eq!(error.retry_class(), RetryClass::DatesRequired);
    assert_eq!(fake.last().line, "GET /transactions?lastId=5&dateType=system_date");
}

#[tokio::test]
async fn a_refused_address_is_shown_and_stops_the_api() {
    let fake = Fake::with_token(|_, _| {
        json(403, r#"{"message":"ip_not_found IP kayıtlı değil : 203.0.113.7"}"#)
    })
    .await;
    let client = fake.client();
    let error = poll(&client).await.unwrap_err();
    assert!(error.to_string().contains("203.0.113.7"), "{error}");
    assert_eq!(poll(&client).await.unwrap_err(), error);
    assert_eq!(fake.count("/accounts/7/transactions"), 1);
}

#[tokio::test]
async fn nothing_secret_or_personal_stands_in_an_error() {
    let says = "canary-key canary-secret tok.canary.one 10000000146 5440781234566021 \
                TR440020300003643647123401 a.canary@example.com";
    for status in [200_u16, 302, 400, 401, 403, 404, 422, 429, 500] {
        let body = format!(r#"{{"status":"error","message":"{says}","errors":{{"{says}":1}}}}"#);
        let page = format!("<html>{says}</html>");
        // Before the first token there is none that could be repeated.
        let for_token = body.replace("tok.canary.one", "");
        for token_too in [false, true] {
            let (body, page, for_token) = (body.clone(), page.clone(), for_token.clone());
            let fake = Fake::start(move |path, _| {
                let mut response = match path {
                    "/authenticate" if !token_too => json(200, TOKEN),
                    "/authenticate" => json(status, &for_token),
                    "/accounts/7/transactions" => json(status, &body),
                    _ => reply(status, "text/html", page.clone()),
                };
                let headers = response.headers_mut();
                headers.insert("retry-after", header::HeaderValue::from_static("900"));
                let location = header::HeaderValue::from_static("/login?t=tok.canary.one");
                headers.insert(header::LOCATION, location);
                response
            })
            .await;
            let client = fake.client();
            let errors = [
                poll(&client).await.unwrap_err(),
                client.connection_transactions(Purpose::Live, &WINDOW).await.unwrap_err(),
            ];
            for error in errors {
                let shown = format!("{error} {error:?}");
                let hits = ["canary-", "canary.", "100000001", "544078", "TR44", "643647"];
                assert!(hits.iter().all(|hit| !shown.contains(hit)), "{status}: {shown}");
                let inside = format!("{client:?} {:?}", client.caller);
                assert!(["canary-", "canary."].iter().all(|hit| !inside.contains(hit)), "{status}");
            }
        }
    }
}

#[tokio::test]
async fn an_unreachable_server_is_told_without_the_query() {
    let fake = Fake::with_token(|_, _| json(200, ONE_ROW)).await;
    let connection = Arc::new(connection("http://127.0.0.1:1", fake.dir.path()));
    let mut client = Client::new(&connection, Arc::clone(&fake.metrics)).unwrap();
    Arc::get_mut(&mut client.caller).unwrap().pace = 0.0;
    let error = poll(&client).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert!(!error.to_string().contains("beginDate"), "{error}");
    let labels = ["acme", "bank_token", "error"];
    assert_eq!(fake.metrics.api_requests.with_label_values(&labels).get(), 4);
}

#[tokio::test]
async fn a_system_that_is_not_configured_is_named() {
    let fake = Fake::with_token(|_, _| json(200, ONE_ROW)).await;
    let mut settings = connection(&fake.url, fake.dir.path());
    settings.tos = None;
    let client = Client::new(&Arc::new(settings), Arc::clone(&fake.metrics)).unwrap();
    assert_eq!(client.apis().collect::<Vec<_>>(), [Api::BankPos, Api::VirtualPos]);
    let error = client.check_access(Api::Tos).await.unwrap_err();
    assert!(error.to_string().contains("section tos"), "{error}");
    client.check_access(Api::VirtualPos).await.unwrap();
    assert_eq!(fake.count("/auth/token"), 1);
}
