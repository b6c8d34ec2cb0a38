//! `checkpoint reset`: what the state topic lost, and an operator's word that it may be so.

use std::io::{self, IsTerminal};

use serde::Serialize;

use crate::{
    cli::{Context, Exit, Failure, output},
    config::model::{Config, Kafka},
    domain::{time::Timestamp, words::counted},
    shards::{
        placement::shard_of,
        reset::{self, Decision, Standing},
    },
};

/// Shows the shards, and accepts what they lost where `yes` says so.
pub(super) async fn run(
    shard: Option<i32>,
    decision: Decision,
    yes: bool,
    context: &Context,
) -> Result<(), Failure> {
    let config = context.load()?.config;
    if decision.why.trim().is_empty() {
        return Err(Failure::new(Exit::Usage, "--why is empty")
            .hint("say why the loss may be accepted; it is written down in the state topic"));
    }
    if let Some(shard) = shard.filter(|shard| !(0..config.kafka.shards).contains(shard)) {
        let shards = config.kafka.shards;
        let message = format!("no shard {shard}: kafka.shards is {shards}");
        let last = shards - 1;
        return Err(Failure::new(Exit::Usage, message)
            .hint(format!("shards are 0 to {last}; without --shard all of them are looked at")));
    }
    let (env, kafka) = (config.env.clone(), config.kafka.clone());
    let looked_for = env.clone();
    let mut standings = blocking(move || reset::look(&looked_for, &kafka)).await?;
    standings.retain(|standing| shard.is_none_or(|wanted| wanted == standing.shard));
    let mut rows: Vec<Row> = standings.iter().map(|standing| row(standing, &config)).collect();
    standings.retain(Standing::is_stopped);
    let lost = standings.len();
    if !yes || lost == 0 {
        output::print(context, &rows, || table(&rows))?;
        return would_do(lost);
    }
    for standing in standings {
        let (env, kafka, decision) = (env.clone(), config.kafka.clone(), decision.clone());
        let shard = standing.shard;
        blocking(move || reset::accept(&env, &kafka, &standing, &decision)).await?;
        rows.iter_mut().filter(|row| row.shard == shard).for_each(|row| {
            row.state = State::Accepted;
        });
    }
    output::print(context, &rows, || table(&rows))?;
    let accepted = counted(lost, "shard");
    eprintln!("{accepted} accepted with the loss; a running connector goes on within a minute");
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, reset::Error> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?.map_err(failure)
}

fn failure(error: reset::Error) -> Failure {
    match error {
        reset::Error::Read(error) if error.is_missing_topic() => {
            let failure = Failure::new(Exit::Failed, error.to_string());
            failure.hint("`topics apply` creates what is missing; then look again")
        }
        reset::Error::Read(error) => error.into(),
        other => Failure::new(Exit::Unavailable, other.to_string())
            .hint("nothing was changed where no shard is shown as accepted; check the brokers, and the right to write under the transactional ids of both deployments"),
    }
}

/// How the command ends where nothing was changed.
fn would_do(lost: usize) -> Result<(), Failure> {
    if lost == 0 {
        eprintln!("no shard lost anything: there is nothing to accept");
        return Ok(());
    }
    let stopped = counted(lost, "shard");
    let message = format!("nothing was changed: {stopped} with a loss, or of another deployment");
    let hint = "if the topic cannot be restored and the consumers are ready for repeated rows \
                (their event ids tell them), or every replica of the other deployment has ended, \
                say --yes";
    Err(Failure::new(Exit::Failed, message).hint(hint))
}

/// How a shard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Lost,
    /// Another deployment's.
    Other,
    Accepted,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Lost => "LOST",
            Self::Other => "OTHER",
            Self::Accepted => "accepted",
        }
    }
}

/// One shard as it is shown.
#[derive(Debug, Serialize)]
struct Row {
    shard: i32,
    state: State,
    /// What it lost.
    lost: Option<String>,
    /// The other deployment whose it is.
    belongs_to: Option<String>,
    /// Whose rows are concerned.
    connections: Vec<String>,
    /// First offset and end of its partition.
    offsets: [i64; 2],
    /// Entities whose position is left; every other one is read from its configured start.
    entities_left: usize,
    /// Rows that are still remembered; every other one is published again.
    seen_rows_left: usize,
    /// The last decision of this kind.
    accepted: Option<Accepted>,
}

#[derive(Debug, Serialize)]
struct Accepted {
    by: String,
    why: String,
    at: String,
}

fn row(standing: &Standing, config: &Config) -> Row {
    let Standing { shard, start, end, state, regression, other, .. } = standing;
    let Kafka { shards, .. } = config.kafka;
    let own = config.connections.iter().filter(|c| shard_of(&c.id, shards) == *shard);
    let placed = state.entities().filter(|(_, state)| state.checkpoint.is_some());
    Row {
        shard: *shard,
        state: match (regression, other) {
            (Some(_), _) => State::Lost,
            (None, Some(_)) => State::Other,
            (None, None) => State::Ok,
        },
        lost: regression.as_ref().map(ToString::to_string),
        belongs_to: other.clone(),
        connections: own.map(|connection| connection.id.to_string()).collect(),
        offsets: [*start, *end],
        entities_left: placed.count(),
        seen_rows_left: state.seen_rows(),
        accepted: state.reset().map(|reset| Accepted {
            by: reset.by.clone(),
            why: reset.why.clone(),
            at: Timestamp::to_rfc3339(reset.at),
        }),
    }
}

fn table(rows: &[Row]) -> String {
    let columns = ["shard", "state", "lost", "connections", "offsets", "entities left"];
    // What was lost is told in words, which wrap; connections stand below each other for people.
    let between = if io::stdout().is_terminal() { "\n" } else { ", " };
    let columns = [&columns[..], &["seen rows left"]].concat();
    let mut table = output::table_of_names(&columns, &[0, 1, 3]);
    for row in rows {
        let [start, end] = row.offsets;
        table.add_row([
            row.shard.to_string(),
            row.state.as_str().to_owned(),
            told(row).unwrap_or_else(|| "–".to_owned()),
            row.connections.join(between),
            format!("{start} to {end}"),
            row.entities_left.to_string(),
            row.seen_rows_left.to_string(),
        ]);
    }
    table.to_string()
}

/// All that an operator accepts with it.
fn told(row: &Row) -> Option<String> {
    let other = row.belongs_to.as_ref().map(|other| format!("it belongs to {other}"));
    let all: Vec<String> = other.into_iter().chain(row.lost.clone()).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_of_another_deployment_that_lost_something_too_says_both() {
        let row = |belongs_to: Option<&str>, lost: Option<&str>| Row {
            shard: 1,
            state: State::Ok,
            lost: lost.map(str::to_owned),
            belongs_to: belongs_to.map(str::to_owned),
            connections: Vec::new(),
            offsets: [0, 1],
            entities_left: 0,
            seen_rows_left: 0,
            accepted: None,
        };
        assert_eq!(told(&row(None, None)), None);
        let both = told(&row(Some("prod.v.g"), Some("it was cut"))).unwrap();
        assert_eq!(both, "it belongs to prod.v.g; it was cut");
    }

    #[test]
    fn without_a_loss_there_is_nothing_to_do_and_with_one_nothing_is_done_unasked() {
        assert_eq!(would_do(0), Ok(()));
        let failure = would_do(2).unwrap_err();
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.render().contains("--yes"), "{}", failure.render());
    }
}
