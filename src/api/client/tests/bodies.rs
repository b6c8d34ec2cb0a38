//! Answers that are damaged, wrong, too large, compressed or no text.

use super::*;
use crate::{api::http::SendFault, config::model::Timeouts};

#[tokio::test]
async fn server_errors_and_damaged_bodies_are_asked_for_again() {
    let fake = Fake::with_token(|_, nth| match nth {
        0 => json(502, "<html>bad gateway"),
        1 => reply(200, "text/html", "<html>maintenance"),
        2 => {
            let half = Ok(Bytes::from_static(b"{\"transactions\":["));
            let broken = Err(std::io::Error::other("cut"));
            let body = Body::from_stream(stream::iter([half, broken]));
            reply(200, "application/json", body)
        }
        _ => json(200, ONE_ROW),
    })
    .await;
    assert_eq!(poll(&fake.client()).await.unwrap().len(), 1);
    for reason in ["server_error", "bad_body", "broken"] {
        assert_eq!(fake.retries("account_transactions", reason), 1, "{reason}");
    }
}

#[tokio::test]
async fn lasting_damage_ends_after_a_few_tries() {
    for (body, class) in [
        ("<html>maintenance</html>", RetryClass::Permanent),
        (r#"{"status":"success","transactions":[{"id""#, RetryClass::Retry { after: None }),
    ] {
        let fake = Fake::with_token(move |_, _| json(200, body)).await;
        let error = poll(&fake.client()).await.unwrap_err();
        assert_eq!(error.retry_class(), class, "{error}");
        assert_eq!(fake.count("/accounts/7/transactions"), 4);
    }
}

#[tokio::test]
async fn wrong_answers_are_not_asked_for_again() {
    for body in [
        r#"{"status":"error","message":"x"}"#,
        r#"{"success":"false","data":[{"id":1}]}"#,
        r#"{"status":"success"}"#,
    ] {
        let fake = Fake::with_token(move |_, _| json(200, body)).await;
        let error = poll(&fake.client()).await.unwrap_err();
        assert_eq!(error.retry_class(), RetryClass::Permanent, "{error}");
        assert_eq!(fake.count("/accounts/7/transactions"), 1);
    }
}

#[tokio::test]
async fn the_accounts_of_a_bank_come_under_either_name() {
    let fake = Fake::with_token(|_, nth| match nth {
        0 => json(200, r#"{"status":"success","banks":[{"id":38,"iban":"x"}]}"#),
        _ => json(200, r#"{"status":"success","accounts":[{"id":38,"iban":"x"}]}"#),
    })
    .await;
    let client = fake.client();
    for _ in 0..2 {
        let rows = client.bank_accounts(Purpose::Live, 5).await.unwrap();
        assert_eq!(rows.iter().collect::<Vec<_>>(), [r#"{"id":38,"iban":"x"}"#]);
    }
    assert_eq!(fake.count("/banks/5/accounts"), 2);
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_with_and_without_a_length() {
    let long = format!("{{\"transactions\":[{}0]}}", "0,".repeat(5_000));
    let streamed = long.clone();
    let fake = Fake::with_token(move |_, nth| {
        let body = match nth {
            0 => Body::from(long.clone()),
            _ => {
                let chunks: Vec<_> = streamed
                    .as_bytes()
                    .chunks(1_000)
                    .map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk)))
                    .collect();
                Body::from_stream(stream::iter(chunks))
            }
        };
        reply(200, "application/json", body)
    })
    .await;
    let mut client = fake.client();
    let caller = Arc::get_mut(&mut client.caller).unwrap();
    caller.http = caller.http.clone().with_body_limit(4_000);
    for _ in 0..2 {
        let error = poll(&client).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 4_000, .. }), "{error}");
    }
}

#[tokio::test]
async fn compressed_bodies_are_read() {
    const GZIP: &[u8] = &[
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 42, 46, 73, 44, 41, 45, 86, 178, 82, 42, 46, 77,
        78, 78, 45, 46, 86, 210, 81, 42, 41, 74, 204, 43, 78, 76, 46, 201, 204, 207, 3, 74, 68, 87,
        43, 101, 166, 40, 89, 25, 214, 198, 214, 2, 0, 22, 92, 169, 248, 46, 0, 0, 0,
    ];
    let fake = Fake::with_token(|_, nth| {
        let (encoding, bytes) = match nth {
            0 => ("gzip", GZIP.to_vec()),
            _ => {
                // Brotli's shortest form: one stored block, then the end.
                let length = ONE_ROW.len() as u32 - 1;
                let start = (0x0b_u32 | (length << 7) | (1 << 23)).to_le_bytes();
                ("br", [&start[..3], ONE_ROW.as_bytes(), &[3]].concat())
            }
        };
        let mut response = reply(200, "application/json", bytes);
        let encoding = header::HeaderValue::from_static(encoding);
        response.headers_mut().insert(header::CONTENT_ENCODING, encoding);
        response
    })
    .await;
    let client = fake.client();
    for _ in 0..2 {
        let rows = poll(&client).await.unwrap();
        assert_eq!(rows.iter().collect::<Vec<_>>(), [r#"{"id":1}"#]);
    }
}

#[tokio::test]
async fn invalid_utf8_is_replaced_and_flagged() {
    let fake = Fake::with_token(|_, _| {
        reply(200, "application/json", b"{\"transactions\":[{\"d\":\"\xfe\"}]}".to_vec())
    })
    .await;
    let rows = poll(&fake.client()).await.unwrap();
    assert!(rows.replaced_text);
    assert_eq!(rows.iter().collect::<Vec<_>>(), ["{\"d\":\"\u{fffd}\"}"]);
}

/// What takes its time before the first byte is a large list, what stops in the middle hangs.
#[tokio::test]
async fn a_head_may_take_as_long_as_the_whole_answer_and_a_body_may_not_stand_still() {
    let still = Duration::from_millis(100);
    let late = move |body: &'static str| async move {
        tokio::time::sleep(still * 3).await;
        Ok::<_, std::io::Error>(Bytes::from_static(body.as_bytes()))
    };
    for (is_head, expected) in [(true, true), (false, false)] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = move || async move {
            if is_head {
                late("").await.unwrap();
                return json(200, ONE_ROW);
            }
            let (begun, rest) = ONE_ROW.split_at(20);
            let begun = stream::iter([Ok(Bytes::from_static(begun.as_bytes()))]);
            let rest = stream::once(late(rest));
            let body = Body::from_stream(futures_util::StreamExt::chain(begun, rest));
            reply(200, "application/json", body)
        };
        let app = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, app).await });
        let timeouts = Timeouts { connect: still, request: Duration::from_secs(20) };
        let http = Http::new(timeouts).unwrap().with_still_max(still);
        let answered = http.exchange(Operation::Banks, &url, &Payload::None, None, None).await;
        assert_eq!(answered.is_ok(), expected, "{answered:?}");
        let timed_out = answered.is_err_and(|lost| lost.fault == SendFault::Timeout);
        assert_eq!(timed_out, !expected);
    }
}
