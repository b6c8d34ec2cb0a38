//! The payment sink's calls: one that moves money, and those that tell where a payment stands.
//!
//! The order is the guarantee. [`Client::ready_to_pay`] waits for everything that may take time
//! (token, quota); then the sink commits its intent; then [`Ready::send_once`] sends without waiting
//! for anything, and uses the readiness up.

mod lists;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::ExposeSecret;
use tokio::time::Instant;

use self::lists::{Listing, Lists, Shared};
use super::{
    allow::{Api, Operation},
    auth::{Access, Token},
    call::{Caller, Turn},
    client::{Client, ListStatus},
    error::{At, Error},
    http::{Answer, Once, OnceFault},
    quota::{Permit, Purpose},
    retry,
};
use crate::{
    domain::{
        money::Money,
        payment::{Change, PaymentState},
        time::Timestamp,
        vocabulary::VirtualPosStatus,
    },
    mapping::payment::{self, Unreadable},
    telemetry::clock::now,
};

/// `find` and the list are two calls; a payment that changes between them is looked at again.
const LOOKS_MAX: u32 = 3;
/// A token that ends while the call waits for its turn is replaced so often.
const TOKENS_MAX: u32 = 3;

/// What the payment calls of a connection share.
#[derive(Debug)]
pub(crate) struct Payments {
    once: Once,
    lists: Lists,
    /// Lists that doubts ask for: they do not wait for one that others want, which has less haste.
    doubted: Lists,
}

impl Payments {
    pub(crate) fn new(once: Once) -> Self {
        Self { once, lists: Lists::default(), doubted: Lists::default() }
    }
}

/// What to do to which payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order<'a> {
    /// The payment's reference.
    pub reference_no: &'a str,
    /// Cancel, or how much to refund.
    pub change: Change,
}

/// What a look at a payment must tell of it, beside its status and its amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing: where it stands, no list is asked for.
    Status,
    /// What was given back, where the list shows that.
    Sum,
    /// That in any case: a look that does not tell it has failed.
    KnownSum,
}

/// What a look at a payment saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// How the payment stands; nothing where the API knows no such payment.
    pub state: Option<PaymentState>,
    /// When the question left, after every wait: the look knows nothing of what happened since.
    pub asked_at: Timestamp,
    /// The same by a clock that nobody sets.
    pub asked: Instant,
}

/// When the send may begin and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendWindow {
    /// At or after this instant nothing is sent.
    pub not_after: Instant,
    /// The same on the wall clock: the other one stands still while the machine is suspended.
    pub not_after_wall: Timestamp,
    /// From the beginning of the send to the last byte of the answer (`sink.post_timeout`).
    pub timeout: Duration,
}

/// The right to send one order: a token and a place in the quota. It is worth one send.
pub struct Ready {
    caller: Arc<Caller>,
    payments: Arc<Payments>,
    access: Arc<Access>,
    token: Token,
    permit: Permit,
    at: At,
}

/// What became of the one send. Details hold no personal data.
#[derive(Clone, PartialEq, Eq)]
pub enum Sent {
    /// It is certain that no byte of the request left; it may be tried anew.
    NotSent {
        /// Why.
        detail: String,
    },
    /// A whole answer came. Whether it means yes or no is `mapping::payment::answer`'s to say.
    Answered {
        /// The HTTP status.
        status: u16,
        /// As it came; it may hold personal data.
        body: String,
        /// When it was complete.
        at: Timestamp,
    },
    /// The request may have been carried out.
    Unknown {
        /// What was seen instead of an answer.
        detail: String,
    },
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Bodies are personal data: only their size is shown.
impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent { detail } => f.debug_struct("NotSent").field("detail", detail).finish(),
            Self::Answered { status, body, at } => f
                .debug_struct("Answered")
                .field("status", status)
                .field("body_bytes", &body.len())
                .field("at", at)
                .finish(),
            Self::Unknown { detail } => f.debug_struct("Unknown").field("detail", detail).finish(),
        }
    }
}

impl Client {
    /// Waits for a token and a turn, so that nothing is left to wait for before the send. Holds one
    /// of the connection's concurrent calls until it is used or dropped.
    pub async fn ready_to_pay(&self) -> Result<Ready, Error> {
        let caller = &self.caller;
        let at = caller.at(Operation::ChangePayment);
        let access = caller.access(Api::VirtualPos, &at)?;
        for _ in 0..TOKENS_MAX {
            caller.token(Purpose::Send, access).await?;
            let permit = caller.permit(Purpose::Send, Api::VirtualPos, &at).await?;
            access.check_refusal().await?;
            if let Some(token) = access.current() {
                let (caller, access) = (Arc::clone(caller), Arc::clone(access));
                let payments = Arc::clone(&self.payments);
                return Ok(Ready { caller, payments, access, token, permit, at });
            }
        }
        let detail = "every new token ends before it can be used".to_owned();
        Err(Error::Protocol { at, detail })
    }

    /// Where a payment stands, as [`look`](Self::look) sees it.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub async fn payment_state(
        &self,
        purpose: Purpose,
        reference_no: &str,
    ) -> Result<Option<PaymentState>, Error> {
        self.look(purpose, Wanted::Sum, reference_no).await.map(|looked| looked.state)
    }

    /// Looks at a payment: `find`, and its row in the list of the status that `find` tells, both
    /// asked for after this call began. What has begun goes before what begins.
    ///
    /// A payment that its list does not hold, again and again, has an unknown sum of refunds, not none.
    ///
    /// # Errors
    /// Besides those of the calls: [`Error::Protocol`] where the two contradict each other again
    /// and again, or cannot be read.
    pub async fn look(
        &self,
        purpose: Purpose,
        wanted: Wanted,
        reference_no: &str,
    ) -> Result<Looked, Error> {
        let left = Mutex::new((now(), Instant::now()));
        let left = || left.lock().unwrap_or_else(PoisonError::into_inner);
        let granted = || *left() = (now(), Instant::now());
        let looked = |state| {
            let (asked_at, asked) = *left();
            Looked { state, asked_at, asked }
        };
        let mut looks = 1;
        loop {
            let purpose = if looks == 1 { purpose } else { purpose.once_begun() };
            let turn = Turn { granted: &granted, ..purpose.into() };
            let found = match self.find(turn, reference_no).await {
                Ok(json) => payment::found_state(&json, reference_no),
                Err(Error::NotFound { is_told: true, .. }) => return Ok(looked(None)),
                Err(error) => return Err(error),
            };
            let found =
                found.map_err(|problem| self.unexpected(Operation::FindPayment, &problem))?;
            let Some(list) = list_of(found.status) else {
                return Err(self.unexpected(Operation::FindPayment, &"status: unknown"));
            };
            if wanted == Wanted::Status && found.status == VirtualPosStatus::Successful {
                return Ok(looked(Some(found)));
            }
            let listing = self.listing(purpose.once_begun(), list, reference_no).await?;
            let joined = match listing.state_of(reference_no) {
                Ok(Some(listed)) => {
                    payment::join(found, listed).map_err(|Unreadable(detail)| detail)
                }
                // It may have changed between the two calls; the last look believes its list.
                Ok(None) if looks == LOOKS_MAX => Ok(found),
                Ok(None) => Err("the payment is not in the list of its status".to_owned()),
                Err(detail) => Err(detail),
            };
            let joined = joined.and_then(|state| match wanted {
                Wanted::KnownSum if state.refunded_unknown => {
                    Err("the list does not tell what was given back of the payment".to_owned())
                }
                Wanted::Status | Wanted::Sum | Wanted::KnownSum => Ok(state),
            });
            match joined {
                Ok(state) => return Ok(looked(Some(state))),
                Err(_) if looks < LOOKS_MAX => looks += 1,
                Err(detail) => return Err(self.unexpected(Operation::VirtualPosList, &detail)),
            }
        }
    }

    /// The list of a status, fetched after this was asked for; whoever asks before the request leaves
    /// shares it. It holds the rows of the payments that somebody asks for, however many others came.
    async fn listing(
        &self,
        purpose: Purpose,
        status: ListStatus,
        reference_no: &str,
    ) -> Result<Arc<Listing>, Error> {
        let lists = match purpose {
            Purpose::Doubt => &self.payments.doubted,
            _ => &self.payments.lists,
        };
        let flight = match lists.of(status).after_asking(reference_no).await {
            Shared::Landed(outcome) => return outcome,
            Shared::Own(flight) => flight,
        };
        let granted = || flight.begin();
        let turn = Turn { granted: &granted, ..purpose.into() };
        let keeps = |row: &str| flight.looks_for(row);
        let fetched = self.sifted_virtual_pos_list(turn, status, &keeps).await;
        let outcome = match fetched {
            // A list of 200,000 places is no work for the threads that serve everybody.
            Ok(rows) => tokio::task::spawn_blocking(move || Arc::new(Listing::new(rows)))
                .await
                .map_err(|_| Error::Interrupted { at: self.caller.at(Operation::VirtualPosList) }),
            Err(error) => Err(error),
        };
        flight.land(outcome)
    }

    fn unexpected(&self, operation: Operation, detail: &dyn fmt::Display) -> Error {
        Error::Protocol { at: self.caller.at(operation), detail: detail.to_string() }
    }
}

impl Ready {
    /// Sends the order once and tells how that ended before its place is another one's: whoever gets
    /// the place next must know. Dropping the future may leave the order sent.
    ///
    /// | what happened                                               | becomes    |
    /// |-------------------------------------------------------------|------------|
    /// | too late, token gone, amount not sendable, bad base URL     | `NotSent`  |
    /// | name, TCP or TLS: no connection stood                       | `NotSent`  |
    /// | a whole answer of any status, 401, 429 and 5xx included     | `Answered` |
    /// | anything else after the connection stood                    | `Unknown`  |
    pub async fn send_once<T>(
        self,
        order: &Order<'_>,
        window: SendWindow,
        told: impl FnOnce(Sent) -> T,
    ) -> T {
        let sent = self.send(order, window).await;
        let told = told(sent);
        drop(self.permit);
        told
    }

    async fn send(&self, order: &Order<'_>, window: SendWindow) -> Sent {
        let Self { caller, payments, access, token, permit: _, at } = self;
        let body = match body_of(order) {
            Ok(body) => body,
            Err(detail) => return not_sent(detail),
        };
        // Refused meanwhile, perhaps: an answer of 401 would be a doubt, and this is none.
        let Some(token) = access.current().filter(|now| now.generation >= token.generation) else {
            return not_sent("the token ended before the send");
        };
        let started = Instant::now();
        if started >= window.not_after || now() >= window.not_after_wall {
            return not_sent("it was too late to send");
        }
        let once = &payments.once;
        let outcome = once.change_payment(&access.url, &token.value, body, window.timeout).await;
        caller.count_exchange(Api::VirtualPos, at, started, outcome.as_ref().ok());
        match outcome {
            Ok(answer) => {
                follow_up(caller, access, &token, &answer);
                let body = without_token(answer.body, &token);
                Sent::Answered { status: answer.status, body, at: answer.fetched_at }
            }
            Err(OnceFault::NotSent(detail)) => Sent::NotSent { detail },
            Err(OnceFault::Unknown(detail)) => Sent::Unknown { detail },
        }
    }
}

fn not_sent(detail: impl Into<String>) -> Sent {
    Sent::NotSent { detail: detail.into() }
}

/// What the API says goes into the journal and the results; an answer that repeats the request must
/// not carry its token there.
fn without_token(body: String, token: &Token) -> String {
    let token = token.value.expose_secret();
    if token.is_empty() || !body.contains(token) { body } else { body.replace(token, "***") }
}

/// What an answer means for the calls after it.
fn follow_up(caller: &Caller, access: &Access, token: &Token, answer: &Answer) {
    match answer.status {
        401 => access.forget(token.generation),
        429 => {
            let wait = answer.wait.after_429(answer.at);
            caller.quota.block(access.api, retry::with_jitter(wait, retry::random()));
        }
        _ => {}
    }
}

/// The body as the document shows it: the amount a JSON number, 0 for a cancel.
fn body_of(order: &Order<'_>) -> Result<String, &'static str> {
    let (kind, amount) = match order.change {
        Change::Cancel => ("cancel", "0".to_owned()),
        Change::Refund { amount } => ("refund", sendable(amount)?),
    };
    if order.reference_no.trim().is_empty() {
        return Err("the reference is blank");
    }
    let reference = serde_json::Value::from(order.reference_no);
    Ok(format!(
        "{{\"transactionType\":\"{kind}\",\"referanceNo\":{reference},\"amount\":{amount}}}"
    ))
}

/// `12.50`, never through a float; the API takes two decimals.
fn sendable(amount: Money) -> Result<String, &'static str> {
    let third_decimal = 10_i128.pow(Money::SCALE - 2);
    if amount <= Money::ZERO {
        return Err("the amount is not above zero");
    }
    if amount.unscaled() % third_decimal != 0 {
        return Err("the amount has more than two decimals");
    }
    Ok(amount.to_string())
}

const fn list_of(status: VirtualPosStatus) -> Option<ListStatus> {
    match status {
        VirtualPosStatus::Unknown => None,
        VirtualPosStatus::Successful => Some(ListStatus::Successful),
        VirtualPosStatus::Failed => Some(ListStatus::Failed),
        VirtualPosStatus::Cancelled => Some(ListStatus::Cancel),
        VirtualPosStatus::Refunded => Some(ListStatus::Refund),
    }
}

#[cfg(test)]
mod tests;
