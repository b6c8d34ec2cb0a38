//! A payment's state as two calls tell it, and the answer to the one call that changes it.
//!
//! | what `POST /transaction` answered                                     | verdict    |
//! |-----------------------------------------------------------------------|------------|
//! | 2xx, `Approved` and `approved`, the command's `type`, codes `00`      | `Approved` |
//! | 2xx, `Declined` and `declined`, no other `type`, no `00`              | `Declined` |
//! | anything else: another word, a contradiction, HTML, half a body       | `Unclear`  |
//!
//! `Error` is no refusal: the operation failed, and nobody says that the bank did not do it. Nor is a code by
//! which the bank's own answer is not known.
//!
//! No detail quotes a value but the bank's code of two digits: answers hold cards and names.

use std::borrow::Cow;

use crate::{
    domain::{
        money::Money,
        payment::{Change, PaymentState, Provider, Verdict},
        vocabulary::{VirtualPosKind, VirtualPosStatus},
    },
    mapping::{
        card,
        json::{Fields, Key, Mask::*, keys},
        reader::{Problem, Reader},
        text::Folded,
        virtual_pos::{self, VirtualPosKey},
        words,
    },
};

/// The code of success, in both code fields.
const DONE: &str = "00";
/// Codes of ISO 8583 by which a switch says that the bank's own answer is not known: it came too late,
/// could not be had, or the system failed on the way.
const UNANSWERED: [&str; 3] = ["68", "91", "96"];
/// Longer texts of the provider are cut.
const TEXT_CHARS_MAX: usize = 300;

keys! {
    FoundKey {
        ReferenceNo = "referanceNo", Code, "";
        Amount = "amount", Code, "";
        Status = "status", Code, "";
    }
}

keys! {
    AnswerKey {
        OperationId = "islem_id", Code, "";
        Type = "type", Code, "";
        TransactionId = "trans_id", Code, "";
        Response = "response", Code, "";
        ReturnCode = "proc_return_code", Code, "";
        Refunded = "iade_tutar", Code, "";
        ErrorCode = "error_code", Code, "";
        ErrorMessage = "error_message", Free, "";
        Status = "status", Code, "";
        StatusDetail = "status_detail", Code, "";
        // Of other answers of this API; here they can only contradict.
        Success = "success", Code, "";
    }
}

keys! {
    DetailKey {
        Status = "status", Code, "";
    }
}

/// Why a payment's state cannot be told from what the API sent; names fields, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(
    /// The field, and what is wrong with it.
    pub String,
);

impl From<Problem> for Unreadable {
    fn from(problem: Problem) -> Self {
        Self(format!("{}: {}", problem.field, problem.detail))
    }
}

fn unreadable<T>(detail: &str) -> Result<T, Unreadable> {
    Err(Unreadable(detail.to_owned()))
}

/// Status and amount, and nothing of what was given back, from the object that `/transaction/find` answers about `reference_no`.
///
/// # Errors
/// Where it is about another payment, tells a status that nobody documented, or an amount that is
/// no plain decimal.
pub fn found_state(json: &str, reference_no: &str) -> Result<PaymentState, Unreadable> {
    let fields = read_once::<FoundKey>(json)?;
    let mut reader = Reader::new(&fields);
    if reader.text(FoundKey::ReferenceNo)?.as_deref() != Some(reference_no) {
        return unreadable("referanceNo: not the payment that was asked for");
    }
    let status = words::virtual_pos_status(reader.text(FoundKey::Status)?.as_deref());
    let amount = reader.money(FoundKey::Amount)?;
    let (refunded, refunded_unknown, currency) = (None, true, None);
    Ok(PaymentState { status: known(status)?, amount, refunded, refunded_unknown, currency })
}

/// Everything that a row of the list tells about its payment. A sum of refunds that cannot be read is
/// not known, which is not none.
///
/// # Errors
/// Where status, amount or currency cannot be read without guessing.
pub fn listed_state(json: &str) -> Result<PaymentState, Unreadable> {
    let fields = read_once::<VirtualPosKey>(json)?;
    let mut reader = Reader::new(&fields);
    let (status, _, _) = virtual_pos::status(&mut reader)?;
    let told = reader.money(VirtualPosKey::RefundedAmount);
    let refunded_unknown = !matches!(&told, Ok(sum) if sum.is_none_or(|sum| sum >= Money::ZERO));
    let refunded = told.ok().flatten().filter(|_| !refunded_unknown);
    let currency = reader.currency(VirtualPosKey::Currency)?;
    Ok(PaymentState {
        status: known(status)?,
        amount: reader.money(VirtualPosKey::Amount)?,
        refunded,
        refunded_unknown,
        currency: currency.map(|currency| currency.code.into_owned()),
    })
}

/// The reference of the payment that a row of the list is; nothing where the row is a cancel or a
/// refund of its own (`tur`), or cannot be read.
pub fn reference_of(json: &str) -> Option<String> {
    let fields = Fields::read(json, VirtualPosKey::FIELDS, false)?;
    let mut reader = Reader::new(&fields);
    let kind = reader.text(VirtualPosKey::Kind).ok()?;
    match words::virtual_pos_kind(kind.as_deref()) {
        VirtualPosKind::Cancel | VirtualPosKind::Refund => None,
        VirtualPosKind::Payment | VirtualPosKind::Unknown => {
            reader.text(VirtualPosKey::ReferenceNo).ok()?.map(Cow::into_owned)
        }
    }
}

/// One state from `find` and from the list's row, which must not contradict each other.
///
/// # Errors
/// Where they do: the payment changed between the two calls, or one of them is not about it.
pub fn join(found: PaymentState, listed: PaymentState) -> Result<PaymentState, Unreadable> {
    if found.status != listed.status {
        return unreadable("status: find and the list tell different ones");
    }
    if let (Some(found), Some(listed)) = (found.amount, listed.amount)
        && found != listed
    {
        return unreadable("amount: find and the list tell different ones");
    }
    Ok(PaymentState { amount: found.amount.or(listed.amount), ..listed })
}

fn known(status: VirtualPosStatus) -> Result<VirtualPosStatus, Unreadable> {
    match status {
        VirtualPosStatus::Unknown => unreadable("status: absent, or a word that is not documented"),
        VirtualPosStatus::Successful
        | VirtualPosStatus::Failed
        | VirtualPosStatus::Cancelled
        | VirtualPosStatus::Refunded => Ok(status),
    }
}

/// An object each of whose keys stands once.
fn read_once<K: Key>(json: &str) -> Result<Fields<'_>, Unreadable> {
    let Some(fields) = Fields::read(json, K::FIELDS, false) else {
        return unreadable("not a JSON object");
    };
    if fields.duplicate {
        return unreadable("a key stands twice");
    }
    Ok(fields)
}

/// What the answer to `POST /transaction` says about the change that was asked for.
pub fn answer(change: Change, status: u16, body: &str) -> Verdict {
    read_answer(change, status, body)
        .unwrap_or_else(|Unreadable(detail)| Verdict::Unclear { detail })
}

fn read_answer(change: Change, status: u16, body: &str) -> Result<Verdict, Unreadable> {
    if !(200..300).contains(&status) {
        return Err(Unreadable(format!("HTTP status {status}")));
    }
    let body = body.trim_start_matches('\u{feff}').trim();
    if body.is_empty() {
        return unreadable("an empty body");
    }
    if body.starts_with('<') {
        return unreadable("HTML instead of JSON");
    }
    let fields = read_once::<AnswerKey>(body)?;
    let mut reader = Reader::new(&fields);
    judge(&mut reader, change).map_err(|unreadable| with_code(&mut reader, unreadable))
}

fn judge(reader: &mut Reader<'_, '_>, change: Change) -> Result<Verdict, Unreadable> {
    let done = is_done(reader)?;
    check_type(reader, change, done)?;
    check_codes(reader, done)?;
    if !done {
        check_refused(reader)?;
    }
    let provider = provider(reader)?;
    Ok(if done { Verdict::Approved(provider) } else { Verdict::Declined(provider) })
}

/// With the bank's code, which whoever decides about a parked command will want to know. Only one of the
/// two digits of ISO 8583: nothing else that stands in its place is shown.
fn with_code(reader: &mut Reader<'_, '_>, Unreadable(detail): Unreadable) -> Unreadable {
    let codes = [AnswerKey::ReturnCode, AnswerKey::ErrorCode];
    let codes = codes.map(|key| reader.text(key).ok().flatten());
    let is_told = |code: &&str| {
        *code != DONE && code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_digit())
    };
    match codes.iter().flatten().map(|code| code.trim()).find(is_told) {
        Some(code) => Unreadable(format!("{detail} (code {code})")),
        None => Unreadable(detail),
    }
}

/// Whether every word of the answer says done, or every one says not done.
fn is_done(reader: &mut Reader<'_, '_>) -> Result<bool, Unreadable> {
    let response = Word::read(reader, AnswerKey::Response)?;
    let status = Word::read(reader, AnswerKey::Status)?;
    let done = match (response, status) {
        (Word::Approved, Word::Approved) => true,
        (Word::Declined, Word::Declined) => false,
        (Word::Error, Word::Declined) => {
            return unreadable("response is Error, which is no refusal");
        }
        (Word::Absent, _) | (_, Word::Absent) => {
            return unreadable("response or status is missing");
        }
        (Word::Other, _) | (_, Word::Other) => {
            return unreadable("response or status is a word that is not documented");
        }
        (Word::Approved, Word::Declined | Word::Error)
        | (Word::Declined | Word::Error, Word::Approved | Word::Error) => {
            return unreadable("response and status contradict each other");
        }
    };
    // Documented as a detail in words; only a word of the status's own kind can contradict it.
    let detail = Word::of_detail(reader)?;
    if (done && matches!(detail, Word::Declined | Word::Error))
        || (!done && detail == Word::Approved)
    {
        return unreadable("status_detail contradicts status");
    }
    match reader.text(AnswerKey::Success)?.as_deref().map(|text| text == "true" || text == "1") {
        Some(success) if success != done => unreadable("success contradicts status"),
        Some(_) | None => Ok(done),
    }
}

/// The words of `response`, `status` and `status_detail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Absent,
    Approved,
    Declined,
    Error,
    Other,
}

impl Word {
    fn read<K: Key>(reader: &mut Reader<'_, '_>, key: K) -> Result<Self, Unreadable> {
        let Some(text) = reader.text(key)? else { return Ok(Self::Absent) };
        Ok(match Folded::of(&text).as_ref().map(Folded::as_str) {
            Some("approved") => Self::Approved,
            Some("declined") => Self::Declined,
            Some("error") => Self::Error,
            Some(_) | None => Self::Other,
        })
    }

    /// The detail's own text, or that of its `status` where it is an object as in the list. Of any
    /// other form it says nothing.
    fn of_detail(reader: &mut Reader<'_, '_>) -> Result<Self, Unreadable> {
        let raw = reader.raw(AnswerKey::StatusDetail).trim_start();
        if raw.starts_with('{') {
            let fields = read_once::<DetailKey>(raw)?;
            return Ok(
                Self::read(&mut Reader::new(&fields), DetailKey::Status).unwrap_or(Self::Absent)
            );
        }
        Ok(Self::read(reader, AnswerKey::StatusDetail).unwrap_or(Self::Absent))
    }
}

/// An approval must name the change that was asked for; a refusal must not name another one.
fn check_type(reader: &mut Reader<'_, '_>, change: Change, done: bool) -> Result<(), Unreadable> {
    let wanted = match change {
        Change::Cancel => VirtualPosKind::Cancel,
        Change::Refund { .. } => VirtualPosKind::Refund,
    };
    match reader.text(AnswerKey::Type)? {
        None if done => unreadable("type is missing"),
        None => Ok(()),
        Some(text) if words::virtual_pos_kind(Some(&text)) == wanted => Ok(()),
        Some(_) => unreadable("type is not that of the command"),
    }
}

fn check_codes(reader: &mut Reader<'_, '_>, done: bool) -> Result<(), Unreadable> {
    for key in [AnswerKey::ReturnCode, AnswerKey::ErrorCode] {
        let code = reader.text(key)?;
        if code.is_some_and(|code| (code.trim() == DONE) != done) {
            return Err(Unreadable(format!("{} contradicts status", key.name())));
        }
    }
    Ok(())
}

/// A refusal is the bank's own.
fn check_refused(reader: &mut Reader<'_, '_>) -> Result<(), Unreadable> {
    for key in [AnswerKey::ReturnCode, AnswerKey::ErrorCode] {
        let code = reader.text(key)?;
        if code.is_some_and(|code| UNANSWERED.contains(&code.trim())) {
            let name = key.name();
            return Err(Unreadable(format!("{name} says that the bank's answer is not known")));
        }
    }
    Ok(())
}

fn provider(reader: &mut Reader<'_, '_>) -> Result<Provider, Unreadable> {
    Ok(Provider {
        transaction_id: shown(reader.text(AnswerKey::TransactionId)?),
        // Only told on: an id of another form says nothing about the money.
        operation_id: reader.integer(AnswerKey::OperationId).ok().flatten(),
        code: shown(reader.first_text(&[AnswerKey::ReturnCode, AnswerKey::ErrorCode])?),
        message: shown(reader.text(AnswerKey::ErrorMessage)?),
        refunded_total: reader.money(AnswerKey::Refunded)?,
    })
}

/// A text of the provider: cards masked, cut, and nothing at all where it holds markup, in which
/// another call of this API is known to put whole cards.
fn shown(text: Option<Cow<'_, str>>) -> Option<String> {
    let text = text?;
    let text = text.trim();
    let has_markup = text.match_indices('<').any(|(at, _)| {
        let next = text.as_bytes().get(at + 1);
        next.is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'!' | b'/' | b'?'))
    });
    if has_markup {
        return None;
    }
    let masked = card::mask_runs(text).unwrap_or_else(|| text.to_owned());
    Some(masked.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests;
