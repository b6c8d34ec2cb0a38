//! Lists that are larger than what is held of them.

use axum::body::{Body, Bytes};
use futures_util::stream;

use super::*;

const ROWS: usize = 100_000;
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn row(reference: &str) -> String {
    let filler = "ş".repeat(300);
    format!(
        r#"{{"referans_kodu":"{reference}","tutar":"100.00","para_birimi":"TL","iade_tutar":"7.00","tur":"islem","aciklama":"{filler}","status_detail":{{"status":"successful"}}}}"#
    )
}

/// A list of so many rows as the API would send it, each made when it is asked for; `R1` stands in the
/// middle. It breaks off before the row `cut_at`.
fn streamed(rows: usize, cut_at: usize) -> Body {
    let piece = move |n: usize| {
        let comma = if n == 0 { r#"{"success":true,"data":["# } else { "," };
        let end = if n + 1 == rows { "]}" } else { "" };
        let name = if n == rows / 2 { "R1".to_owned() } else { format!("OTHER-{n}") };
        match n {
            _ if n == cut_at => Err(std::io::Error::other("cut")),
            _ => Ok(Bytes::from(format!("{comma}{}{end}", row(&name)))),
        }
    };
    Body::from_stream(stream::iter((0..rows).map(piece)))
}

async fn server(list: impl Fn() -> Body + Send + Sync + 'static) -> Fake {
    Fake::with_token(move |path, _| match path {
        "/transaction/find" => json(200, &found("Başarılı", "100.00")),
        _ => crate::api::client::tests::fake::reply(200, "application/json", list()),
    })
    .await
}

#[tokio::test]
async fn a_list_of_a_hundred_thousand_rows_is_looked_at_and_hardly_held() {
    let fake = server(|| streamed(ROWS, usize::MAX)).await;
    // 80 MB come, and no more than this may be held.
    let client = fake.client().with_body_limit(11 * MIB);
    let state = client.payment_state(Purpose::Payment, "R1").await.unwrap().unwrap();
    assert_eq!(state.refunded, Money::parse("7").ok());
    let keeps = |row: &str| payment::reference_of(row).as_deref() == Some("R1");
    let turn = Purpose::Payment.into();
    let list = client.sifted_virtual_pos_list(turn, ListStatus::Successful, &keeps).await.unwrap();
    assert_eq!(list.len(), ROWS);
    assert!(list.body_bytes() < 400 * KIB, "{}", list.body_bytes());
    // Whoever wants all of it holds all of it.
    let whole = client.virtual_pos_transactions(Purpose::Live, ListStatus::Successful).await;
    assert!(matches!(whole, Err(Error::TooLarge { unit: "bytes", .. })), "{whole:?}");
}

#[tokio::test]
async fn a_list_that_breaks_off_is_no_answer_whatever_came_before() {
    // The payment's own row has come, or not.
    for cut_at in [1, 49, 51, 99] {
        let fake = server(move || streamed(100, cut_at)).await;
        let error = fake.client().payment_state(Purpose::Payment, "R1").await.unwrap_err();
        assert_eq!(error.retry_class(), RetryClass::Retry { after: None }, "{cut_at}: {error}");
    }
    let whole = format!(r#"{{"success":true,"data":[{},{}]}}"#, row("R1"), row("R2"));
    for end in [whole.len() - 1, whole.len() - 2, whole.len() - 9, row("R1").len() + 30, 30] {
        let cut = whole.as_bytes()[..end].to_vec();
        let fake = server(move || Body::from(cut.clone())).await;
        let error = fake.client().payment_state(Purpose::Payment, "R1").await.unwrap_err();
        assert!(matches!(error, Error::Broken { .. }), "{end}: {error}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_list_is_wrong_whichever_rows_are_looked_for() {
    let [mine, other] = [row("R1"), row("R2")];
    for body in [
        format!(r#"{{"success":false,"data":[{mine},{other}]}}"#),
        format!(r#"{{"rows":[{mine},{other}]}}"#),
        format!(r#"{{"last_page":2,"data":[{mine},{other}]}}"#),
        format!(r#"{{"success":true,"data":[{mine},{other},]}}"#),
        format!(r#"{{"success":true,"data":[{mine},{{"referans_kodu":"R2"]]}}"#),
        format!(r#"{{"success":true,"data":[{mine},{other},{mine}]}}"#),
    ] {
        let body: &'static str = body.leak();
        let fake = server(move || Body::from(body)).await;
        let asked = fake.client().payment_state(Purpose::Payment, "R1").await;
        assert!(asked.is_err(), "{body}: {asked:?}");
    }
}

#[tokio::test]
async fn rows_and_bytes_have_their_limits_still() {
    let looked = async |list: fn() -> Body, held_max: usize| {
        let fake = server(list).await;
        let client = fake.client().with_body_limit(held_max);
        client.payment_state(Purpose::Payment, "R1").await
    };
    let too_many = || {
        let rows = r#"{"referans_kodu":"R2"},"#.repeat(200_000);
        Body::from(format!(r#"{{"success":true,"data":[{rows}{}]}}"#, row("R1")))
    };
    let error = looked(too_many, 64 * MIB).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 200_000, unit: "rows", .. }), "{error}");
    // 160 kB come.
    let many = || streamed(200, usize::MAX);
    assert!(looked(many, 24 * KIB).await.is_ok());
    let error = looked(many, 16 * KIB).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 131_072, unit: "bytes", .. }), "{error}");
    let mine = || Body::from(format!(r#"{{"success":true,"data":[{}]}}"#, row("R1")));
    let error = looked(mine, 500).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 500, unit: "bytes", .. }), "{error}");
}

#[tokio::test]
async fn those_who_share_a_list_find_each_their_own_row() {
    let fake = Fake::with_token(|path, _| match path {
        "/transaction/find" => json(404, r#"{"success":false}"#),
        _ => json(200, &format!(r#"{{"data":[{},{},{}]}}"#, row("R1"), row("R2"), row("R3"))),
    })
    .await;
    let client = fake.client();
    let held: Vec<Ready> = join_all((0..8).map(|_| client.ready_to_pay()))
        .await
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    let ask = |reference| client.listing(Purpose::List, ListStatus::Successful, reference);
    // All of them ask before there is room for the request.
    let free = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(held);
    };
    let (first, second, again, none, ()) =
        tokio::join!(ask("R1"), ask("R2"), ask("R1"), ask("R4"), free);
    assert_eq!(fake.count("/transactions-list"), 1);
    for (listing, reference) in [(&first, "R1"), (&second, "R2"), (&again, "R1"), (&first, "R2")] {
        let state = listing.as_ref().unwrap().state_of(reference).unwrap().unwrap();
        assert_eq!(state.refunded, Money::parse("7").ok(), "{reference}");
    }
    assert_eq!(none.unwrap().state_of("R4"), Ok(None));
    assert_eq!(first.unwrap().state_of("R3"), Ok(None), "nobody asked for it");
}

#[tokio::test]
async fn what_refuses_a_list_is_read_whole() {
    let fake = Fake::with_token(|path, _| match path {
        "/transaction/find" => json(200, &found("Başarılı", "100.00")),
        _ => json(403, r#"{"data":[{"error":"ip_not_found: 203.0.113.7"}]}"#),
    })
    .await;
    let error = fake.client().payment_state(Purpose::Payment, "R1").await.unwrap_err();
    let Error::IpRefused { ip, .. } = error else { panic!("{error}") };
    assert_eq!(ip.unwrap().to_string(), "203.0.113.7");
}
