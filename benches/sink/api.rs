//! A virtual POS that knows 32 payments, answers a refund after 20 ms and anything else at once.

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Payments, and thereby commands that may be on their way at once.
pub(crate) const REFERENCES: usize = 32;
/// How long the API takes for a refund.
pub(crate) const ANSWER: Duration = Duration::from_millis(20);
/// Of each payment, in lira; more than any run refunds.
const PAID: u64 = 1_000_000;

/// The name of a payment.
pub(crate) fn reference(n: usize) -> String {
    format!("REF-{:02}", n % REFERENCES)
}

/// A refund has been asked for.
#[derive(Debug)]
pub(crate) struct Post {
    /// When its request was read.
    pub(crate) at: Instant,
    /// From the arrival of the `find` before it to the answer of the list after that: the look.
    pub(crate) looked: Duration,
}

struct Shared {
    /// Lira given back, by reference.
    refunded: Mutex<BTreeMap<String, u64>>,
    /// When a payment was looked up last, and its list read.
    found: Mutex<HashMap<String, Instant>>,
    listed: Mutex<Option<Instant>>,
    posts: Sender<Post>,
}

/// The running API; it ends with the value.
pub(crate) struct Api {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Every refund that was asked for, in order.
    pub(crate) posts: Receiver<Post>,
    _runtime: Runtime,
}

impl Api {
    pub(crate) fn start() -> Self {
        let (sender, posts) = channel();
        let refunded = (0..REFERENCES).map(|n| (reference(n), 0)).collect();
        let shared = Arc::new(Shared {
            refunded: Mutex::new(refunded),
            found: Mutex::default(),
            listed: Mutex::default(),
            posts: sender,
        });
        let runtime = Runtime::new().unwrap();
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new()
            .route("/auth/token", post(token))
            .route("/transaction/find", get(find))
            .route("/transactions-list", get(list))
            .route("/transaction", post(refund))
            .with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { shared, address, posts, _runtime: runtime }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lira given back, all payments together.
    pub(crate) fn refunded(&self) -> u64 {
        self.shared.refunded.lock().unwrap().values().sum()
    }
}

async fn token() -> Json<Value> {
    Json(json!({"success": true, "access_token": "benchmark"}))
}

async fn find(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Value> {
    let reference = query.get("referanceNo").unwrap();
    shared.found.lock().unwrap().insert(reference.clone(), Instant::now());
    let data = json!({
        "referanceNo": reference, "transactionDate": "2026-06-01 12:00:00", "posName": "POS",
        "errorCode": "00", "errorMessage": "", "amount": format!("{PAID}.00"),
        "paidAmount": format!("{PAID}.00"), "installment": 1, "status": "successful",
    });
    Json(json!({"success": true, "data": data}))
}

async fn list(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let refunded = shared.refunded.lock().unwrap().clone();
    let row = |(reference, refunded): (String, u64)| {
        json!({
            "referans_kodu": reference, "tutar": format!("{PAID}.00"), "tur": "islem",
            "para_birimi": "TRY", "islem_tarihi": "2026-06-01 12:00:00",
            "iade_tutar": format!("{refunded}.00"),
            "status_detail": {"status": "successful", "title": "Başarılı"},
        })
    };
    let rows: Vec<Value> = refunded.into_iter().map(row).collect();
    let answer = Json(json!({"success": true, "data": rows}));
    *shared.listed.lock().unwrap() = Some(Instant::now());
    answer
}

async fn refund(State(shared): State<Arc<Shared>>, Json(body): Json<Value>) -> Json<Value> {
    let at = Instant::now();
    let reference = body["referanceNo"].as_str().unwrap();
    let found = shared.found.lock().unwrap().get(reference).copied();
    let listed = *shared.listed.lock().unwrap();
    let looked = listed.zip(found).map_or(Duration::ZERO, |(to, from)| to - from);
    // Nobody listens in the runs that only count.
    drop(shared.posts.send(Post { at, looked }));
    tokio::time::sleep(ANSWER).await;
    let total = {
        let mut all = shared.refunded.lock().unwrap();
        let sum = all.get_mut(reference).unwrap();
        *sum += 1;
        *sum
    };
    Json(json!({
        "islem_id": 1, "type": "iade", "trans_id": "B1", "response": "Approved",
        "proc_return_code": "00", "iade_tutar": format!("{total}.00"), "error_code": "00",
        "error_message": "", "status": "approved", "status_detail": "approved",
    }))
}
