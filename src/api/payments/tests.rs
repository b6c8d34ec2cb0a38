//! The one send against a server of bare bytes, and the state against a scripted API.

mod backlog;
mod large;
mod state;
mod wire;

use std::{
    convert::identity,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;

use self::{
    state::{found, listed},
    wire::{Act, Wire},
};
use super::*;
use crate::{
    api::{
        client::tests::fake::{Fake, connection, json},
        error::RetryClass,
    },
    domain::{payment::Verdict, vocabulary::VirtualPosStatus},
    sandbox::{Simulator, SimulatorOptions, ledger::NewPayment},
    telemetry::metrics::Metrics,
};

const TIMEOUT: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

fn refund(amount: &str) -> Order<'static> {
    Order {
        reference_no: "169VP\"1",
        change: Change::Refund { amount: Money::parse(amount).unwrap() },
    }
}

fn within(timeout: Duration) -> SendWindow {
    let not_after_wall = Timestamp(now().0 + 60_000);
    SendWindow { not_after: Instant::now() + TIMEOUT, not_after_wall, timeout }
}

async fn send(client: &Client, timeout: Duration) -> Sent {
    let ready = client.ready_to_pay().await.unwrap();
    ready.send_once(&refund("12.50"), within(timeout), identity).await
}

#[tokio::test]
async fn an_order_is_sent_as_documented_and_its_answer_told_whole() {
    let wire = Wire::start().await;
    let client = wire.client().await;
    wire.set(Act::answer(200, "", "{\"x\":\"ş\"}"));
    let sent = send(&client, TIMEOUT).await;
    let Sent::Answered { status: 200, body, .. } = &sent else { panic!("{sent:?}") };
    assert_eq!(body, "{\"x\":\"ş\"}");
    assert!(!format!("{sent:?}").contains('ş'), "bodies are not shown");
    let wire_again = Wire::start().await;
    let client = wire_again.client().await;
    wire_again.set(Act::answer(401, "", "{\"message\":\"no: Bearer tok.canary.one\"}"));
    let sent = send(&client, TIMEOUT).await;
    let Sent::Answered { status: 401, body, .. } = &sent else { panic!("{sent:?}") };
    assert_eq!(body, "{\"message\":\"no: Bearer ***\"}", "its token goes no further");
    let request = wire.only_request();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, r#"{"transactionType":"refund","referanceNo":"169VP\"1","amount":12.50}"#);
    let head = head.to_lowercase();
    assert!(head.starts_with("post /transaction http/1.1\r\n"), "{head}");
    for line in [
        "connection: close",
        "accept: application/json",
        "content-type: application/json",
        "authorization: bearer tok.canary.one",
    ] {
        assert!(head.lines().any(|have| have == line), "{line} in {head}");
    }
    assert!(!head.contains("accept-encoding"), "{head}");
    assert_eq!(wire.requests("200"), 1);
    let cancel = Order { reference_no: "R", change: Change::Cancel };
    assert_eq!(
        body_of(&cancel).unwrap(),
        r#"{"transactionType":"cancel","referanceNo":"R","amount":0}"#
    );
}

#[tokio::test]
async fn every_answer_is_told_and_none_is_followed_or_repeated() {
    let location = |wire: &Wire| format!("Location: {}/transaction\r\n", wire.url);
    for status in [200, 204, 301, 302, 307, 308, 401, 408, 421, 425, 429, 500, 502, 503, 504] {
        let wire = Wire::start().await;
        let client = wire.client().await;
        let headers = format!("{}Retry-After: 900\r\n", location(&wire));
        let body = if status == 204 { "" } else { "{}" };
        wire.set(Act::answer(status, &headers, body));
        let sent = send(&client, TIMEOUT).await;
        assert!(matches!(sent, Sent::Answered { status: s, .. } if s == status), "{sent:?}");
        wire.only_request();
        assert_eq!(wire.requests(&status.to_string()), 1);
    }
}

#[tokio::test]
async fn whatever_breaks_after_the_connection_stands_is_unknown_and_sent_once() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
    for (name, act) in [
        ("closed before reading", Act::Close { after_bytes: 0 }),
        ("reset before reading", Act::Reset { after_bytes: 0 }),
        ("closed within the head", Act::Close { after_bytes: 40 }),
        ("reset within the head", Act::Reset { after_bytes: 40 }),
        ("closed after the request", Act::reply("")),
        ("closed within the status line", Act::reply("HTTP/1.1 20")),
        ("closed after the head", Act::reply(head)),
        ("closed within the body", Act::reply(&format!("{head}{{\"response\":"))),
        ("no HTTP", Act::reply("220 mail.example ESMTP\r\n")),
        ("an early hint and then nothing", Act::reply("HTTP/1.1 103 Early Hints\r\n\r\n")),
        (
            "chunks cut short",
            Act::reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
        ),
        ("too large", Act::reply("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{")),
        (
            "too large without a length",
            Act::reply(&format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(70_000))),
        ),
        ("silent", Act::Silent(String::new())),
        ("slow body", Act::Silent(head.to_owned())),
    ] {
        let wire = Wire::start().await;
        let client = wire.client().await;
        let timeout = if matches!(act, Act::Silent(_)) { SHORT } else { TIMEOUT };
        wire.set(act);
        let sent = send(&client, timeout).await;
        assert!(matches!(sent, Sent::Unknown { .. }), "{name}: {sent:?}");
        assert_eq!(wire.connections(), 1, "{name}");
        assert!(wire.posts() <= 1, "{name}");
        assert_eq!(wire.requests("error"), 1, "{name}");
    }
}

#[tokio::test]
async fn a_body_that_trickles_does_not_stretch_the_deadline() {
    let wire = Wire::start().await;
    let client = wire.client().await;
    wire.set(Act::Trickle("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n".to_owned()));
    let sent = tokio::time::timeout(TIMEOUT, send(&client, SHORT)).await.unwrap();
    assert!(matches!(&sent, Sent::Unknown { detail } if detail.contains("deadline")), "{sent:?}");
    wire.only_request();
}

#[tokio::test]
async fn orders_that_follow_each_other_share_no_connection() {
    let wire = Wire::start().await;
    let client = wire.client().await;
    // A server that would keep the connection, were it asked to.
    wire.set(Act::Keep("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned()));
    for _ in 0..3 {
        let sent = send(&client, TIMEOUT).await;
        assert!(matches!(sent, Sent::Answered { .. }), "{sent:?}");
    }
    assert_eq!((wire.connections(), wire.posts()), (3, 3));
}

#[tokio::test]
async fn nothing_is_sent_too_late_without_token_or_with_an_odd_amount() {
    let wire = Wire::start().await;
    let client = wire.client().await;
    wire.set(Act::answer(200, "", "{}"));
    let ready = || async { client.ready_to_pay().await.unwrap() };
    let in_time = within(TIMEOUT);
    let hour = |sign: i64| Timestamp(now().0 + sign * 3_600_000);
    for late in [
        SendWindow { not_after: Instant::now(), ..in_time },
        // A machine that was suspended: its monotonic clock has seen nothing.
        SendWindow { not_after_wall: now(), ..in_time },
        // Set back by an hour since the intent, or ahead: the other clock knows it.
        SendWindow { not_after: Instant::now(), not_after_wall: hour(1), ..in_time },
        SendWindow { not_after_wall: hour(-1), ..in_time },
    ] {
        let sent = ready().await.send_once(&refund("1"), late, identity).await;
        assert!(matches!(&sent, Sent::NotSent { detail } if detail.contains("late")), "{sent:?}");
    }
    for amount in ["0", "-1", "0.001", "12.345", "0.00001"] {
        let sent = ready().await.send_once(&refund(amount), within(TIMEOUT), identity).await;
        assert!(matches!(&sent, Sent::NotSent { detail } if detail.contains("amount")), "{sent:?}");
    }
    let blank = Order { reference_no: " ", change: Change::Cancel };
    let sent = ready().await.send_once(&blank, within(TIMEOUT), identity).await;
    assert!(matches!(sent, Sent::NotSent { .. }), "{sent:?}");
    let ready = ready().await;
    ready.access.forget(ready.token.generation);
    let sent = ready.send_once(&refund("1"), within(TIMEOUT), identity).await;
    assert!(matches!(&sent, Sent::NotSent { detail } if detail.contains("token")), "{sent:?}");
    assert_eq!(wire.connections(), 0);
}

/// The client of a server that gives the token, with the send going elsewhere.
async fn elsewhere(wire: &Wire, url: &str, connect_timeout: Duration) -> Client {
    let mut client = wire.client().await;
    let caller = Arc::get_mut(&mut client.caller).unwrap();
    let place = caller.accesses.iter().position(|access| access.api == Api::VirtualPos).unwrap();
    Arc::get_mut(&mut caller.accesses[place]).unwrap().url = url.to_owned();
    client.payments = Arc::new(Payments::new(Once::without_proxy(connect_timeout)));
    client
}

#[tokio::test]
async fn where_no_connection_stands_nothing_was_sent() {
    let wire = Wire::start().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed_port = closed.local_addr().unwrap().port();
    drop(closed);
    for url in [
        format!("http://127.0.0.1:{closed_port}"),
        "http://no-such-host.invalid".to_owned(),
        format!("ftp://127.0.0.1:{closed_port}"),
        "http://".to_owned(),
    ] {
        let client = elsewhere(&wire, &url, TIMEOUT).await;
        let sent = send(&client, TIMEOUT).await;
        assert!(matches!(sent, Sent::NotSent { .. }), "{url}: {sent:?}");
    }
    assert_eq!((wire.posts(), wire.requests("error")), (0, 4));
}

#[tokio::test]
async fn a_tls_handshake_that_fails_sends_no_request() {
    for (act, timeout) in [
        (Act::reply("HTTP/1.1 400 Bad Request\r\n\r\n"), TIMEOUT),
        (Act::Close { after_bytes: 0 }, TIMEOUT),
        (Act::Close { after_bytes: 40 }, TIMEOUT),
        (Act::Reset { after_bytes: 40 }, TIMEOUT),
        (Act::Silent(String::new()), SHORT),
    ] {
        let wire = Wire::start().await;
        let url = wire.url.replace("http:", "https:");
        let client = elsewhere(&wire, &url, timeout).await;
        wire.set(act);
        let sent = send(&client, TIMEOUT).await;
        assert!(matches!(sent, Sent::NotSent { .. }), "{sent:?}");
        assert_eq!((wire.connections(), wire.posts()), (1, 0));
    }
    // A total deadline below the connect timeout cannot tell, and does not claim to.
    let wire = Wire::start().await;
    let client = elsewhere(&wire, &wire.url.replace("http:", "https:"), TIMEOUT).await;
    wire.set(Act::Silent(String::new()));
    let sent = send(&client, SHORT).await;
    assert!(matches!(sent, Sent::Unknown { .. }), "{sent:?}");
}

#[tokio::test]
async fn the_client_that_keeps_connections_refuses_to_write() {
    let fake = Fake::with_token(|_, _| json(200, "{}")).await;
    let client = fake.client();
    let call = crate::api::call::Call {
        operation: Operation::ChangePayment,
        payload: crate::api::http::Payload::None,
        last_id_alone: false,
    };
    let outcome = client.caller.call(Purpose::Payment, &call, |_| Ok(())).await;
    assert!(outcome.unwrap_err().to_string().contains("once"));
    assert_eq!(fake.count("/transaction"), 0);
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_a_limit_is_kept() {
    let wire = Wire::start().await;
    let client = wire.client().await;
    wire.set(Act::answer(401, "", "{\"message\":\"Unauthenticated.\"}"));
    send(&client, TIMEOUT).await;
    wire.set(Act::Token);
    let ready = client.ready_to_pay().await.unwrap();
    assert_eq!(ready.token.generation, 1);
    wire.set(Act::answer(429, "Retry-After: 900\r\n", "Too Many Attempts."));
    let sent = ready.send_once(&refund("1"), within(TIMEOUT), identity).await;
    assert!(matches!(sent, Sent::Answered { status: 429, .. }), "{sent:?}");
    let error = client.ready_to_pay().await.unwrap_err();
    let RetryClass::Retry { after: Some(after) } = error.retry_class() else { panic!("{error}") };
    assert!(after > Duration::from_secs(890), "{after:?}");
    assert_eq!(wire.posts(), 2);
}

#[tokio::test]
async fn readiness_waits_for_the_quota_and_gives_its_place_back() {
    let wire = Wire::start().await;
    let client = wire.client().await;
    let held: Vec<Ready> = join_all((0..8).map(|_| client.ready_to_pay()))
        .await
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut ninth = std::pin::pin!(client.ready_to_pay());
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut ninth).await.is_err());
    drop(held);
    assert!(ninth.await.is_ok());
}

/// A payment of 100.00 in the simulator, which tells afterwards what arrived and what was done.
async fn sandboxed() -> (Simulator, Client, tempfile::TempDir) {
    let options = SimulatorOptions { history_days: 0, ..SimulatorOptions::default() };
    let simulator = Simulator::start(options).await.unwrap();
    simulator.ledger().add_payment(&NewPayment::new("169VP\"1", "100.00")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key"), "sandbox-key").unwrap();
    std::fs::write(dir.path().join("secret"), "sandbox-secret").unwrap();
    let base = format!("{}/api/vpos/v3", simulator.base_url());
    let settings = Arc::new(connection(&base, dir.path()));
    let mut client = Client::new(&settings, Arc::new(Metrics::new())).unwrap();
    Arc::get_mut(&mut client.caller).unwrap().pace = 0.0;
    (simulator, client, dir)
}

#[tokio::test]
async fn each_fault_of_a_payment_server_becomes_what_it_is() {
    for (fault, is, applied) in [
        ("slow=1ms:x1:change_payment", "approved", true),
        ("declined=51:x1", "declined", false),
        ("contradictory:x1", "unclear", true),
        ("applied_error:x1", "unclear", true),
        ("declined=91:x1", "unclear", false),
        ("applied_504:x1", "unclear", true),
        ("applied_html:x1", "unclear", true),
        ("504:x1:change_payment", "unclear", false),
        ("401:x1:change_payment", "unclear", false),
        ("429=1:x1:change_payment", "unclear", false),
        ("truncated:x1:change_payment", "unclear", true),
        ("cut:x1:change_payment", "unknown", true),
        ("closed:x1:change_payment", "unknown", false),
        ("applied_closed:x1", "unknown", true),
        ("applied_late=1h:x1", "unknown", false),
        ("reset:x1", "unknown", false),
        ("deaf=1h:x1:transactions_list", "not sent", false),
    ] {
        let (simulator, client, _dir) = sandboxed().await;
        let order = refund("12.50");
        let ready = client.ready_to_pay().await.unwrap();
        let connected = client.find_payment(Purpose::Payment, order.reference_no).await;
        assert!(connected.is_ok());
        simulator.set_faults(vec![fault.parse().unwrap()]);
        let before = match fault.starts_with("reset") {
            // The next connection is to be the send's.
            true => None,
            false => client.payment_state(Purpose::Payment, order.reference_no).await.unwrap(),
        };
        assert_eq!(before.and_then(|state| state.refunded), None, "{fault}");
        let sent = ready.send_once(&order, within(TIMEOUT), identity).await;
        let seen = match sent {
            Sent::NotSent { .. } => "not sent",
            Sent::Unknown { .. } => "unknown",
            Sent::Answered { status, body, .. } => {
                match payment::answer(order.change, status, &body) {
                    Verdict::Approved(_) => "approved",
                    Verdict::Declined(_) => "declined",
                    Verdict::Unclear { .. } => "unclear",
                }
            }
        };
        assert_eq!(seen, is, "{fault}");
        let posts = simulator.posts();
        let arrived = usize::from(!fault.starts_with("reset") && is != "not sent");
        assert_eq!(posts.iter().count(), arrived, "{fault}: {posts:?}");
        simulator.refuse_connections(Duration::ZERO).await;
        let after = until_open(&client, order.reference_no).await;
        assert_eq!(after.refunded, applied.then(|| Money::parse("12.5").unwrap()), "{fault}");
    }
}

/// The state, as soon as the port takes connections again.
async fn until_open(client: &Client, reference_no: &str) -> PaymentState {
    for _ in 0..2_000 {
        match client.payment_state(Purpose::Payment, reference_no).await {
            Ok(state) => return state.unwrap(),
            Err(error) => {
                assert!(matches!(error.retry_class(), RetryClass::Retry { .. }), "{error}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    panic!("the port stays shut")
}
