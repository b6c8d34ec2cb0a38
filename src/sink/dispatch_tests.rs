//! Turns beside an API that signs in and then answers nothing.

use std::sync::Mutex;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    api::Client,
    sink::{
        command::Order,
        desk::tests::Office,
        journal::JournalEvent,
        operator::tests::no_switch,
        plan::later,
        tests::{POLICY, SECOND, key_of, paid, received_as, refund, story_of},
        turn::tests::connection,
    },
    telemetry::metrics::Metrics,
};

/// More than this is no test of the clock, but a standstill.
const DEADLINE: Duration = Duration::from_secs(60);
const TOKEN: &str = r#"{"status":"success","token":"t"}"#;

/// The payments that were asked for; none of these questions is ever answered.
type Asked = Arc<Mutex<Vec<String>>>;

async fn silent_api() -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                if request.contains("/auth/token") {
                    let length = TOKEN.len();
                    let head =
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
                    let answer = format!("{head}\r\nContent-Length: {length}\r\n\r\n{TOKEN}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    return;
                }
                let reference = request.split("referanceNo=").nth(1).unwrap_or_default();
                let reference = reference.split([' ', '&']).next().unwrap_or_default();
                seen.lock().unwrap().push(reference.to_owned());
                std::future::pending::<()>().await;
            });
        }
    });
    (url, asked)
}

/// A dispatcher with these open commands; a call that is not answered lasts longer than the test.
async fn running(open: &[Entry]) -> (Office, Asked, tempfile::TempDir) {
    let (url, asked) = silent_api().await;
    let secrets = tempfile::tempdir().unwrap();
    let mut connection = connection(&url, secrets.path());
    let changed = Arc::get_mut(&mut connection).unwrap();
    changed.timeouts.request = Duration::from_secs(3600);
    changed.quota.concurrency = 2 * TURNS_MAX.get();
    let client = Client::new(&connection, Arc::new(Metrics::new())).unwrap();
    let mut office = Office::of([(connection.id.clone(), client)].into(), open);
    let dispatcher = Dispatcher::new(Arc::clone(&office.desk), open, &no_switch());
    let (_, nobody) = mpsc::unbounded_channel();
    tokio::spawn(dispatcher.run(std::mem::replace(&mut office.arrived, nobody)));
    (office, asked, secrets)
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(DEADLINE, async {
        while !is_so() {
            tokio::task::yield_now().await;
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}

fn waiting(n: u128, expires_at: Option<Timestamp>) -> Entry {
    let order = Order { expires_at, ..refund("10.00") };
    // Each payment has two commands: one that is first, and one that waits behind it.
    received_as(key_of(&format!("R{}", n / 2), n), order)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_expire_though_every_turn_is_held_by_an_api_that_does_not_answer() {
    let expires_at = Some(later(now(), 3 * SECOND));
    let open: Vec<Entry> = (0..400).map(|n| waiting(n, expires_at)).collect();
    let (office, _, _secrets) = running(&open).await;
    let turns = TURNS_MAX.get() - DOUBTS_MAX;
    let is_over = || office.desk.open_count() <= turns;
    wait_until("all expire but those that are being looked at", is_over).await;
    // One that arrives now expires as well.
    office.desk.take_over(vec![(waiting(10_000, Some(later(now(), SECOND))), 0)]);
    wait_until("what has arrived since expires", is_over).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubt_is_asked_for_though_waiting_commands_hold_every_other_turn() {
    let ago = POLICY.send_window_ms + POLICY.post_timeout_ms + POLICY.quiescence_ms;
    let at = Timestamp(now().0 - ago);
    let send_not_after = later(at, POLICY.send_window_ms + 2 * SECOND);
    let before = paid();
    let intended =
        JournalEvent::Intended { at, attempt: 1, epoch: 1, before, send_not_after, over_at: None };
    let doubted = JournalEvent::Doubted { at, detail: "timed out".into() };
    // It is quiet two seconds from now: by then the others have their turns.
    let doubt = story_of(received_as(key_of("DOUBT", 1), refund("10.00")), [intended, doubted]);
    let mut open: Vec<Entry> = (0..400).map(|n| waiting(n, None)).collect();
    open.push(doubt);
    let (_office, asked, _secrets) = running(&open).await;
    let turns = TURNS_MAX.get() - DOUBTS_MAX;
    wait_until("every turn of the others is held", || asked.lock().unwrap().len() >= turns).await;
    wait_until("the doubt is asked for", || {
        asked.lock().unwrap().iter().any(|reference| reference == "DOUBT")
    })
    .await;
    assert_eq!(asked.lock().unwrap().len(), turns + 1);
}
