//! What people look for first in an event: when, how much, which way, whose. Programs get the whole
//! event.
//!
//! Values are those that the event has, so whatever the privacy rules hid is hidden here too; an
//! account or a terminal is its number in the key. Amounts are the event's own exact text.

use chrono::DateTime;
use serde_json::Value;

use crate::domain::time::SOURCE_ZONE;

/// Where the records keep it.
const WHEN: [&str; 6] =
    ["booked_at", "transaction_at", "transacted_at", "payment_date", "requested_at", "executed_at"];
const AMOUNT: [&str; 2] = ["amount", "gross_amount"];
/// Which way money goes, or what became of it; the first that a record has.
const WAY: [&str; 5] = ["direction", "outcome", "status", "kind", "type"];
const WORDS: [&str; 6] = ["description", "explanation", "name", "title", "detail", "reason"];

/// The parts of an event, each as text; empty where it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glance {
    /// The day, and the time where there is one, in the zone of the source systems.
    pub(super) when: String,
    /// Such as `12.50 TRY`.
    pub(super) amount: String,
    /// Such as `CREDIT`, or the outcome of a command.
    pub(super) way: String,
    /// What happened to the row.
    pub(super) op: String,
    /// The row's id in the source.
    pub(super) id: String,
    /// Its description, name or title.
    pub(super) words: String,
}

impl Glance {
    /// Of a decoded value.
    pub(super) fn of(value: &Value) -> Self {
        let text = |name: &str| match value.get(name) {
            Some(Value::String(text)) => plain(text),
            Some(Value::Null | Value::Object(_) | Value::Array(_)) | None => String::new(),
            Some(other) => other.to_string(),
        };
        let meta = |name: &str| {
            let text = value.pointer(&format!("/meta/{name}")).and_then(Value::as_str);
            plain(text.unwrap_or_default())
        };
        let first = |names: &[&str]| {
            names.iter().map(|name| text(name)).find(|text| !text.is_empty()).unwrap_or_default()
        };
        Self {
            when: local(&first(&WHEN)),
            amount: match first(&AMOUNT) {
                amount if amount.is_empty() => amount,
                amount => format!("{amount} {}", text("currency")).trim_end().to_owned(),
            },
            way: first(&WAY),
            op: meta("op"),
            id: meta("source_id"),
            words: first(&WORDS),
        }
    }

    /// One line of many that flow.
    pub(super) fn line(&self, key: &str, topic: &str) -> String {
        let (Self { when, amount, way, op, words, .. }, key) = (self, plain(key));
        let line =
            format!("{when:16}  {amount:>14}  {way:10}  {key:16}  {op:7}  {topic:24}  {words}");
        line.trim_end().to_owned()
    }
}

/// A source's text as one line: what would steer a terminal is left out.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A time of an event as the clock on the wall; a day as it is.
fn local(at: &str) -> String {
    DateTime::parse_from_rfc3339(at).map_or_else(
        |_| at.to_owned(),
        |at| at.with_timezone(&SOURCE_ZONE).format("%Y-%m-%d %H:%M").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_amount_is_the_exact_text_of_the_event_and_nothing_steers_the_terminal() {
        let value = json!({"amount": "123456789012345678.90001", "currency": "TRY",
            "description": "a\u{1b}[2J\nb"});
        let Glance { amount, words, .. } = Glance::of(&value);
        assert_eq!((amount.as_str(), words.as_str()), ("123456789012345678.90001 TRY", "a [2J b"));
        assert_eq!(Glance::of(&json!({"amount": "1.00"})).amount, "1.00");
        assert_eq!(Glance::of(&json!({"amount": null, "currency": "TRY"})).amount, "");
    }

    #[test]
    fn a_row_is_shown_with_its_day_amount_direction_and_account() {
        let value = json!({
            "meta": {"source_id": "7", "op": "CREATED"}, "amount": "1250.00",
            "currency": "TRY", "direction": "CREDIT", "booked_at": "2026-01-31T22:30:00.000Z",
            "counterparty_iban": "TR33***26", "description": "a transfer",
        });
        let line = Glance::of(&value).line("acme/73", "bank.transactions");
        for part in
            ["2026-02-01 01:30 ", " 1250.00 TRY  CREDIT ", " acme/73 ", "CREATED", "a transfer"]
        {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
        assert!(!line.contains("TR33"), "{line}");
        // What stands first survives eighty columns.
        let head: String = line.chars().take(80).collect();
        assert!(head.contains("acme/73") && head.contains("CREATED"), "{head}");
    }

    #[test]
    fn records_without_money_have_their_names_and_a_tombstone_has_nothing() {
        let bank = json!({"meta": {"source_id": "1", "op": "CREATED"}, "title": "A bank"});
        let line = Glance::of(&bank).line("acme/1", "reference.banks");
        assert!(line.trim_start().starts_with("acme/1") && line.ends_with("A bank"), "{line}");
        let nothing = Glance::of(&Value::Null).line("acme/1", "reference.banks");
        assert!(nothing.ends_with("reference.banks"), "{nothing:?}");
    }

    #[test]
    fn what_a_command_came_to_stands_where_a_direction_would() {
        let result = json!({"type": "REFUND", "outcome": "SUCCEEDED", "amount": "25.00",
            "executed_at": "2026-01-31T09:00:00Z"});
        let glance = Glance::of(&result);
        assert_eq!((glance.way.as_str(), glance.when.as_str()), ("SUCCEEDED", "2026-01-31 12:00"));
    }
}
