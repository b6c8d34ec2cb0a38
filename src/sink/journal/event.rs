//! What can happen to a command.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        payment::{PaymentState, Provider},
        time::Timestamp,
    },
    sink::{
        command::{Order, Outline},
        text::{clean, clean_option},
    },
};

/// Where a command stood in its topic: the order of the commands of one reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    /// Of the command topic.
    pub partition: i32,
    /// Of the command's record.
    pub offset: i64,
}

/// One thing that happened to a command. Every text in it is cleaned before it is kept.
///
/// Serde's tag is outside on purpose: an inner one cannot carry numbers through
/// `arbitrary_precision`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
pub enum JournalEvent {
    /// A valid command was read; from here on the journal answers for it.
    Received {
        /// When.
        at: Timestamp,
        /// What it asks for.
        order: Order,
        /// Where it stood.
        arrival: Arrival,
    },
    /// An invalid command was read. Publishes REJECTED.
    Refused {
        /// When.
        at: Timestamp,
        /// What can be said of it.
        outline: Outline,
        /// What the sender must change.
        why: String,
    },
    /// It must not be executed: a cap, an unknown reference. Publishes REJECTED.
    Rejected {
        /// When.
        at: Timestamp,
        /// Why.
        why: String,
    },
    /// It is too late for it. Publishes EXPIRED.
    Expired {
        /// When.
        at: Timestamp,
    },
    /// One request may be sent now.
    Intended {
        /// When.
        at: Timestamp,
        /// Counted from 1.
        attempt: u32,
        /// Of the owner that may send.
        epoch: u64,
        /// How the payment stood.
        before: PaymentState,
        /// After this instant that owner does not begin to send.
        send_not_after: Timestamp,
        /// After this one its request is answered or given up, by its own `post_timeout`; nothing in
        /// stories of older programs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        over_at: Option<Timestamp>,
    },
    /// It is proven that no byte of the request left.
    NotSent {
        /// When.
        at: Timestamp,
        /// The proof.
        detail: String,
    },
    /// The API did it. Publishes SUCCEEDED.
    Approved {
        /// When.
        at: Timestamp,
        /// What the API said.
        provider: Provider,
    },
    /// The API refused to do it. Publishes DECLINED.
    Declined {
        /// When.
        at: Timestamp,
        /// What the API said.
        provider: Provider,
    },
    /// Nobody knows whether the API did it. Publishes IN_DOUBT.
    Doubted {
        /// When.
        at: Timestamp,
        /// Why.
        detail: String,
    },
    /// The payment shows what only this command explains. Publishes SUCCEEDED.
    Inferred {
        /// When.
        at: Timestamp,
        /// How the payment stands.
        after: PaymentState,
    },
    /// The payment does not say; a person must. Publishes PARKED.
    Parked {
        /// When.
        at: Timestamp,
        /// Why.
        detail: String,
        /// How the payment stands, where it could be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<PaymentState>,
    },
    /// A person decided. Publishes SUCCEEDED or DECLINED.
    Resolved {
        /// When.
        at: Timestamp,
        /// Whether the money moved.
        executed: bool,
        /// Who.
        actor: String,
        /// How they know.
        evidence: String,
    },
}

impl JournalEvent {
    /// When it happened.
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Received { at, .. }
            | Self::Refused { at, .. }
            | Self::Rejected { at, .. }
            | Self::Expired { at }
            | Self::Intended { at, .. }
            | Self::NotSent { at, .. }
            | Self::Approved { at, .. }
            | Self::Declined { at, .. }
            | Self::Doubted { at, .. }
            | Self::Inferred { at, .. }
            | Self::Parked { at, .. }
            | Self::Resolved { at, .. } => *at,
        }
    }

    /// Its word in messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Received { .. } => "Received",
            Self::Refused { .. } => "Refused",
            Self::Rejected { .. } => "Rejected",
            Self::Expired { .. } => "Expired",
            Self::Intended { .. } => "Intended",
            Self::NotSent { .. } => "NotSent",
            Self::Approved { .. } => "Approved",
            Self::Declined { .. } => "Declined",
            Self::Doubted { .. } => "Doubted",
            Self::Inferred { .. } => "Inferred",
            Self::Parked { .. } => "Parked",
            Self::Resolved { .. } => "Resolved",
        }
    }

    /// Whether consumers are told.
    pub const fn publishes(&self) -> bool {
        match self {
            Self::Received { .. } | Self::Intended { .. } | Self::NotSent { .. } => false,
            Self::Refused { .. }
            | Self::Rejected { .. }
            | Self::Expired { .. }
            | Self::Approved { .. }
            | Self::Declined { .. }
            | Self::Doubted { .. }
            | Self::Inferred { .. }
            | Self::Parked { .. }
            | Self::Resolved { .. } => true,
        }
    }

    /// Without card numbers and endless texts; again, it is the same.
    pub(super) fn cleaned(mut self) -> Self {
        match &mut self {
            Self::Refused { why: text, .. }
            | Self::Rejected { why: text, .. }
            | Self::NotSent { detail: text, .. }
            | Self::Doubted { detail: text, .. }
            | Self::Parked { detail: text, .. } => *text = clean(text),
            Self::Approved { provider, .. } | Self::Declined { provider, .. } => {
                for text in
                    [&mut provider.transaction_id, &mut provider.code, &mut provider.message]
                {
                    *text = clean_option(text.as_deref());
                }
            }
            Self::Resolved { actor, evidence, .. } => {
                *actor = clean(actor);
                *evidence = clean(evidence);
            }
            Self::Received { order, .. } => order.requested_by = clean(&order.requested_by),
            Self::Expired { .. } | Self::Intended { .. } | Self::Inferred { .. } => {}
        }
        self
    }
}
