//! `commands halt` and `commands resume`: the kill switch, as a record that survives restarts.

use std::path::Path;

use serde_json::json;

use crate::{
    cli::{Context, Exit, Failure, output},
    kafka::topics,
    sink::{journal::records::Stop, stop_file::STOP_FILE, words},
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

/// Says first that nothing was halted, then what the failure itself advises.
fn not_halted(failure: Failure) -> Failure {
    let hint = match &failure.hint {
        Some(advice) => format!("{NOT_HALTED}. then {advice}"),
        None => NOT_HALTED.to_owned(),
    };
    failure.hint(hint)
}

/// What a file that is still there does to a resumed switch.
fn still_held(folder: &Path) -> Option<String> {
    let file = folder.join(STOP_FILE);
    match file.try_exists() {
        Ok(false) => None,
        Ok(true) => Some(format!(
            "the file {} is still there: the replica with this state.dir executes nothing until it \
             is removed",
            file.display()
        )),
        Err(error) => Some(format!(
            "whether the file {} is still there is not known ({error}): while it is, its replica \
             executes nothing",
            file.display()
        )),
    }
}

/// Writes the switch's record.
pub(super) async fn run(args: Args, stopped: bool, context: &Context) -> Result<(), Failure> {
    for (name, text) in [("--reason", &args.reason), ("--actor", &args.actor)] {
        if text.trim().is_empty() {
            return Err(Failure::new(Exit::Usage, format!("{name} is empty")));
        }
    }
    let config = context.load()?.config;
    let kafka = config.kafka;
    // Halting is never asked twice; going on is.
    if !stopped {
        super::agreed(args.yes, "let payment commands be executed again", "resume")?;
    }
    let told = |failure| if stopped { not_halted(failure) } else { failure };
    super::check_there(&kafka, topics::JOURNAL).await.map_err(told)?;
    let Args { reason, actor, .. } = args;
    let said = words::say_stop(&kafka, &Stop { stopped, actor, reason, at: now() }).await;
    said.map_err(|error| told(super::unavailable(&error, &kafka)))?;
    let word = if stopped { "halted" } else { "resumed" };
    output::print(context, &json!({ "halted": stopped }), || format!("payment commands {word}"))?;
    if stopped {
        eprintln!(
            "requests that have left already are not called back; waiting commands still expire"
        );
    } else if let Some(held) = still_held(&config.state_dir) {
        eprintln!("{held}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_halt_that_did_not_arrive_keeps_what_the_failure_advises() {
        let failure = Failure::new(Exit::Unavailable, "kafka at b:9092: gone");
        assert_eq!(not_halted(failure.clone()).hint.as_deref(), Some(NOT_HALTED));
        let hint = not_halted(failure.hint("check the brokers")).hint.unwrap();
        assert!(hint.starts_with(NOT_HALTED) && hint.ends_with("check the brokers"), "{hint}");
    }

    #[test]
    fn a_file_that_is_still_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(still_held(folder.path()), None);
        std::fs::write(folder.path().join(STOP_FILE), "").unwrap();
        let held = still_held(folder.path()).unwrap();
        assert!(held.contains("payments.stop is still there"), "{held}");
    }
}
