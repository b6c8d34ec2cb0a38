//! Topics: what there should be, what there is, and what to do about the difference.
//!
//! [`fn@desired`] and [`fn@plan`] are pure; [`actual`] and [`create`] ask the broker.

mod desired;
mod plan;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    metadata::MetadataTopic,
    types::RDKafkaErrorCode,
};

use crate::{config::model::Kafka, log_event, telemetry::events::Event};

use super::{
    context::{Handshakes, Logging},
    settings::{Role, client_config, is_unmade},
};

pub use self::{
    desired::{
        ASSIGNMENT, COMMANDS, Cleanup, DELETIONS, Desired, JOURNAL, QUARANTINE, REJECTED_COMMANDS,
        RESULTS, STATE, desired,
    },
    plan::{Actual, Step, check, other_replication, plan, too_few_brokers, weakness},
};

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Brokers that are up.
    pub brokers: i32,
    /// Those of the topics that are there.
    pub topics: BTreeMap<String, Actual>,
}

const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Brokers that are there answer this one at once.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// How long new topics may take to be known to the brokers.
const SHOWN_WITHIN: Duration = Duration::from_secs(15);
/// Events of a client that found no broker: a few of each broker and try.
const EVENTS_MAX: usize = 100;

/// Brokers that are asked for one topic answer at once, or whoever writes to it will say why not.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often, and after which pause, a topic is looked for that may have been made just now.
const LOOKS: u32 = 3;
const LOOK_PAUSE: Duration = Duration::from_millis(300);

const CLEANUP: &str = "cleanup.policy";
const MIN_INSYNC: &str = "min.insync.replicas";

/// Why topics are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Kafka refused or did not answer.
    #[error("kafka at {bootstrap_servers}: {source}")]
    Kafka {
        /// Where.
        bootstrap_servers: String,
        /// What it says.
        source: KafkaError,
    },
    /// Kafka knows the client and says no, or does not know it.
    #[error(
        "kafka at {bootstrap_servers} refuses access: {source}; check kafka.properties, the files \
         it names and the rights of the user"
    )]
    Refused {
        /// Where.
        bootstrap_servers: String,
        /// What it says.
        source: KafkaError,
    },
    /// librdkafka refuses a setting, whatever the brokers do.
    #[error("{source}; mend it in kafka.properties, or the file that it names")]
    Setting {
        /// Which, and why; without its value.
        source: KafkaError,
    },
    /// No client can be made: a file that the settings name cannot be read, or used.
    #[error("no client of kafka can be made: {source}; mend the file, or kafka.properties")]
    Unmade {
        /// Which file, and why.
        source: KafkaError,
    },
    /// A connection stands, and TLS does not.
    #[error("kafka at {bootstrap_servers}: {reason}")]
    Tls {
        /// Where.
        bootstrap_servers: String,
        /// What the client says: which broker, and what is wrong with its certificate.
        reason: String,
    },
    /// Creating a topic failed.
    #[error("creating topic {topic}: {code}; create it yourself or check the rights of the client")]
    Create {
        /// Which.
        topic: String,
        /// The broker's answer.
        code: RDKafkaErrorCode,
    },
    /// A topic is to have more replicas than there are brokers at present.
    #[error(
        "creating topic {topic}: kafka.replication_factor wants {replicas} replicas, and fewer \
         brokers are registered; start the missing ones, or lower kafka.replication_factor"
    )]
    TooFewBrokers {
        /// Which.
        topic: String,
        /// Replicas that it is to have.
        replicas: i32,
    },
    /// Topics are missing and must not be created.
    #[error("missing topics: {0}; run `topics apply`, or set kafka.manage_topics: true")]
    Missing(String),
    /// Topics are there and wrong: a line each, with all that is wrong with it.
    #[error("{0}")]
    Conflict(String),
}

impl Error {
    /// Whether waiting may help: brokers that have just started know neither their controller nor
    /// each other yet, and some may be starting still.
    pub fn is_transient(&self) -> bool {
        use RDKafkaErrorCode as Code;
        match self {
            // Rights and files are mended while the connector waits.
            Self::Kafka { .. }
            | Self::Refused { .. }
            | Self::Unmade { .. }
            | Self::Tls { .. }
            | Self::TooFewBrokers { .. } => true,
            Self::Create { code, .. } => matches!(
                code,
                Code::RequestTimedOut
                    | Code::OperationTimedOut
                    | Code::NotController
                    | Code::CoordinatorNotAvailable
                    | Code::BrokerNotAvailable
                    | Code::LeaderNotAvailable
                    | Code::NetworkException
                    | Code::ThrottlingQuotaExceeded
            ),
            Self::Setting { .. } | Self::Missing(_) | Self::Conflict(_) => false,
        }
    }

    /// Whether the brokers know the client and say no.
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Create { code, .. } => is_refusal(*code),
            Self::Kafka { .. }
            | Self::Setting { .. }
            | Self::Unmade { .. }
            | Self::Tls { .. }
            | Self::TooFewBrokers { .. }
            | Self::Missing(_)
            | Self::Conflict(_) => false,
        }
    }

    /// The code of its log line.
    pub fn event(&self) -> Event {
        match self {
            _ if self.is_refused() => Event::KafkaRefused,
            Self::Setting { .. } => Event::KafkaSetting,
            Self::Unmade { .. } => Event::KafkaFile,
            Self::TooFewBrokers { .. } => Event::TooFewBrokers,
            _ if self.is_transient() => Event::KafkaUnavailable,
            _ => Event::TopicMismatch,
        }
    }
}

fn admin(kafka: &Kafka) -> Result<AdminClient<Logging>, Error> {
    client_config(kafka, &Role::Admin)
        .and_then(|config| config.create_with_context(Logging))
        .map_err(|e| failed(kafka, e))
}

fn failed(kafka: &Kafka, source: KafkaError) -> Error {
    if matches!(source, KafkaError::ClientConfig(..)) {
        return Error::Setting { source };
    }
    if is_unmade(&source) {
        return Error::Unmade { source };
    }
    let bootstrap_servers = kafka.bootstrap_servers.clone();
    let code = match &source {
        KafkaError::AdminOp(code) => Some(*code),
        source => source.rdkafka_error_code(),
    };
    match code {
        Some(code) if is_refusal(code) => Error::Refused { bootstrap_servers, source },
        _ => Error::Kafka { bootstrap_servers, source },
    }
}

/// The brokers, and those of the topics that are there.
pub async fn actual(kafka: &Kafka, desired: &[Desired]) -> Result<Cluster, Error> {
    let names: Vec<String> = desired.iter().map(|topic| topic.name.clone()).collect();
    let settings = kafka.clone();
    let (brokers, sizes) = tokio::task::spawn_blocking(move || sizes(&settings))
        .await
        .map_err(|_| failed(kafka, KafkaError::Canceled))??;
    let there: Vec<&String> = names.iter().filter(|name| sizes.contains_key(*name)).collect();
    let mut topics = BTreeMap::new();
    if there.is_empty() {
        return Ok(Cluster { brokers, topics });
    }
    let admin = admin(kafka)?;
    let resources: Vec<_> = there.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(CALL_TIMEOUT));
    let configs =
        admin.describe_configs(&resources, &options).await.map_err(|e| failed(kafka, e))?;
    for (name, config) in there.into_iter().zip(configs) {
        let config = config.map_err(|code| failed(kafka, KafkaError::AdminOp(code)))?;
        let entries = config.entry_map();
        let value = |key| entries.get(key).and_then(|entry| entry.value.clone());
        let cleanup = value(CLEANUP).unwrap_or_default();
        let min_insync_replicas = value(MIN_INSYNC).and_then(|value| value.parse().ok());
        let (partitions, replication) = sizes.get(name).copied().unwrap_or_default();
        let actual = Actual { partitions, replication, cleanup, min_insync_replicas };
        topics.insert(name.clone(), actual);
    }
    Ok(Cluster { brokers, topics })
}

/// Partitions and replicas by topic.
type Sizes = BTreeMap<String, (i32, i32)>;

/// How many brokers are up; partitions and replicas of every topic there is. Blocks.
fn sizes(kafka: &Kafka) -> Result<(i32, Sizes), Error> {
    let failed = |error| failed(kafka, error);
    let consumer: BaseConsumer<Handshakes> = client_config(kafka, &Role::Viewer)
        .and_then(|config| config.create_with_context(Handshakes::default()))
        .map_err(failed)?;
    let metadata = consumer.fetch_metadata(None, METADATA_TIMEOUT).map_err(|error| {
        let refused = refusal(&consumer);
        match consumer.context().failed() {
            Some(reason) if refused.is_none() => {
                Error::Tls { bootstrap_servers: kafka.bootstrap_servers.clone(), reason }
            }
            _ => failed(refused.unwrap_or(error)),
        }
    })?;
    let sizes = metadata.topics().iter().map(|t| (t.name().to_owned(), size_of(t)));
    Ok((count(metadata.brokers().len()), sizes.collect()))
}

/// Whether the brokers say that there is no such topic. Whoever writes to one that is not there hears
/// of a time-out after half a minute, or has it made by brokers that make topics of their own. Where
/// they say something else, or nothing, it is not missing.
pub async fn is_missing(kafka: &Kafka, topic: &str) -> bool {
    let (kafka, topic) = (kafka.clone(), topic.to_owned());
    let looked = tokio::task::spawn_blocking(move || look_for(&kafka, &topic));
    matches!(looked.await, Ok(Ok(false)))
}

/// Whether a topic is there. Blocks.
fn look_for(kafka: &Kafka, topic: &str) -> Result<bool, KafkaError> {
    let config = client_config(kafka, &Role::Viewer)?;
    let consumer: BaseConsumer<Logging> = config.create_with_context(Logging)?;
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(LOOK_PAUSE);
        }
        let metadata = consumer.fetch_metadata(Some(topic), LOOK_TIMEOUT)?;
        let error = metadata.topics().iter().find_map(MetadataTopic::error);
        match error.map(RDKafkaErrorCode::from) {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {}
            Some(error) => return Err(KafkaError::MetadataFetch(error)),
            None => return Ok(true),
        }
    }
    Ok(false)
}

/// What a client was told of a refused login. The call that waits for a broker only sees that none
/// can be used; why stands in an event, which an admin client does not hand out.
fn refusal(consumer: &BaseConsumer<Handshakes>) -> Option<KafkaError> {
    let events = (0..EVENTS_MAX).map_while(|_| consumer.poll(Duration::from_millis(10)));
    let mut errors = events.filter_map(Result::err);
    errors.find(|error| error.rdkafka_error_code().is_some_and(is_refusal))
}

/// Whether the brokers refuse the client itself; waiting does not help against it.
pub(super) const fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
    )
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// Partitions, and replicas of the partition that has the fewest.
fn size_of(topic: &MetadataTopic) -> (i32, i32) {
    let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
    (count(topic.partitions().len()), count(replicas.unwrap_or(0)))
}

/// Creates the topics; one that another replica created meanwhile is fine. Returns when brokers show
/// them.
pub async fn create(kafka: &Kafka, topics: &[Desired]) -> Result<(), Error> {
    if topics.is_empty() {
        return Ok(());
    }
    let admin = admin(kafka)?;
    let in_sync: Vec<Option<String>> = topics
        .iter()
        .map(|topic| topic.min_insync_replicas.map(|replicas| replicas.to_string()))
        .collect();
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .zip(&in_sync)
        .map(|(topic, in_sync)| {
            let replication = TopicReplication::Fixed(topic.replication);
            let mut new = NewTopic::new(&topic.name, topic.partitions, replication);
            if let Some(cleanup) = topic.cleanup {
                new = new.set(CLEANUP, cleanup.as_str());
            }
            match in_sync {
                Some(replicas) => new.set(MIN_INSYNC, replicas),
                None => new,
            }
        })
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(CALL_TIMEOUT))
        .operation_timeout(Some(CALL_TIMEOUT));
    for result in admin.create_topics(&new, &options).await.map_err(|e| failed(kafka, e))? {
        match result {
            Ok(topic) => log_event!(Event::TopicCreated, topic, "topic created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(not_created(topic, code, kafka.replication_factor)),
        }
    }
    wait_until_shown(kafka, topics).await
}

/// The controller knows new topics before the brokers do, and whoever asks a broker next should find
/// them. Where it takes longer than [`SHOWN_WITHIN`], nobody waits for it.
async fn wait_until_shown(kafka: &Kafka, topics: &[Desired]) -> Result<(), Error> {
    let begun = Instant::now();
    while begun.elapsed() < SHOWN_WITHIN {
        let settings = kafka.clone();
        let (_, sizes) = tokio::task::spawn_blocking(move || sizes(&settings))
            .await
            .map_err(|_| failed(kafka, KafkaError::Canceled))??;
        let is_shown = |topic: &Desired| sizes.get(&topic.name).is_some_and(|size| size.0 > 0);
        if topics.iter().all(is_shown) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// What the broker's answer to a creation means.
fn not_created(topic: String, code: RDKafkaErrorCode, replicas: i32) -> Error {
    match code {
        RDKafkaErrorCode::InvalidReplicationFactor => Error::TooFewBrokers { topic, replicas },
        code => Error::Create { topic, code },
    }
}

/// What there should be beside what there is.
async fn steps(kafka: &Kafka, payments: bool) -> Result<Vec<Step>, Error> {
    let desired = desired(kafka, payments);
    Ok(plan(&desired, &actual(kafka, &desired).await?.topics))
}

/// Whether [`ensure`] can bring the topics to what there should be; changes nothing.
///
/// # Errors
/// As [`ensure`], apart from what the broker says to a creation.
pub async fn inspect(kafka: &Kafka, payments: bool) -> Result<(), Error> {
    check(&steps(kafka, payments).await?, kafka.manage_topics).map(drop)
}

/// Brings the topics to what there should be, and checks what was there already.
pub async fn ensure(kafka: &Kafka, payments: bool) -> Result<(), Error> {
    let steps = steps(kafka, payments).await?;
    for weakness in steps.iter().filter_map(weakness) {
        log_event!(Event::TopicWeak, "{weakness}");
    }
    create(kafka, &check(&steps, kafka.manage_topics)?).await
}

#[cfg(test)]
#[path = "topics_tests.rs"]
mod tests;
