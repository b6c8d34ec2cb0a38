//! What errors of the systems around mean for whoever stands at the command line.

use crate::{
    api::{self, RetryClass},
    app::Unusable,
    domain::refusals::may_ask,
    kafka::{reading, topics},
    publish::registry,
};

use super::{Exit, Failure, topics::UNCHANGED};

/// What to do where Kafka does not answer.
pub(super) const KAFKA_AWAY: &str =
    "check kafka.bootstrap_servers, the network, and security.protocol in kafka.properties";

/// What to do where Kafka refuses a login or a right.
pub(super) const KAFKA_REFUSED: &str = "check the login in kafka.properties (sasl.username, \
     sasl.password) and what it may do: docs/deploy/kafka-acls.md lists every right";

/// What to do where no client of Kafka can be made: whatever the brokers do, it is the settings.
pub(super) const KAFKA_UNMADE: &str = "the message names the setting or the file of \
     kafka.properties: check its path, owner, mode and what it holds";

/// The exit code of an API's error.
pub(super) fn exit_of_api(error: &api::Error) -> Exit {
    match error {
        api::Error::Secret { .. }
        | api::Error::Setup { .. }
        | api::Error::NotConfigured { .. }
        | api::Error::RefusalsNotKept { .. } => Exit::Config,
        api::Error::RateLimited { .. } => Exit::TryLater,
        _ => match error.retry_class() {
            RetryClass::Refused | RetryClass::LockedOut => Exit::Refused,
            RetryClass::Retry { .. } => Exit::Unavailable,
            RetryClass::DatesRequired | RetryClass::Permanent => Exit::Failed,
        },
    }
}

/// What to do about an API's error.
pub(super) fn hint_for_api(error: &api::Error) -> String {
    match error {
        api::Error::IpRefused { ip: Some(ip), .. } => {
            format!(
                "register {ip} with Vomsis: calls of this key are taken from known addresses only"
            )
        }
        api::Error::IpRefused { ip: None, .. } => {
            "register this machine's public address with Vomsis; it must be a static one".to_owned()
        }
        api::Error::Secret { .. } => {
            "write the secret into the file; check owner and mode".to_owned()
        }
        api::Error::TokenRefused { .. } => "compare the secret files with the portal; TOS is asked \
                                            no more after its second refusal, for five lock the key"
            .to_owned(),
        api::Error::LockedOut { refused, .. } if may_ask(*refused, true) => {
            "change the secret file: another secret is asked with at once; with this one, \
             --tos-again makes one more try"
                .to_owned()
        }
        api::Error::LockedOut { .. } => "change the secret file: one more refusal of this one \
                                         would lock the key, so --tos-again does nothing more"
            .to_owned(),
        api::Error::KeyLocked { .. } => {
            "have the bank unlock the key; then --tos-again asks once, and a running connector with \
             this state.dir goes on when that is granted"
                .to_owned()
        }
        api::Error::RefusalsNotKept { .. } => {
            "give the user of the connector a state.dir to write to (run creates it at start); \
             --tos-again asks once, uncounted"
                .to_owned()
        }
        api::Error::Connect { .. } => {
            "check base_url, DNS, the egress rules and any proxy".to_owned()
        }
        api::Error::Timeout { .. } => {
            "try again; raise timeouts.request if the API is only slow, else check the egress rules \
             and any proxy"
                .to_owned()
        }
        api::Error::Broken { .. } => {
            "the answer was cut short on its way: try again; if it stays so, look at what stands in \
             between, a proxy or firewall that limits size or time"
                .to_owned()
        }
        api::Error::Server { .. } | api::Error::RateLimited { .. } => {
            "the API has trouble or a limit of its own: try again later".to_owned()
        }
        api::Error::Redirected { .. }
        | api::Error::NotFound { .. }
        | api::Error::NotJson { .. } => {
            "compare base_url with config/full.yaml: something else answers there".to_owned()
        }
        _ => format!("docs/errors.md describes {}", error.event().code()),
    }
}

impl From<&api::Error> for Failure {
    fn from(error: &api::Error) -> Self {
        Self::new(exit_of_api(error), error.to_string()).hint(hint_for_api(error))
    }
}

/// What a run that has ended exits with: 78 only where the configuration is to be changed.
pub(super) fn ended(error: anyhow::Error) -> Failure {
    let message = format!("{error:#}");
    let failure = if error.is::<Unusable>() {
        Failure::new(Exit::Config, "")
    } else if let Some(error) = error.downcast_ref::<api::Error>() {
        Failure::from(error)
    } else {
        match error.downcast::<topics::Error>() {
            Ok(error) => error.into(),
            Err(error) => match error.downcast::<registry::Error>() {
                Ok(error) => error.into(),
                Err(_) => Failure::new(Exit::Failed, ""),
            },
        }
    };
    Failure { message, ..failure }
}

impl From<topics::Error> for Failure {
    fn from(error: topics::Error) -> Self {
        let refused = error.is_refused();
        match &error {
            topics::Error::Refused { .. } => {
                Self::new(Exit::Refused, error.to_string()).hint(KAFKA_REFUSED)
            }
            topics::Error::Setting { .. } => Self::new(Exit::Config, error.to_string())
                .hint("config validate names the key and what librdkafka has instead"),
            topics::Error::Unmade { .. } => {
                Self::new(Exit::Config, error.to_string()).hint(KAFKA_UNMADE)
            }
            topics::Error::Kafka { .. } => {
                Self::new(Exit::Unavailable, error.to_string()).hint(KAFKA_AWAY)
            }
            topics::Error::Tls { .. } => Self::new(Exit::Unavailable, error.to_string()).hint(
                "name the authority of the brokers' certificate in kafka.properties \
                 (ssl.ca.location), or let this machine trust it; brokers without TLS want \
                 security.protocol PLAINTEXT or SASL_PLAINTEXT",
            ),
            topics::Error::Create { .. } => {
                let (exit, hint) = if refused {
                    (Exit::Refused, KAFKA_REFUSED)
                } else {
                    let hint = "topics plan shows the topics as they must be; the broker's own log \
                                says more";
                    (Exit::Failed, hint)
                };
                Self::new(exit, error.to_string()).hint(hint)
            }
            topics::Error::TooFewBrokers { .. } => Self::new(Exit::Unavailable, error.to_string())
                .hint("start the missing brokers, or lower kafka.replication_factor"),
            topics::Error::Missing(_) => Self::new(Exit::Failed, error.to_string())
                .hint("topics apply creates what is missing"),
            topics::Error::Conflict(_) => Self::new(Exit::Failed, error.to_string())
                .hint(format!("topics plan shows every topic beside what is wanted; {UNCHANGED}")),
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
            _ if error.is_refused() => Self::new(Exit::Refused, message).hint(KAFKA_REFUSED),
            _ if error.is_unmade() => Self::new(Exit::Config, message).hint(KAFKA_UNMADE),
            reading::Error::Kafka { .. } => Self::new(Exit::Unavailable, message).hint(KAFKA_AWAY),
            reading::Error::Deadline { .. } => Self::new(Exit::Unavailable, message)
                .hint("docs/runbooks/VomsisRestoreSlow.md says how to find what holds it up"),
            reading::Error::Record { .. } => Self::new(Exit::Failed, message).hint(
                "written by a newer program, or by another one: read it with the newest version, and \
                 look who writes to this topic",
            ),
        }
    }
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        let message = error.to_string();
        match error {
            registry::Error::Unavailable { .. } => Self::new(Exit::Unavailable, message).hint(
                "check schema_registry.url and the network; over https this machine must trust \
                     the certificate's authority (SSL_CERT_FILE names another file of them)",
            ),
            registry::Error::WrongPath { .. } => Self::new(Exit::Unavailable, message).hint(
                "the path in schema_registry.url is wrong: something answers there, and it is not \
                 a registry's API",
            ),
            registry::Error::Denied { .. } => Self::new(Exit::Refused, message).hint(
                "compare the login or token with the registry's, and what it may do there: read, and \
                 with mode register also write",
            ),
            registry::Error::Secret { .. } => {
                Self::new(Exit::Config, message).hint("check the path, its owner and its mode")
            }
            registry::Error::Missing { .. } => {
                Self::new(Exit::Failed, message).hint("schemas register adds what is missing")
            }
            registry::Error::Refused { .. } => {
                Self::new(Exit::Failed, message).hint("schemas check names every difference")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn refused() -> registry::Error {
        let (url, subject) = ("http://r".to_owned(), "s-value".to_owned());
        registry::Error::Refused { url, subject, reason: "incompatible".to_owned() }
    }

    #[test]
    fn only_what_the_configuration_can_mend_exits_with_78() {
        let denied =
            registry::Error::Denied { url: "http://r".to_owned(), reason: "401".to_owned() };
        let cases = [
            (Unusable::new("key too short").into(), Exit::Config),
            (topics::Error::Conflict("3 partitions".to_owned()).into(), Exit::Failed),
            (
                topics::Error::Setting { source: rdkafka::error::KafkaError::Canceled }.into(),
                Exit::Config,
            ),
            (refused().into(), Exit::Failed),
            (denied.into(), Exit::Refused),
            (anyhow::anyhow!("a thread broke off"), Exit::Failed),
            (anyhow::Error::from(Unusable::new("x")).context("starting"), Exit::Config),
        ];
        for (error, exit) in cases {
            let said = format!("{error:#}");
            let failure = ended(error);
            assert_eq!((failure.exit, failure.message), (exit, said));
        }
        let sink: Result<(), _> = Err(std::io::Error::other("no thread")).context("the sink");
        assert_eq!(ended(sink.unwrap_err()).exit, Exit::Failed);
    }
}
