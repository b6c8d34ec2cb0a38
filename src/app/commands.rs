//! Payment commands as operators read them and decide about them, whichever way they ask: the command
//! line and the admin listener share this.

pub mod admin;
pub mod compare;
pub mod duplicates;
pub mod list;
pub mod resolve;
pub mod story;

use uuid::Uuid;

use crate::{
    api,
    config::model::Kafka,
    domain::ids::ConnectionId,
    kafka::reading,
    sink::{
        command::CommandKey,
        inspect::{self, Inspected, Told},
    },
};

/// Why a question about commands has no answer, or a decision is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal is not to be read.
    #[error(transparent)]
    Journal(#[from] reading::Error),
    /// No such command.
    #[error("the journal has no command {0}")]
    Unknown(Uuid),
    /// One id stands for commands of several payments.
    #[error("the id {0} was used for several references")]
    Ambiguous(Uuid),
    /// Nobody is needed.
    #[error("command {id} is {status}, not PARKED")]
    NotParked {
        /// The command.
        id: Uuid,
        /// How it stands.
        status: &'static str,
    },
    /// Somebody was quicker, and no sink has acted on it yet.
    #[error(
        "command {id}: {actor} has decided otherwise at {at}, which no sink has acted on yet: {outcome} will be published, because the first decision counts"
    )]
    Decided {
        /// The command.
        id: Uuid,
        /// What will be published.
        outcome: &'static str,
        /// Who decided.
        actor: String,
        /// When.
        at: String,
    },
    /// The first decision is the last word.
    #[error("command {id}: somebody else has decided otherwise: {published} stands")]
    Overruled {
        /// The command.
        id: Uuid,
        /// What was published.
        published: &'static str,
    },
    /// The connection of a command is not configured here.
    #[error("connection {0} is not configured")]
    NotConfigured(ConnectionId),
    /// The decision was not acknowledged.
    #[error("kafka at {brokers}: {cause}")]
    NotWritten {
        /// The brokers.
        brokers: String,
        /// What the client says.
        cause: String,
    },
    /// The API did not tell.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// A thread of this program broke off.
    #[error("reading the journal broke off: {0}")]
    Broke(String),
}

/// The journal, read whole.
///
/// # Errors
/// Where it cannot be read to its end.
pub async fn journal(kafka: &Kafka) -> Result<Inspected, Error> {
    let kafka = kafka.clone();
    let read = tokio::task::spawn_blocking(move || inspect::read(&kafka)).await;
    Ok(read.map_err(|error| Error::Broke(error.to_string()))??)
}

/// The one command of an id.
///
/// # Errors
/// None, or one of each of several references.
pub fn the_one(journal: &Inspected, id: Uuid) -> Result<(&CommandKey, &Told), Error> {
    let mut found = journal.commands.iter().filter(|(key, _)| key.command_id == id);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Error::Unknown(id)),
        (Some(_), Some(_)) => Err(Error::Ambiguous(id)),
    }
}
