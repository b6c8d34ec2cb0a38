//! `POST /transaction`: the one operation that changes something, and the ways in which it fails.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    answer::Answer,
    call::Call,
    faults::PaymentFault,
    posts::gave_back,
    virtual_pos::not_found,
    world::{Bent, World},
};
use crate::{
    domain::{money::Money, payment::Change},
    sandbox::ledger::Refusal,
};

/// What a request asks for, as far as it can be read.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) reference: String,
    pub(super) kind: String,
    /// The digits exactly as they came.
    pub(super) amount: Option<String>,
}

impl Asked {
    pub(super) fn read(call: &Call) -> Self {
        let body = call.json();
        let text = |name: &str| {
            body.get(name).and_then(Value::as_str).map(ToOwned::to_owned).unwrap_or_default()
        };
        let amount = match body.get("amount") {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        Self { reference: text("referanceNo"), kind: text("transactionType"), amount }
    }

    /// The change, or Laravel's refusal of the fields.
    fn change(&self) -> Result<Change, Answer> {
        if self.reference.is_empty() {
            return Err(Answer::invalid("referanceNo", "The referance no field is required."));
        }
        match self.kind.as_str() {
            "cancel" => Ok(Change::Cancel),
            "refund" => {
                let amount = self.amount.as_deref().and_then(|text| Money::parse(text).ok());
                // Five decimals are kept, two are taken.
                let fits = |amount: &Money| *amount > Money::ZERO && amount.unscaled() % 1000 == 0;
                let amount = amount.filter(fits);
                let refused = || Answer::invalid("amount", "The amount field is invalid.");
                amount.map(|amount| Change::Refund { amount }).ok_or_else(refused)
            }
            _ => Err(Answer::invalid("transactionType", "The transaction type is invalid.")),
        }
    }
}

/// Answers the call, and changes the payment unless a fault is in the way.
pub(super) fn answer(world: &Arc<World>, call: &Call, bent: &Bent) -> Answer {
    let asked = Asked::read(call);
    let change = match asked.change() {
        Ok(change) => change,
        Err(refusal) => return refusal,
    };
    let number = bent.post.unwrap_or(usize::MAX);
    match &bent.payment {
        Some(PaymentFault::Declined(code)) => {
            world.posts().settle(number, format!("declined {code}"), None);
            declined(world, change, code, "İşlem reddedildi")
        }
        Some(PaymentFault::AppliedLate(after)) => {
            world.posts().settle(number, "late".to_owned(), None);
            apply_later(Arc::clone(world), number, asked.reference, change, *after);
            Answer::hang_up()
        }
        Some(PaymentFault::AppliedClosed) => {
            apply(world, number, &asked.reference, change);
            Answer::hang_up()
        }
        Some(PaymentFault::Applied504) => {
            apply(world, number, &asked.reference, change);
            Answer::page(504, "Gateway Time-out")
        }
        Some(PaymentFault::AppliedHtml) => {
            apply(world, number, &asked.reference, change);
            Answer::page(200, "Vomsis")
        }
        Some(PaymentFault::Contradictory) => {
            let mut answer = apply(world, number, &asked.reference, change);
            answer.body =
                answer.body.replace("\"response\":\"Approved\"", "\"response\":\"Declined\"");
            answer
        }
        Some(PaymentFault::AppliedError) => {
            apply(world, number, &asked.reference, change);
            let mut answer = declined(world, change, "91", "Banka yanıt vermiyor");
            answer.body =
                answer.body.replace("\"response\":\"Declined\"", "\"response\":\"Error\"");
            answer
        }
        Some(PaymentFault::SlowAnswer(wait)) => {
            let mut answer = apply(world, number, &asked.reference, change);
            answer.wait = *wait;
            answer
        }
        None => apply(world, number, &asked.reference, change),
    }
}

fn apply_later(
    world: Arc<World>,
    number: usize,
    reference: String,
    change: Change,
    after: Duration,
) {
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        apply(&world, number, &reference, change);
    });
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// Changes the payment now, and tells what a client would be told.
fn apply(world: &World, number: usize, reference: &str, change: Change) -> Answer {
    let mut ledger = world.ledger();
    let outcome = ledger.change_payment(reference, change);
    // Noted before anybody can see the changed row, so that no count lags behind the truth.
    let (said, applied) = match &outcome {
        Ok(_) => ("applied".to_owned(), Some((change, now_ms()))),
        Err(Refusal::Unknown) => ("unknown reference".to_owned(), None),
        Err(Refusal::Declined(code, _)) => (format!("declined {code}"), None),
    };
    world.posts().settle(number, said, applied);
    drop(ledger);
    match outcome {
        Ok(refunded) => approved(world, change, refunded),
        Err(Refusal::Unknown) => not_found("İşlem bulunamadı"),
        Err(Refusal::Declined(code, message)) => declined(world, change, code, message),
    }
}

const fn type_of(change: Change) -> &'static str {
    match change {
        Change::Cancel => "iptal",
        Change::Refund { .. } => "iade",
    }
}

fn approved(world: &World, change: Change, refunded: Option<Money>) -> Answer {
    let (id, transaction) = world.ledger().next_change();
    Answer::json(
        200,
        json!({
            "islem_id": id,
            "type": type_of(change),
            "trans_id": transaction,
            "response": "Approved",
            "proc_return_code": "00",
            "iade_tutar": refunded.map(|amount| amount.to_string()),
            "error_code": "00",
            "error_message": "",
            "status": "approved",
            "status_detail": "approved",
        }),
    )
}

fn declined(world: &World, change: Change, code: &str, message: &str) -> Answer {
    let (id, transaction) = world.ledger().next_change();
    Answer::json(
        200,
        json!({
            "islem_id": id,
            "type": type_of(change),
            "trans_id": transaction,
            "response": "Declined",
            "proc_return_code": code,
            "iade_tutar": null,
            "error_code": code,
            "error_message": message,
            "status": "declined",
            "status_detail": "declined",
        }),
    )
}

/// What a payment went through, for `/_ctl/payments`; `?reference=` picks one.
pub(super) fn truth(world: &World, only: Option<&str>) -> Answer {
    let posts = world.posts().clone();
    let ledger = world.ledger();
    let wanted = |reference: &str| only.is_none_or(|only| only == reference);
    let payments: Vec<Value> = posts
        .by_reference()
        .iter()
        .filter(|(reference, _)| wanted(reference))
        .map(|(reference, counts)| {
            json!({
                "reference": reference,
                "posts": counts.posts,
                "applied": counts.applied,
                "state": ledger.payment(reference),
            })
        })
        .collect();
    let shown: Vec<_> = posts.iter().filter(|post| wanted(&post.reference)).collect();
    let gave_back = gave_back(shown.iter().copied()).to_string();
    Answer::json(200, json!({"payments": payments, "posts": shown, "gave_back": gave_back}))
}
