//! Turns against a simulated API that counts requests, with a journal whose every commit is watched.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use axum::{Router, extract::Query, http::StatusCode, routing::get};

use super::*;
use crate::{
    config::model::{Connection, Quota, Streams, Timeouts, VomsisApi},
    domain::ids::ConnectionId,
    publish::group,
    sandbox::{
        Simulator, SimulatorOptions,
        ledger::NewPayment,
        simulator::{APP_KEY, APP_SECRET},
    },
    sink::{
        brakes::StopSource,
        desk::{Fixed, tests::fixed},
        journal::{
            Status,
            codec::{self, Record},
        },
        ledger::Write,
        plan::Policy,
        rivals::Rivals,
        tests::{NO_LIMITS, POLICY, brakes, key_of, paid, received_as, refund, story_of},
    },
    telemetry::metrics::Metrics,
};

/// A desk with one open refund, and the API that it would be asked of.
struct Till {
    desk: Arc<Desk>,
    simulator: Simulator,
    key: CommandKey,
    _secrets: tempfile::TempDir,
}

/// What the journal does with a write once the desk has handed it over; `false` confirms nothing
/// any more.
type Confirms = fn(&Desk, &Status) -> bool;

impl Till {
    async fn new(confirms: Confirms) -> Self {
        let options = SimulatorOptions { history_days: 0, ..SimulatorOptions::default() };
        let simulator = Simulator::start(options).await.unwrap();
        simulator.ledger().add_payment(&NewPayment::new("REF-1", "100.00")).unwrap();
        let url = simulator.base_url();
        Self::asking(simulator, &url, confirms)
    }

    /// Asks another address than the simulator's.
    fn asking(simulator: Simulator, url: &str, confirms: Confirms) -> Self {
        Self::in_row(simulator, url, 8, confirms)
    }

    /// The same with so many calls at a time.
    fn in_row(simulator: Simulator, url: &str, calls: usize, confirms: Confirms) -> Self {
        Self::under(POLICY, (simulator, url), calls, confirms)
    }

    /// The same with other times.
    fn under(
        policy: Policy,
        (simulator, url): (Simulator, &str),
        calls: usize,
        confirms: Confirms,
    ) -> Self {
        let secrets = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::new());
        let mut connection = connection(url, secrets.path());
        Arc::make_mut(&mut connection).quota.concurrency = calls;
        let client = Client::new(&connection, Arc::clone(&metrics)).unwrap();
        let clients = [(connection.id.clone(), client)].into();
        let fixed = Fixed { clients, policy, ..fixed(&metrics) };
        let order = Order { expires_at: None, currency: None, ..refund("10.00") };
        let entry = received_as(key_of("REF-1", 1), order);
        let key = entry.key().clone();
        let (publisher, mut inbox) = group::channel::<Write>();
        let (desk, _) = Desk::new(fixed, publisher, [entry], brakes(NO_LIMITS), Rivals::default());
        let desk = Arc::new(desk);
        // Not an owner of the desk: the journal ends with it.
        let watched = Arc::downgrade(&desk);
        thread::spawn(move || {
            while let Some(requests) = inbox.gather() {
                for request in requests {
                    let Some(desk) = watched.upgrade() else { return };
                    if !confirms(&desk, &status_of(&request.batch)) {
                        return;
                    }
                    for record in &request.batch.journal {
                        desk.fixed.witness.saw(record.key.as_bytes(), record.value.as_deref());
                    }
                    request.confirm();
                }
            }
        });
        Self { desk, simulator, key, _secrets: secrets }
    }

    async fn carry(&self) -> Result<Ended, Failure> {
        carry(&self.desk, &self.key, Failures::NONE).await.map(|(ended, _)| ended)
    }

    fn posts(&self) -> usize {
        self.simulator.posts().iter().count()
    }
}

/// Where the one story of a write stands.
fn status_of(write: &Write) -> Status {
    let story = &write.journal[0];
    match codec::decode(&story.key, story.value.as_ref().unwrap()).unwrap() {
        Record::Command(entry) => entry.status().clone(),
        other => panic!("{other:?}"),
    }
}

pub(in crate::sink) fn connection(url: &str, secrets: &std::path::Path) -> Arc<Connection> {
    let (app_key_file, app_secret_file) = (secrets.join("key"), secrets.join("secret"));
    std::fs::write(&app_key_file, APP_KEY).unwrap();
    std::fs::write(&app_secret_file, APP_SECRET).unwrap();
    let base_url = format!("{url}/api/vpos/v3");
    Arc::new(Connection {
        id: ConnectionId::try_new("acme").unwrap(),
        bank_pos: None,
        virtual_pos: Some(VomsisApi { base_url, app_key_file, app_secret_file }),
        tos: None,
        timeouts: Timeouts { connect: Duration::from_secs(5), request: Duration::from_secs(20) },
        extras: false,
        quota: Quota { requests_per_minute: 60_000, concurrency: 8, reserved_for_payments: 0 },
        streams: Streams {
            bank_transactions: None,
            pos_transactions: None,
            virtual_pos_transactions: None,
            tos_payments: None,
            reference: None,
        },
    })
}

#[tokio::test]
async fn a_turn_sends_once_and_tells_what_came() {
    let till = Till::new(|_, _| true).await;
    assert!(matches!(till.carry().await, Ok(Ended::Finished)));
    assert_eq!(till.posts(), 1);
    assert!(till.desk.entry(&till.key).is_none(), "its story is in Kafka");
}

#[tokio::test]
async fn an_intent_that_is_not_confirmed_lets_nothing_leave() {
    let till = Till::new(|_, status| !matches!(status, Status::Intended(_))).await;
    assert!(matches!(till.carry().await, Err(Failure::Gone(_))));
    assert_eq!(till.posts(), 0, "nobody knows whether it is written");
}

#[tokio::test]
async fn a_switch_that_is_turned_on_while_the_intent_is_written_lets_nothing_leave() {
    let till = Till::new(|desk, status| {
        if matches!(status, Status::Intended(_)) {
            desk.set_stop(StopSource::Record, Some("drill".into()));
        }
        true
    })
    .await;
    let ended = till.carry().await.unwrap();
    assert_eq!(till.posts(), 0, "{ended:?}");
    let by = StopSource::Record;
    let why = Pause::Braked(Brake::Stopped { by, why: "drill".into() });
    assert_eq!(ended, Ended::Paused { until: None, why });
    // What is proven not to have left may have another turn when the switch lets go.
    let entry = till.desk.entry(&till.key).unwrap();
    assert!(matches!(entry.status(), Status::NotSent { attempts: 1, .. }), "{entry:?}");
}

#[tokio::test]
async fn an_intent_that_nobody_can_read_lets_nothing_leave() {
    let till = Till::new(|desk, status| {
        if matches!(status, Status::Intended(_)) {
            desk.fixed.witness.leave();
        }
        true
    })
    .await;
    let ended = till.carry().await.unwrap();
    assert_eq!(till.posts(), 0, "{ended:?}");
    assert!(matches!(ended, Ended::Paused { why: Pause::Backoff, .. }), "{ended:?}");
    let entry = till.desk.entry(&till.key).unwrap();
    assert!(matches!(entry.status(), Status::NotSent { attempts: 1, .. }), "{entry:?}");
    let Some(JournalEvent::NotSent { detail, .. }) = entry.events().last() else {
        panic!("{entry:?}");
    };
    assert!(detail.contains("followed no more"), "{detail}");
}

/// Refuses one of the two questions about a payment in these words, and answers the other.
async fn refusing(asked: &str, says: &'static str) -> SocketAddr {
    let refusal = move || async move { (StatusCode::UNPROCESSABLE_ENTITY, says) };
    let token = || async { r#"{"status":"success","token":"tok"}"# };
    let found = || async {
        r#"{"success":true,"data":{"referanceNo":"REF-1","amount":"100.00","status":"Başarılı"}}"#
    };
    let find = if asked == "find" { get(refusal) } else { get(found) };
    let app = Router::new()
        .route("/api/vpos/v3/authenticate", axum::routing::post(token))
        .route("/api/vpos/v3/auth/token", axum::routing::post(token))
        .route("/api/vpos/v3/transaction/find", find)
        .route("/api/vpos/v3/transactions-list", get(refusal));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_refused_question_is_no_word_about_the_payment() {
    let options = || SimulatorOptions { history_days: 0, ..SimulatorOptions::default() };
    for (asked, says, ends) in [
        ("list", r#"{"message":"The selected status is invalid."}"#, false),
        ("list", r#"{"message":"The payment was not found."}"#, false),
        ("find", r#"{"message":"The referance no field is required."}"#, false),
        ("find", r#"{"message":"The payment was not found."}"#, true),
    ] {
        let simulator = Simulator::start(options()).await.unwrap();
        let url = format!("http://{}", refusing(asked, says).await);
        let till = Till::asking(simulator, &url, |_, _| true);
        let ended = till.carry().await.unwrap();
        if ends {
            assert_eq!(ended, Ended::Finished, "{asked} {says}");
            continue;
        }
        let Ended::Paused { why, .. } = &ended else { panic!("{asked} {says}: {ended:?}") };
        assert_eq!(*why, Pause::Backoff, "{asked} {says}");
        let entry = till.desk.entry(&till.key).unwrap();
        assert_eq!(*entry.status(), Status::Received, "{asked} {says}");
    }
}

#[tokio::test]
async fn a_look_ends_with_the_ownership() {
    let simulator =
        Simulator::start(SimulatorOptions { history_days: 0, ..SimulatorOptions::default() });
    // Takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let till = Till::asking(simulator.await.unwrap(), &url, |_, _| true);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        till.desk.fixed.stop.cancel();
    };
    let both = async { tokio::join!(till.carry(), stop).0 };
    let ended = timeout(Duration::from_secs(5), both).await.expect("nobody waits for the API");
    assert_eq!(ended.unwrap(), Ended::Stopped);
    assert_eq!(*till.desk.entry(&till.key).unwrap().status(), Status::Received);
}

#[tokio::test]
async fn a_look_ends_when_its_command_expires() {
    let simulator =
        Simulator::start(SimulatorOptions { history_days: 0, ..SimulatorOptions::default() });
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let till = Till::asking(simulator.await.unwrap(), &url, |_, status| {
        assert_eq!(*status, Status::Expired);
        true
    });
    let expires_at = Some(later(now(), 300));
    let short = received_as(key_of("REF-2", 2), Order { expires_at, ..refund("10.00") });
    till.desk.take_over(vec![(short.clone(), 0)]);
    let carried = carry(&till.desk, short.key(), Failures::NONE);
    let ended = timeout(Duration::from_secs(5), carried).await.expect("the look was awaited");
    assert!(matches!(ended, Ok((Ended::Finished, _))));
    assert!(till.desk.entry(short.key()).is_none(), "it is expired");
}

#[tokio::test]
async fn what_has_its_intent_is_sent_and_told_although_the_ownership_ends() {
    let till = Till::new(|desk, status| {
        if matches!(status, Status::Intended(_)) {
            desk.fixed.stop.cancel();
        }
        true
    })
    .await;
    assert!(matches!(till.carry().await, Ok(Ended::Finished)));
    assert_eq!(till.posts(), 1);
}

/// Finds every payment, and tells of no request what became of it; counts those.
async fn losing(posts: Arc<AtomicUsize>) -> SocketAddr {
    let token = || async { r#"{"status":"success","token":"tok"}"# };
    let found = |Query(asked): Query<HashMap<String, String>>| async move {
        format!(
            r#"{{"success":true,"data":{{"referanceNo":"{}","amount":"100.00","status":"Başarılı"}}}}"#,
            asked["referanceNo"]
        )
    };
    let row = |reference| {
        format!(
            r#"{{"referans_kodu":"{reference}","tutar":"100.00","tur":"islem","status_detail":{{"status":"successful"}}}}"#
        )
    };
    let list = format!(r#"{{"success":true,"data":[{},{}]}}"#, row("REF-1"), row("REF-2"));
    let lost = move || async move {
        posts.fetch_add(1, Ordering::SeqCst);
        StatusCode::BAD_GATEWAY
    };
    let app = Router::new()
        .route("/api/vpos/v3/authenticate", axum::routing::post(token))
        .route("/api/vpos/v3/auth/token", axum::routing::post(token))
        .route("/api/vpos/v3/transaction/find", get(found))
        .route("/api/vpos/v3/transactions-list", get(move || async move { list }))
        .route("/api/vpos/v3/transaction", axum::routing::post(lost));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_doubt_counts_before_its_place_is_another_ones() {
    let simulator =
        Simulator::start(SimulatorOptions { history_days: 0, ..SimulatorOptions::default() });
    let posts = Arc::new(AtomicUsize::new(0));
    let url = format!("http://{}", losing(Arc::clone(&posts)).await);
    let till = Till::in_row(simulator.await.unwrap(), &url, 1, |_, status| {
        if matches!(status, Status::InDoubt { .. }) {
            // Time enough for the next one, which has the place by now.
            thread::sleep(Duration::from_millis(500));
        }
        true
    });
    let order = Order { expires_at: None, currency: None, ..refund("10.00") };
    let second = received_as(key_of("REF-2", 2), order);
    till.desk.take_over(vec![(second.clone(), 0)]);
    // One more is one too many.
    for n in 8..10 {
        till.desk.doubt(&key_of("REF-9", n));
    }
    let (ended, other) =
        tokio::join!(till.carry(), carry(&till.desk, second.key(), Failures::NONE));
    assert_eq!(posts.load(Ordering::SeqCst), 1, "{ended:?} {other:?}");
    let statuses = [&till.key, second.key()].map(|key| till.desk.entry(key).unwrap());
    let count = |wanted: fn(&Status) -> bool| {
        statuses.iter().filter(|entry| wanted(entry.status())).count()
    };
    assert_eq!(count(|status| matches!(status, Status::InDoubt { .. })), 1, "{statuses:?}");
    assert_eq!(count(|status| *status == Status::Received), 1, "{statuses:?}");
}

#[tokio::test]
async fn a_payment_that_its_list_does_not_show_is_refunded_and_its_sum_is_not_known() {
    let simulator =
        Simulator::start(SimulatorOptions { history_days: 0, ..SimulatorOptions::default() });
    let posts = Arc::new(AtomicUsize::new(0));
    let url = format!("http://{}", losing(Arc::clone(&posts)).await);
    let till = Till::asking(simulator.await.unwrap(), &url, |_, _| true);
    let order = Order { expires_at: None, currency: None, ..refund("10.00") };
    let named = Order { currency: Some("TRY".into()), ..order.clone() };
    let cancel = Order { kind: Kind::Cancel, ..order.clone() };
    let entries = [(3, order), (4, cancel), (5, named)]
        .map(|(n, order)| received_as(key_of(&format!("REF-{n}"), n), order));
    till.desk.take_over(entries.iter().map(|entry| (entry.clone(), 0)).collect());
    for (entry, sent) in entries.iter().zip([1, 2, 2]) {
        carry(&till.desk, entry.key(), Failures::NONE).await.unwrap();
        assert_eq!(posts.load(Ordering::SeqCst), sent);
        match till.desk.entry(entry.key()) {
            Some(entry) => assert!(entry.intent().unwrap().before.refunded_unknown, "{entry:?}"),
            None => assert_eq!(entry.key().command_id, key_of("", 5).command_id, "its currency"),
        }
    }
}

#[tokio::test]
async fn a_doubt_that_begins_while_the_intent_is_written_lets_nothing_leave() {
    let till = Till::new(|desk, status| {
        if matches!(status, Status::Intended(_)) {
            (7..10).for_each(|n| desk.doubt(&key_of("REF-9", n)));
        }
        true
    })
    .await;
    let ended = till.carry().await.unwrap();
    assert_eq!(till.posts(), 0, "{ended:?}");
    let why = Pause::Braked(Brake::TooManyDoubts { open: 3, max: 3 });
    assert_eq!(ended, Ended::Paused { until: None, why });
    let entry = till.desk.entry(&till.key).unwrap();
    assert!(matches!(entry.status(), Status::NotSent { attempts: 1, .. }), "{entry:?}");
}

/// A backlog would never be sent if a look grew old while its question waited for a place.
#[tokio::test]
async fn a_look_is_as_old_as_its_question_however_long_that_waited() {
    let options = SimulatorOptions { history_days: 0, ..SimulatorOptions::default() };
    let simulator = Simulator::start(options).await.unwrap();
    simulator.ledger().add_payment(&NewPayment::new("REF-1", "100.00")).unwrap();
    let url = simulator.base_url();
    let till = Till::in_row(simulator, &url, 1, |_, _| true);
    let held = client(&till.desk, &till.key).unwrap().ready_to_pay().await.unwrap();
    let release = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(6 * 60)).await;
        tokio::time::resume();
        drop(held);
    };
    let (ended, ()) = tokio::join!(till.carry(), release);
    assert!(matches!(ended, Ok(Ended::Finished)));
    let asked = till.simulator.requests().last.into_iter();
    let finds = asked.filter(|request| request.operation == "transaction_find").count();
    assert_eq!((finds, till.posts()), (1, 1), "the look was believed");
}

#[tokio::test]
async fn a_doubt_of_a_clock_that_was_ahead_is_looked_up_once_it_was_held_for_long_enough() {
    let options = SimulatorOptions { history_days: 0, ..SimulatorOptions::default() };
    let simulator = Simulator::start(options).await.unwrap();
    simulator.ledger().add_payment(&NewPayment::new("REF-1", "100.00")).unwrap();
    let url = simulator.base_url();
    let times = Policy { send_window_ms: 100, post_timeout_ms: 100, quiescence_ms: 100, ..POLICY };
    let till = Till::under(times, (simulator, &url), 8, |_, _| true);
    let at = later(now(), 365 * 24 * 3_600_000);
    let intended = JournalEvent::Intended {
        at,
        attempt: 1,
        epoch: 1,
        before: paid(),
        send_not_after: at,
        over_at: None,
    };
    let doubted = JournalEvent::Doubted { at, detail: "timed out".into() };
    let order = Order { expires_at: None, currency: None, ..refund("10.00") };
    let doubt = story_of(received_as(key_of("REF-1", 2), order), [intended, doubted]);
    let (key, known) = (doubt.key().clone(), Instant::now());
    till.desk.take_over(vec![(doubt, 0)]);
    let finds = || {
        let asked = till.simulator.requests().last.into_iter();
        asked.filter(|request| request.operation == "transaction_find").count()
    };
    let to_its_end = async {
        loop {
            let (ended, _) = carry(&till.desk, &key, Failures::NONE).await.unwrap();
            let Ended::Paused { until: Some(until), why: Pause::Doubt } = ended else {
                return ended;
            };
            assert_eq!(finds(), 0, "it is not asked about too early");
            assert!(until <= later(now(), 300), "{until:?}");
            tokio::time::sleep(between(now(), until)).await;
        }
    };
    let ended = timeout(Duration::from_secs(60), to_its_end).await.expect("it ends");
    assert_eq!((ended, finds(), till.posts()), (Ended::Finished, 1, 0));
    assert!(known.elapsed() >= Duration::from_millis(300), "{:?}", known.elapsed());
    assert_eq!(*till.desk.entry(&key).unwrap().status(), Status::Parked);
}
