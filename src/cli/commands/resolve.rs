//! `commands resolve`: a person's decision about a parked command.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    cli::{Context, Exit, Failure, output},
    sink::{
        journal::{
            Status,
            records::{Finding, Resolve},
        },
        words,
    },
    telemetry::clock::now,
};

/// How long the owner may take to act on it before the command line goes.
const TAKEN_UP: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Arguments of `commands resolve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The command's id.
    id: Uuid,
    /// What was found out about the money.
    #[arg(long, value_enum)]
    outcome: Outcome,
    /// How that is known: a document, a statement, a call. No card numbers or names.
    #[arg(long, value_name = "TEXT")]
    evidence: String,
    /// Who decides.
    #[arg(long, value_name = "NAME")]
    actor: String,
    /// Without asking.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Outcome {
    /// The money moved: the result becomes SUCCEEDED.
    Executed,
    /// It did not: the result becomes DECLINED, and a new command may ask again.
    NotExecuted,
}

/// Writes the decision down and waits until the owner has acted on it.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    for (name, text) in [("--evidence", &args.evidence), ("--actor", &args.actor)] {
        if text.trim().is_empty() {
            return Err(Failure::new(Exit::Usage, format!("{name} is empty")));
        }
    }
    let kafka = context.load()?.config.kafka;
    let journal = super::journal(&kafka).await?;
    let (key, told) = super::the_one(&journal, args.id)?;
    if *told.entry.status() != Status::Parked {
        let message = format!("command {} is {}, not PARKED", args.id, told.entry.status().word());
        return Err(Failure::new(Exit::Failed, message)
            .hint("only a parked command needs a person; `commands show` tells its story"));
    }
    let (result, outcome) = match args.outcome {
        Outcome::Executed => ("SUCCEEDED", Finding::Executed),
        Outcome::NotExecuted => ("DECLINED", Finding::NotExecuted),
    };
    let amount =
        told.entry.outline().amount.map_or_else(String::new, |amount| format!(" {amount}"));
    let what = format!(
        "publish {result} for the {}{amount} of {}/{}, by {}: {}. it calls no API and moves no money",
        told.entry.outline().kind,
        key.connection,
        key.reference_no,
        args.actor,
        args.evidence
    );
    super::agreed(args.yes, &what, &args.id.to_string())?;
    let (evidence, actor) = (args.evidence, args.actor);
    let decision = Resolve { outcome, evidence, actor, at: now() };
    words::say_resolved(&kafka, told.partition, key, &decision)
        .await
        .map_err(|error| super::unavailable(&error, &kafka))?;
    let started = Instant::now();
    while started.elapsed() < TAKEN_UP {
        sleep(LOOK_AGAIN).await;
        let journal = super::journal(&kafka).await?;
        let (_, told) = super::the_one(&journal, args.id)?;
        if let Some(decided) = decided(told.entry.status(), outcome, args.id) {
            decided?;
            let shown = json!({ "command_id": args.id, "outcome": result });
            return output::print(context, &shown, || format!("{}: {result}", args.id));
        }
    }
    let shown = json!({ "command_id": args.id, "outcome": null });
    output::print(context, &shown, || format!("{}: written down", args.id))?;
    eprintln!("no running sink has acted on it yet; it does when it runs");
    Ok(())
}

/// Nothing while nobody has decided; a failure where somebody else came first and saw it otherwise.
fn decided(status: &Status, wanted: Finding, id: Uuid) -> Option<Result<(), Failure>> {
    let Status::Resolved { executed } = status else { return None };
    if *executed == (wanted == Finding::Executed) {
        return Some(Ok(()));
    }
    let published = if *executed { "SUCCEEDED" } else { "DECLINED" };
    let message = format!("command {id}: somebody else has decided otherwise: {published} stands");
    Some(Err(Failure::new(Exit::Failed, message).hint(format!(
        "`commands show {id}` tells who, and how they know; the first decision is the last word"
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_decides_second_and_otherwise_is_told_so() {
        let ends = |status: &Status, wanted| {
            decided(status, wanted, Uuid::from_u128(1)).map(|decided| decided.is_ok())
        };
        assert_eq!(ends(&Status::Parked, Finding::Executed), None);
        for (executed, wanted, is_ok) in [
            (true, Finding::Executed, true),
            (false, Finding::NotExecuted, true),
            (true, Finding::NotExecuted, false),
            (false, Finding::Executed, false),
        ] {
            let status = Status::Resolved { executed };
            assert_eq!(ends(&status, wanted), Some(is_ok), "{executed} {wanted:?}");
        }
    }
}
