//! The virtual-POS API v3.

use serde_json::{Value, json};

use super::{
    answer::Answer,
    call::{Call, pairs},
    operation::Operation,
    world::Bent,
};
use crate::{
    domain::ids::{EntityKey, Stream},
    sandbox::ledger::{Filter, Ledger, find_sample},
};

const STATUSES: [&str; 4] = ["successful", "failed", "cancel", "refund"];

/// Answers a read of this surface.
pub(super) fn answer(ledger: &Ledger, call: &Call, bent: &Bent) -> Answer {
    match call.operation {
        Operation::Installments => Answer::json(200, json!({"data": ledger.installments()})),
        Operation::TransactionsList => list(ledger, call, bent),
        Operation::TransactionFind => find(ledger, call),
        Operation::Customers => Answer::json(200, json!(ledger.list(Stream::Customers))),
        _ => match call.number().and_then(|id| ledger.customer(id)) {
            Some(customer) => Answer::json(200, json!(customer)),
            None => not_found("Müşteri bulunamadı"),
        },
    }
}

pub(super) fn not_found(message: &str) -> Answer {
    Answer::json(404, json!({"success": false, "message": message}))
}

fn list(ledger: &Ledger, call: &Call, bent: &Bent) -> Answer {
    let status = call.param("status");
    if status.is_some_and(|status| !STATUSES.contains(&status)) {
        return Answer::invalid("status", "The selected status is invalid.");
    }
    let mut rows =
        ledger.select(Stream::VirtualPosTransactions, EntityKey::WHOLE, &Filter::default());
    rows.retain(|(_, row)| status.is_none_or(|status| row.label() == status));
    bent.arrange(&mut rows, |row| row.0);
    Answer::rows("\"success\":true", "data", rows.iter().map(|(_, row)| &*row.json))
}

/// The reference comes in the body of the GET, or in its query.
fn find(ledger: &Ledger, call: &Call) -> Answer {
    let in_body = call.json().get("referanceNo").and_then(Value::as_str).map(ToOwned::to_owned);
    let reference =
        in_body.or_else(|| call.param("referanceNo").map(ToOwned::to_owned)).or_else(|| {
            let form = pairs(&String::from_utf8_lossy(&call.body));
            form.into_iter().find(|(key, _)| key == "referanceNo").map(|(_, value)| value)
        });
    let Some(reference) = reference else {
        return Answer::invalid("referanceNo", "The referance no field is required.");
    };
    let sample = find_sample();
    if sample.get("referanceNo").and_then(Value::as_str) == Some(reference.as_str()) {
        return Answer::json(200, json!({"success": true, "data": sample}));
    }
    let Some((_, row)) = ledger.payment_row(&reference) else {
        return not_found("İşlem bulunamadı");
    };
    let row: Value = serde_json::from_str(&row.json).unwrap_or_default();
    Answer::json(200, json!({"success": true, "data": found(&row)}))
}

/// The list's row in the other names of `find`.
fn found(row: &Value) -> Value {
    let failed = row.pointer("/status_detail/status").and_then(Value::as_str) == Some("failed");
    let message = if failed { row["hata_mesaji"].clone() } else { json!("") };
    json!({
        "referanceNo": row["referans_kodu"],
        "transactionDate": row["islem_tarihi"],
        "posName": row["pos_name"],
        "errorCode": row["hata_kodu"],
        "errorMessage": message,
        "maskedPan": row["kredi_kart_no"],
        "creditCardBank": row["kredi_kart_banka"],
        "clientIp": row["ip_adresi"],
        "amount": row["tutar"],
        "paidAmount": row["taksit_tutar"],
        "installment": row["taksit"],
        "installmentRatio": row["taksit_oran"],
        "description": row["aciklama"],
        "status": row["status_detail"]["title"],
    })
}
