//! The bank's bulk-payment query.

use chrono::{NaiveTime, TimeDelta};
use serde_json::{Value, json};

use super::{answer::Answer, call::Call, sign_in::gateway, world::Bent};
use crate::{
    domain::ids::Stream,
    sandbox::ledger::{Filter, Ledger, read_time, seconds},
};

/// Request fields and the row fields that they ask for.
const FILTERS: [(&str, &str); 6] = [
    ("InstitutionPackageNo", "InstitutionPackageNo"),
    ("SenderAccountNo", "SenderAccountNo"),
    ("InstitutionTransactionNo", "InstitutionTransactionCode"),
    ("TransactionQueryNo", "TransactionQueryNo"),
    ("TransactionType", "TransactionType"),
    ("ReceivertAccountIbanNo", "ReceivertAccountIbanNo"),
];

/// Answers `/tos/query`.
pub(super) fn answer(ledger: &Ledger, call: &Call, bent: &Bent) -> Answer {
    let request = call.json();
    let text = |name: &str| plain(request.get(name));
    let Some(institution) = text("InstitutionCode") else {
        return gateway(400, "ACBH000645", "Kurum kodu boş olamaz.", "Institution code is empty.");
    };
    let filter = match text("PaymentDate") {
        None => Filter::default(),
        Some(date) => match read_time(&date) {
            Some(time) => {
                let first = time.date().and_time(NaiveTime::MIN);
                let last = first + TimeDelta::days(1) - TimeDelta::seconds(1);
                let window = Some((seconds(first), seconds(last)));
                Filter { window, ..Filter::default() }
            }
            None => {
                return gateway(400, "ACBH000025", "Tarih formatı hatalı.", "Wrong date format.");
            }
        },
    };
    let mut rows = ledger.select(Stream::TosPayments, &institution, &filter);
    let asked: Vec<(&str, String)> = FILTERS
        .into_iter()
        .filter_map(|(asked, field)| Some((field, text(asked)?)))
        // The sample asks for account "0" and type 0 means none.
        .filter(|(field, value)| !(*field == "TransactionType" && value == "0"))
        .collect();
    if !asked.is_empty() {
        rows.retain(|(_, row)| {
            let row: Value = serde_json::from_str(&row.json).unwrap_or_default();
            asked.iter().all(|(field, value)| plain(row.get(*field)).as_ref() == Some(value))
        });
    }
    bent.arrange(&mut rows, |row| row.0);
    let bodies: Vec<&str> = rows.iter().map(|(_, row)| &*row.json).collect();
    let result = match bodies.as_slice() {
        [] if bent.tos_empty_code => {
            return gateway(400, "ACBH000202", "Kayıt bulunamadı.", "No record was found.");
        }
        // The sibling service writes an empty list as an empty text.
        [] => "\"\"".to_owned(),
        [one] => (*one).to_owned(),
        many => format!("[{}]", many.join(",")),
    };
    let header = json!({
        "StatusCode": "APIGW000000",
        "StatusDescription": "Tamamlandı",
        "StatusDescriptionEn": "Completed",
        "ObjectID": bent.object_id,
    });
    let body = format!(
        "{{\"Header\":{header},\"Data\":{{\"ListQueryResult\":{{\"Result\":\"true\"}},\"Result\":{result}}}}}"
    );
    Answer::json(200, body)
}

/// Text or number as text; blank and null are nothing.
fn plain(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
