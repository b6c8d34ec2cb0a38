//! Commands, payments and stories that the tests of this room share.

use std::time::Duration;

use uuid::Uuid;

use crate::domain::{
    ids::ConnectionId,
    money::Money,
    payment::{PaymentState, Provider},
    time::Timestamp,
    vocabulary::{CommandType, VirtualPosStatus},
};

use super::{
    brakes::{Brakes, Limits},
    command::{Command, CommandKey, Kind, Order, Outline},
    journal::{Arrival, Entry, JournalEvent},
    payload::Digest,
    plan::{Failures, Policy, Situation},
};

/// Noon in Istanbul.
pub(crate) const NOON: Timestamp = Timestamp(1_751_965_200_000);
pub(crate) const SECOND: i64 = 1000;
pub(crate) const HOUR: i64 = 3_600_000;

pub(crate) const POLICY: Policy = Policy {
    post_timeout_ms: 30 * SECOND,
    quiescence_ms: 900 * SECOND,
    send_window_ms: 10 * SECOND,
    ask_for_ms: 900 * SECOND,
    attempts_max: 3,
};

pub(crate) const NO_LIMITS: Limits =
    Limits { max_amount: None, max_daily_amount: None, max_in_doubt: 3 };

pub(crate) fn money(text: &str) -> Money {
    Money::parse(text).unwrap()
}

pub(crate) fn after(ms: i64) -> Timestamp {
    Timestamp(NOON.0 + ms)
}

/// The n-th command of a reference.
pub(crate) fn key_of(reference: &str, n: u128) -> CommandKey {
    CommandKey {
        connection: ConnectionId::try_new("acme").unwrap(),
        reference_no: reference.into(),
        command_id: Uuid::from_u128(0x5f0c_0000_0000_4000_8000_0000_0000_0000 + n),
    }
}

pub(crate) fn key() -> CommandKey {
    key_of("REF-1", 1)
}

pub(crate) fn refund(amount: &str) -> Order {
    Order {
        kind: Kind::Refund { amount: money(amount) },
        currency: None,
        requested_by: "billing".into(),
        requested_at: after(-HOUR),
        expires_at: Some(after(HOUR)),
        digest: Digest(7),
    }
}

pub(crate) fn cancel() -> Order {
    Order { kind: Kind::Cancel, ..refund("1.00") }
}

pub(crate) fn outline() -> Outline {
    Outline { kind: CommandType::Unknown, amount: None, expires_at: None, digest: Digest(9) }
}

pub(crate) fn arrival(offset: i64) -> Arrival {
    Arrival { partition: 0, offset }
}

pub(crate) fn received_as(key: CommandKey, order: Order) -> Entry {
    Entry::received(Command { key, order }, arrival(5), NOON)
}

pub(crate) fn entry(order: Order) -> Entry {
    received_as(key(), order)
}

/// A payment of 100.00 in a state.
pub(crate) fn payment(status: VirtualPosStatus, refunded: Option<&str>) -> PaymentState {
    PaymentState {
        status,
        amount: Some(money("100.00")),
        refunded: refunded.map(money),
        refunded_unknown: false,
        currency: Some("TRY".into()),
    }
}

pub(crate) fn paid() -> PaymentState {
    payment(VirtualPosStatus::Successful, None)
}

pub(crate) fn provider() -> Provider {
    Provider {
        transaction_id: Some("T-17".into()),
        operation_id: Some(4711),
        code: Some("00".into()),
        message: Some("tamam".into()),
        refunded_total: Some(money("10.00")),
    }
}

pub(crate) fn intended(attempt: u32, epoch: u64) -> JournalEvent {
    JournalEvent::Intended {
        at: NOON,
        attempt,
        epoch,
        before: paid(),
        send_not_after: after(10 * SECOND),
        over_at: None,
    }
}

pub(crate) fn not_sent() -> JournalEvent {
    JournalEvent::NotSent { at: NOON, detail: "refused".into() }
}

pub(crate) fn doubted() -> JournalEvent {
    JournalEvent::Doubted { at: after(SECOND), detail: "timed out".into() }
}

pub(crate) fn parked() -> JournalEvent {
    JournalEvent::Parked { at: after(2 * SECOND), detail: "unchanged".into(), after: Some(paid()) }
}

pub(crate) fn resolved(executed: bool) -> JournalEvent {
    JournalEvent::Resolved {
        at: after(3 * SECOND),
        executed,
        actor: "ayse".into(),
        evidence: "bank statement".into(),
    }
}

pub(crate) fn approved() -> JournalEvent {
    JournalEvent::Approved { at: after(SECOND), provider: provider() }
}

pub(crate) fn declined() -> JournalEvent {
    JournalEvent::Declined { at: after(SECOND), provider: provider() }
}

pub(crate) fn rejected() -> JournalEvent {
    JournalEvent::Rejected { at: NOON, why: "over a cap".into() }
}

pub(crate) fn inferred() -> JournalEvent {
    JournalEvent::Inferred {
        at: after(2 * SECOND),
        after: payment(VirtualPosStatus::Refunded, Some("10.00")),
    }
}

/// A refund of 10.00 with what happened to it.
pub(crate) fn story(events: impl IntoIterator<Item = JournalEvent>) -> Entry {
    story_of(entry(refund("10.00")), events)
}

pub(crate) fn story_of(mut entry: Entry, events: impl IntoIterator<Item = JournalEvent>) -> Entry {
    for event in events {
        entry.apply(event).unwrap();
    }
    entry
}

pub(crate) fn brakes(limits: Limits) -> Brakes {
    Brakes::new(limits)
}

pub(crate) const fn situation(brakes: &Brakes) -> Situation<'_> {
    Situation { epoch: 2, brakes, failures: Failures::NONE, held: Duration::ZERO }
}

/// A number whose check digit is right, never written out in full.
pub(crate) fn card() -> String {
    ["4111", "1111", "1111", "1111"].concat()
}
