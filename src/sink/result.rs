//! The event that tells what became of a command, made of its journal entry alone.
//!
//! The same entry always gives the same record and the same event id, so publishing again what may
//! have been published already is harmless.

use std::borrow::Cow;

use crate::{
    domain::{
        commands::PaymentResult,
        content::Content,
        ids::SourceId,
        meta::EventMeta,
        money::Money,
        payment::Provider,
        record::Op,
        time::Timestamp,
        vocabulary::{Outcome, Source},
    },
    mapping::{content_hash, event_id},
    publish::batch::EventHeaders,
};

use super::{
    command::{CommandKey, Kind, Outline},
    doubt::refunded,
    journal::{Entry, JournalEvent},
    retention::may_have_been_forgotten,
    rivals::look_of,
};

/// The stream in the ids and headers of results.
pub const STREAM: &str = "payments";
/// The hash rule of results is part of their ids, so it stays the one of the first result.
const HASH_RULE: u8 = 1;
/// The sequence of an answer that takes no result's place: of another payload under the id, or of a
/// command whose own results may be forgotten.
const NO_SEQUENCE: i32 = 0;

/// A result that can be encoded: before any privacy rule, which does not change its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Publication<'e> {
    /// Always a [`PaymentResult`].
    pub content: Content<'e>,
    /// `connection/reference_no`.
    pub key: String,
    /// CloudEvents headers.
    pub headers: EventHeaders,
}

/// What one event adds to a result.
struct Told<'e> {
    outcome: Outcome,
    is_final: bool,
    inferred: bool,
    provider: Option<&'e Provider>,
    refunded_total: Option<Money>,
    executed_at: Option<Timestamp>,
    resolved_by: Option<&'e str>,
    detail: Option<Cow<'e, str>>,
}

/// The newest result of a command; nothing where consumers were not told anything yet. `since` is
/// when the journal began, where that is known.
pub fn latest_result(entry: &Entry, since: Option<Timestamp>) -> Option<Publication<'_>> {
    let (event, told) =
        entry.events().iter().rev().find_map(|event| Some((event, tell(entry, event)?)))?;
    let (told, sequence) = match event {
        JournalEvent::Refused { .. } | JournalEvent::Expired { .. }
            if may_have_been_forgotten(entry, since) =>
        {
            (told.without_memory(), NO_SEQUENCE)
        }
        _ => (told, entry.sequence()),
    };
    let record = record(entry.key(), entry.outline(), &told, entry.attempts(), sequence);
    Some(publish(entry.key(), record, event.at()))
}

/// The answer to another payload under an id that is taken. It has no place in the first command's
/// own count of results, so a consumer who keeps the highest sequence keeps the first one's.
pub fn duplicate_answer<'e>(first: &'e Entry, other: &Outline, at: Timestamp) -> Publication<'e> {
    let detail = format!(
        "command_id was used before for this reference with another payload (digest {}, now {}); \
         the first one stands",
        first.digest(),
        other.digest
    );
    let told = Told { detail: Some(detail.into()), ..Told::new(Outcome::Duplicate, false) };
    let record = record(first.key(), other, &told, 0, NO_SEQUENCE);
    publish(first.key(), record, at)
}

impl Told<'_> {
    const fn new(outcome: Outcome, is_final: bool) -> Self {
        Self {
            outcome,
            is_final,
            inferred: false,
            provider: None,
            refunded_total: None,
            executed_at: None,
            resolved_by: None,
            detail: None,
        }
    }

    /// The same about a command that is older than the journal's memory. It is not the end of the
    /// command's story, and with no place in the count of results it hides none that was told.
    fn without_memory(self) -> Self {
        let what = self.detail.as_deref().unwrap_or("it is too late");
        let detail = format!(
            "{what}; nothing was sent now, but the command is older than what the journal keeps: it \
             may have been executed before. an earlier result on this topic is the one that counts"
        );
        Self { is_final: false, detail: Some(detail.into()), ..self }
    }
}

/// What an event tells consumers.
///
/// | event             | outcome               | final | beside                                     |
/// |-------------------|-----------------------|-------|--------------------------------------------|
/// | Refused, Rejected | REJECTED              | yes   | why                                        |
/// | Expired           | EXPIRED               | yes   | until when it was wanted                   |
/// | Approved          | SUCCEEDED             | yes   | the API's words, when; its sum if it can be |
/// | Declined          | DECLINED              | yes   | the API's words, when; its sum if it can be |
/// | Doubted           | IN_DOUBT              | no    | why                                        |
/// | Inferred          | SUCCEEDED, inferred   | yes   | what is refunded now                       |
/// | Parked            | PARKED                | yes   | why, what is refunded now                  |
/// | Resolved          | SUCCEEDED or DECLINED | yes   | who, and how they know                     |
/// | the others        | nothing is published  |       |                                            |
///
/// Refused and Expired of a command that may have been forgotten: not final, with sequence 0.
fn tell<'e>(entry: &'e Entry, event: &'e JournalEvent) -> Option<Told<'e>> {
    let in_words = |told: Told<'e>, detail: &'e str| Told { detail: Some(detail.into()), ..told };
    Some(match event {
        JournalEvent::Received { .. }
        | JournalEvent::Intended { .. }
        | JournalEvent::NotSent { .. } => return None,
        JournalEvent::Refused { why, .. } | JournalEvent::Rejected { why, .. } => {
            in_words(Told::new(Outcome::Rejected, true), why)
        }
        JournalEvent::Expired { .. } => {
            let until = entry.outline().expires_at;
            let detail = until.map(|at| format!("it was wanted until {}", at.to_rfc3339()).into());
            Told { detail, ..Told::new(Outcome::Expired, true) }
        }
        JournalEvent::Approved { at, provider } => {
            answered(entry, Outcome::Succeeded, *at, provider)
        }
        JournalEvent::Declined { at, provider } => {
            answered(entry, Outcome::Declined, *at, provider)
        }
        JournalEvent::Doubted { detail, .. } => {
            in_words(Told::new(Outcome::InDoubt, false), detail)
        }
        JournalEvent::Inferred { after, .. } => Told {
            inferred: true,
            refunded_total: after.refunded,
            ..Told::new(Outcome::Succeeded, true)
        },
        JournalEvent::Parked { detail, after, .. } => Told {
            refunded_total: after.as_ref().and_then(|state| state.refunded),
            ..in_words(Told::new(Outcome::Parked, true), detail)
        },
        JournalEvent::Resolved { executed, actor, evidence, .. } => {
            let outcome = if *executed { Outcome::Succeeded } else { Outcome::Declined };
            Told { resolved_by: Some(actor), ..in_words(Told::new(outcome, true), evidence) }
        }
    })
}

fn answered<'e>(
    entry: &Entry,
    outcome: Outcome,
    at: Timestamp,
    provider: &'e Provider,
) -> Told<'e> {
    let told = Told {
        provider: Some(provider),
        refunded_total: provider.refunded_total,
        executed_at: Some(at),
        ..Told::new(outcome, true)
    };
    match (provider.refunded_total, least_refunded(entry, outcome)) {
        (Some(total), Some(least)) if total < least => {
            let detail = format!(
                "the API's answer tells {total} as refunded in all, which is less than the {least} \
                 that must be by now: left out"
            );
            Told { refunded_total: None, detail: Some(detail.into()), ..told }
        }
        _ => told,
    }
}

/// What must be refunded after an answer, from the look before it; where that did not tell, what was
/// refunded by the command itself.
fn least_refunded(entry: &Entry, outcome: Outcome) -> Option<Money> {
    let before = refunded(look_of(entry)?.1);
    match (outcome, entry.order()?.kind) {
        (Outcome::Succeeded, Kind::Refund { amount }) => {
            let sum = before.unwrap_or_default().unscaled().checked_add(amount.unscaled());
            sum.map(Money::from_unscaled)
        }
        _ => before,
    }
}

fn record<'e>(
    key: &'e CommandKey,
    outline: &Outline,
    told: &Told<'e>,
    attempts: i32,
    sequence: i32,
) -> PaymentResult<'e> {
    let words = |pick: fn(&Provider) -> &Option<String>| -> Option<Cow<'e, str>> {
        told.provider.and_then(|provider| pick(provider).as_deref()).map(Cow::Borrowed)
    };
    PaymentResult {
        meta: EventMeta::default(),
        command_id: key.command_id.hyphenated().to_string().into(),
        r#type: outline.kind,
        reference_no: key.reference_no.as_ref().into(),
        amount: outline.amount,
        outcome: told.outcome,
        inferred: told.inferred,
        attempts,
        provider_transaction_id: words(|provider| &provider.transaction_id),
        provider_operation_id: told.provider.and_then(|provider| provider.operation_id),
        provider_code: words(|provider| &provider.code),
        provider_message: words(|provider| &provider.message),
        refunded_total: told.refunded_total,
        executed_at: told.executed_at,
        resolved_by: told.resolved_by.map(Cow::Borrowed),
        sequence,
        r#final: told.is_final,
        detail: told.detail.clone(),
    }
}

fn publish<'e>(key: &'e CommandKey, record: PaymentResult<'e>, at: Timestamp) -> Publication<'e> {
    let version = record.sequence;
    let op = if version > 1 { Op::Updated } else { Op::Created };
    let source_id = SourceId::Text(key.command_id.hyphenated().to_string().into());
    let mut content = Content::PaymentResult(record);
    let hash = content_hash(&content, HASH_RULE, &mut Vec::new());
    let id = event_id(&key.connection, STREAM, &source_id, version, hash);
    content.set_meta(EventMeta {
        event_id: id,
        connection_id: key.connection.as_str(),
        source: Source::VomsisVirtualPosV3,
        op,
        version,
        source_id: source_id.to_string().into(),
        fetched_at: at,
        ..EventMeta::default()
    });
    let kind = format!("io.vomsis.v1.{}.{}", PaymentResult::NAME, op.as_str().to_lowercase());
    let headers = EventHeaders {
        id,
        source: format!("/vomsis/{}/{STREAM}", key.shown_connection()).into(),
        kind: kind.into(),
        time: at,
    };
    Publication { content, key: key.reference().to_string(), headers }
}

#[cfg(test)]
#[path = "result_tests.rs"]
mod tests;
