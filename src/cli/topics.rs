//! `topics`: the topics as they must be, and what would make them so.

use clap::Subcommand;
use serde::Serialize;

use super::{Context, Exit, Failure, output};
use crate::{
    config::model::Kafka,
    kafka::topics::{self, Actual, Step},
};

/// What to do about a topic that is there and wrong.
pub(super) const UNCHANGED: &str = "nothing is changed by itself: bring the topic or the setting in line (kafka-configs.sh alters a \
     policy); partitions of a topic cannot be taken away, and those of internal.* must stay as \
     they are once data is in them";

/// Arguments of `topics`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done with topics.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what is missing or different.
    Plan,
    /// Create what is missing; a topic that is there is never changed.
    Apply {
        /// Without asking.
        #[arg(long)]
        yes: bool,
    },
}

/// Runs one of them.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let config = context.load()?.config;
    let kafka = config.kafka;
    let desired = topics::desired(&kafka, config.sink.enabled);
    let steps = topics::plan(&desired, &topics::actual(&kafka, &desired).await?);
    let rows: Vec<Row> = steps.iter().map(|step| row(step, &kafka)).collect();
    for warning in rows.iter().filter_map(|row| row.warning.as_deref()) {
        eprintln!("warning: {warning}");
    }
    match args.command {
        Command::Plan => {
            output::print(context, &rows, || table(&rows))?;
            mismatch(&rows).map_or(Ok(()), Err)
        }
        Command::Apply { yes } => apply(&kafka, &steps, rows, yes, context).await,
    }
}

/// How a topic stands against what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Ok,
    Missing,
    Created,
    Mismatch,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Created => "created",
            Self::Mismatch => "MISMATCH",
        }
    }
}

/// One topic: wanted and found.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) topic: String,
    pub(super) state: State,
    /// What its keys are made of.
    key: &'static str,
    /// The record of its values, or what they are instead.
    holds: &'static str,
    desired: Wanted,
    actual: Option<Actual>,
    /// All that differs, with both values of each.
    pub(super) reason: Option<String>,
    /// What is worth a look although nothing is wrong.
    pub(super) warning: Option<String>,
    /// Whether `run` refuses to start because of it.
    pub(super) blocks: bool,
}

#[derive(Debug, Serialize)]
struct Wanted {
    partitions: i32,
    /// Whether another number of partitions is fine.
    any_partitions: bool,
    replication: i32,
    cleanup: Option<&'static str>,
    min_insync_replicas: Option<i32>,
}

/// A step as it is shown. Other replication stops nobody, but it is not what was asked for.
pub(super) fn row(step: &Step, kafka: &Kafka) -> Row {
    let (topic, actual, reason, blocks) = match step {
        Step::Create { topic } => (topic, None, None, false),
        Step::Conflict { topic, found, reason } => {
            (topic, Some(found.clone()), Some(reason.clone()), true)
        }
        Step::Keep { topic, found } => {
            (topic, Some(found.clone()), topics::other_replication(topic, found), false)
        }
    };
    let state = match (&actual, &reason) {
        (None, _) => State::Missing,
        (Some(_), None) => State::Ok,
        (Some(_), Some(_)) => State::Mismatch,
    };
    let desired = Wanted {
        partitions: topic.partitions,
        any_partitions: !topic.partitions_fixed && topic.partitions_like.is_none(),
        replication: kafka.replication_factor,
        cleanup: topic.cleanup.map(topics::Cleanup::as_str),
        min_insync_replicas: topic.min_insync_replicas,
    };
    let warning = topics::weakness(step);
    let (key, holds) = (topic.key, topic.holds);
    Row { topic: topic.name.clone(), state, key, holds, desired, actual, reason, warning, blocks }
}

/// Why the rows are not as they must be, and what to do about it.
fn mismatch(rows: &[Row]) -> Option<Failure> {
    let reasons: Vec<&str> = rows.iter().filter_map(|row| row.reason.as_deref()).collect();
    if reasons.is_empty() {
        return None;
    }
    Some(Failure::new(Exit::Failed, reasons.join("\n")).hint(UNCHANGED))
}

async fn apply(
    kafka: &Kafka,
    steps: &[Step],
    mut rows: Vec<Row>,
    yes: bool,
    context: &Context,
) -> Result<(), Failure> {
    let blocking = rows.iter().any(|row| row.blocks);
    if let Some(failure) = mismatch(&rows).filter(|_| blocking) {
        return Err(failure);
    }
    let missing = topics::check(steps, true)?;
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|topic| topic.name.as_str()).collect();
        let question = format!("create {} topics: {}", missing.len(), names.join(", "));
        if !yes && !output::confirmed(&question)? {
            return Err(Failure::new(Exit::Failed, "nothing was created"));
        }
        topics::create(kafka, &missing).await?;
    }
    for row in rows.iter_mut().filter(|row| row.state == State::Missing) {
        row.state = State::Created;
    }
    output::print(context, &rows, || table(&rows))?;
    eprintln!("{} topics created, {} were there", missing.len(), rows.len() - missing.len());
    Ok(())
}

fn table(rows: &[Row]) -> String {
    let columns = ["topic", "state", "partitions", "cleanup.policy", "replicas", "key", "holds"];
    let mut table = output::table(&columns);
    for row in rows {
        let Wanted { partitions, any_partitions, replication, cleanup, .. } = &row.desired;
        let cleanup = cleanup.unwrap_or("any");
        let actual = row.actual.as_ref();
        table.add_row([
            row.topic.clone(),
            row.state.as_str().to_owned(),
            both(actual.map(|a| a.partitions), partitions, *any_partitions),
            both(actual.map(|a| a.cleanup.as_str()), &cleanup, cleanup == "any"),
            both(actual.map(|a| a.replication), replication, false),
            row.key.to_owned(),
            row.holds.to_owned(),
        ]);
    }
    table.to_string()
}

/// What is there, and what is wanted where that is something else.
fn both<T: PartialEq + std::fmt::Display>(found: Option<T>, wanted: &T, any: bool) -> String {
    match found {
        None => wanted.to_string(),
        Some(found) if any || found == *wanted => found.to_string(),
        Some(found) => format!("{found}, wanted {wanted}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka() -> Kafka {
        let text = "connections: [{id: a, bank_pos: {app_key_file: k, app_secret_file: s}}]\nkafka: {shards: 2}\n";
        crate::config::parse("c", text, std::iter::empty()).unwrap().config.kafka
    }

    fn shown(partitions: i32, replication: i32, cleanup: &str) -> Row {
        shown_in_sync(partitions, replication, cleanup, 2)
    }

    fn shown_in_sync(partitions: i32, replication: i32, cleanup: &str, in_sync: i32) -> Row {
        let kafka = kafka();
        let cleanup = cleanup.to_owned();
        let min_insync_replicas = Some(in_sync);
        let found = Actual { partitions, replication, cleanup, min_insync_replicas };
        let desired = topics::desired(&kafka, false);
        let state = desired.iter().find(|topic| topic.name == kafka.topic(topics::STATE)).unwrap();
        let actual = [(state.name.clone(), found)].into();
        row(&topics::plan(std::slice::from_ref(state), &actual)[0], &kafka)
    }

    #[test]
    fn a_topic_as_wanted_is_ok_and_every_difference_names_both_values() {
        assert_eq!(shown(2, 3, "compact").state, State::Ok);
        for (row, blocks, wanted) in [
            (shown(5, 3, "compact"), true, "5, wanted 2"),
            (shown(2, 3, "delete"), true, "delete, wanted compact"),
            (shown(2, 1, "compact"), false, "1, wanted 3"),
        ] {
            assert_eq!((row.state, row.blocks), (State::Mismatch, blocks));
            let text = table(&[row]);
            assert!(text.contains(wanted), "{text}");
        }
    }

    #[test]
    fn all_that_is_wrong_with_a_topic_stands_in_its_row() {
        let row = shown(5, 1, "delete");
        let text = table(std::slice::from_ref(&row));
        for wanted in ["5, wanted 2", "delete, wanted compact", "1, wanted 3"] {
            assert!(text.contains(wanted), "{text}");
        }
        assert!(text.contains("connection/stream/entity[/day/chunk]"), "{text}");
        let reason = row.reason.unwrap();
        assert_eq!(reason.matches("; has ").count(), 2, "{reason}");
    }

    #[test]
    fn a_state_topic_that_one_broker_may_hold_alone_is_ok_with_a_warning() {
        let row = shown_in_sync(2, 3, "compact", 1);
        assert_eq!((row.state, row.blocks), (State::Ok, false));
        assert!(row.warning.as_ref().is_some_and(|text| text.contains("min.insync.replicas=1")));
        assert!(mismatch(&[row]).is_none());
        assert_eq!(shown(2, 3, "compact").warning, None);
    }

    #[test]
    fn nothing_is_wrong_where_a_topic_is_only_missing() {
        let kafka = kafka();
        let steps = topics::plan(&topics::desired(&kafka, true), &Default::default());
        let rows: Vec<Row> = steps.iter().map(|step| row(step, &kafka)).collect();
        assert!(mismatch(&rows).is_none() && rows.iter().all(|row| row.state == State::Missing));
    }
}
