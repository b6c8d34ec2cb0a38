//! Where a command stands, and which event may come next.

use crate::domain::{payment::PaymentState, time::Timestamp, vocabulary::Outcome};

use super::event::JournalEvent;

/// Permission to send one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// When it was given.
    pub at: Timestamp,
    /// Counted from 1.
    pub attempt: u32,
    /// Of the owner that may send.
    pub epoch: u64,
    /// How the payment stood.
    pub before: PaymentState,
    /// After this instant that owner does not begin to send.
    pub send_not_after: Timestamp,
    /// After this one its request is answered or given up, where its owner told.
    pub over_at: Option<Timestamp>,
}

/// Where a command stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nothing was allowed yet.
    Received,
    /// A request may be on its way.
    Intended(Intent),
    /// The last request is proven not to have left.
    NotSent {
        /// Intents so far.
        attempts: u32,
        /// Of the last one.
        epoch: u64,
        /// When it was proven.
        at: Timestamp,
    },
    /// A request left, or may have, and nobody knows what became of it.
    InDoubt {
        /// Since when that is known.
        since: Timestamp,
        /// The permission it was sent under.
        intent: Intent,
    },
    /// The money moved, once.
    Done {
        /// Whether the payment's state said so instead of the API's answer.
        inferred: bool,
    },
    /// The API refused; no money moved.
    Declined,
    /// It was never sent, because it must not be.
    Rejected,
    /// It was never sent, because it was too late.
    Expired,
    /// A person must decide.
    Parked,
    /// A person decided.
    Resolved {
        /// Whether the money moved.
        executed: bool,
    },
}

/// An event that cannot follow: a mistake of this program, or a journal that somebody changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot follow {}: {why}", status.unwrap_or("an empty story"))]
pub struct IllegalTransition {
    /// Where the command stood; nothing where it was not known.
    pub status: Option<&'static str>,
    /// What came.
    pub event: &'static str,
    /// Why that cannot be.
    pub why: &'static str,
}

impl Status {
    /// Its word in messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Received => "Received",
            Self::Intended(_) => "Intended",
            Self::NotSent { .. } => "NotSent",
            Self::InDoubt { .. } => "InDoubt",
            Self::Done { .. } => "Done",
            Self::Declined => "Declined",
            Self::Rejected => "Rejected",
            Self::Expired => "Expired",
            Self::Parked => "Parked",
            Self::Resolved { .. } => "Resolved",
        }
    }

    /// Its word for people: the outcome of its newest result, its own before there is one.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Received => "RECEIVED",
            Self::Intended(_) => "INTENDED",
            Self::NotSent { .. } => "NOT_SENT",
            Self::InDoubt { .. } => Outcome::InDoubt.as_str(),
            Self::Done { .. } | Self::Resolved { executed: true } => Outcome::Succeeded.as_str(),
            Self::Declined | Self::Resolved { executed: false } => Outcome::Declined.as_str(),
            Self::Rejected => Outcome::Rejected.as_str(),
            Self::Expired => Outcome::Expired.as_str(),
            Self::Parked => Outcome::Parked.as_str(),
        }
    }

    /// Whether nothing can follow any more, not even a person's decision.
    pub const fn is_finished(&self) -> bool {
        match self {
            Self::Received
            | Self::Intended(_)
            | Self::NotSent { .. }
            | Self::InDoubt { .. }
            | Self::Parked => false,
            Self::Done { .. }
            | Self::Declined
            | Self::Rejected
            | Self::Expired
            | Self::Resolved { .. } => true,
        }
    }

    /// Whether later commands of the same reference must wait for it.
    pub const fn is_open(&self) -> bool {
        match self {
            Self::Received | Self::Intended(_) | Self::NotSent { .. } | Self::InDoubt { .. } => {
                true
            }
            Self::Done { .. }
            | Self::Declined
            | Self::Rejected
            | Self::Expired
            | Self::Parked
            | Self::Resolved { .. } => false,
        }
    }
}

/// The one function by which a command moves, while it runs and when it is replayed.
///
/// | from \ event | Rejected, Expired | Intended | NotSent | Approved | Declined | Doubted | Inferred | Parked | Resolved |
/// |---|---|---|---|---|---|---|---|---|---|
/// | nothing¹ | | | | | | | | | |
/// | Received | Rejected, Expired | Intended² | | | | | | | |
/// | NotSent  | Rejected, Expired | Intended² | | | | | | | |
/// | Intended | | | NotSent | Done | Declined | InDoubt | | | |
/// | InDoubt  | | | | | | | Done, inferred | Parked | |
/// | Parked   | | | | | | | | | Resolved |
/// | Done, Declined, Rejected, Expired, Resolved | | | | | | | | | |
///
/// An empty place is illegal. ¹ A story begins with Received (→ Received) or Refused (→ Rejected),
/// and neither comes later. ² The attempt is the next number, and the epoch never falls.
///
/// # Errors
/// Every other event; nothing has changed then.
pub fn next_status(
    status: Option<&Status>,
    event: &JournalEvent,
) -> Result<Status, IllegalTransition> {
    let illegal =
        |why| IllegalTransition { status: status.map(Status::name), event: event.name(), why };
    let Some(status) = status else {
        return first_status(event).ok_or_else(|| illegal("a story begins with its command"));
    };
    match status {
        Status::Received => unsent(event, 0, 0).map_err(illegal),
        Status::NotSent { attempts, epoch, .. } => {
            unsent(event, *attempts, *epoch).map_err(illegal)
        }
        Status::Intended(intent) => {
            sent(event, intent).ok_or_else(|| illegal("a request may be on its way"))
        }
        Status::InDoubt { .. } => {
            doubted(event).ok_or_else(|| illegal("only the payment's state can clear a doubt"))
        }
        Status::Parked => resolved(event).ok_or_else(|| illegal("only a person can decide")),
        Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Resolved { .. } => Err(illegal("the command is finished")),
    }
}

const fn first_status(event: &JournalEvent) -> Option<Status> {
    match event {
        JournalEvent::Received { .. } => Some(Status::Received),
        JournalEvent::Refused { .. } => Some(Status::Rejected),
        JournalEvent::Rejected { .. }
        | JournalEvent::Expired { .. }
        | JournalEvent::Intended { .. }
        | JournalEvent::NotSent { .. }
        | JournalEvent::Approved { .. }
        | JournalEvent::Declined { .. }
        | JournalEvent::Doubted { .. }
        | JournalEvent::Inferred { .. }
        | JournalEvent::Parked { .. }
        | JournalEvent::Resolved { .. } => None,
    }
}

/// From a status in which no request can be on its way.
fn unsent(event: &JournalEvent, attempts: u32, last_epoch: u64) -> Result<Status, &'static str> {
    match event {
        JournalEvent::Rejected { .. } => Ok(Status::Rejected),
        JournalEvent::Expired { .. } => Ok(Status::Expired),
        JournalEvent::Intended { at, attempt, epoch, before, send_not_after, over_at } => {
            if *attempt != attempts.saturating_add(1) {
                return Err("it is not the next attempt");
            }
            if *epoch < last_epoch {
                return Err("its epoch is older than the last one");
            }
            Ok(Status::Intended(Intent {
                at: *at,
                attempt: *attempt,
                epoch: *epoch,
                before: before.clone(),
                send_not_after: *send_not_after,
                over_at: *over_at,
            }))
        }
        JournalEvent::Received { .. } | JournalEvent::Refused { .. } => {
            Err("the story has begun already")
        }
        JournalEvent::NotSent { .. }
        | JournalEvent::Approved { .. }
        | JournalEvent::Declined { .. }
        | JournalEvent::Doubted { .. } => Err("nothing was intended"),
        JournalEvent::Inferred { .. } | JournalEvent::Parked { .. } => Err("there is no doubt"),
        JournalEvent::Resolved { .. } => Err("there is nothing for a person to decide"),
    }
}

/// From an intent: whatever was learnt of its one request.
fn sent(event: &JournalEvent, intent: &Intent) -> Option<Status> {
    match event {
        JournalEvent::NotSent { at, .. } => {
            Some(Status::NotSent { attempts: intent.attempt, epoch: intent.epoch, at: *at })
        }
        JournalEvent::Approved { .. } => Some(Status::Done { inferred: false }),
        JournalEvent::Declined { .. } => Some(Status::Declined),
        JournalEvent::Doubted { at, .. } => {
            Some(Status::InDoubt { since: *at, intent: intent.clone() })
        }
        JournalEvent::Received { .. }
        | JournalEvent::Refused { .. }
        | JournalEvent::Rejected { .. }
        | JournalEvent::Expired { .. }
        | JournalEvent::Intended { .. }
        | JournalEvent::Inferred { .. }
        | JournalEvent::Parked { .. }
        | JournalEvent::Resolved { .. } => None,
    }
}

const fn doubted(event: &JournalEvent) -> Option<Status> {
    match event {
        JournalEvent::Inferred { .. } => Some(Status::Done { inferred: true }),
        JournalEvent::Parked { .. } => Some(Status::Parked),
        JournalEvent::Received { .. }
        | JournalEvent::Refused { .. }
        | JournalEvent::Rejected { .. }
        | JournalEvent::Expired { .. }
        | JournalEvent::Intended { .. }
        | JournalEvent::NotSent { .. }
        | JournalEvent::Approved { .. }
        | JournalEvent::Declined { .. }
        | JournalEvent::Doubted { .. }
        | JournalEvent::Resolved { .. } => None,
    }
}

const fn resolved(event: &JournalEvent) -> Option<Status> {
    match event {
        JournalEvent::Resolved { executed, .. } => Some(Status::Resolved { executed: *executed }),
        JournalEvent::Received { .. }
        | JournalEvent::Refused { .. }
        | JournalEvent::Rejected { .. }
        | JournalEvent::Expired { .. }
        | JournalEvent::Intended { .. }
        | JournalEvent::NotSent { .. }
        | JournalEvent::Approved { .. }
        | JournalEvent::Declined { .. }
        | JournalEvent::Doubted { .. }
        | JournalEvent::Inferred { .. }
        | JournalEvent::Parked { .. } => None,
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
