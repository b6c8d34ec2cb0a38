//! A bank API whose answers were rendered before the clock starts.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::{NaiveDate, TimeDelta, Utc};
use chrono_tz::Europe::Istanbul;
use serde_json::json;
use tokio::runtime::Runtime;

/// The document's sample row, compact: 833 bytes, 30 fields.
const ROW: &str = include_str!("../row.json");

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) accounts: u32,
    /// Days up to today, today included.
    pub(crate) days: u32,
    /// Rows of an account on a day.
    pub(crate) rows_a_day: u32,
}

impl Size {
    pub(crate) fn rows(self) -> u64 {
        u64::from(self.accounts) * u64::from(self.days) * u64::from(self.rows_a_day)
    }
}

struct Rendered {
    size: Size,
    first_day: NaiveDate,
    /// The rows of a day of an account, joined by commas: `account * days + day`.
    days: Vec<Bytes>,
    calls: AtomicU64,
    first_call: OnceLock<Instant>,
}

/// The running source; it ends with the value.
pub(crate) struct Source {
    rendered: Arc<Rendered>,
    address: SocketAddr,
    _runtime: Runtime,
}

impl Source {
    pub(crate) fn start(size: Size) -> Self {
        let rendered = Arc::new(Rendered::new(size));
        let runtime = Runtime::new().unwrap();
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new()
            .route("/api/v2/authenticate", post(authenticate))
            .route("/api/v2/accounts", get(accounts))
            .route("/api/v2/accounts/{id}/transactions", get(transactions))
            .with_state(Arc::clone(&rendered));
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { rendered, address, _runtime: runtime }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/api/v2", self.address)
    }

    /// Calls for rows so far.
    pub(crate) fn calls(&self) -> u64 {
        self.rendered.calls.load(Ordering::Relaxed)
    }

    /// When rows were asked for first.
    pub(crate) fn first_call(&self) -> Option<Instant> {
        self.rendered.first_call.get().copied()
    }
}

impl Rendered {
    fn new(size: Size) -> Self {
        let today = Utc::now().with_timezone(&Istanbul).date_naive();
        let first_day = today - TimeDelta::days(i64::from(size.days) - 1);
        let mut days = Vec::new();
        for account in 1..=size.accounts {
            for day in 0..size.days {
                let date = first_day + TimeDelta::days(i64::from(day));
                let rows: Vec<String> =
                    (0..size.rows_a_day).map(|n| row(size, account, date, day, n)).collect();
                days.push(Bytes::from(rows.join(",")));
            }
        }
        Self { size, first_day, days, calls: AtomicU64::new(0), first_call: OnceLock::new() }
    }

    fn window(&self, account: u32, begin: NaiveDate, end: NaiveDate) -> Vec<Bytes> {
        let index = |date: NaiveDate| (date - self.first_day).num_days();
        let last = i64::from(self.size.days) - 1;
        let (from, to) = (index(begin).max(0), index(end).min(last));
        let start = i64::from(account - 1) * i64::from(self.size.days);
        (from..=to)
            .filter_map(|day| self.days.get(usize::try_from(start + day).ok()?).cloned())
            .collect()
    }
}

/// Ids rise with the days over all accounts, as one sequence of the provider would.
fn row(size: Size, account: u32, date: NaiveDate, day: u32, n: u32) -> String {
    let a_day = u64::from(size.accounts) * u64::from(size.rows_a_day);
    let id = 7_000_000
        + u64::from(day) * a_day
        + u64::from(n) * u64::from(size.accounts)
        + u64::from(account);
    let seconds = u64::from(n) * 86_399 / u64::from(size.rows_a_day.max(1));
    let time = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    ROW.trim()
        .replace("6915745", &id.to_string())
        .replace("\"bank_account_id\":73", &format!("\"bank_account_id\":{account}"))
        .replace("2022-03-10 13:50:45", &format!("{date} {time}"))
        .replace("23b9e3f191a286d7a934a22b8a9decd1", &format!("{id:032x}"))
        .replace("209000.00", &format!("{}.{:02}", 1000 + id % 90_000, id % 100))
}

async fn authenticate() -> Json<serde_json::Value> {
    Json(json!({"status": "success", "token": "benchmark"}))
}

async fn accounts(State(rendered): State<Arc<Rendered>>) -> Json<serde_json::Value> {
    let account = |id: u32| {
        json!({
            "id": id, "bank_id": 1, "branch_name": "MERKEZ", "branch_code": "1",
            "account_number": id.to_string(), "account_name": "", "fec_name": "TL",
            "currency_id": 1, "balance": "0.00", "status": 1,
        })
    };
    let accounts: Vec<_> = (1..=rendered.size.accounts).map(account).collect();
    Json(json!({"status": "success", "accounts": accounts}))
}

async fn transactions(
    State(rendered): State<Arc<Rendered>>,
    Path(account): Path<u32>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    rendered.calls.fetch_add(1, Ordering::Relaxed);
    rendered.first_call.get_or_init(Instant::now);
    let date = |name: &str| {
        let text = query.get(name)?.get(..10)?;
        NaiveDate::parse_from_str(text, "%d-%m-%Y").ok()
    };
    let rows = match (query.contains_key("lastId"), date("beginDate"), date("endDate")) {
        (false, Some(begin), Some(end)) => rendered.window(account, begin, end),
        // Nothing is ever newer than what the backfill reads.
        _ => Vec::new(),
    };
    let mut body = br#"{"status":"success","transactions":["#.to_vec();
    for (i, day) in rows.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(day);
    }
    body.extend_from_slice(b"]}");
    ([(CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
}
