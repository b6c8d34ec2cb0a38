//! TOS payments: numbers where the document says text, absent fields instead of nulls.

use chrono::NaiveDateTime;
use serde::Serialize;
use serde_json::Number;

use super::people;
use crate::sandbox::random::Random;

/// One row of `Data.Result`; fields that the sample lacks are omitted where they are empty.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::sandbox) struct TosRow {
    transaction_type: i64,
    pub(in crate::sandbox) transaction_object_id: i64,
    institution_transaction_code: String,
    receiver_bank_code: String,
    payment_date: String,
    error_explanation: &'static str,
    institution_code: String,
    amount: Number,
    credit_use: bool,
    sender_account_no: &'static str,
    receiver_name_surname: String,
    receiver_branch_code: i64,
    receiver_father_name: String,
    result: bool,
    receiver_bank_name: &'static str,
    transaction_query_no: i64,
    transfer_date: String,
    error_code: i64,
    currency_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none", rename = "ReceivertAccountIbanNo")]
    receivert_account_iban_no: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    institution_package_no: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_branch_code: Option<String>,
}

/// A decimal as JSON writes one: whole amounts without a point.
fn number(kurus: i64) -> Number {
    if kurus % 100 == 0 {
        return Number::from(kurus / 100);
    }
    people::amount(kurus).parse().unwrap_or_else(|_| Number::from(kurus / 100))
}

/// A random version-4 UUID from the seeded source.
pub(in crate::sandbox) fn uuid(random: &mut Random) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random.next().to_be_bytes());
    bytes[8..].copy_from_slice(&random.next().to_be_bytes());
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// Writes a payment of an institution.
pub(in crate::sandbox) fn tos_row(
    random: &mut Random,
    institution: &str,
    id: i64,
    at: NaiveDateTime,
) -> TosRow {
    let bank = random.pick(&people::BANKS);
    let (bank_code, bank_title) = (bank.3, bank.2);
    let kurus =
        if random.per_mille(600) { random.between(1, 5_000) * 10_000 } else { random.kurus(4, 7) };
    let succeeded = !random.per_mille(40);
    let to_account = random.per_mille(800);
    TosRow {
        transaction_type: if to_account { 1 } else { 2 },
        transaction_object_id: id,
        institution_transaction_code: uuid(random),
        // Four digits here, five inside an IBAN.
        receiver_bank_code: bank_code.chars().skip(1).collect(),
        payment_date: at.format("%Y-%m-%dT00:00:00").to_string(),
        error_explanation: if succeeded { "BAŞARILI" } else { "ALICI HESAP KAPALI" },
        institution_code: institution.to_owned(),
        amount: number(kurus),
        credit_use: random.per_mille(100),
        sender_account_no: "0",
        receiver_name_surname: people::person(random),
        receiver_branch_code: random.between(1, 9_000),
        receiver_father_name: people::first_name(random),
        result: succeeded,
        receiver_bank_name: bank_title,
        transaction_query_no: random.between(7_000_000, 9_999_999),
        transfer_date: at.format("%Y-%m-%dT%H:%M:%S").to_string(),
        error_code: if succeeded { 1 } else { 12 },
        currency_type: "TL",
        receivert_account_iban_no: to_account.then(|| people::iban(random, bank_code)),
        explanation: random.per_mille(700).then(|| "Bayi prim ödemesi".to_owned()),
        institution_package_no: random.per_mille(300).then(|| random.digits(8)),
        sender_branch_code: random.per_mille(300).then(|| format!("00{}", random.digits(3))),
    }
}
