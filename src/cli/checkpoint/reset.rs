//! `checkpoint reset`: what the state topic lost, and an operator's word that it may be so.

use std::io::{self, IsTerminal};

use serde::Serialize;

use crate::{
    cli::{Context, Exit, Failure, output, upstream::KAFKA_UNMADE},
    config::model::{Config, Kafka},
    domain::{time::Timestamp, words::counted},
    shards::{
        moved::Moved,
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
    let looked = blocking(move || reset::look(&env, &kafka)).await?;
    let mut standings = looked.map_err(failure)?;
    let configured = config.connections.iter().map(|connection| connection.id.clone()).collect();
    let moved = reset::moved(&config.kafka, &configured, &standings);
    standings.retain(|standing| shard.is_none_or(|wanted| wanted == standing.shard));
    let mut rows: Vec<Row> = standings.iter().map(|standing| row(standing, &config)).collect();
    standings.retain(Standing::is_stopped);
    let lost = standings.len();
    if !yes || lost == 0 {
        output::print(context, &rows, || table(&rows))?;
        return would_do(lost, moved.as_ref());
    }
    let accept = async |standing: Standing| {
        let (env, kafka, decision) = (config.env.clone(), config.kafka.clone(), decision.clone());
        blocking(move || reset::accept(&env, &kafka, &standing, &decision)).await
    };
    let ended = accept_all(standings, &mut rows, accept).await;
    // Also where it ended half-way: what is accepted stays so, and goes on by itself. A reader that has
    // gone makes no success of it.
    let printed = output::print(context, &rows, || table(&rows));
    ended?;
    printed?;
    let accepted = counted(lost, "shard");
    eprintln!("{accepted} accepted with the loss; a running connector goes on within a minute");
    Ok(())
}

/// Accepts one shard after the other, and lets its row say so; ends at the first that is not accepted.
async fn accept_all(
    standings: Vec<Standing>,
    rows: &mut [Row],
    accept: impl AsyncFn(Standing) -> Result<Result<(), reset::Error>, Failure>,
) -> Result<(), Failure> {
    let shards: Vec<i32> = standings.iter().map(|standing| standing.shard).collect();
    for (done, standing) in standings.into_iter().enumerate() {
        let shard = standing.shard;
        let accepted = accept(standing).await?;
        let state = match &accepted {
            Ok(()) => Some(State::Accepted),
            Err(error) => error.may_be_written().then_some(State::Unknown),
        };
        for row in rows.iter_mut().filter(|row| row.shard == shard) {
            row.state = state.unwrap_or(row.state);
        }
        accepted.map_err(|error| stopped(error, &shards, done))?;
    }
    Ok(())
}

/// The failure of one shard, with what became of those before it and is not done behind it.
fn stopped(error: reset::Error, shards: &[i32], done: usize) -> Failure {
    let listed = |shards: &[i32]| shards.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
    let (accepted, rest) = shards.split_at(done);
    let may_be = error.may_be_written();
    let failure = failure(error);
    let mut message = match rest.first() {
        Some(shard) => format!("shard {shard}: {}", failure.message),
        None => failure.message.clone(),
    };
    if may_be {
        message.push_str("; it may be accepted all the same");
    }
    message.push_str(&match accepted {
        [] => "; no shard was accepted before".to_owned(),
        accepted => format!("; accepted with the loss before: {}", listed(accepted)),
    });
    if let Some(left @ [_, ..]) = rest.get(1..) {
        message.push_str(&format!("; not tried: {}", listed(left)));
    }
    Failure { message, ..failure }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, reset::Error> + Send + 'static,
) -> Result<Result<T, reset::Error>, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::new(Exit::Failed, error.to_string()))
}

fn failure(error: reset::Error) -> Failure {
    let (is_refused, is_unmade) = (error.is_refused(), error.is_unmade());
    match error {
        reset::Error::Read(error) if error.is_missing_topic() => {
            let failure = Failure::new(Exit::Failed, error.to_string());
            failure.hint("`topics apply` creates what is missing; then look again")
        }
        reset::Error::Read(error) => error.into(),
        other if is_refused => Failure::new(Exit::Refused, other.to_string()).hint(
            "check the login in kafka.properties, and the rights to read the group, to write to the \
             state topic and under the transactional ids of both deployments \
             (docs/deploy/kafka-acls.md); then say the same again",
        ),
        other if is_unmade => Failure::new(Exit::Config, other.to_string()).hint(KAFKA_UNMADE),
        other => Failure::new(Exit::Unavailable, other.to_string())
            .hint("check the brokers, then say the same again: what is accepted stays so"),
    }
}

/// How the command ends where nothing was changed.
fn would_do(lost: usize, moved: Option<&Moved>) -> Result<(), Failure> {
    if let (0, Some(moved)) = (lost, moved) {
        return Err(Failure::new(Exit::Failed, moved.to_string())
            .hint("nothing was changed: docs/operations/upgrade.md says more of kafka.shards"));
    }
    if lost == 0 {
        eprintln!("no shard lost anything: there is nothing to accept");
        return Ok(());
    }
    let stopped = counted(lost, "shard");
    let message = format!("nothing was changed: {stopped} with a loss, or of another deployment");
    let hint = "if the topic cannot be restored and the consumers are ready for repeated rows \
                (their versions begin anew), or every replica of the other deployment has ended, \
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
    /// Its acceptance was not acknowledged, and may be written.
    Unknown,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Lost => "LOST",
            Self::Other => "OTHER",
            Self::Accepted => "accepted",
            Self::Unknown => "UNKNOWN",
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
    use crate::{kafka::verdict::Verdict, publish::writer::Lost, state::changelog::ShardState};

    fn lost(step: &'static str, is_refused: bool) -> reset::Error {
        let (transactional_id, reason) = ("p.v.g.src.v1.1".to_owned(), "no".to_owned());
        let verdict = Verdict::Unknown;
        Lost { step, transactional_id, verdict, is_refused, is_regression: false, reason }.into()
    }

    fn standing(shard: i32) -> Standing {
        let (note, state, regression) = (None, ShardState::default(), None);
        let other = Some("prod.v.g".to_owned());
        Standing { shard, note, start: 0, end: 1, state, regression, other }
    }

    /// What is told where the second of three shards fails, and how each of them is shown.
    async fn half_way(fails: impl Fn() -> reset::Error) -> (Failure, Vec<State>) {
        let text = "connections: [{id: acme, bank_pos: {app_key_file: k, app_secret_file: s}}]";
        let config = crate::config::parse("c", text, std::iter::empty()).unwrap().config;
        let standings: Vec<Standing> = (0..3).map(standing).collect();
        let mut rows: Vec<Row> = standings.iter().map(|one| row(one, &config)).collect();
        let accept = async |one: Standing| match one.shard {
            1 => Ok(Err(fails())),
            _ => Ok(Ok(())),
        };
        let failure = accept_all(standings, &mut rows, accept).await.unwrap_err();
        (failure, rows.iter().map(|row| row.state).collect())
    }

    #[tokio::test]
    async fn what_was_accepted_before_a_failure_is_named_and_a_refusal_told_as_one() {
        let (failure, states) = half_way(|| lost("init_transactions", true)).await;
        assert_eq!(states, [State::Accepted, State::Other, State::Other]);
        assert_eq!(failure.exit, Exit::Refused);
        let message = "shard 1: init_transactions of transactional id p.v.g.src.v1.1: no; accepted \
                       with the loss before: 0; not tried: 2";
        assert_eq!(failure.message, message);
        assert!(failure.hint.unwrap().contains("kafka-acls.md"));
        let (failure, _) = half_way(|| lost("begin_transaction", false)).await;
        assert_eq!((failure.exit, failure.message.contains("may be")), (Exit::Unavailable, false));
        let (failure, states) = half_way(|| lost("commit_transaction", false)).await;
        assert_eq!(states, [State::Accepted, State::Unknown, State::Other]);
        assert!(failure.message.contains("it may be accepted all the same"), "{failure:?}");
    }

    #[tokio::test]
    async fn all_that_are_accepted_are_shown_so() {
        let mut rows = Vec::new();
        let all = accept_all(vec![standing(0)], &mut rows, async |_| Ok(Ok(()))).await;
        assert_eq!(all, Ok(()));
        assert!(stopped(lost("send", false), &[4], 0).message.ends_with("accepted before"));
    }

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
        assert_eq!(would_do(0, None), Ok(()));
        let failure = would_do(2, None).unwrap_err();
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.render().contains("--yes"), "{}", failure.render());
    }
}
