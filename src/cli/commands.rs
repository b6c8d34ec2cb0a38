//! `commands`: payment commands as the journal tells them, and what people say about them.

mod export;
mod lines;
mod list;
mod resolve;
mod show;
mod submit;
mod switch;

use std::io::{self, IsTerminal};

use clap::Subcommand;
use uuid::Uuid;

use super::{
    Context, Exit, Failure,
    upstream::{KAFKA_REFUSED, KAFKA_UNMADE},
};
use crate::{
    app::commands::{self, Meant},
    config::model::Kafka,
    kafka::topics,
    sink::words,
};

const NO_SINK_YET: &str =
    "no sink has run here yet; `topics apply` creates the topics where sink.enabled is true";

/// Arguments of `commands`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which command is meant.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The command's id.
    id: Uuid,
    /// Its connection, where two have the same reference.
    #[arg(long, value_name = "ID")]
    connection: Option<String>,
    /// Its payment, where the id was used for several.
    #[arg(long, value_name = "REFERENCE")]
    reference: Option<String>,
}

impl Which {
    fn meant(self) -> Meant {
        let Self { id, connection, reference } = self;
        Meant { id, connection, reference }
    }
}

/// What can be done with payment commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Payment commands, those first that need somebody; read from Kafka, takes no lock.
    #[command(after_help = lines::STATES)]
    List(list::Args),
    /// The whole story of one command, in time order.
    #[command(after_help = lines::STATES)]
    Show(Which),
    /// Every command with its whole story, one a line of JSON, the oldest first; for files and audits.
    #[command(after_help = lines::STATES)]
    Export(export::Args),
    /// Ask the API how the payment of a command stands, beside what the journal knows; only reads.
    Reconcile(Which),
    /// Decide about a parked command, and write it down; never calls the API.
    Resolve(resolve::Args),
    /// Put a command into the command topic.
    Submit(submit::Args),
    /// Turn the kill switch on: no command is executed until `commands resume`.
    Halt(switch::Args),
    /// Turn the kill switch off.
    Resume(switch::Args),
}

/// Runs one of them.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.command {
        Command::List(args) => list::run(args, context).await,
        Command::Show(which) => show::run(&which.meant(), context).await,
        Command::Export(args) => export::run(args, context).await,
        Command::Reconcile(which) => show::reconcile(&which.meant(), context).await,
        Command::Resolve(args) => resolve::run(args, context).await,
        Command::Submit(args) => submit::run(args, context).await,
        Command::Halt(args) => switch::run(args, true, context).await,
        Command::Resume(args) => switch::run(args, false, context).await,
    }
}

impl From<commands::Error> for Failure {
    fn from(error: commands::Error) -> Self {
        let said = Self::new(Exit::Failed, error.to_string());
        match error {
            commands::Error::Journal(cause) if cause.is_missing_topic() => {
                said.hint(NO_SINK_YET)
            }
            commands::Error::Journal(cause) => cause.into(),
            commands::Error::Unknown(_) => said.hint(
                "a command that was read is in the journal within a second; look at the topic with \
                 `tail payment.commands`, and at the rejected topic",
            ),
            commands::Error::Ambiguous { id, .. } => said.hint(format!(
                "say `{id} --reference REFERENCE`, and --connection ID where that is not enough; ids should \
                 be unique"
            )),
            commands::Error::NotParked { .. } => {
                said.hint("only a parked command needs a person; `commands show` tells its story")
            }
            commands::Error::Decided { id, .. } | commands::Error::Overruled { id, .. } => said.hint(format!(
                "`commands show {id}` tells who, and how they know; the first decision is the last word"
            )),
            commands::Error::NotConfigured(_) => {
                let hint = "add it, or ask the provider's panel instead";
                Self { exit: Exit::Config, ..said }.hint(hint)
            }
            commands::Error::NotWritten { cause, .. } => {
                let unwritten = unwritten(said.message, &cause, "the journal's topic");
                match cause {
                    words::Error::Refused(_) => unwritten,
                    words::Error::Unknown(_) => unwritten.hint(
                        "check the brokers; `commands show` tells whether it was written all the same",
                    ),
                }
            }
            commands::Error::Api(cause) => Self::from(&cause),
            commands::Error::Broke(_) => said,
        }
    }
}

/// Goes on with `--yes`, having said what it does all the same, or with a typed word at a terminal;
/// else says what to do.
fn agreed(yes: bool, what: &str, word: &str) -> Result<(), Failure> {
    // Somebody may have typed a card number into it, and stderr is kept in files.
    let what = words::shown(what);
    if yes {
        eprintln!("this will {what}");
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let message = format!("nothing was done: this would {what}");
        return Err(Failure::new(Exit::Usage, message).hint("say --yes where that is meant"));
    }
    eprint!("this will {what}\ntype {word:?} to go on: ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if answer.trim() == word {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "nothing was done: another word was typed"))
}

/// Says at once that a topic is missing which is to be written to: what writes waits for half a minute,
/// since topics may just be made. A connector that starts makes them, so its own words do wait.
async fn check_there(kafka: &Kafka, topic: &str) -> Result<(), Failure> {
    let topic = kafka.topic(topic);
    if !topics::is_missing(kafka, &topic).await {
        return Ok(());
    }
    let message = format!(
        "kafka at {}: there is no topic {topic}; nothing was sent",
        kafka.bootstrap_servers
    );
    Err(Failure::new(Exit::Failed, message).hint(NO_SINK_YET))
}

/// A record of ours that Kafka did not acknowledge: a right that is refused, or a setting, is no outage.
fn unwritten(message: String, error: &words::Error, topic: &str) -> Failure {
    if error.is_denied() {
        return Failure::new(Exit::Refused, message).hint(KAFKA_REFUSED);
    }
    if error.is_setting() {
        return Failure::new(Exit::Config, message).hint(KAFKA_UNMADE);
    }
    let failure = Failure::new(Exit::Unavailable, message);
    failure.hint(format!("check the brokers, and that {topic} exists"))
}

/// The same of a record that is sent to this topic.
fn unsent(error: &words::Error, kafka: &Kafka, topic: &str) -> Failure {
    let message = format!("kafka at {}: {error}", kafka.bootstrap_servers);
    unwritten(message, error, &kafka.topic(topic))
}

#[cfg(test)]
mod tests {
    use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Code};

    use super::*;

    /// What Kafka may say to a record, and the exit code that tells it.
    pub(super) fn answers() -> [(words::Error, Exit); 4] {
        let said = KafkaError::MessageProduction;
        let unmade = KafkaError::ClientCreation("sasl.password: cannot read /p".to_owned());
        [
            (words::Error::Refused(said(Code::TopicAuthorizationFailed)), Exit::Refused),
            (words::Error::Refused(unmade), Exit::Config),
            (words::Error::Refused(said(Code::UnknownTopicOrPartition)), Exit::Unavailable),
            (words::Error::Unknown(said(Code::MessageTimedOut)), Exit::Unavailable),
        ]
    }

    #[test]
    fn a_right_that_is_refused_is_no_outage() {
        for (cause, exit) in answers() {
            let is_known = matches!(cause, words::Error::Refused(_));
            let brokers = "b:9092".to_owned();
            let failure = Failure::from(commands::Error::NotWritten { brokers, cause });
            assert_eq!(failure.exit, exit, "{failure:?}");
            let hint = failure.hint.unwrap();
            assert_eq!(hint.contains("all the same"), !is_known, "{hint}");
        }
        let (denied, _) = &answers()[0];
        let failure = unwritten("no".to_owned(), denied, "t");
        assert!(failure.hint.unwrap().contains("kafka-acls.md"));
    }
}
