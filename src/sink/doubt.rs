//! Whether a payment's state tells what became of a request whose answer is not known.

use std::collections::BTreeSet;

use crate::domain::{money::Money, payment::PaymentState, vocabulary::VirtualPosStatus};

use super::{command::Kind, rivals::Rival};

/// What two looks at a payment say about the request between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Only this command explains the difference: the money moved, once.
    Explained,
    /// Anything else; a person must look.
    NotExplained {
        /// What does not fit.
        why: String,
    },
}

/// Compares how a payment stood before the request with how it stands now.
///
/// | kind   | before              | now                 | and                              | judgement |
/// |--------|---------------------|---------------------|----------------------------------|-----------|
/// | REFUND | Successful, Refunded | Successful, Refunded | refunded grew by exactly the amount | Explained |
/// | REFUND | the same             | the same             | one of the two sums is not known    | not       |
/// | REFUND | anything else       |                     |                                  | not       |
/// | CANCEL | Successful          | Cancelled           |                                  | Explained |
/// | CANCEL | anything else       |                     |                                  | not       |
///
/// An unchanged payment is not explained either: it may have been declined, or never asked. Nor is
/// one whose change `rivals` explain without this command: a parked refund of the same amount may
/// have been executed late.
pub fn judge_doubt(
    kind: Kind,
    before: &PaymentState,
    after: &PaymentState,
    rivals: &[Rival],
) -> Judgement {
    let explained = match kind {
        Kind::Refund { amount } => judge_refund(amount, before, after),
        Kind::Cancel => judge_cancel(before, after),
    };
    let explained = explained.and_then(|()| no_rival_explains(kind, rivals));
    match explained {
        Ok(()) => Judgement::Explained,
        Err(why) => Judgement::NotExplained { why },
    }
}

fn judge_refund(amount: Money, before: &PaymentState, after: &PaymentState) -> Result<(), String> {
    if !can_be_refunded(before.status) || !can_be_refunded(after.status) {
        return Err(format!(
            "the payment was {} and is {}, which no refund explains",
            before.status, after.status
        ));
    }
    let was = refunded(before).ok_or("what had been refunded before is not known")?;
    let is = refunded(after).ok_or("the API does not tell what is refunded now")?;
    match is.checked_sub(was) {
        Some(grown) if grown == amount => Ok(()),
        Some(Money::ZERO) => Err(format!("still {was} is refunded")),
        Some(_) | None => {
            Err(format!("refunded was {was} and is {is}, which one refund of {amount} is not"))
        }
    }
}

fn judge_cancel(before: &PaymentState, after: &PaymentState) -> Result<(), String> {
    let (was, is) = (before.status, after.status);
    if was == VirtualPosStatus::Successful && is == VirtualPosStatus::Cancelled {
        Ok(())
    } else {
        Err(format!("the payment was {was} and is {is}"))
    }
}

/// Rivals of one payment whose sums are looked at; more than these explain anything.
const RIVALS_MAX: usize = 12;

fn no_rival_explains(kind: Kind, rivals: &[Rival]) -> Result<(), String> {
    let explained = match kind {
        Kind::Cancel => rivals.iter().any(|rival| rival.kind == Kind::Cancel),
        Kind::Refund { amount } => {
            let amounts = rivals.iter().filter_map(|rival| match rival.kind {
                Kind::Refund { amount } => Some(amount),
                Kind::Cancel => None,
            });
            rivals.len() > RIVALS_MAX || is_a_sum_of(amount, amounts)
        }
    };
    if !explained {
        return Ok(());
    }
    let ids: Vec<_> = rivals.iter().take(3).map(|rival| rival.command_id.to_string()).collect();
    let (ids, more) = (ids.join(", "), if rivals.len() > 3 { " and more" } else { "" });
    Err(format!(
        "the payment changed as this command explains, but so does another one of it, whose money \
         may have moved meanwhile ({ids}{more})"
    ))
}

/// Whether some of the amounts add up to the whole.
fn is_a_sum_of(whole: Money, amounts: impl Iterator<Item = Money>) -> bool {
    let mut sums = BTreeSet::from([0_i128]);
    for amount in amounts {
        let with: Vec<_> =
            sums.iter().filter_map(|sum| sum.checked_add(amount.unscaled())).collect();
        sums.extend(with);
    }
    sums.contains(&whole.unscaled())
}

/// Whether money of a payment in this state can be given back.
pub(super) const fn can_be_refunded(status: VirtualPosStatus) -> bool {
    match status {
        VirtualPosStatus::Successful | VirtualPosStatus::Refunded => true,
        VirtualPosStatus::Unknown | VirtualPosStatus::Failed | VirtualPosStatus::Cancelled => false,
    }
}

/// What was given back so far. A payment that was never refunded has no such sum, which is zero; a
/// refunded one without it is not known, nor is what no list told.
pub(super) fn refunded(state: &PaymentState) -> Option<Money> {
    match (state.refunded, state.status) {
        _ if state.refunded_unknown => None,
        (Some(sum), _) => Some(sum),
        (None, VirtualPosStatus::Successful) => Some(Money::ZERO),
        (
            None,
            VirtualPosStatus::Unknown
            | VirtualPosStatus::Failed
            | VirtualPosStatus::Cancelled
            | VirtualPosStatus::Refunded,
        ) => None,
    }
}

#[cfg(test)]
#[path = "doubt_tests.rs"]
mod tests;
