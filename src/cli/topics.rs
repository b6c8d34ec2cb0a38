//! `topics`: the topics as they must be, and what would make them so.

use clap::Subcommand;
use serde::Serialize;

use super::{Context, Exit, Failure, output};
use crate::{
    config::model::Kafka,
    domain::words::counted,
    kafka::topics::{self, Actual, Step},
};

/// What to do where topics are to have more replicas than there are brokers.
pub(super) const TOO_FEW: &str = "start the missing brokers, or set kafka.replication_factor to the number that there are; it \
     counts for topics that are created, and changes no other";
/// What to do about a topic that is there and wrong.
pub(super) const UNCHANGED: &str = "nothing is changed by itself: bring the topic or the setting in line (kafka-configs.sh alters a \
     policy); partitions of a topic cannot be taken away, and those of internal.* must stay as \
     they are once data is in them";

/// The characters of a line of keys: beside the longest names they fit into eighty columns.
const FOLD: usize = 20;

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
    let cluster = topics::actual(&kafka, &desired).await?;
    let steps = topics::plan(&desired, &cluster.topics);
    let rows: Vec<Row> = steps.iter().map(|step| row(step, cluster.brokers)).collect();
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
    /// All that differs, with both values of each, or why it cannot be created.
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

/// A step as it is shown. Other replication stops nobody, but it is not what was asked for; `run`
/// waits for brokers that are too few.
pub(super) fn row(step: &Step, brokers: i32) -> Row {
    let (topic, actual, reason, blocks) = match step {
        Step::Create { topic } => (topic, None, topics::too_few_brokers(step, brokers), false),
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
        replication: topic.replication,
        cleanup: topic.cleanup.map(topics::Cleanup::as_str),
        min_insync_replicas: topic.min_insync_replicas,
    };
    let warning = topics::weakness(step);
    let (key, holds) = (topic.key, topic.holds);
    Row { topic: topic.name.clone(), state, key, holds, desired, actual, reason, warning, blocks }
}

/// Why the rows are not as they must be, and what to do about it.
fn mismatch(rows: &[Row]) -> Option<Failure> {
    let mut reasons: Vec<&str> = rows.iter().filter_map(|row| row.reason.as_deref()).collect();
    // Every topic that is missing has the same.
    let few = too_few(rows);
    reasons.retain(|reason| few.is_none_or(|few| few != *reason));
    let differ = !reasons.is_empty();
    reasons.extend(few);
    let hints: Vec<&str> =
        [differ.then_some(UNCHANGED), few.map(|_| TOO_FEW)].into_iter().flatten().collect();
    (!reasons.is_empty())
        .then(|| Failure::new(Exit::Failed, reasons.join("\n")).hint(hints.join("; ")))
}

/// Why what is missing cannot be created.
pub(super) fn too_few(rows: &[Row]) -> Option<&str> {
    rows.iter().filter(|row| row.state == State::Missing).find_map(|row| row.reason.as_deref())
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
        // The controller also counts brokers that are registered and down, so it has the last word.
        if let Some(few) = too_few(&rows) {
            eprintln!("warning: {few}");
        }
        let names: Vec<_> = missing.iter().map(|topic| topic.name.as_str()).collect();
        let topics = counted(missing.len(), "topic");
        let question = format!("create {topics}: {}", names.join(", "));
        if !yes && !output::confirmed(&question)? {
            return Err(Failure::new(Exit::Failed, "nothing was created"));
        }
        topics::create(kafka, &missing).await?;
    }
    for row in rows.iter_mut().filter(|row| row.state == State::Missing) {
        row.state = State::Created;
        row.reason = None;
    }
    output::print(context, &rows, || table(&rows))?;
    let there = rows.len() - missing.len();
    let were = if there == 1 { "was" } else { "were" };
    eprintln!("{} created, {there} {were} there", counted(missing.len(), "topic"));
    Ok(())
}

/// One table, or two below each other where the terminal is too narrow for one.
fn table(rows: &[Row]) -> String {
    let standing = ["topic", "state", "partitions", "cleanup.policy", "replicas"];
    let mut whole = output::unbroken_table(&[&standing[..], &["key", "holds"]].concat());
    for row in rows {
        let contents = [row.key.to_owned(), row.holds.to_owned()];
        whole.add_row([&self::standing(row)[..], &contents].concat());
    }
    if !output::is_too_wide(&whole) {
        return whole.to_string();
    }
    let mut first = output::unbroken_table(&standing);
    let mut second = output::unbroken_table(&["topic", "key", "holds"]);
    for row in rows {
        first.add_row(self::standing(row));
        second.add_row([row.topic.clone(), folded(row.key), folded(row.holds)]);
    }
    format!("{first}\n\n{second}")
}

/// A key or a few words on lines that are short, broken only behind a slash or a blank.
fn folded(text: &str) -> String {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for piece in text.split_inclusive(['/', ' ']) {
        if !line.is_empty() && line.chars().count() + piece.trim_end().chars().count() > FOLD {
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(piece);
    }
    lines.push(line);
    lines.join("\n")
}

fn standing(row: &Row) -> [String; 5] {
    let Wanted { partitions, any_partitions, replication, cleanup, .. } = &row.desired;
    let cleanup = cleanup.unwrap_or("any");
    let actual = row.actual.as_ref();
    [
        row.topic.clone(),
        row.state.as_str().to_owned(),
        both(actual.map(|a| a.partitions), partitions, *any_partitions),
        both(actual.map(|a| a.cleanup.as_str()), &cleanup, cleanup == "any"),
        both(actual.map(|a| a.replication), replication, false),
    ]
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
        row(&topics::plan(std::slice::from_ref(state), &actual)[0], 1)
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
    fn keys_are_broken_behind_slashes_and_names_of_records_never() {
        let lines = folded("connection/family/pos_id/installment/currency");
        assert_eq!(lines, "connection/family/\npos_id/installment/\ncurrency");
        for topic in topics::desired(&kafka(), true) {
            assert!(
                folded(topic.key).lines().all(|line| line.trim_end().len() <= FOLD),
                "{topic:?}"
            );
            let record = !topic.holds.contains(' ');
            assert!(!record || folded(topic.holds) == topic.holds, "{topic:?}");
        }
    }

    #[test]
    fn nothing_is_wrong_where_a_topic_is_only_missing() {
        let kafka = kafka();
        let steps = topics::plan(&topics::desired(&kafka, true), &Default::default());
        let rows: Vec<Row> = steps.iter().map(|step| row(step, 3)).collect();
        assert!(mismatch(&rows).is_none() && rows.iter().all(|row| row.state == State::Missing));
    }

    #[test]
    fn too_few_brokers_are_told_once_whatever_is_missing() {
        let steps = topics::plan(&topics::desired(&kafka(), true), &Default::default());
        let mut rows: Vec<Row> = steps.iter().map(|step| row(step, 1)).collect();
        let failure = mismatch(&rows).unwrap();
        assert_eq!(failure.message.lines().count(), 1, "{failure:?}");
        assert!(failure.message.contains("wants 3 replicas"), "{failure:?}");
        assert_eq!((failure.exit, failure.hint.as_deref()), (Exit::Failed, Some(TOO_FEW)));
        assert!(rows.iter().all(|row| row.state == State::Missing && !row.blocks));
        rows.push(shown(5, 3, "compact"));
        let failure = mismatch(&rows).unwrap();
        assert_eq!(failure.message.lines().count(), 2, "{failure:?}");
        let hint = failure.hint.unwrap();
        assert!(hint.contains(UNCHANGED) && hint.contains(TOO_FEW), "{hint}");
    }
}
