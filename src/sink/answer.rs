//! What the end of the one request means for its command.

use crate::domain::{
    payment::{PaymentState, Provider, Verdict},
    time::Timestamp,
};

use super::{doubt::refunded, journal::JournalEvent};

/// How the one request ended. Details hold no body and no personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A whole answer came, and this is how it reads; a refusal such as 401 or 429 reads as unclear,
    /// because the API may have acted before it refused.
    Answered(Verdict),
    /// It is certain that no byte of the request left.
    NotSent {
        /// Why.
        detail: String,
    },
    /// Anything else.
    Unknown {
        /// What was seen instead of an answer.
        detail: String,
    },
}

/// Turns the end of the one request into the event that tells it; `before` is how the payment stood
/// before it.
///
/// | end                              | event    |
/// |----------------------------------|----------|
/// | approved in every part           | Approved |
/// | declined in every part           | Declined |
/// | the same, and more is refunded   | Doubted  |
/// | certain that no byte left        | NotSent  |
/// | unclear, or anything else        | Doubted  |
pub fn read_ending(ending: Ending, before: &PaymentState, at: Timestamp) -> JournalEvent {
    match ending {
        Ending::Answered(Verdict::Approved(provider)) => JournalEvent::Approved { at, provider },
        Ending::Answered(Verdict::Declined(provider)) if has_grown(before, &provider) => {
            let detail = "declined, and the answer tells more refunded than before".to_owned();
            JournalEvent::Doubted { at, detail }
        }
        Ending::Answered(Verdict::Declined(provider)) => JournalEvent::Declined { at, provider },
        Ending::NotSent { detail } => JournalEvent::NotSent { at, detail },
        Ending::Answered(Verdict::Unclear { detail }) | Ending::Unknown { detail } => {
            JournalEvent::Doubted { at, detail }
        }
    }
}

/// Whether the answer's own sum says that money moved.
fn has_grown(before: &PaymentState, provider: &Provider) -> bool {
    provider.refunded_total.is_some_and(|is| refunded(before).is_some_and(|was| is > was))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
