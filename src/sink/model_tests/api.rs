//! The payment API: two payments, a ledger of what was asked, and of what moved.

use std::collections::BTreeMap;

use crate::{
    domain::{money::Money, payment::PaymentState, vocabulary::VirtualPosStatus},
    sink::{
        command::{CommandKey, Kind},
        tests::{money, paid},
    },
};

/// A request that the API will act on later, though its caller has given up.
#[derive(Debug, Clone)]
struct Late {
    due: i64,
    key: CommandKey,
    kind: Kind,
    /// After the quiescence, when its command may be parked.
    is_too_late: bool,
}

/// What moved, and whom the payment does not show it yet.
#[derive(Debug, Clone)]
struct Hidden {
    until: i64,
    place: usize,
    kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) struct Api {
    /// As they are; looks may be shown less.
    payments: [PaymentState; 2],
    hidden: Vec<Hidden>,
    /// Refunds that people made in the portal.
    pub(super) by_hand: [Money; 2],
    late: Vec<Late>,
    /// Requests of which a byte arrived.
    pub(super) posts: BTreeMap<CommandKey, u32>,
    /// When money moved.
    pub(super) moves: Vec<(i64, CommandKey, Kind)>,
}

/// Which of the two payments a command is about.
pub(super) fn place_of(key: &CommandKey) -> usize {
    usize::from(&*key.reference_no == "B")
}

fn plus(one: Money, other: Money) -> Money {
    Money::from_unscaled(one.unscaled() + other.unscaled())
}

impl Api {
    pub(super) fn new() -> Self {
        Self {
            payments: [paid(), paid()],
            by_hand: [Money::ZERO; 2],
            late: Vec::new(),
            hidden: Vec::new(),
            posts: BTreeMap::new(),
            moves: Vec::new(),
        }
    }

    /// The payment without what is hidden.
    pub(super) fn look(&self, key: &CommandKey) -> PaymentState {
        let place = place_of(key);
        let mut shown = self.payments[place].clone();
        for hidden in self.hidden.iter().filter(|hidden| hidden.place == place) {
            match hidden.kind {
                // Only a payment that was never refunded is cancelled.
                Kind::Cancel => shown = paid(),
                Kind::Refund { amount } => {
                    let all = shown.refunded.unwrap_or_default();
                    shown.refunded = Some(Money::from_unscaled(all.unscaled() - amount.unscaled()));
                }
            }
        }
        if shown.refunded == Some(Money::ZERO) {
            shown = paid();
        }
        shown
    }

    /// What was just done for a command shows later.
    pub(super) fn hide(&mut self, key: &CommandKey, kind: Kind, until: i64) {
        self.hidden.push(Hidden { until, place: place_of(key), kind });
    }

    /// A request arrived; whether it is acted on is another matter.
    pub(super) fn arrive(&mut self, key: &CommandKey) {
        *self.posts.entry(key.clone()).or_default() += 1;
    }

    pub(super) fn apply_late(&mut self, key: &CommandKey, kind: Kind, due: i64, is_too_late: bool) {
        self.late.push(Late { due, key: key.clone(), kind, is_too_late });
    }

    /// Does what is due; answers with what moved, and whether a parked command's money may.
    pub(super) fn tick(&mut self, now: i64) -> Vec<(CommandKey, bool)> {
        self.hidden.retain(|hidden| hidden.until > now);
        let (due, later) = std::mem::take(&mut self.late).into_iter().partition(|l| l.due <= now);
        self.late = later;
        let due: Vec<Late> = due;
        due.into_iter()
            .filter(|l| self.apply(&l.key, l.kind, l.due))
            .map(|l| (l.key, l.is_too_late))
            .collect()
    }

    /// Acts on a request; says whether the payment allowed it.
    pub(super) fn apply(&mut self, key: &CommandKey, kind: Kind, now: i64) -> bool {
        let applied = match kind {
            Kind::Refund { amount } => self.refund(place_of(key), amount),
            Kind::Cancel => self.cancel(place_of(key)),
        };
        if applied {
            self.moves.push((now, key.clone(), kind));
        }
        applied
    }

    fn refund(&mut self, place: usize, amount: Money) -> bool {
        let payment = &mut self.payments[place];
        let is_open =
            matches!(payment.status, VirtualPosStatus::Successful | VirtualPosStatus::Refunded);
        let refunded = plus(payment.refunded.unwrap_or_default(), amount);
        if !is_open || Some(refunded) > payment.amount {
            return false;
        }
        payment.refunded = Some(refunded);
        // A part of it leaves it as it stands.
        if Some(refunded) == payment.amount {
            payment.status = VirtualPosStatus::Refunded;
        }
        true
    }

    fn cancel(&mut self, place: usize) -> bool {
        let payment = &mut self.payments[place];
        let is_open = payment.status == VirtualPosStatus::Successful && payment.refunded.is_none();
        if is_open {
            payment.status = VirtualPosStatus::Cancelled;
        }
        is_open
    }

    /// Somebody refunds one lira in the portal, an amount that no command has. One of a command's own
    /// amount, made while that is in doubt, is the bound that docs/payments.md names: nothing that the
    /// API tells is different then, so no machine could pass.
    pub(super) fn refund_by_hand(&mut self, place: usize) {
        if self.refund(place, money("1.00")) {
            self.by_hand[place] = plus(self.by_hand[place], money("1.00"));
        }
    }

    /// What the payments say was refunded in all.
    pub(super) fn refunded(&self) -> Money {
        let sums = self.payments.iter().map(|payment| payment.refunded.unwrap_or_default());
        sums.fold(Money::ZERO, plus)
    }
}
