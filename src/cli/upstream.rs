//! What errors of the systems around mean for whoever stands at the command line.

use crate::{
    kafka::{reading, topics},
    publish::registry,
};

use super::{Exit, Failure};

impl From<topics::Error> for Failure {
    fn from(error: topics::Error) -> Self {
        let refused = error.is_refused();
        match &error {
            topics::Error::Kafka { .. } if refused => Self::new(Exit::Refused, error.to_string())
                .hint("check kafka.properties and the rights of the user"),
            topics::Error::Kafka { .. } => Self::new(Exit::Unavailable, error.to_string()).hint(
                "check kafka.bootstrap_servers, the network, and security.protocol in \
                 kafka.properties",
            ),
            topics::Error::Create { .. } => {
                let exit = if refused { Exit::Refused } else { Exit::Failed };
                Self::new(exit, error.to_string())
            }
            topics::Error::Missing(_) | topics::Error::Conflict(_) => {
                Self::new(Exit::Failed, error.to_string())
            }
        }
    }
}

impl From<reading::Error> for Failure {
    fn from(error: reading::Error) -> Self {
        let message = error.to_string();
        match error {
            _ if error.is_missing_topic() => Self::new(Exit::Failed, message).hint(
                "nothing was ever committed under this kafka.topic_prefix; topics plan shows what \
                 is there",
            ),
            reading::Error::Kafka { .. } | reading::Error::Deadline { .. } => {
                Self::new(Exit::Unavailable, message)
                    .hint("check kafka.bootstrap_servers and the network")
            }
            reading::Error::Record { .. } => Self::new(Exit::Failed, message),
        }
    }
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        let message = error.to_string();
        match error {
            registry::Error::Unavailable { .. } => Self::new(Exit::Unavailable, message)
                .hint("check schema_registry.url and the network"),
            registry::Error::Denied { .. } => Self::new(Exit::Refused, message),
            registry::Error::Secret { .. } => {
                Self::new(Exit::Config, message).hint("check the path, its owner and its mode")
            }
            registry::Error::Missing { .. } | registry::Error::Refused { .. } => {
                Self::new(Exit::Failed, message)
            }
        }
    }
}
