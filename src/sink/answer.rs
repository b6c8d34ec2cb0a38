//! What the end of the one request means for its command.

use crate::domain::{payment::Verdict, time::Timestamp};

use super::journal::JournalEvent;

/// How the one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The API answered 2xx, and the whole answer was read.
    Answered(Verdict),
    /// Anything else.
    Failed(Fault),
}

/// Why there is no answer that says what was done. Details hold no body and no personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The deadline of the intent had passed, so the request was not begun.
    TooLate,
    /// The request could not be made: no token, no client.
    NotPrepared {
        /// Why.
        detail: String,
    },
    /// The host's name has no address.
    Unresolved {
        /// What the resolver said.
        detail: String,
    },
    /// No connection: refused, unreachable, or no answer to the attempt.
    NotConnected {
        /// What the system said.
        detail: String,
    },
    /// The connection was made, but TLS was not: the request is sent after it.
    NoTls {
        /// What went wrong.
        detail: String,
    },
    /// The connection broke off after a byte may have left.
    BrokenOff {
        /// What went wrong.
        detail: String,
    },
    /// The total deadline passed after a byte may have left.
    TimedOut,
    /// Any other HTTP status, 401 and 429 included: the API may have acted before it refused.
    Status {
        /// Which.
        status: u16,
    },
    /// A failure that nobody has put into one of the rows above.
    Unsorted {
        /// What went wrong.
        detail: String,
    },
}

/// Turns the end of the one request into the event that tells it.
///
/// | end                                                              | event    |
/// |------------------------------------------------------------------|----------|
/// | approved in every part                                           | Approved |
/// | declined in every part                                           | Declined |
/// | too late, not prepared, no address, no connection, no TLS        | NotSent  |
/// | broken off, timed out, another status, unclear, anything else    | Doubted  |
pub fn read_ending(ending: Ending, at: Timestamp) -> JournalEvent {
    match ending {
        Ending::Answered(Verdict::Approved(provider)) => JournalEvent::Approved { at, provider },
        Ending::Answered(Verdict::Declined(provider)) => JournalEvent::Declined { at, provider },
        Ending::Answered(Verdict::Unclear { detail }) => JournalEvent::Doubted { at, detail },
        Ending::Failed(fault) => read_fault(fault, at),
    }
}

fn read_fault(fault: Fault, at: Timestamp) -> JournalEvent {
    let not_sent = |detail: String| JournalEvent::NotSent { at, detail };
    let doubted = |detail: String| JournalEvent::Doubted { at, detail };
    match fault {
        Fault::TooLate => not_sent("the deadline had passed before the request began".into()),
        Fault::NotPrepared { detail } => not_sent(format!("the request was not begun: {detail}")),
        Fault::Unresolved { detail } => not_sent(format!("no address: {detail}")),
        Fault::NotConnected { detail } => not_sent(format!("no connection: {detail}")),
        Fault::NoTls { detail } => not_sent(format!("no TLS: {detail}")),
        Fault::BrokenOff { detail } => doubted(format!("the answer broke off: {detail}")),
        Fault::TimedOut => doubted("no complete answer in time".into()),
        Fault::Status { status } => doubted(format!("the API answered with status {status}")),
        Fault::Unsorted { detail } => doubted(format!("the request failed: {detail}")),
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
