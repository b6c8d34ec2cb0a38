//! Other commands that came under the id of one: the journal does not keep them, the answers that they
//! got lie on the results topic, for as long as it keeps its records.

use std::{ops::ControlFlow, time::Duration};

use chrono::DateTime;
use serde_json::Value;

use crate::{
    config::model::{Config, Kafka},
    domain::{time::Timestamp, vocabulary::Outcome},
    kafka::{
        reading::{self, Reached, Stretch, Terms},
        topics,
    },
    publish::{decode::Decoder, registry::Registry},
    sink::{
        command::CommandKey,
        journal::{Entry, JournalEvent},
    },
};

/// What is committed behind a transaction that is open for longer is not waited for.
const TERMS: Terms = Terms {
    uncommitted: false,
    deadline: Duration::from_secs(60),
    held_max: Some(Duration::from_secs(5)),
};

/// The answer that another payload under a known id got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// When.
    pub at: Timestamp,
    /// What it asked for, such as `REFUND`.
    pub kind: String,
    /// How much of it, as a plain decimal.
    pub amount: Option<String>,
    /// The answer's words.
    pub says: String,
}

/// One line of a command's story.
#[derive(Debug, Clone, Copy)]
pub enum Happened<'e> {
    /// As the journal keeps it.
    Event(&'e JournalEvent),
    /// Another command came.
    Duplicate(&'e Duplicate),
}

/// All that happened in time order. What the journal keeps stays in its own order.
pub fn in_order<'e>(entry: &'e Entry, duplicates: &'e [Duplicate]) -> Vec<Happened<'e>> {
    let mut left = duplicates.iter().peekable();
    let mut all = Vec::new();
    for event in entry.events() {
        while let Some(duplicate) = left.next_if(|duplicate| duplicate.at < event.at()) {
            all.push(Happened::Duplicate(duplicate));
        }
        all.push(Happened::Event(event));
    }
    all.extend(left.map(Happened::Duplicate));
    all
}

/// The duplicates of a command, the oldest first; or why they are not known.
pub async fn of(config: &Config, key: &CommandKey) -> Result<Vec<Duplicate>, String> {
    let (kafka, reference) = (config.kafka.clone(), key.reference().to_string());
    let read = tokio::task::spawn_blocking(move || results_of(&kafka, &reference)).await;
    let values = read.map_err(|error| error.to_string())??;
    let mut decoder = Decoder::new(Registry::new(&config.schema_registry));
    let mut found = Vec::new();
    for value in values {
        let result = decoder.decode(&value).await.map_err(|error| error.to_string())?;
        found.extend(duplicate(&result, key));
    }
    found.sort_by_key(|duplicate| duplicate.at);
    Ok(found)
}

/// The results of one payment's commands. Blocks.
fn results_of(kafka: &Kafka, reference: &str) -> Result<Vec<Vec<u8>>, String> {
    let said = |error: reading::Error| error.to_string();
    let mut values = Vec::new();
    for stretch in reading::stretches(kafka, &kafka.topic(topics::RESULTS)).map_err(said)? {
        let reached = reading::read_while(
            kafka,
            &stretch,
            TERMS,
            || true,
            |_, key, value| {
                if key == reference.as_bytes() {
                    values.extend(value.map(<[u8]>::to_vec));
                }
                Ok(ControlFlow::Continue(()))
            },
        );
        complete(&stretch, reached.map_err(said)?)?;
    }
    Ok(values)
}

/// A failure where more may lie there than was read.
fn complete(stretch: &Stretch, reached: Reached) -> Result<(), String> {
    match reached {
        Reached::End => Ok(()),
        Reached::Early => Err("the results were not read to their end".to_owned()),
        Reached::Held(from) => Err(format!(
            "{}[{}] is committed up to offset {from} only, a transaction there has not ended",
            stretch.topic, stretch.partition
        )),
    }
}

/// A result, where it is such an answer about this command.
fn duplicate(result: &Value, key: &CommandKey) -> Option<Duplicate> {
    let text = |name: &str| result.get(name).and_then(Value::as_str);
    let is_meant = text("outcome") == Some(Outcome::Duplicate.as_str())
        && text("command_id") == Some(&key.command_id.hyphenated().to_string());
    let at = result.get("meta").and_then(|meta| meta.get("fetched_at")).and_then(Value::as_str)?;
    let at = DateTime::parse_from_rfc3339(at).ok().filter(|_| is_meant)?;
    Some(Duplicate {
        at: Timestamp(at.timestamp_millis()),
        kind: text("type").unwrap_or_default().to_owned(),
        amount: text("amount").map(str::to_owned),
        says: text("detail").unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_transaction_holds_back_is_not_taken_for_nothing() {
        let stretch = Stretch { topic: "t".to_owned(), partition: 1, from: 0, end: 9 };
        assert_eq!(complete(&stretch, Reached::End), Ok(()));
        let held = complete(&stretch, Reached::Held(7)).unwrap_err();
        assert!(held.contains("t[1]") && held.contains("offset 7"), "{held}");
        assert!(complete(&stretch, Reached::Early).is_err());
    }
}
