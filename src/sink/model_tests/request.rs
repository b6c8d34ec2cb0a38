//! The one request of a permission, and what the API makes of it.

use crate::{
    domain::{
        payment::{PaymentState, Provider, Verdict},
        time::Timestamp,
    },
    sink::{
        answer::{Ending, read_ending},
        command::{CommandKey, Kind},
        journal::JournalEvent,
        rivals,
        tests::{POLICY, paid},
    },
};

use super::{
    mutant::Mutant,
    world::{Fault, Reply, Shared},
};

/// Until when a request may leave: by the owner's clock, and by one that nobody sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    pub(super) wall: Timestamp,
    pub(super) real: i64,
}

/// The one request: checks the deadline, sends, and reads how it ended.
pub(super) fn send(
    mutant: Mutant,
    shared: &mut Shared,
    (key, kind): (&CommandKey, Kind),
    (now, deadline): (Timestamp, Deadline),
    fault: &Fault,
) -> JournalEvent {
    let lost = Ending::Unknown { detail: "no complete answer in time".into() };
    let is_late = now > deadline.wall || shared.now > deadline.real;
    let ending = if is_late && mutant != Mutant::NoDeadline {
        Ending::NotSent { detail: "too late".into() }
    } else {
        match fault.reply {
            Reply::NotConnected => Ending::NotSent { detail: "refused".into() },
            Reply::Whole | Reply::ShownLater(_) => {
                shared.api.arrive(key);
                let verdict = if shared.apply(key, kind) {
                    if let Reply::ShownLater(percent) = fault.reply {
                        let until = shared.now + rivals::HIDDEN_MS * percent / 100;
                        shared.api.hide(key, kind, until);
                    }
                    Verdict::Approved(Provider::default())
                } else {
                    Verdict::Declined(Provider::default())
                };
                Ending::Answered(verdict)
            }
            Reply::Refused => {
                shared.api.arrive(key);
                Ending::Answered(Verdict::Declined(Provider::default()))
            }
            Reply::AppliedAndLost => {
                shared.api.arrive(key);
                shared.apply(key, kind);
                lost
            }
            Reply::NotAppliedAndLost => {
                shared.api.arrive(key);
                lost
            }
            Reply::Failed { applied } => {
                shared.api.arrive(key);
                if applied {
                    shared.apply(key, kind);
                }
                Ending::Answered(Verdict::Unclear { detail: "response is Error".into() })
            }
            Reply::AppliedLate(percent) => {
                shared.api.arrive(key);
                // Up to 100, not later than the quiescence after the request's own deadline.
                let most = POLICY.post_timeout_ms + POLICY.quiescence_ms - 1;
                let due = shared.now + most * percent / 100;
                shared.api.apply_late(key, kind, due, percent > 100);
                lost
            }
        }
    };
    if mutant == Mutant::LostIsDeclined && matches!(ending, Ending::Unknown { .. }) {
        return JournalEvent::Declined { at: now, provider: Provider::default() };
    }
    match (mutant, ending) {
        (Mutant::FailedIsDeclined, Ending::Answered(Verdict::Unclear { .. })) => {
            JournalEvent::Declined { at: now, provider: Provider::default() }
        }
        // The model's answers tell no sum.
        (_, ending) => read_ending(ending, &PaymentState { refunded_unknown: true, ..paid() }, now),
    }
}
