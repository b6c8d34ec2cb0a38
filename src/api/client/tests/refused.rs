//! Refused TOS tokens in all the forms that a refusal may come in: five lock the key.

use std::sync::atomic::Ordering::SeqCst;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A token endpoint whose answers promise more than they bring; its address, and what it was asked.
async fn cutting(status: u16) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/oauth", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"resource=sandbox") {
                if stream.read_buf(&mut request).await.unwrap() == 0 {
                    break;
                }
            }
            count.fetch_add(1, SeqCst);
            let head = format!("HTTP/1.1 {status} No\r\nContent-Length: 100\r\n\r\n{{\"error\":");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            // Not closed before the other side has read it.
            stream.read_to_end(&mut request).await.unwrap_or_default();
        }
    });
    (url, asked)
}

#[tokio::test]
async fn a_refusal_whose_body_breaks_off_counts_by_its_status() {
    let fake = Fake::start(|_, _| json(500, "{}")).await;
    for status in [400, 401, 403] {
        let (url, asked) = cutting(status).await;
        let mut settings = connection(&fake.url, fake.dir.path());
        settings.tos.as_mut().unwrap().token_url = url;
        let client = Client::new(&Arc::new(settings), Arc::clone(&fake.metrics)).unwrap();
        let first = ask(&client).await.unwrap_err();
        assert!(matches!(first, Error::TokenRefused { .. }), "{status}: {first}");
        let last = ask_for_hours(&client).await;
        assert!(matches!(last, Error::LockedOut { refused: 2, .. }), "{status}: {last}");
        assert_eq!(asked.load(SeqCst), 2, "{status}");
    }
}

async fn ask(client: &Client) -> Result<Rows, Error> {
    client.tos_payments(Purpose::Live, "0006624", None, Day(19_000)).await
}

/// Asks for four hours, as several pollers would.
async fn ask_for_hours(client: &Client) -> Error {
    let mut last = None;
    for _ in 0..16 {
        for _ in 0..3 {
            last = ask(client).await.err();
        }
        skip(Duration::from_secs(16 * 60)).await;
    }
    last.unwrap()
}

#[tokio::test]
async fn a_refusal_in_whichever_form_stops_the_asking_before_five() {
    type Answer = fn() -> axum::http::Response<Body>;
    let forms: [(&str, Answer); 6] = [
        ("500", || json(500, r#"{"error":"invalid_client"}"#)),
        ("200", || json(200, r#"{"error":"invalid_client"}"#)),
        ("200 with a code", || json(200, r#"{"code":"ACBG000005"}"#)),
        ("200 with nothing", || json(200, "{}")),
        ("404 with a code", || json(404, r#"{"Header":{"StatusCode":"ACBG000007"}}"#)),
        ("an address", || {
            let says =
                r#"{"Header":{"StatusCode":"ACBG000005","StatusDescription":"ip 203.0.113.7"}}"#;
            json(403, says)
        }),
    ];
    for (name, answer) in forms {
        let fake = Fake::start(move |_, _| answer()).await;
        let client = fake.client();
        let first = ask(&client).await.unwrap_err();
        assert!(matches!(first, Error::TokenRefused { .. }), "{name}: {first}");
        let last = ask_for_hours(&client).await;
        assert!(matches!(last, Error::LockedOut { refused: 2, .. }), "{name}: {last}");
        assert_eq!(fake.count("/oauth"), 2, "{name}");
    }
}

#[tokio::test]
async fn an_outage_of_the_bank_stops_nothing_but_is_asked_about_at_leisure() {
    let up = Arc::new(AtomicUsize::new(0));
    let switch = Arc::clone(&up);
    let fake = Fake::start(move |path, _| match (path, switch.load(SeqCst)) {
        ("/oauth", 0) => json(502, "<html>bad gateway"),
        ("/oauth", _) => json(200, r#"{"access_token":"t","expires_in":3600}"#),
        _ => json(200, r#"{"Header":{"StatusCode":"APIGW000000"},"Data":{"Result":[]}}"#),
    })
    .await;
    let client = fake.client();
    for requests in 1..=8 {
        for _ in 0..3 {
            let error = ask(&client).await.unwrap_err();
            assert!(matches!(error, Error::Server { status: 502, .. }), "{error}");
        }
        assert_eq!(fake.count("/oauth"), requests, "one a minute");
        skip(Duration::from_secs(61)).await;
    }
    up.store(1, SeqCst);
    assert!(ask(&client).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_lost_after_a_refusal_counts_as_another() {
    let fake = Fake::start(|_, nth| match nth {
        0 => json(401, r#"{"error":"invalid_client"}"#),
        _ => json(502, "<html>bad gateway"),
    })
    .await;
    let client = fake.client();
    let last = ask_for_hours(&client).await;
    assert!(matches!(last, Error::LockedOut { refused: 2, .. }), "{last}");
    assert_eq!(fake.count("/oauth"), 2);
}

#[tokio::test]
async fn a_failed_token_request_is_not_repeated_within_the_call() {
    let fake = Fake::start(|_, _| json(500, "{}")).await;
    let client = fake.client();
    for _ in 0..3 {
        poll(&client).await.unwrap_err();
    }
    assert_eq!(fake.count("/authenticate"), 1);
    fake.write_secret("another");
    skip(Duration::from_secs(4)).await;
    poll(&client).await.unwrap_err();
    assert_eq!(fake.count("/authenticate"), 2, "another secret is tried at once");
    skip(Duration::from_secs(6)).await;
    poll(&client).await.unwrap_err();
    assert_eq!(fake.count("/authenticate"), 3);
}

/// Not every API says 401 when a token has ended.
#[tokio::test]
async fn what_an_old_token_is_forbidden_is_asked_for_with_a_new_one() {
    let fake = Fake::with_token(|_, nth| match nth {
        1 | 2 => json(403, r#"{"message":"Forbidden"}"#),
        _ => json(200, ONE_ROW),
    })
    .await;
    let client = fake.client();
    poll(&client).await.unwrap();
    let error = poll(&client).await.unwrap_err();
    assert!(matches!(error, Error::Forbidden { .. }), "{error}");
    assert_eq!(fake.count("/authenticate"), 1, "it was granted just now");
    skip(Duration::from_secs(15 * 60)).await;
    poll(&client).await.unwrap();
    assert_eq!((fake.count("/authenticate"), fake.count("/accounts/7/transactions")), (2, 4));
}

/// Or that it is another secret's.
#[tokio::test]
async fn a_changed_secret_ends_the_token_of_the_old_one_where_calls_fail() {
    let fake = Fake::with_token(|_, nth| match nth {
        0 => json(200, r#"{"success":false,"message":"yetkiniz yok"}"#),
        _ => json(200, ONE_ROW),
    })
    .await;
    let client = fake.client();
    poll(&client).await.unwrap_err();
    let waits = client.wait_for_change();
    let mut waits = std::pin::pin!(waits);
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut waits).await.is_err());
    fake.write_secret("another");
    skip(Duration::from_secs(4)).await;
    waits.await;
    poll(&client).await.unwrap();
    assert_eq!(fake.count("/authenticate"), 2);
}

fn shown(client: &Client, metrics: &Metrics, is_own: bool) -> i64 {
    crate::api::series::show_refusals(std::iter::once(client), |_| is_own, metrics);
    metrics.api_access_refused.with_label_values(&["acme"]).get()
}

#[tokio::test]
async fn a_locked_key_is_shown_for_as_long_as_it_is_not_asked_about() {
    let says = r#"{"Header":{"StatusCode":"ACBG000006"}}"#;
    let fake = Fake::start(move |_, _| json(401, says)).await;
    let client = fake.client();
    assert_eq!(shown(&client, &fake.metrics, true), 0, "nothing was asked yet");
    let error = ask(&client).await.unwrap_err();
    assert!(matches!(error, Error::KeyLocked { .. }), "{error}");
    let errors = fake.metrics.api_auth_attempts.with_label_values(&["acme", "error"]);
    for _ in 0..3 {
        assert_eq!((shown(&client, &fake.metrics, true), errors.get()), (1, 1));
        skip(Duration::from_secs(24 * 3600)).await;
        ask(&client).await.unwrap_err();
    }
    assert_eq!(shown(&client, &fake.metrics, false), 0, "another replica has the connection");
}

#[tokio::test]
async fn a_refusal_is_shown_until_a_call_succeeds() {
    let fake = Fake::with_token(|_, nth| match nth {
        0 | 1 => json(401, r#"{"message":"Unauthenticated."}"#),
        2 => json(500, "{}"),
        _ => json(200, ONE_ROW),
    })
    .await;
    let client = fake.client();
    poll(&client).await.unwrap_err();
    assert_eq!(shown(&client, &fake.metrics, true), 1);
    skip(crate::api::auth::REFUSAL_HOLD).await;
    assert_eq!(shown(&client, &fake.metrics, true), 1, "nobody has asked again yet");
    poll(&client).await.unwrap();
    assert_eq!(shown(&client, &fake.metrics, true), 0);
}

#[tokio::test]
async fn a_refusal_that_nobody_asks_about_again_is_old_news_and_a_rest_is_none() {
    let refused = Fake::with_token(|_, _| json(401, r#"{"message":"Unauthenticated."}"#)).await;
    let client = refused.client();
    poll(&client).await.unwrap_err();
    skip(Duration::from_secs(16 * 60)).await;
    assert_eq!(shown(&client, &refused.metrics, true), 1, "pollers ask every 15 minutes");
    skip(Duration::from_secs(5 * 60)).await;
    assert_eq!(shown(&client, &refused.metrics, true), 0);
    let resting = Fake::start(|_, _| json(500, "{}")).await;
    let client = resting.client();
    poll(&client).await.unwrap_err();
    assert_eq!(shown(&client, &resting.metrics, true), 0);
}

/// An aggregator may say so of one account's bank.
#[tokio::test]
async fn words_about_a_token_stop_nobody_but_whom_they_answer() {
    let fake = Fake::with_token(|path, _| match path {
        "/accounts/7/transactions" => {
            json(200, r#"{"success":false,"message":"Banka token süresi doldu"}"#)
        }
        _ => json(200, r#"{"status":"success","banks":[{"id":1}]}"#),
    })
    .await;
    let client = fake.client();
    let error = poll(&client).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert_eq!(fake.count("/authenticate"), 2, "a new token is tried");
    client.reference(Purpose::Live, Stream::Banks).await.unwrap();
}

#[tokio::test]
async fn the_gateways_own_code_of_a_refused_token_holds_for_everybody() {
    let says = r#"{"Header":{"StatusCode":"ACBG000001"}}"#;
    let fake = Fake::with_token(move |_, _| json(200, says)).await;
    let client = fake.client();
    let error = ask(&client).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert_eq!(ask(&client).await.unwrap_err(), error);
    assert_eq!(fake.count("/oauth"), 2, "one new token, and nobody else asks");
    assert_eq!(shown(&client, &fake.metrics, true), 1);
}
