//! `commands halt` and `commands resume`: the kill switch, as a record that survives restarts.

use crate::{
    cli::{Context, Exit, Failure, output},
    sink::{journal::records::Stop, words},
    telemetry::clock::now,
};

/// Arguments of both.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who.
    #[arg(long, value_name = "NAME")]
    actor: String,
    /// Without asking.
    #[arg(long)]
    yes: bool,
}

const NOT_HALTED: &str = "payments are NOT halted: without Kafka, stop the connector, or put a file \
                          payments.stop into the state.dir of every replica";

/// Writes the switch's record.
pub(super) async fn run(args: Args, stopped: bool, context: &Context) -> Result<(), Failure> {
    for (name, text) in [("--reason", &args.reason), ("--actor", &args.actor)] {
        if text.trim().is_empty() {
            return Err(Failure::new(Exit::Usage, format!("{name} is empty")));
        }
    }
    let kafka = context.load()?.config.kafka;
    // Halting is never asked twice; going on is.
    if !stopped {
        super::agreed(args.yes, "let payment commands be executed again", "resume")?;
    }
    let Args { reason, actor, .. } = args;
    words::say_stop(&kafka, &Stop { stopped, actor, reason, at: now() }).await.map_err(
        |error| {
            let failure = super::unavailable(&error, &kafka);
            if stopped { failure.hint(NOT_HALTED) } else { failure }
        },
    )?;
    let word = if stopped { "halted" } else { "resumed" };
    output::write(&format!("payment commands {word}"))?;
    if stopped {
        eprintln!(
            "requests that have left already are not called back; waiting commands still expire"
        );
    }
    Ok(())
}
