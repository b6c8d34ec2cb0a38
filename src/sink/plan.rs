//! What comes next for a command. Answers with times; never waits, never asks, never sends.

use std::time::Duration;

use crate::{config::model, domain::time::Timestamp};

use super::{
    brakes::{Brake, Brakes, Check},
    command::Order,
    journal::{Entry, Intent, JournalEvent, Status},
};

/// How long an owner may take from the intent to the first byte of the request.
const SEND_WINDOW_MS: i64 = 10_000;
/// Looks of this owner that must fail in a row before a doubt is given up.
const LOOKS_MIN: u32 = 5;
/// How old a command without an expiry must be to be given up because its payment cannot be looked
/// at, and for how long that must have been so.
const UNREADABLE_AGE_MS: i64 = 24 * 60 * 60 * 1000;
const UNREADABLE_FOR_MS: i64 = 60 * 60 * 1000;
/// Requests that may provably not leave before the command is given up: tried for about an hour.
const ATTEMPTS_MAX: u32 = 65;
const BACKOFF_FIRST_MS: i64 = 1000;
/// Longest wait between looks at a payment, and between requests that did not leave.
const BACKOFF_MAX_MS: i64 = 60_000;

/// The configured and built-in times and counts; milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The total deadline of the one request.
    pub post_timeout_ms: i64,
    /// How long nobody may still be sending, nor the API still be working, before it is asked.
    pub quiescence_ms: i64,
    /// From the intent to the first byte of the request.
    pub send_window_ms: i64,
    /// How long a doubt may fail to be looked up before it is parked.
    pub ask_for_ms: i64,
    /// Requests that may provably not leave before the command is given up.
    pub attempts_max: u32,
}

impl From<&model::Sink> for Policy {
    fn from(sink: &model::Sink) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self {
            post_timeout_ms: millis(sink.post_timeout),
            quiescence_ms: millis(sink.quiescence),
            send_window_ms: SEND_WINDOW_MS,
            // What is enough for the API to finish is enough for it to come back, too: at most
            // `max_in_doubt` of a connection can be parked by this, and a person may decide them.
            ask_for_ms: millis(sink.quiescence),
            attempts_max: ATTEMPTS_MAX,
        }
    }
}

/// Looks at the payment that failed in a row, since its command last moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// When the first one did.
    pub first_at: Timestamp,
    /// When the last one did.
    pub last_at: Timestamp,
    /// For how long the next one was waited for since, by a clock that nobody sets.
    pub waited: Duration,
}

impl Failures {
    /// None so far.
    pub const NONE: Self =
        Self { count: 0, first_at: Timestamp(0), last_at: Timestamp(0), waited: Duration::ZERO };

    /// One more.
    #[must_use]
    pub const fn and_at(self, now: Timestamp) -> Self {
        let first_at = if self.count == 0 { now } else { self.first_at };
        let count = self.count.saturating_add(1);
        Self { count, first_at, last_at: now, waited: Duration::ZERO }
    }

    /// So much later.
    #[must_use]
    pub const fn after(self, waited: Duration) -> Self {
        Self { waited: self.waited.saturating_add(waited), ..self }
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
    /// For how long this owner knows that it stands as it does, by a clock that nobody sets.
    pub held: Duration,
}

/// Why nothing happens now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pause {
    /// Something that is not this command's fault; it goes on when the brakes change.
    Braked(Brake),
    /// A request did not leave, or a look failed; it is tried again.
    Backoff,
    /// Nobody knows yet what became of the request: somebody may still be sending, the API still be
    /// working, or the last look failed.
    Doubt,
}

/// What to do for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look at the payment, then ask [`intend`](super::look::intend).
    Execute,
    /// Write this event, with its result where it publishes one.
    Record(JournalEvent),
    /// Look at the payment, then ask [`answer_doubt`](super::look::answer_doubt).
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

/// Chooses the next step for one command from what the journal knows.
///
/// | status                        | when                           | step                     |
/// |-------------------------------|--------------------------------|--------------------------|
/// | Received, NotSent             | it is too late                 | Record(Expired)          |
/// | NotSent                       | it did not leave too often     | Record(Rejected)         |
/// | Received, NotSent             | over a cap                     | Record(Rejected)         |
/// | Received, NotSent             | a brake holds                  | Wait until it expires    |
/// | Received, NotSent             | nobody can look at the payment | Record(Rejected)         |
/// | Received, NotSent             | the last try was just now      | Wait until the next      |
/// | Received, NotSent             | else                           | Execute                  |
/// | Intended of this owner        |                                | Sending                  |
/// | Intended of an earlier owner  |                                | Record(Doubted)          |
/// | InDoubt                       | somebody may still be sending  | Wait until nobody can    |
/// | InDoubt                       | nobody can look at the payment | Record(Parked)           |
/// | InDoubt                       | the last look just failed      | Wait until the next      |
/// | InDoubt                       | else                           | Ask                      |
/// | Parked and all finished ones  |                                | Nothing                  |
///
/// Times of the journal may be of a clock that was ahead, for years: no wait is longer than it would have
/// been from when this owner knew of it.
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
            let pause_ms = backoff_ms(*attempts);
            let retry_at = end_of(now, later(*at, pause_ms), (pause_ms, situation.held));
            prepare(entry, now, situation, retry_at)
        }
        Status::Intended(intent) if intent.epoch >= situation.epoch => Step::Sending,
        Status::Intended(intent) => {
            let detail = format!(
                "owner {} ended after its intent; whether it sent is not known",
                intent.epoch
            );
            Step::Record(JournalEvent::Doubted { at: now, detail })
        }
        Status::InDoubt { since, intent } => clear_doubt(*since, intent, now, situation, policy),
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
    if let Some(why) = unreadable(entry, order, now, situation.failures) {
        return Step::Record(JournalEvent::Rejected { at: now, why });
    }
    match retry_at.max(after_failures(now, situation.failures)) {
        Some(until) => Step::Wait { until: sooner(Some(until), order), why: Pause::Backoff },
        None => Step::Execute,
    }
}

/// Why a command is given up whose payment nobody can look at. Nothing was sent, so waiting costs
/// nothing but time, and an expiry says how much of that there is; without one it must end as well.
fn unreadable(entry: &Entry, order: &Order, now: Timestamp, failures: Failures) -> Option<String> {
    let is_old = now >= later(entry.first_at(), UNREADABLE_AGE_MS);
    let is_lasting = failures.count > 0 && now >= later(failures.first_at, UNREADABLE_FOR_MS);
    (order.expires_at.is_none() && is_old && is_lasting).then(|| {
        format!(
            "the payment could not be looked at since {}, {} times in a row; nothing was sent",
            failures.first_at.to_rfc3339(),
            failures.count
        )
    })
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

/// What to write for a command that is too late, wherever it waits; nothing of one of which a request
/// may have left.
pub fn expire(entry: &Entry, now: Timestamp) -> Option<JournalEvent> {
    let is_waiting = match entry.status() {
        Status::Received | Status::NotSent { .. } => true,
        Status::Intended(_)
        | Status::InDoubt { .. }
        | Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Parked
        | Status::Resolved { .. } => false,
    };
    let is_late = entry.order().is_some_and(|order| order.is_expired(now));
    (is_waiting && is_late).then_some(JournalEvent::Expired { at: now })
}

/// The first instant at which a command is expired.
pub fn expiry_of(entry: &Entry) -> Option<Timestamp> {
    entry.order().and_then(expired_at)
}

fn expired_at(order: &Order) -> Option<Timestamp> {
    order.expires_at.map(|at| later(at, 1))
}

/// When to look again at the latest: the first instant at which the command is expired counts too.
fn sooner(until: Option<Timestamp>, order: &Order) -> Option<Timestamp> {
    match (until, expired_at(order)) {
        (Some(until), Some(expired)) => Some(until.min(expired)),
        (until, expired) => until.or(expired),
    }
}

fn clear_doubt(
    since: Timestamp,
    intent: &Intent,
    now: Timestamp,
    Situation { failures, held, .. }: &Situation<'_>,
    policy: &Policy,
) -> Step {
    if let Some(until) = quiet_from((now, *held), since, intent, policy) {
        return Step::Wait { until: Some(until), why: Pause::Doubt };
    }
    let ask_at = ask_not_before(since, intent, policy);
    let longest_ms = quiet_ms(intent, policy).saturating_add(policy.ask_for_ms);
    let give_up_at = end_of(now, later(ask_at, policy.ask_for_ms), (longest_ms, *held));
    // Some looks at least, even where this owner begins after the time is over.
    if give_up_at.is_none() && failures.count >= LOOKS_MIN {
        let detail = format!(
            "the payment could not be looked up since {}, {} times in a row",
            ask_at.min(failures.first_at).to_rfc3339(),
            failures.count
        );
        return Step::Record(JournalEvent::Parked { at: now, detail, after: None });
    }
    match after_failures(now, *failures) {
        Some(until) => Step::Wait { until: Some(until), why: Pause::Doubt },
        None => Step::Ask,
    }
}

/// Until when a doubt must not be asked about; nothing where it may be. `held` is how long this owner has
/// known of it: nobody else is given a permission since it has the lock, so whoever had one has sent,
/// and was answered, and the API had its time, by then at the latest, whatever the stamps say.
pub(super) fn quiet_from(
    (now, held): (Timestamp, Duration),
    since: Timestamp,
    intent: &Intent,
    policy: &Policy,
) -> Option<Timestamp> {
    end_of(now, ask_not_before(since, intent, policy), (quiet_ms(intent, policy), held))
}

/// From when a look at the payment can tell what became of a request: nobody can be sending any
/// more, and the API had time to finish.
fn ask_not_before(since: Timestamp, intent: &Intent, policy: &Policy) -> Timestamp {
    let by_ours = later(intent.send_not_after, policy.post_timeout_ms);
    // Who was allowed to send may have had more patience than this owner has.
    let last_sent = intent.over_at.map_or(by_ours, |by_its_own| by_its_own.max(by_ours));
    later(last_sent.max(since), policy.quiescence_ms)
}

/// The same from when the permission was given, or later: however long it was given for.
fn quiet_ms(intent: &Intent, policy: &Policy) -> i64 {
    // Both by the same clock, so that it does not matter which.
    let its_own = intent.over_at.map_or(0, |over| over.0.saturating_sub(intent.send_not_after.0));
    let patience = policy.post_timeout_ms.max(its_own);
    policy.send_window_ms.saturating_add(patience).saturating_add(policy.quiescence_ms)
}

fn after_failures(now: Timestamp, failures: Failures) -> Option<Timestamp> {
    if failures.count == 0 {
        return None;
    }
    let pause_ms = backoff_ms(failures.count);
    end_of(now, later(failures.last_at, pause_ms), (pause_ms, failures.waited))
}

/// When a wait ends that lasts until `by_stamps`, or until so many milliseconds have passed by a clock that
/// nobody sets, whichever comes first; nothing where it is over.
fn end_of(
    now: Timestamp,
    by_stamps: Timestamp,
    (wait_ms, passed): (i64, Duration),
) -> Option<Timestamp> {
    let passed_ms = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
    let until = by_stamps.min(later(now, wait_ms.saturating_sub(passed_ms)));
    (now < until).then_some(until)
}

/// Doubles from one second; `count` is from 1.
fn backoff_ms(count: u32) -> i64 {
    let doublings = count.saturating_sub(1).min(20);
    (BACKOFF_FIRST_MS << doublings).min(BACKOFF_MAX_MS)
}

/// From one instant to a later one; nothing where it is not later.
pub(super) fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
}

pub(super) const fn later(at: Timestamp, ms: i64) -> Timestamp {
    Timestamp(at.0.saturating_add(ms))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
