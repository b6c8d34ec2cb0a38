//! What comes next for a command. Answers with times; never waits, never asks, never sends.

use crate::{
    config::model,
    domain::{payment::PaymentState, time::Timestamp, vocabulary::VirtualPosStatus},
};

use super::{
    brakes::{Brake, Brakes, Check},
    command::{Kind, Order},
    doubt::{Judgement, can_be_refunded, judge_doubt},
    journal::{Entry, Intent, JournalEvent, Status},
};

/// How long an owner may take from the intent to the first byte of the request.
const SEND_WINDOW_MS: i64 = 10_000;
/// How long the API is asked about a doubt before a person is.
const ASK_FOR_MS: i64 = 24 * 60 * 60 * 1000;
/// Requests that may provably not leave before the command is given up.
const ATTEMPTS_MAX: u32 = 20;
const BACKOFF_FIRST_MS: i64 = 1000;
/// Longest wait between looks at a payment.
const LOOK_BACKOFF_MAX_MS: i64 = 60_000;
/// Longest wait between requests that did not leave.
const SEND_BACKOFF_MAX_MS: i64 = 300_000;

/// The configured and built-in times and counts; milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The total deadline of the one request.
    pub post_timeout_ms: i64,
    /// How long nobody may still be sending, nor the API still be working, before it is asked.
    pub quiescence_ms: i64,
    /// From the intent to the first byte of the request.
    pub send_window_ms: i64,
    /// How long a doubt is looked up before it is parked.
    pub ask_for_ms: i64,
    /// Requests that may provably not leave before the command is given up.
    pub attempts_max: u32,
}

impl From<&model::Sink> for Policy {
    fn from(sink: &model::Sink) -> Self {
        let millis =
            |span: std::time::Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self {
            post_timeout_ms: millis(sink.post_timeout),
            quiescence_ms: millis(sink.quiescence),
            send_window_ms: SEND_WINDOW_MS,
            ask_for_ms: ASK_FOR_MS,
            attempts_max: ATTEMPTS_MAX,
        }
    }
}

/// Looks at the payment that failed in a row, since its command last moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the last one did.
    pub last_at: Timestamp,
}

impl Failures {
    /// None so far.
    pub const NONE: Self = Self { count: 0, last_at: Timestamp(0) };

    /// One more.
    #[must_use]
    pub const fn and_at(self, now: Timestamp) -> Self {
        Self { count: self.count.saturating_add(1), last_at: now }
    }
}

/// What is known beside the entry itself.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'s> {
    /// Of this owner.
    pub epoch: u64,
    /// As they are now.
    pub brakes: &'s Brakes,
    /// Of this command.
    pub failures: Failures,
}

/// What the API says of a payment when it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// How it stands.
    Found(PaymentState),
    /// There is no such reference.
    NotFound,
}

/// Why nothing happens now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pause {
    /// Something that is not this command's fault; it goes on when the brakes change.
    Braked(Brake),
    /// A request did not leave, or a look failed; it is tried again.
    Backoff,
    /// Somebody may still be sending, or the API still be working.
    Quiescence,
}

/// What to do for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look at the payment, then ask [`intend`].
    Execute,
    /// Write this event, with its result where it publishes one.
    Record(JournalEvent),
    /// Look at the payment, then ask [`answer_doubt`].
    Ask,
    /// Nothing yet.
    Wait {
        /// When to ask again at the latest; nothing where only the brakes can change it.
        until: Option<Timestamp>,
        /// Why.
        why: Pause,
    },
    /// This owner's own request is on its way; its outcome comes next.
    Sending,
    /// It is finished, or a person's turn.
    Nothing,
}

/// What to do after a look at the payment, before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Write this intent; when it is confirmed, send once, beginning by the deadline.
    Send {
        /// The intent.
        intent: JournalEvent,
        /// After this instant nothing is sent; the same as in the intent.
        send_not_after: Timestamp,
    },
    /// Nothing is sent: an event to write, or a wait.
    Instead(Step),
}

/// Chooses the next step for one command from what the journal knows.
///
/// | status                        | when                           | step                     |
/// |-------------------------------|--------------------------------|--------------------------|
/// | Received, NotSent             | it is too late                 | Record(Expired)          |
/// | NotSent                       | it did not leave too often     | Record(Rejected)         |
/// | Received, NotSent             | over a cap                     | Record(Rejected)         |
/// | Received, NotSent             | a brake holds                  | Wait until it expires    |
/// | Received, NotSent             | the last try was just now      | Wait until the next      |
/// | Received, NotSent             | else                           | Execute                  |
/// | Intended of this owner        |                                | Sending                  |
/// | Intended of an earlier owner  |                                | Record(Doubted)          |
/// | InDoubt                       | somebody may still be sending  | Wait until nobody can    |
/// | InDoubt                       | could not be asked for a day   | Record(Parked)           |
/// | InDoubt                       | the last look just failed      | Wait until the next      |
/// | InDoubt                       | else                           | Ask                      |
/// | Parked and all finished ones  |                                | Nothing                  |
pub fn next_step(
    entry: &Entry,
    now: Timestamp,
    situation: &Situation<'_>,
    policy: &Policy,
) -> Step {
    match entry.status() {
        Status::Received => prepare(entry, now, situation, None),
        Status::NotSent { attempts, .. } if *attempts >= policy.attempts_max => {
            // Expiry says it better where both are true.
            if entry.order().is_some_and(|order| order.is_expired(now)) {
                return Step::Record(JournalEvent::Expired { at: now });
            }
            let why = format!("no request left in {attempts} attempts; nothing was sent");
            Step::Record(JournalEvent::Rejected { at: now, why })
        }
        Status::NotSent { attempts, at, .. } => {
            let retry_at = later(*at, backoff_ms(*attempts, SEND_BACKOFF_MAX_MS));
            prepare(entry, now, situation, Some(retry_at))
        }
        Status::Intended(intent) if intent.epoch >= situation.epoch => Step::Sending,
        Status::Intended(intent) => {
            let detail = format!(
                "owner {} ended after its intent; whether it sent is not known",
                intent.epoch
            );
            Step::Record(JournalEvent::Doubted { at: now, detail })
        }
        Status::InDoubt { since, intent } => {
            clear_doubt(*since, intent, now, situation.failures, policy)
        }
        Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Parked
        | Status::Resolved { .. } => Step::Nothing,
    }
}

/// A command of which nothing can be on its way.
fn prepare(
    entry: &Entry,
    now: Timestamp,
    situation: &Situation<'_>,
    retry_at: Option<Timestamp>,
) -> Step {
    let Some(order) = entry.order() else {
        // Only a valid command can be Received; this keeps an invalid one from being sent.
        let why = "the command was never valid".to_owned();
        return Step::Record(JournalEvent::Rejected { at: now, why });
    };
    if let Some(stop) = held_back(entry, order, now, situation.brakes) {
        return stop;
    }
    let retry_at = retry_at.max(after_failures(situation.failures));
    match retry_at {
        Some(retry_at) if now < retry_at => {
            Step::Wait { until: sooner(Some(retry_at), order), why: Pause::Backoff }
        }
        Some(_) | None => Step::Execute,
    }
}

/// Expiry first, so that a command that waits behind a brake still expires.
fn held_back(entry: &Entry, order: &Order, now: Timestamp, brakes: &Brakes) -> Option<Step> {
    if order.is_expired(now) {
        return Some(Step::Record(JournalEvent::Expired { at: now }));
    }
    match brakes.check(entry.key(), order.kind, now) {
        Check::Go => None,
        Check::Reject { why } => Some(Step::Record(JournalEvent::Rejected { at: now, why })),
        Check::Wait(brake) => {
            Some(Step::Wait { until: sooner(None, order), why: Pause::Braked(brake) })
        }
    }
}

/// When to look again at the latest: the first instant at which the command is expired counts too.
fn sooner(until: Option<Timestamp>, order: &Order) -> Option<Timestamp> {
    let expired = order.expires_at.map(|at| later(at, 1));
    match (until, expired) {
        (Some(until), Some(expired)) => Some(until.min(expired)),
        (until, expired) => until.or(expired),
    }
}

fn clear_doubt(
    since: Timestamp,
    intent: &Intent,
    now: Timestamp,
    failures: Failures,
    policy: &Policy,
) -> Step {
    let ask_at = ask_not_before(since, intent, policy);
    if now < ask_at {
        return Step::Wait { until: Some(ask_at), why: Pause::Quiescence };
    }
    let give_up_at = later(ask_at, policy.ask_for_ms);
    // At least one look, even where this owner begins after the time is over.
    if now >= give_up_at && failures.count > 0 {
        let detail = format!(
            "the payment could not be looked up since {}, {} times in a row",
            ask_at.to_rfc3339(),
            failures.count
        );
        return Step::Record(JournalEvent::Parked { at: now, detail, after: None });
    }
    match after_failures(failures) {
        Some(retry_at) if now < retry_at => {
            Step::Wait { until: Some(retry_at), why: Pause::Backoff }
        }
        Some(_) | None => Step::Ask,
    }
}

/// From when a look at the payment can tell what became of a request: nobody can be sending any
/// more, and the API had time to finish.
pub fn ask_not_before(since: Timestamp, intent: &Intent, policy: &Policy) -> Timestamp {
    let last_sent = later(intent.send_not_after, policy.post_timeout_ms);
    later(last_sent.max(since), policy.quiescence_ms)
}

/// Decides whether to send, from a look at the payment; expiry and brakes are asked again, because
/// the look took its time.
///
/// | what is found                                           | decision            |
/// |---------------------------------------------------------|---------------------|
/// | the command expired or a brake took hold meanwhile      | as [`next_step`]    |
/// | no such reference                                       | Record(Rejected)    |
/// | another currency than expected, or none is told         | Record(Rejected)    |
/// | a state in which this cannot be done                    | Record(Rejected)    |
/// | else                                                    | Send                |
///
/// For an entry that [`next_step`] did not answer with Execute for, it says what that says.
pub fn intend(
    entry: &Entry,
    now: Timestamp,
    look: &Look,
    situation: &Situation<'_>,
    policy: &Policy,
) -> Decision {
    let attempts = match entry.status() {
        Status::Received => 0,
        Status::NotSent { attempts, .. } => *attempts,
        Status::Intended(_)
        | Status::InDoubt { .. }
        | Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Parked
        | Status::Resolved { .. } => {
            return Decision::Instead(next_step(entry, now, situation, policy));
        }
    };
    // The look has succeeded, so earlier failures hold nothing back.
    let situation = Situation { failures: Failures::NONE, ..*situation };
    let step = next_step(entry, now, &situation, policy);
    let (Step::Execute, Some(order)) = (&step, entry.order()) else {
        return Decision::Instead(step);
    };
    let before = match check_payment(order, look) {
        Ok(before) => before.clone(),
        Err(why) => {
            return Decision::Instead(Step::Record(JournalEvent::Rejected { at: now, why }));
        }
    };
    // The request begins while the command is wanted, however long the intent takes to commit.
    let window_end = later(now, policy.send_window_ms);
    let send_not_after = order.expires_at.map_or(window_end, |at| at.min(window_end));
    let attempt = attempts.saturating_add(1);
    let epoch = situation.epoch;
    let intent = JournalEvent::Intended { at: now, attempt, epoch, before, send_not_after };
    Decision::Send { intent, send_not_after }
}

/// Whether the list must be read beside `/transaction/find`: only it has the currency and the sum
/// that was refunded.
pub fn wants_list(order: &Order, found: &PaymentState) -> bool {
    let wants_currency = order.currency.is_some() && found.currency.is_none();
    let wants_refunded = found.refunded.is_none()
        && match found.status {
            VirtualPosStatus::Refunded | VirtualPosStatus::Unknown => true,
            VirtualPosStatus::Successful
            | VirtualPosStatus::Failed
            | VirtualPosStatus::Cancelled => false,
        };
    wants_currency || wants_refunded
}

fn check_payment<'l>(order: &Order, look: &'l Look) -> Result<&'l PaymentState, String> {
    let state = match look {
        Look::Found(state) => state,
        Look::NotFound => return Err("the API has no payment of this reference".into()),
    };
    if let Some(expected) = &order.currency {
        match &state.currency {
            Some(currency) if currency == expected => {}
            Some(currency) => {
                return Err(format!("the payment's currency is {currency}, not {expected}"));
            }
            None => {
                return Err(format!(
                    "the API does not tell the payment's currency, and {expected} is expected"
                ));
            }
        }
    }
    let possible = match order.kind {
        Kind::Refund { .. } => can_be_refunded(state.status),
        Kind::Cancel => match state.status {
            VirtualPosStatus::Successful => true,
            VirtualPosStatus::Unknown
            | VirtualPosStatus::Failed
            | VirtualPosStatus::Cancelled
            | VirtualPosStatus::Refunded => false,
        },
    };
    if possible {
        Ok(state)
    } else {
        Err(format!("the payment is {}, which has no {}", state.status, order.kind.word()))
    }
}

/// What a look at the payment of a doubted command says; nothing where there is no doubt, or it is
/// too early to look.
pub fn answer_doubt(
    entry: &Entry,
    now: Timestamp,
    look: &Look,
    policy: &Policy,
) -> Option<JournalEvent> {
    let (since, intent) = match entry.status() {
        Status::InDoubt { since, intent } => (*since, intent),
        Status::Received
        | Status::Intended(_)
        | Status::NotSent { .. }
        | Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Parked
        | Status::Resolved { .. } => return None,
    };
    if now < ask_not_before(since, intent, policy) {
        return None;
    }
    let kind = entry.order()?.kind;
    Some(match look {
        Look::NotFound => JournalEvent::Parked {
            at: now,
            detail: "the API has no payment of this reference any more".into(),
            after: None,
        },
        Look::Found(after) => match judge_doubt(kind, &intent.before, after) {
            Judgement::Explained => JournalEvent::Inferred { at: now, after: after.clone() },
            Judgement::NotExplained { why } => {
                JournalEvent::Parked { at: now, detail: why, after: Some(after.clone()) }
            }
        },
    })
}

fn after_failures(failures: Failures) -> Option<Timestamp> {
    (failures.count > 0)
        .then(|| later(failures.last_at, backoff_ms(failures.count, LOOK_BACKOFF_MAX_MS)))
}

/// Doubles from one second; `count` is from 1.
fn backoff_ms(count: u32, max_ms: i64) -> i64 {
    let doublings = count.saturating_sub(1).min(20);
    (BACKOFF_FIRST_MS << doublings).min(max_ms)
}

const fn later(at: Timestamp, ms: i64) -> Timestamp {
    Timestamp(at.0.saturating_add(ms))
}
