//! What happened to a command, as lines for people: money with its currency, times of the zone in
//! which the caps count their days. Programs get the journal's own JSON.

use std::fmt::Display;

use chrono::{DateTime, Utc};

use crate::{
    domain::{
        payment::{PaymentState, Provider},
        time::{SOURCE_ZONE, Timestamp},
    },
    sink::{
        command::Order,
        journal::{Entry, JournalEvent},
    },
};

/// What `--help` says about the words of the column STATUS.
pub(super) const STATES: &str = "A command's status is the outcome of its newest result: SUCCEEDED, \
    DECLINED, REJECTED, EXPIRED, IN_DOUBT or PARKED. Before there is one it is RECEIVED (it waits), \
    INTENDED (a request may be on its way) or NOT_SENT (no request left, it is tried again).";

/// Such as `2026-03-01 12:00:00 +03:00`.
pub(super) fn local(at: Timestamp) -> String {
    DateTime::<Utc>::from_timestamp_millis(at.0).map_or_else(
        || at.to_rfc3339(),
        |at| at.with_timezone(&SOURCE_ZONE).format("%Y-%m-%d %H:%M:%S %:z").to_string(),
    )
}

/// Such as `12.50 TRY`; the number alone where nobody named a currency.
pub(super) fn money(amount: impl Display, currency: Option<&str>) -> String {
    currency.map_or_else(|| amount.to_string(), |currency| format!("{amount} {currency}"))
}

/// The currency that the sender or the payment named.
pub(super) fn currency(entry: &Entry) -> Option<&str> {
    let ordered = entry.order().and_then(|order| order.currency.as_deref());
    let paid = || {
        entry.events().iter().rev().find_map(|event| match event {
            JournalEvent::Intended { before: state, .. }
            | JournalEvent::Inferred { after: state, .. }
            | JournalEvent::Parked { after: Some(state), .. } => state.currency.as_deref(),
            _ => None,
        })
    };
    ordered.or_else(paid)
}

/// What an event says beside its name and time.
pub(super) fn line(event: &JournalEvent, currency: Option<&str>) -> String {
    match event {
        JournalEvent::Received { order, .. } => asked(order),
        JournalEvent::Refused { why, .. } | JournalEvent::Rejected { why, .. } => why.clone(),
        JournalEvent::Expired { .. } => "too late, nothing was sent now".to_owned(),
        JournalEvent::Intended { attempt, epoch, before, send_not_after, .. } => format!(
            "attempt {attempt} of owner {epoch}, to be sent until {}; the payment: {}",
            local(*send_not_after),
            state(before, currency)
        ),
        JournalEvent::NotSent { detail, .. } | JournalEvent::Doubted { detail, .. } => {
            detail.clone()
        }
        JournalEvent::Approved { provider, .. } | JournalEvent::Declined { provider, .. } => {
            said(provider, currency)
        }
        JournalEvent::Inferred { after, .. } => {
            format!("the payment shows it: {}", state(after, currency))
        }
        JournalEvent::Parked { detail, after, .. } => match after {
            Some(after) => format!("{detail}; the payment: {}", state(after, currency)),
            None => detail.clone(),
        },
        JournalEvent::Resolved { executed, actor, evidence, .. } => {
            let moved = if *executed { "the money moved" } else { "the money did not move" };
            format!("{moved}, says {actor}: {evidence}")
        }
    }
}

fn asked(order: &Order) -> String {
    let until = order.expires_at.map_or_else(
        || "it never expires".to_owned(),
        |at| format!("it expires after {}", local(at)),
    );
    format!("asked for by {} at {}; {until}", order.requested_by, local(order.requested_at))
}

fn state(state: &PaymentState, currency: Option<&str>) -> String {
    let currency = state.currency.as_deref().or(currency);
    let mut parts = vec![state.status.to_string()];
    parts.extend(state.amount.map(|amount| money(amount, currency)));
    parts.extend(state.refunded.map(|sum| format!("given back {}", money(sum, currency))));
    parts.extend(state.refunded_unknown.then(|| "given back: not known".to_owned()));
    parts.join(", ")
}

fn said(provider: &Provider, currency: Option<&str>) -> String {
    let Provider { transaction_id, operation_id, code, message, refunded_total } = provider;
    let mut parts = Vec::new();
    parts.extend(code.as_ref().map(|code| format!("code {code}")));
    parts.extend(message.clone());
    parts.extend(transaction_id.as_ref().map(|id| format!("transaction {id}")));
    parts.extend(operation_id.map(|id| format!("operation {id}")));
    parts.extend(refunded_total.map(|sum| format!("given back {}", money(sum, currency))));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{money::Money, vocabulary::VirtualPosStatus},
        sink::payload::Digest,
    };

    const NOON: Timestamp = Timestamp(1_751_965_200_000);

    fn paid() -> PaymentState {
        PaymentState {
            status: VirtualPosStatus::Successful,
            amount: Some(Money::parse("100").unwrap()),
            refunded: None,
            refunded_unknown: false,
            currency: Some("TRY".into()),
        }
    }

    #[test]
    fn lines_hold_local_times_and_money_and_no_json() {
        let order = Order {
            kind: crate::sink::command::Kind::Refund { amount: Money::parse("12.5").unwrap() },
            currency: None,
            requested_by: "billing".into(),
            requested_at: NOON,
            expires_at: None,
            digest: Digest(1),
        };
        let provider = Provider {
            code: Some("00".into()),
            operation_id: Some(7),
            refunded_total: Some(Money::parse("12.5").unwrap()),
            ..Provider::default()
        };
        let arrival = crate::sink::journal::Arrival { partition: 0, offset: 0 };
        let intended = JournalEvent::Intended {
            at: NOON,
            attempt: 1,
            epoch: 3,
            before: paid(),
            send_not_after: Timestamp(NOON.0 + 10_000),
            over_at: None,
        };
        for (event, expected) in [
            (
                JournalEvent::Received { at: NOON, order, arrival },
                "asked for by billing at 2025-07-08 12:00:00 +03:00; it never expires",
            ),
            (
                intended,
                "attempt 1 of owner 3, to be sent until 2025-07-08 12:00:10 +03:00; the payment: \
                 SUCCESSFUL, 100.00 TRY",
            ),
            (
                JournalEvent::Approved { at: NOON, provider },
                "code 00, operation 7, given back 12.50 TRY",
            ),
            (
                JournalEvent::Parked { at: NOON, detail: "unchanged".into(), after: Some(paid()) },
                "unchanged; the payment: SUCCESSFUL, 100.00 TRY",
            ),
        ] {
            assert_eq!(line(&event, Some("TRY")), expected);
        }
    }
}
