//! Payment commands as operators read them and decide about them, whichever way they ask: the command
//! line and the admin listener share this.

pub mod admin;
pub mod compare;
pub mod duplicates;
pub mod list;
pub mod resolve;
pub mod story;

use std::{collections::BTreeMap, fmt};

use uuid::Uuid;

use crate::{
    api,
    config::model::Kafka,
    domain::ids::ConnectionId,
    kafka::reading,
    sink::{
        command::CommandKey,
        inspect::{self, Inspected, Told, Words},
        journal::Entry,
        words,
    },
};

/// Payments that are named where one id was used for several.
const NAMED_MAX: usize = 5;

/// Which command is meant. Its id is enough, unless that was used for several payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meant {
    /// The id that its sender chose.
    pub id: Uuid,
    /// Of which connection.
    pub connection: Option<String>,
    /// Of which payment.
    pub reference: Option<String>,
}

impl Meant {
    /// This command and no other.
    pub fn exactly(key: &CommandKey) -> Self {
        Self {
            id: key.command_id,
            connection: Some(key.connection.to_string()),
            reference: Some(key.reference_no.to_string()),
        }
    }

    fn fits(&self, key: &CommandKey) -> bool {
        self.id == key.command_id
            && self.connection.as_ref().is_none_or(|id| *id == key.connection.as_str())
            && self.reference.as_ref().is_none_or(|no| **no == *key.reference_no)
    }
}

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        for (name, text) in [("connection", &self.connection), ("reference", &self.reference)] {
            if let Some(text) = text {
                write!(f, " of {name} {}", words::shown(text))?;
            }
        }
        Ok(())
    }
}

/// The command that is meant, and what people said.
#[derive(Debug)]
pub struct Found {
    /// Its story.
    pub told: Told,
    /// What people said.
    pub words: Words,
}

/// Why a question about commands has no answer, or a decision is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal is not to be read.
    #[error(transparent)]
    Journal(#[from] reading::Error),
    /// No such command.
    #[error("the journal has no command {0}")]
    Unknown(Meant),
    /// One id stands for commands of several payments.
    #[error(
        "the id {id} was used for several payments: {payments}; name the one that is meant by its reference, and by its connection where two have the same reference"
    )]
    Ambiguous {
        /// The id.
        id: Uuid,
        /// Some of them, and how each command stands.
        payments: String,
    },
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
        /// What the client says, and whether it may be written all the same.
        cause: words::Error,
    },
    /// The API did not tell.
    #[error(transparent)]
    Api(#[from] api::Error),
    /// A thread of this program broke off.
    #[error("reading the journal broke off: {0}")]
    Broke(String),
}

/// The commands of the journal that are wanted, and no others in memory.
///
/// # Errors
/// Where it cannot be read to its end.
pub async fn journal(
    kafka: &Kafka,
    is_wanted: impl Fn(&Entry) -> bool + Send + 'static,
) -> Result<Inspected, Error> {
    let kafka = kafka.clone();
    aside(move || inspect::read(&kafka, is_wanted)).await
}

/// What a reading tells, done where it blocks nobody.
async fn aside<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, reading::Error> + Send + 'static,
) -> Result<T, Error> {
    let read = tokio::task::spawn_blocking(read).await;
    Ok(read.map_err(|error| Error::Broke(error.to_string()))??)
}

/// The one command that is meant.
///
/// # Errors
/// None, or one of each of several payments; a journal that cannot be read.
pub async fn find(kafka: &Kafka, meant: &Meant) -> Result<Found, Error> {
    let wanted = meant.clone();
    let Inspected { commands, words } =
        journal(kafka, move |entry| wanted.fits(entry.key())).await?;
    the_one(commands, meant).map(|told| Found { told, words })
}

fn the_one(commands: BTreeMap<CommandKey, Told>, meant: &Meant) -> Result<Told, Error> {
    if commands.len() > 1 {
        let named = commands.iter().take(NAMED_MAX).map(|(key, told)| {
            let (connection, reference) = (key.shown_connection(), key.shown_reference());
            format!("{connection}/{reference} ({})", told.entry.status().word())
        });
        let mut payments = named.collect::<Vec<_>>().join(", ");
        if commands.len() > NAMED_MAX {
            payments.push_str(&format!(" and {} more", commands.len() - NAMED_MAX));
        }
        return Err(Error::Ambiguous { id: meant.id, payments });
    }
    commands.into_values().next().ok_or_else(|| Error::Unknown(meant.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests::{card, key_of, received_as, refund, rejected, story_of};

    fn meant(n: u128, reference: Option<&str>) -> Meant {
        Meant {
            id: key_of("any", n).command_id,
            connection: None,
            reference: reference.map(str::to_owned),
        }
    }

    /// Commands of one id, one of each of these payments; those that the question lets through.
    fn found(references: &[&str], meant: &Meant) -> Result<String, String> {
        let entries = references.iter().map(|reference| {
            story_of(received_as(key_of(reference, 1), refund("10.00")), [rejected()])
        });
        let commands = entries
            .filter(|entry| meant.fits(entry.key()))
            .map(|entry| (entry.key().clone(), Told { entry, partition: 0 }))
            .collect();
        let told = the_one(commands, meant).map_err(|error| error.to_string())?;
        Ok(told.entry.key().reference_no.to_string())
    }

    #[test]
    fn an_id_that_was_used_for_several_payments_needs_the_reference() {
        let id = meant(1, None).id;
        assert_eq!(found(&["R-1"], &meant(1, None)), Ok("R-1".to_owned()));
        let several = found(&["R-1", "R-2"], &meant(1, None)).unwrap_err();
        for word in [&id.to_string(), "acme/R-1 (REJECTED), acme/R-2 (REJECTED)", "reference"] {
            assert!(several.contains(word), "{word}: {several}");
        }
        assert_eq!(found(&["R-1", "R-2"], &meant(1, Some("R-2"))), Ok("R-2".to_owned()));
        let none = found(&["R-1", "R-2"], &meant(1, Some("R-3"))).unwrap_err();
        assert_eq!(none, format!("the journal has no command {id} of reference R-3"));
        let many: Vec<String> = (0..8).map(|n| format!("R-{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let several = found(&many, &meant(1, None)).unwrap_err();
        assert!(several.contains("R-4") && several.contains(" and 3 more"), "{several}");
        assert!(!several.contains("R-5"), "{several}");
    }

    #[test]
    fn a_command_is_meant_exactly_by_its_key() {
        let key = key_of("R-1", 1);
        let exactly = Meant::exactly(&key);
        assert!(exactly.fits(&key));
        assert!(!exactly.fits(&key_of("R-2", 1)) && !exactly.fits(&key_of("R-1", 2)));
        let other = Meant { connection: Some("beta".to_owned()), ..exactly };
        assert!(!other.fits(&key));
    }

    #[test]
    fn cards_in_references_are_not_repeated() {
        let card = card();
        let several = found(&[&card, "R-2"], &meant(1, None)).unwrap_err();
        let none = found(&[], &meant(1, Some(&card))).unwrap_err();
        assert!(!several.contains(&card) && !none.contains(&card), "{several} {none}");
    }
}
