//! What the simulator's requests share, and how faults bend one answer.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::{
    answer::Answer,
    door::Slam,
    faults::{Fault, Faults, PaymentFault},
    operation::Operation,
    posts::Posts,
    sign_in::Tokens,
};
use crate::sandbox::{generator::tos::uuid, ledger::Ledger, random::Random};

/// The order in which rows are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowOrder {
    /// Newest id first, as the documents' list.
    #[default]
    Descending,
    /// Oldest id first.
    Ascending,
    /// Any order, the same each time.
    Shuffled,
}

/// One request as it came, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeenRequest {
    /// The operation's name.
    pub operation: &'static str,
    /// Path and query.
    pub target: String,
    /// The JSON body of a TOS query, a find or a cancel or refund; empty elsewhere.
    pub body: String,
    /// The status that was answered; 0 where the connection was closed instead.
    pub status: u16,
}

/// How many requests are kept.
const SEEN_MAX: usize = 1000;

/// Counts of requests, and the last of them.
#[derive(Debug, Clone, Default)]
pub struct Requests {
    /// How often each operation was asked for.
    pub counts: BTreeMap<&'static str, u64>,
    /// The last requests, oldest first.
    pub last: VecDeque<SeenRequest>,
}

impl Requests {
    pub(super) fn note(&mut self, request: SeenRequest) {
        *self.counts.entry(request.operation).or_default() += 1;
        if self.last.len() == SEEN_MAX {
            self.last.pop_front();
        }
        self.last.push_back(request);
    }

    /// How often an operation was asked for.
    pub fn count(&self, operation: Operation) -> u64 {
        self.counts.get(operation.name()).copied().unwrap_or(0)
    }
}

/// Settings that may change while it runs.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) order: RowOrder,
    pub(super) gzip: bool,
    /// Requests a minute that are really enforced.
    pub(super) rate_limit: Option<u32>,
    pub(super) arrivals_per_second: f64,
    minute: (Option<Instant>, u32),
}

impl Settings {
    pub(super) const fn new(
        order: RowOrder,
        gzip: bool,
        rate_limit: Option<u32>,
        arrivals_per_second: f64,
    ) -> Self {
        Self { order, gzip, rate_limit, arrivals_per_second, minute: (None, 0) }
    }

    /// Counts a request; answers limit, what remains, and seconds to wait where none does.
    pub(super) fn count_request(&mut self, now: Instant) -> (u32, u32, Option<u64>) {
        let Some(limit) = self.rate_limit else {
            // Not enforced: what the documents' answers show.
            return (100, 99, None);
        };
        let minute = Duration::from_secs(60);
        let start = self.minute.0.filter(|start| now.duration_since(*start) < minute);
        let used = if start.is_some() { self.minute.1 } else { 0 };
        let start = start.unwrap_or(now);
        if used >= limit {
            let wait = minute.saturating_sub(now.duration_since(start)).as_secs() + 1;
            return (limit, 0, Some(wait));
        }
        self.minute = (Some(start), used + 1);
        (limit, limit - used - 1, None)
    }
}

/// Everything behind the simulator's doors.
#[derive(Debug)]
pub(super) struct World {
    ledger: Mutex<Ledger>,
    faults: Mutex<Faults>,
    requests: Mutex<Requests>,
    posts: Mutex<Posts>,
    slams: mpsc::Sender<Slam>,
    tokens: Mutex<Tokens>,
    settings: Mutex<Settings>,
    uuids: Mutex<Random>,
}

/// A panic in one test's request must not hide the ledger from the next.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(
        ledger: Ledger,
        faults: Faults,
        settings: Settings,
        seed: u64,
        slams: mpsc::Sender<Slam>,
    ) -> Self {
        Self {
            ledger: Mutex::new(ledger),
            faults: Mutex::new(faults),
            requests: Mutex::new(Requests::default()),
            posts: Mutex::default(),
            slams,
            tokens: Mutex::new(Tokens::new(seed)),
            settings: Mutex::new(settings),
            uuids: Mutex::new(Random::new(seed)),
        }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(super) fn requests(&self) -> MutexGuard<'_, Requests> {
        lock(&self.requests)
    }

    /// Cancels and refunds. Taken after the ledger where both are needed.
    pub(super) fn posts(&self) -> MutexGuard<'_, Posts> {
        lock(&self.posts)
    }

    /// Lets the port refuse connections for so long; returns when it does.
    pub(super) async fn slam(&self, time: Duration) {
        let (begun, told) = oneshot::channel();
        if self.slams.send((time, begun)).await.is_ok() {
            // A door that is gone refuses too.
            drop(told.await);
        }
    }

    pub(super) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        lock(&self.tokens)
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    /// How an answer to this operation is to be bent.
    pub(super) fn bend(&self, operation: Operation) -> Bent {
        let mut bent = Bent {
            order: self.settings().order,
            object_id: uuid(&mut lock(&self.uuids)),
            ..Bent::default()
        };
        for fault in self.faults().draw(operation) {
            bent.add(fault);
        }
        bent
    }
}

/// What the drawn faults do to one answer.
#[derive(Debug, Default)]
pub(super) struct Bent {
    pub(super) order: RowOrder,
    pub(super) object_id: String,
    pub(super) delay: Option<Duration>,
    /// An answer instead of the true one.
    pub(super) instead: Option<Answer>,
    pub(super) expire_token: bool,
    pub(super) default_range: bool,
    pub(super) dates_required: bool,
    pub(super) row_cap: Option<usize>,
    pub(super) tos_empty_code: bool,
    pub(super) deaf: Option<Duration>,
    /// What befalls the change of a payment.
    pub(super) payment: Option<PaymentFault>,
    /// The number of the cancel or refund that this is.
    pub(super) post: Option<usize>,
    truncated: bool,
    cut: bool,
    missing_key: bool,
    success_false_text: bool,
}

impl Bent {
    fn add(&mut self, fault: Fault) {
        match fault {
            Fault::Slow(delay) => self.delay = Some(delay),
            Fault::DefaultRange => self.default_range = true,
            Fault::DatesRequired => self.dates_required = true,
            Fault::RowCap(rows) => self.row_cap = Some(rows),
            Fault::TosEmptyCode => self.tos_empty_code = true,
            Fault::Deaf(time) => self.deaf = Some(time),
            Fault::Payment(fault) => self.payment = Some(fault),
            Fault::Closed => self.instead = Some(Answer::hang_up()),
            // Meets connections, not requests.
            Fault::Reset => {}
            Fault::Truncated => self.truncated = true,
            Fault::Cut => self.cut = true,
            Fault::MissingKey => self.missing_key = true,
            Fault::SuccessFalseText => self.success_false_text = true,
            Fault::ExpiredToken => {
                self.expire_token = true;
                self.instead = Some(Answer::unauthenticated());
            }
            Fault::TooMany(seconds) => {
                let plain = Answer::text(429, "text/plain; charset=UTF-8", "Too Many Attempts.");
                self.instead = Some(match seconds {
                    Some(seconds) => plain.with("retry-after", seconds),
                    None => plain,
                });
            }
            Fault::Status(500) => {
                self.instead = Some(Answer::json(500, json!({"message": "Server Error"})));
            }
            Fault::Status(status) => {
                let title = match status {
                    502 => "Bad Gateway",
                    503 => "Service Unavailable",
                    _ => "Gateway Time-out",
                };
                self.instead = Some(Answer::page(status, title));
            }
            Fault::Html => self.instead = Some(Answer::page(200, "Vomsis")),
            Fault::SuccessFalse => {
                let body = json!({"success": false, "message": "Bir hata oluştu"});
                self.instead = Some(Answer::json(200, body));
            }
            Fault::StatusError => {
                let body = json!({"status": "error", "message": "Bir hata oluştu"});
                self.instead = Some(Answer::json(200, body));
            }
            Fault::Unauthenticated => self.instead = Some(Answer::unauthenticated()),
            Fault::Forbidden => {
                let body = json!({"message": "This action is unauthorized."});
                self.instead = Some(Answer::json(403, body));
            }
            Fault::IpNotFound => {
                let message = "ip_not_found: İstek yapılan ip adresi tanımlı değil : 203.0.113.7";
                let body = json!({"status": "error", "code": "ip_not_found", "message": message});
                self.instead = Some(Answer::json(403, body));
            }
            Fault::Login => self.instead = Some(Answer::login()),
        }
    }

    /// Spoils an answer that was right.
    pub(super) fn spoil(&self, mut answer: Answer) -> Answer {
        if self.missing_key {
            answer.body = "{\"status\":\"success\"}".to_owned();
        }
        if self.success_false_text {
            let body = &answer.body;
            let rest = ["{\"success\":\"true\"", "{\"success\":true"]
                .into_iter()
                .find_map(|head| body.strip_prefix(head))
                .map(ToOwned::to_owned);
            let rest = rest.unwrap_or_else(|| format!(",{}", body.replacen('{', "", 1)));
            answer.body = format!("{{\"success\":\"false\"{rest}");
        }
        if self.truncated {
            answer.truncate();
        }
        answer.cut = self.cut;
        answer
    }
}
