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

const NOT_HALTED: &str = "payments are NOT halted";
/// The record may be in the journal, and its acknowledgement lost.
const MAYBE_HALTED: &str =
    "payments are NOT KNOWN to be halted: `commands list` tells whether they are";
const BY_HAND: &str = "without Kafka, stop the connector, or put a file payments.stop into the \
                       state.dir of every replica";

/// Says first how far nothing was halted, then what the failure itself advises.
fn not_halted(failure: Failure, how: &str) -> Failure {
    let hint = match &failure.hint {
        Some(advice) => format!("{how}; {BY_HAND}. then {advice}"),
        None => format!("{how}; {BY_HAND}"),
    };
    failure.hint(hint)
}

/// Says whether the switch's record is surely not written, or nobody knows.
fn unsaid(failure: Failure, error: &words::Error, stopped: bool) -> Failure {
    match (error, stopped) {
        (words::Error::Refused(_), true) => not_halted(failure, NOT_HALTED),
        (words::Error::Unknown(_), true) => not_halted(failure, MAYBE_HALTED),
        (words::Error::Refused(_), false) => failure,
        (words::Error::Unknown(_), false) => {
            failure.hint("`commands list` tells whether payments are still halted; say it again")
        }
    }
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
    let told = |failure| if stopped { not_halted(failure, NOT_HALTED) } else { failure };
    super::check_there(&kafka, topics::JOURNAL).await.map_err(told)?;
    let Args { reason, actor, .. } = args;
    let said = words::say_stop(&kafka, &Stop { stopped, actor, reason, at: now() }).await;
    said.map_err(|error| unsaid(super::unsent(&error, &kafka, topics::JOURNAL), &error, stopped))?;
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
    use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Code};

    use super::*;

    #[test]
    fn a_halt_that_did_not_arrive_keeps_what_the_failure_advises() {
        let failure = Failure::new(Exit::Unavailable, "kafka at b:9092: gone");
        let hint = not_halted(failure.clone(), NOT_HALTED).hint.unwrap();
        assert_eq!(hint, format!("{NOT_HALTED}; {BY_HAND}"));
        let hint = not_halted(failure.hint("check the brokers"), NOT_HALTED).hint.unwrap();
        assert!(hint.starts_with(NOT_HALTED) && hint.ends_with("check the brokers"), "{hint}");
    }

    #[test]
    fn what_may_have_been_written_is_not_told_as_unwritten() {
        let refused = || KafkaError::MessageProduction(Code::TopicAuthorizationFailed);
        let late = || KafkaError::MessageProduction(Code::MessageTimedOut);
        for (error, stopped, hint) in [
            (words::Error::Refused(refused()), true, NOT_HALTED),
            (words::Error::Unknown(late()), true, MAYBE_HALTED),
            (words::Error::Refused(refused()), false, "check the brokers"),
            (words::Error::Unknown(late()), false, "`commands list` tells"),
        ] {
            let failure = Failure::new(Exit::Unavailable, error.to_string());
            let failure = unsaid(failure.hint("check the brokers"), &error, stopped);
            assert!(failure.hint.as_ref().unwrap().starts_with(hint), "{hint}: {failure:?}");
        }
    }

    #[test]
    fn a_right_that_is_refused_is_told_as_one_and_what_is_not_halted_all_the_same() {
        let text = "connections: [{id: acme, bank_pos: {app_key_file: k, app_secret_file: s}}]";
        let kafka = crate::config::parse("c", text, std::iter::empty()).unwrap().config.kafka;
        for (error, exit) in super::super::tests::answers() {
            let failure = super::super::unsent(&error, &kafka, topics::JOURNAL);
            let failure = unsaid(failure, &error, true);
            assert_eq!(failure.exit, exit, "{failure:?}");
            assert!(failure.hint.unwrap().contains(BY_HAND));
        }
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
