//! Cancels and refunds over HTTP, as documented and spoiled.

use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    tests::{Probe, options},
    *,
};
use crate::{
    domain::{money::Money, vocabulary::VirtualPosStatus},
    sandbox::ledger::NewPayment,
};

const PATH: &str = "/api/vpos/v3/transaction";

impl Probe {
    /// With a payment R1 of 100.00 lira.
    async fn with_payment() -> Self {
        let probe = Self::start(options()).await;
        probe.simulator.ledger().add_payment(&NewPayment::new("R1", "100.00")).unwrap();
        probe
    }

    /// One POST on a connection of its own, as the connector makes it.
    async fn try_change(&self, body: Value) -> reqwest::Result<Response> {
        let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let request = client.post(format!("{}{PATH}", self.simulator.base_url()));
        request
            .header("accept", "application/json")
            .bearer_auth(&self.virtual_pos)
            .json(&body)
            .send()
            .await
    }

    async fn change(&self, body: Value) -> (u16, Value) {
        let answer = self.try_change(body).await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    fn fault(&self, spec: &str) {
        self.simulator.set_faults(vec![spec.parse().unwrap()]);
    }

    fn refunded(&self) -> Option<Money> {
        self.simulator.ledger().payment("R1").unwrap().refunded
    }

    async fn listed(&self, status: &str) -> Option<Value> {
        let list = self.json(&format!("/api/vpos/v3/transactions-list?status={status}")).await;
        let rows = list["data"].as_array().unwrap();
        rows.iter().find(|row| row["referans_kodu"] == "R1").cloned()
    }

    async fn found(&self) -> Value {
        self.json("/api/vpos/v3/transaction/find?referanceNo=R1").await["data"]["status"].clone()
    }
}

fn refund(amount: &str) -> Value {
    json!({"transactionType": "refund", "referanceNo": "R1", "amount": amount})
}

fn cancel() -> Value {
    json!({"transactionType": "cancel", "referanceNo": "R1", "amount": 0})
}

fn money(text: &str) -> Option<Money> {
    Money::parse(text).ok()
}

#[tokio::test]
async fn a_cancel_is_answered_as_documented_and_seen_everywhere() {
    let probe = Probe::with_payment().await;
    let (status, answer) = probe.change(cancel()).await;
    let documented = r#"{"islem_id":513,"type":"iptal","trans_id":"730657","response":"Approved","proc_return_code":"00","iade_tutar":null,"error_code":"00","error_message":"","status":"approved","status_detail":"approved"}"#;
    assert_eq!((status, answer.to_string().as_str()), (200, documented));
    assert_eq!(probe.found().await, "İptal");
    assert!(probe.listed("successful").await.is_none());
    let row = probe.listed("cancel").await.unwrap();
    assert_eq!((&row["durum"], &row["iade_tutar"]), (&json!(2), &Value::Null));
    let (_, again) = probe.change(cancel()).await;
    assert_eq!((&again["status"], &again["proc_return_code"]), (&json!("declined"), &json!("12")));
    let posts = probe.simulator.posts();
    let outcomes: Vec<&str> = posts.of("R1").map(|post| post.outcome.as_str()).collect();
    assert_eq!(outcomes, ["applied", "declined 12"]);
}

#[tokio::test]
async fn refunds_grow_until_the_payment_is_given_back_whole() {
    let probe = Probe::with_payment().await;
    let (_, answer) = probe.change(refund("12.50")).await;
    assert_eq!((&answer["type"], &answer["iade_tutar"]), (&json!("iade"), &json!("12.50")));
    assert_eq!(probe.found().await, "Başarılı");
    assert_eq!(probe.listed("successful").await.unwrap()["iade_tutar"], "12.50");
    let (_, beyond) = probe.change(refund("87.51")).await;
    assert_eq!((&beyond["response"], &beyond["error_code"]), (&json!("Declined"), &json!("13")));
    // As a number, every digit of it.
    let number: Value =
        serde_json::from_str(r#"{"transactionType":"refund","referanceNo":"R1","amount":87.50}"#)
            .unwrap();
    probe.change(number).await;
    assert_eq!(probe.found().await, "İade");
    let row = probe.listed("refund").await.unwrap();
    assert_eq!((&row["durum"], &row["iade_tutar"]), (&json!(3), &json!("100.00")));
    let truth = probe.json("/_ctl/payments?reference=R1").await;
    assert_eq!(truth["gave_back"], "100.00");
    assert_eq!(probe.json("/_ctl/payments?reference=R2").await["gave_back"], "0.00");
    assert_eq!(
        truth["payments"],
        json!([{"reference": "R1", "posts": 3, "applied": 2, "state": {
            "status": "REFUNDED", "amount": "100.00", "refunded": "100.00", "currency": "TRY"}}])
    );
    assert_eq!(truth["posts"][2]["amount"], "87.50");
    assert!(truth["posts"][2]["applied_ms"].as_i64() >= truth["posts"][2]["came_ms"].as_i64());
    let seen = probe.simulator.requests();
    assert_eq!(seen.count(Operation::ChangePayment), 3);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_and_changes_nothing() {
    let probe = Probe::with_payment().await;
    for (body, status) in [
        (json!({"transactionType": "cancel", "referanceNo": "R2"}), 404),
        (json!({"transactionType": "cancel"}), 422),
        (json!({"transactionType": "void", "referanceNo": "R1"}), 422),
        (json!({"transactionType": "refund", "referanceNo": "R1"}), 422),
        (refund("0"), 422),
        (refund("-1"), 422),
        (refund("1.005"), 422),
        (refund("1e1"), 422),
        (json!([]), 422),
    ] {
        assert_eq!(probe.change(body.clone()).await.0, status, "{body}");
    }
    let request = probe.client.post(format!("{}{PATH}", probe.simulator.base_url()));
    let answer = request.header("accept", "application/json").json(&cancel()).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    let posts = probe.simulator.posts();
    assert_eq!(posts.iter().count(), 10);
    assert!(posts.iter().all(|post| post.applied_ms.is_none() && !post.outcome.is_empty()));
    assert_eq!(
        probe.simulator.ledger().payment("R1").unwrap().status,
        VirtualPosStatus::Successful
    );
}

#[tokio::test]
async fn payments_are_added_by_a_control_call() {
    let probe = Probe::start(options()).await;
    let new = json!({"reference": "X/1", "amount": "5.05", "currency": "EUR",
        "at": "2026-05-31T10:00:00"});
    probe.control("POST", "payments", new).await;
    let state = probe.simulator.ledger().payment("X/1").unwrap();
    assert_eq!((state.amount, state.currency.as_deref()), (money("5.05"), Some("EUR")));
    let cancel = json!({"transactionType": "cancel", "referanceNo": "X/1", "amount": 0});
    assert_eq!(probe.change(cancel).await.1["proc_return_code"], "77");
}

#[tokio::test]
async fn faults_apply_or_do_not_apply_as_they_are_named() {
    for (spec, status, says, applied) in [
        ("applied_504:x1", 504, "Gateway Time-out", true),
        ("applied_html:x1", 200, "<html>", true),
        ("contradictory:x1", 200, r#""response":"Declined","proc_return_code":"00""#, true),
        ("applied_error:x1", 200, r#""response":"Error","proc_return_code":"91""#, true),
        ("slow_answer=20ms:x1", 200, "approved", true),
        ("truncated:x1", 200, "{\"islem_id\":", true),
        ("declined=51:x1", 200, r#""proc_return_code":"51""#, false),
        ("504:x1:change_payment", 504, "Gateway Time-out", false),
        ("html:x1", 200, "<html>", false),
        ("401:x1", 401, "Unauthenticated", false),
        ("429=30:x1", 429, "Too Many Attempts.", false),
    ] {
        let probe = Probe::with_payment().await;
        probe.fault(spec);
        let answer = probe.try_change(refund("5.00")).await.unwrap();
        assert_eq!(answer.status(), status, "{spec}");
        let body = answer.text().await.unwrap();
        assert!(body.contains(says), "{spec}: {body}");
        assert_eq!(probe.refunded(), if applied { money("5") } else { None }, "{spec}");
        let posts = probe.simulator.posts();
        let post = posts.of("R1").next().unwrap();
        assert_eq!(post.applied_ms.is_some(), applied, "{spec}: {post:?}");
        assert_eq!(posts.gave_back(), if applied { money("5").unwrap() } else { Money::ZERO });
        assert_eq!(probe.change(refund("1.00")).await.0, 200, "{spec} is over");
    }
}

/// What comes back on a connection for one request, byte by byte.
async fn raw_change(probe: &Probe) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(probe.simulator.addr).await?;
    let body = refund("5.00").to_string();
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        probe.virtual_pos,
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

#[tokio::test]
async fn a_closed_connection_carries_no_byte_of_an_answer() {
    for (spec, applied, outcome) in [
        ("closed:x1", false, "refused"),
        ("applied_closed:x1", true, "applied"),
        ("applied_late=1h:x1", false, "late"),
    ] {
        let probe = Probe::with_payment().await;
        probe.fault(spec);
        // Closed or reset: the client cannot tell more than that nothing came.
        assert_eq!(raw_change(&probe).await.unwrap_or_default(), b"", "{spec}");
        assert_eq!(probe.refunded().is_some(), applied, "{spec}");
        let posts = probe.simulator.posts();
        let seen: Vec<_> = posts.of("R1").map(|post| (&*post.outcome, post.answered)).collect();
        assert_eq!(seen, [(outcome, Some(0))]);
    }
}

async fn until(is_so: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the payment was changed.
async fn until_applied(probe: &Probe) {
    until(|| probe.simulator.posts().of("R1").any(|post| post.applied_ms.is_some())).await;
}

#[tokio::test]
async fn a_late_change_comes_after_the_connection_is_gone() {
    let probe = Probe::with_payment().await;
    probe.fault("applied_late=200ms:x1");
    assert!(probe.try_change(refund("5.00")).await.is_err());
    until_applied(&probe).await;
    assert_eq!(probe.refunded(), money("5"));
    let post = probe.simulator.posts().of("R1").next().unwrap().clone();
    assert!(post.applied_ms.unwrap() - post.came_ms >= 200, "{post:?}");
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_the_change() {
    let probe = Probe::with_payment().await;
    probe.fault("slow=1s:x1");
    tokio::select! {
        answer = raw_change(&probe) => panic!("{answer:?} before the change"),
        () = until(|| probe.simulator.posts().iter().count() == 1) => {}
    }
    until_applied(&probe).await;
    assert_eq!(probe.refunded(), money("5"));
}

#[tokio::test]
async fn a_reset_connection_never_becomes_a_request() {
    let probe = Probe::with_payment().await;
    probe.fault("reset:x1");
    assert!(raw_change(&probe).await.is_err());
    assert_eq!(probe.simulator.posts().iter().count(), 0);
    probe.change(refund("5.00")).await;
    assert_eq!(probe.refunded(), money("5"));
}

/// A connection that stands.
struct Kept(TcpStream);

impl Kept {
    /// The status line of one answer.
    async fn ask(&mut self) -> String {
        let request = "GET /api/v2/banks HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n";
        self.0.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = [0; 4096];
        let count = self.0.read(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
        text.lines().next().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn a_deaf_port_refuses_new_connections_and_keeps_the_old_ones() {
    let probe = Probe::with_payment().await;
    let mut old = Kept(TcpStream::connect(probe.simulator.addr).await.unwrap());
    old.ask().await;
    probe.fault("deaf=1h:x1:transaction_find");
    assert_eq!(probe.found().await, "Başarılı");
    let error = probe.try_change(refund("5.00")).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(old.ask().await, "HTTP/1.1 401 Unauthorized", "the old connection goes on");
    assert_eq!(probe.simulator.posts().iter().count(), 0);
    probe.simulator.refuse_connections(Duration::ZERO).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let answer = loop {
        match probe.try_change(refund("5.00")).await {
            Ok(answer) => break answer,
            Err(error) => assert!(error.is_connect(), "{error:?}"),
        }
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(answer.status(), 200);
}
