//! Every pair of states, for both kinds: what only the command explains, and nothing else.

use super::*;
use crate::sink::tests::{money, payment};

fn explains(kind: Kind, before: &PaymentState, after: &PaymentState) -> bool {
    match judge_doubt(kind, before, after) {
        Judgement::Explained => true,
        Judgement::NotExplained { why } => {
            assert!(!why.is_empty());
            false
        }
    }
}

fn refund() -> Kind {
    Kind::Refund { amount: money("10.00") }
}

#[test]
fn a_cancel_is_explained_by_one_pair_of_states_only() {
    for before in VirtualPosStatus::ALL {
        for after in VirtualPosStatus::ALL {
            let expected =
                (*before, *after) == (VirtualPosStatus::Successful, VirtualPosStatus::Cancelled);
            let found = explains(Kind::Cancel, &payment(*before, None), &payment(*after, None));
            assert_eq!(found, expected, "{before} {after}");
        }
    }
}

#[test]
fn a_refund_is_explained_between_states_that_refunds_lead_through() {
    let can = [VirtualPosStatus::Successful, VirtualPosStatus::Refunded];
    for before in VirtualPosStatus::ALL {
        for after in VirtualPosStatus::ALL {
            let expected = can.contains(before) && can.contains(after);
            let (was, is) = (payment(*before, Some("5.00")), payment(*after, Some("15.00")));
            assert_eq!(explains(refund(), &was, &is), expected, "{before} {after}");
        }
    }
}

#[test]
fn a_refund_is_explained_by_exactly_its_amount() {
    let successful = |refunded| payment(VirtualPosStatus::Successful, refunded);
    let refunded = |sum| payment(VirtualPosStatus::Refunded, Some(sum));
    for (before, after, expected) in [
        (successful(None), refunded("10.00"), true),
        (successful(Some("0.00")), refunded("10.00"), true),
        (successful(None), successful(Some("10.00")), true),
        (refunded("90.00"), refunded("100.00"), true),
        (successful(None), refunded("9.99"), false),
        (successful(None), refunded("10.00001"), false),
        (successful(None), refunded("20.00"), false),
        (successful(None), successful(None), false),
        (refunded("20.00"), refunded("10.00"), false),
        (refunded("20.00"), refunded("20.00"), false),
    ] {
        assert_eq!(explains(refund(), &before, &after), expected, "{before:?} {after:?}");
    }
}

#[test]
fn a_refund_is_not_explained_by_sums_that_are_not_told() {
    let untold = payment(VirtualPosStatus::Refunded, None);
    let told = payment(VirtualPosStatus::Refunded, Some("10.00"));
    assert!(!explains(refund(), &untold, &told), "what was refunded before is not known");
    assert!(!explains(refund(), &payment(VirtualPosStatus::Successful, None), &untold));
}

#[test]
fn sums_at_the_ends_of_the_range_are_compared_without_panic() {
    let at = |unscaled| PaymentState {
        refunded: Some(Money::from_unscaled(unscaled)),
        ..payment(VirtualPosStatus::Refunded, None)
    };
    let most = 10_i128.pow(Money::DIGITS) - 1;
    assert!(!explains(refund(), &at(-most), &at(most)));
    assert!(!explains(refund(), &at(most), &at(-most)));
}
