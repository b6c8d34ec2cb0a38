//! `commands resolve`: a person's decision about a parked command.

use clap::ValueEnum;
use serde_json::json;

use super::Which;
use crate::{
    app::commands::resolve::{decide, outcome, parked},
    cli::{Context, Exit, Failure, output},
    sink::journal::records::{Finding, Resolve},
    telemetry::clock::now,
};

/// Arguments of `commands resolve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
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
    let id = args.which.id;
    let parked = parked(&kafka, &args.which.meant()).await?;
    let entry = &parked.told.entry;
    let (key, outline) = (entry.key(), entry.outline());
    let finding = match args.outcome {
        Outcome::Executed => Finding::Executed,
        Outcome::NotExecuted => Finding::NotExecuted,
    };
    let result = outcome(finding);
    let amount = outline.amount.map_or_else(String::new, |amount| format!(" {amount}"));
    let what = format!(
        "publish {result} for the {}{amount} of {}/{}, by {}: {}. it calls no API and moves no money",
        outline.kind, key.connection, key.reference_no, args.actor, args.evidence
    );
    super::agreed(args.yes, &what, &id.to_string())?;
    let (evidence, actor) = (args.evidence, args.actor);
    let decision = Resolve { outcome: finding, evidence, actor, at: now() };
    if decide(&kafka, &parked, &decision).await? {
        let shown = json!({ "command_id": id, "outcome": result });
        return output::print(context, &shown, || format!("{id}: {result}"));
    }
    let shown = json!({ "command_id": id, "outcome": null });
    output::print(context, &shown, || format!("{id}: written down"))?;
    eprintln!("no running sink has acted on it yet; it does when it runs");
    Ok(())
}
