//! Banks, accounts, terminals and customers.

use chrono::NaiveDateTime;
use serde_json::{Map, Value, json};

use super::{bank_types::BANK_TYPES, date_time, people};
use crate::sandbox::random::Random;

/// A JSON object, its fields in the document's order.
pub(in crate::sandbox) type Fields = Map<String, Value>;

/// Takes the fields out of a `json!({…})`.
pub(in crate::sandbox) fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

/// A bank of the list.
pub(in crate::sandbox) fn bank(id: i64, slug: &str, title: &str, order: usize) -> Fields {
    fields(json!({
        "id": id, "bank_name": slug, "bank_title": title, "order": order,
        "created_at": "2022-10-19 17:46:28",
    }))
}

/// A new account with its opening balance.
pub(in crate::sandbox) fn account(random: &mut Random, id: i64, now: NaiveDateTime) -> Fields {
    let bank = random.pick(&people::BANKS);
    let currency = match random.below(10) {
        0 => "EUR",
        1 => "USD",
        _ => "TL",
    };
    let iban = people::iban(random, bank.3);
    let number: String = iban.chars().skip(18).collect();
    fields(json!({
        "id": id,
        "bank_id": bank.0,
        "branch_name": random.pick(&["Levent", "Yedi̇tepe Büyük İşletmeler", "Çankaya", "Ostim"]),
        "fec_name": currency,
        "account_number": number,
        "balance": people::amount(random.kurus(7, 8)),
        "branch_id": random.digits(4),
        "add_to_balance": 1,
        "custom_iban": null,
        "iban": iban,
        "status": 1,
        "b_order": 0,
        "product_code": "VDSZMVD",
        "created_at": date_time(now),
    }))
}

/// A new terminal.
pub(in crate::sandbox) fn terminal(random: &mut Random, id: i64) -> Fields {
    let bank = random.pick(&people::BANKS);
    let merchant = people::company(random);
    fields(json!({
        "id": id,
        "bank_name": bank.1,
        "bank_title": bank.2,
        "status": 1,
        "workplace_no": format!("0{}", random.digits(7)),
        "station_no": format!("0{}", random.digits(7)),
        "workplace_name": merchant,
        "transaction_currency": "TL",
        "custom_name": format!("Kasa {id}"),
        "commission_rate": people::amount(random.between(90, 250)),
    }))
}

/// A new virtual-POS customer.
pub(in crate::sandbox) fn customer(random: &mut Random, id: i64) -> Fields {
    fields(json!({
        "id": id,
        "email": format!("musteri{id}@ornek.example"),
        "related": [],
        "companyTitle": people::company(random),
        "gsm": format!("+90555000{:04}", id % 10_000),
        "invoices": [],
    }))
}

/// The rows of `/transaction_types`.
pub(in crate::sandbox) fn transaction_types() -> Vec<Fields> {
    BANK_TYPES
        .iter()
        .map(|kind| fields(json!({"type_no": kind.code, "type_name": kind.name})))
        .collect()
}
