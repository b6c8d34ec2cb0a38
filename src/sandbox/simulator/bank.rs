//! The bank and POS API v2.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use serde_json::{Value, json};

use super::{
    answer::{Answer, object_rows},
    call::Call,
    operation::Operation,
    world::{Bent, RowOrder},
};
use crate::{
    domain::ids::Stream,
    sandbox::{
        generator::entities,
        ledger::{Filter, Ledger, Row, seconds},
    },
};

/// Days of the longest bank window.
const BANK_DAYS_MAX: i64 = 7;
/// Days of the longest POS window.
const POS_DAYS_MAX: i64 = 14;

const SUCCESS: &str = "\"status\":\"success\"";

/// Answers a read of this surface.
pub(super) fn answer(ledger: &Ledger, call: &Call, bent: &Bent) -> Answer {
    match call.operation {
        Operation::Banks => {
            Answer::json(200, json!({"status": "success", "banks": ledger.list(Stream::Banks)}))
        }
        Operation::Accounts => Answer::json(
            200,
            json!({"status": "success", "accounts": ledger.list(Stream::Accounts)}),
        ),
        Operation::BankAccounts => bank_accounts(ledger, call),
        Operation::Account => match account_of(ledger, call) {
            Some(account) => Answer::json(200, json!({"status": "success", "account": [account]})),
            None => not_found("Hesap bulunamadı"),
        },
        Operation::AccountTransactions if account_of(ledger, call).is_none() => {
            not_found("Hesap bulunamadı")
        }
        Operation::AccountTransactions => account_transactions(ledger, call, bent),
        Operation::Transactions => transactions(ledger, call, bent),
        Operation::Stations => {
            Answer::json(200, json!({"success": "true", "data": ledger.list(Stream::Terminals)}))
        }
        Operation::StationTransactions => station_transactions(ledger, call, bent),
        // The last one; the other surfaces never come here.
        _ => Answer::json(
            200,
            json!({"status": "success", "transaction_types": entities::transaction_types()}),
        ),
    }
}

fn not_found(message: &str) -> Answer {
    Answer::json(404, json!({"status": "error", "message": message}))
}

fn account_of(ledger: &Ledger, call: &Call) -> Option<entities::Fields> {
    ledger.account(call.number()?)
}

/// Under the key `banks`, as the document has it.
fn bank_accounts(ledger: &Ledger, call: &Call) -> Answer {
    let mut rows = object_rows(ledger.list(Stream::Accounts));
    rows.retain(|row| row.get("bank_id").and_then(Value::as_i64) == call.number());
    for row in rows.iter_mut().filter_map(Value::as_object_mut) {
        row.shift_remove("bank_id");
    }
    Answer::json(200, json!({"status": "success", "banks": rows}))
}

fn account_transactions(ledger: &Ledger, call: &Call, bent: &Bent) -> Answer {
    let filter = match bank_filter(ledger, call, bent) {
        Ok(filter) => filter,
        Err(refusal) => return *refusal,
    };
    let mut rows = ledger.select(Stream::BankTransactions, &call.id, &filter);
    keep_types(call, &mut rows, |row| row.1);
    bent.arrange(&mut rows, |row| row.0);
    Answer::rows(SUCCESS, "transactions", rows.iter().map(|(_, row)| &*row.json))
}

fn keep_types<'a, T>(call: &Call, rows: &mut Vec<T>, row: impl Fn(&T) -> &'a Row) {
    let Some(types) = call.param("types") else { return };
    let wanted: Vec<String> =
        types.split(',').map(|code| format!("\"vms_transaction_type\":\"{code}\"")).collect();
    rows.retain(|found| wanted.iter().any(|text| row(found).json.contains(text)));
}

/// The connection-wide feed: each row with its account nested at the end.
fn transactions(ledger: &Ledger, call: &Call, bent: &Bent) -> Answer {
    let filter = match bank_filter(ledger, call, bent) {
        Ok(filter) => filter,
        Err(refusal) => return *refusal,
    };
    let mut rows = ledger.select_all(Stream::BankTransactions, &filter);
    keep_types(call, &mut rows, |row| row.1);
    let mut nested = std::collections::HashMap::new();
    for (_, _, entity) in &rows {
        nested.entry(*entity).or_insert_with(|| ledger.nested_account(entity.parse().unwrap_or(0)));
    }
    if let Some(bank) = call.param("bankName") {
        rows.retain(|(_, _, entity)| {
            nested[entity].pointer("/bank/bank_name").and_then(Value::as_str) == Some(bank)
        });
    }
    bent.arrange(&mut rows, |row| row.0);
    let nested: std::collections::HashMap<&str, String> =
        nested.into_iter().map(|(entity, account)| (entity, account.to_string())).collect();
    let mut body = format!("{{{SUCCESS},\"transactions\":[");
    for (index, (_, row, entity)) in rows.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(row.json.strip_suffix('}').unwrap_or(&row.json));
        body.push_str(",\"account\":");
        body.push_str(&nested[entity]);
        body.push('}');
    }
    body.push_str("]}");
    Answer::json(200, body)
}

fn station_transactions(ledger: &Ledger, call: &Call, bent: &Bent) -> Answer {
    let known =
        |row: &&entities::Fields| row.get("id").is_some_and(|id| id.as_i64() == call.number());
    if !ledger.list(Stream::Terminals).iter().any(known) {
        return not_found("Terminal bulunamadı");
    }
    let window = match pos_window(ledger, call, bent) {
        Ok(window) => window,
        Err(refusal) => return *refusal,
    };
    let filter = Filter { window: Some(window), date: 0, above: last_id(call) };
    let mut rows = ledger.select(Stream::PosTransactions, &call.id, &filter);
    bent.arrange(&mut rows, |row| row.0);
    Answer::rows(SUCCESS, "transactions", rows.iter().map(|(_, row)| &*row.json))
}

/// What is no number counts as 0, as PHP casts it.
fn last_id(call: &Call) -> Option<i64> {
    call.param("lastId").map(|text| text.parse().unwrap_or(0))
}

fn last_days(ledger: &Ledger) -> (i64, i64) {
    let now = ledger.now();
    let first = (now - TimeDelta::days(BANK_DAYS_MAX - 1)).date().and_time(NaiveTime::MIN);
    (seconds(first), seconds(now))
}

fn required(field: &str) -> Box<Answer> {
    Box::new(Answer::invalid(field, &format!("The {field} field is required.")))
}

fn too_long(days: i64) -> Box<Answer> {
    let message = format!("Tarih aralığı en fazla {days} gün olabilir.");
    Box::new(Answer::invalid("endDate", &message))
}

fn bank_filter(ledger: &Ledger, call: &Call, bent: &Bent) -> Result<Filter, Box<Answer>> {
    let above = last_id(call);
    let date = usize::from(call.param("dateType") == Some("accounting_date"));
    let window = match (call.param("beginDate"), call.param("endDate")) {
        (None, None) if above.is_some() && !bent.dates_required => None,
        (None, _) => return Err(required("beginDate")),
        (_, None) => return Err(required("endDate")),
        (Some(begin), Some(end)) => Some(bank_window(ledger, begin, end, bent)?),
    };
    Ok(Filter { window, date, above })
}

/// A date in another form is not refused: a default range comes back as success.
fn bank_window(
    ledger: &Ledger,
    begin: &str,
    end: &str,
    bent: &Bent,
) -> Result<(i64, i64), Box<Answer>> {
    let (Some(begin), Some(end)) = (bank_time(begin), bank_time(end)) else {
        return Ok(last_days(ledger));
    };
    if bent.default_range {
        return Ok(last_days(ledger));
    }
    if (end.date() - begin.date()).num_days() >= BANK_DAYS_MAX {
        return Err(too_long(BANK_DAYS_MAX));
    }
    Ok((seconds(begin), seconds(end)))
}

fn bank_time(text: &str) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(text, "%d-%m-%Y %H:%M:%S")
        .ok()
        .or_else(|| pos_date(text).map(|date| date.and_time(NaiveTime::MIN)))
}

fn pos_date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%d-%m-%Y").ok()
}

/// Both dates are required and carry no time.
fn pos_window(ledger: &Ledger, call: &Call, bent: &Bent) -> Result<(i64, i64), Box<Answer>> {
    let begin = call.param("beginDate").ok_or_else(|| required("beginDate"))?;
    let end = call.param("endDate").ok_or_else(|| required("endDate"))?;
    for (field, text) in [("beginDate", begin), ("endDate", end)] {
        if bank_time(text).is_some() && pos_date(text).is_none() {
            let message = format!("The {field} does not match the format d-m-Y.");
            return Err(Box::new(Answer::invalid(field, &message)));
        }
    }
    let (Some(begin), Some(end)) = (pos_date(begin), pos_date(end)) else {
        return Ok(last_days(ledger));
    };
    if bent.default_range {
        return Ok(last_days(ledger));
    }
    if (end - begin).num_days() >= POS_DAYS_MAX {
        return Err(too_long(POS_DAYS_MAX));
    }
    let day_end = NaiveTime::from_hms_opt(23, 59, 59).unwrap_or(NaiveTime::MIN);
    Ok((seconds(begin.and_time(NaiveTime::MIN)), seconds(end.and_time(day_end))))
}

impl Bent {
    /// Puts rows into the order in which they are sent, and leaves away those above the cap.
    pub(super) fn arrange<T>(&self, rows: &mut Vec<T>, id: impl Fn(&T) -> i64) {
        match self.order {
            RowOrder::Descending => rows.sort_unstable_by_key(|row| std::cmp::Reverse(id(row))),
            RowOrder::Ascending => rows.sort_unstable_by_key(|row| id(row)),
            // A fixed scatter: tests want disorder, and the same disorder each time.
            RowOrder::Shuffled => rows.sort_unstable_by_key(|row| {
                id(row).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed())
            }),
        }
        if let Some(cap) = self.row_cap {
            rows.truncate(cap);
        }
    }
}
