//! Every pair of states, for both kinds: what only the command explains, and nothing else.

use super::*;
use crate::sink::tests::{money, payment};

fn explains(kind: Kind, before: &PaymentState, after: &PaymentState) -> bool {
    match judge_doubt(kind, before, after, &[]) {
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
    // No list showed it: what stands may have been refunded in part.
    let unlisted =
        PaymentState { refunded_unknown: true, ..payment(VirtualPosStatus::Successful, None) };
    for after in [&told, &payment(VirtualPosStatus::Successful, Some("10.00")), &unlisted] {
        assert!(!explains(refund(), &unlisted, after), "{after:?}");
    }
    assert!(!explains(refund(), &payment(VirtualPosStatus::Successful, None), &unlisted));
    let cancelled =
        PaymentState { refunded_unknown: true, ..payment(VirtualPosStatus::Cancelled, None) };
    assert!(explains(Kind::Cancel, &unlisted, &cancelled), "a cancel needs no sum");
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

#[test]
fn a_change_that_other_commands_explain_as_well_is_not_explained() {
    use VirtualPosStatus::{Cancelled, Successful};
    let rival = |n, kind| Rival { command_id: uuid::Uuid::from_u128(n), kind };
    let refund_of = |n, amount| rival(n, Kind::Refund { amount: money(amount) });
    let (before, grown) = (payment(Successful, None), payment(Successful, Some("10.00")));
    let judge = |rivals: &[Rival]| judge_doubt(refund(), &before, &grown, rivals);
    let unsure = |rivals: &[Rival]| match judge(rivals) {
        Judgement::NotExplained { why } => why.contains(&rivals[0].command_id.to_string()),
        Judgement::Explained => false,
    };
    assert!(unsure(&[refund_of(1, "10.00")]));
    assert!(unsure(&[refund_of(1, "4.00"), refund_of(2, "3.00"), refund_of(3, "6.00")]));
    assert_eq!(judge(&[refund_of(1, "9.99"), refund_of(2, "20.00")]), Judgement::Explained);
    assert_eq!(
        judge(&[rival(1, Kind::Cancel)]),
        Judgement::Explained,
        "it grew, nothing was undone"
    );
    let many: Vec<_> = (1..=13).map(|n| refund_of(n, "11.00")).collect();
    assert!(unsure(&many), "too many to be told apart");
    let judge = |rivals: &[Rival]| {
        judge_doubt(Kind::Cancel, &payment(Successful, None), &payment(Cancelled, None), rivals)
    };
    assert_eq!(judge(&[refund_of(1, "10.00")]), Judgement::Explained);
    assert_ne!(judge(&[rival(1, Kind::Cancel)]), Judgement::Explained);
}
