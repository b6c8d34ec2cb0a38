//! What a look at the payment decides: whether to send, and what became of a doubted request.

use std::time::Duration;

use crate::domain::{payment::PaymentState, time::Timestamp, vocabulary::VirtualPosStatus};

use super::{
    command::{Kind, Order},
    doubt::{Judgement, can_be_refunded, judge_doubt},
    journal::{Entry, JournalEvent, Status},
    plan::{Failures, Policy, Situation, Step, later, next_step, quiet_from},
    rivals::Rival,
};

/// What the API says of a payment when it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// How it stands.
    Found(PaymentState),
    /// There is no such reference.
    NotFound,
}

/// How old a look may be when a request is allowed by it, from when its question left. The way between
/// them waits for the quota and a token, or for a process that was stopped; what happened meanwhile the
/// look does not tell.
pub(crate) const LOOK_AGE_MAX_MS: i64 = 5 * 60 * 1000;

/// When a look was asked for, as long ago as either clock says: the stamp's, or the one that nobody sets,
/// by which so much has passed. Where the first was set back since, the stamp stays in the time to come,
/// by which [`intend`] knows it.
pub fn asked_at(now: Timestamp, stamp: Timestamp, passed: Duration) -> Timestamp {
    let passed_ms = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
    if now < stamp { stamp } else { stamp.min(later(now, -passed_ms)) }
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

/// Decides whether to send, from a look at the payment; expiry and brakes are asked again, because
/// the look, which was asked for at `looked_at`, took its time.
///
/// | what is found                                           | decision            |
/// |---------------------------------------------------------|---------------------|
/// | the command expired or a brake took hold meanwhile      | as [`next_step`]    |
/// | the look is old by now, or the clock was set back since | as [`next_step`]: look again |
/// | no such reference                                       | Record(Rejected)    |
/// | another currency than expected, or none is told         | Record(Rejected)    |
/// | a state in which this cannot be done                    | Record(Rejected)    |
/// | else                                                    | Send                |
///
/// For an entry that [`next_step`] did not answer with Execute for, it says what that says.
pub fn intend(
    entry: &Entry,
    now: Timestamp,
    (look, looked_at): (&Look, Timestamp),
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
    // Where the clock was set back since, nobody can say how old it is.
    if now < looked_at || now > later(looked_at, LOOK_AGE_MAX_MS) {
        return Decision::Instead(step);
    }
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
    let over_at = Some(later(send_not_after, policy.post_timeout_ms));
    let intent =
        JournalEvent::Intended { at: now, attempt, epoch, before, send_not_after, over_at };
    Decision::Send { intent, send_not_after }
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
/// too early to look: see [`Situation::held`]. `rivals` are the payment's other commands that may have
/// changed it.
pub fn answer_doubt(
    entry: &Entry,
    (now, held): (Timestamp, Duration),
    look: &Look,
    rivals: &[Rival],
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
    if quiet_from((now, held), since, intent, policy).is_some() {
        return None;
    }
    let kind = entry.order()?.kind;
    Some(match look {
        Look::NotFound => JournalEvent::Parked {
            at: now,
            detail: "the API has no payment of this reference any more".into(),
            after: None,
        },
        Look::Found(after) => match judge_doubt(kind, &intent.before, after, rivals) {
            Judgement::Explained => JournalEvent::Inferred { at: now, after: after.clone() },
            Judgement::NotExplained { why } => {
                JournalEvent::Parked { at: now, detail: why, after: Some(after.clone()) }
            }
        },
    })
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
