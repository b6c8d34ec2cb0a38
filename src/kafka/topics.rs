//! Topics: what there should be, what there is, and what to do about the difference.
//!
//! [`desired`] and [`plan`] are pure; [`actual`] and [`create`] ask the broker.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    metadata::MetadataTopic,
    types::RDKafkaErrorCode,
};
use serde::Serialize;

use crate::{config::model::Kafka, domain::ids::Stream, log_event, telemetry::events::Event};

use super::{
    context::Logging,
    settings::{Role, client_config},
};

const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Brokers that are there answer this one at once.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// Events of a client that found no broker: a few of each broker and try.
const EVENTS_MAX: usize = 100;

const CLEANUP: &str = "cleanup.policy";
const MIN_INSYNC: &str = "min.insync.replicas";
/// Brokers that must hold a record before it counts as written, where there are as many.
const MIN_INSYNC_REPLICAS: i32 = 2;

/// The assignment topic without its prefix.
pub const ASSIGNMENT: &str = "internal.assignment";
/// The state topic without its prefix.
pub const STATE: &str = "internal.state";
/// The topic of rows that cannot be mapped, without its prefix.
pub const QUARANTINE: &str = "quarantine";
/// The topic of rows that disappeared, without its prefix.
pub const DELETIONS: &str = "deletions";
/// The topic that payment commands arrive on, without its prefix.
pub const COMMANDS: &str = "payment.commands";
/// The topic of what became of payment commands, without its prefix.
pub const RESULTS: &str = "payment.results";
/// The topic of records that are no payment commands, without its prefix.
pub const REJECTED_COMMANDS: &str = "payment.commands.rejected";
/// The topic of the payment journal, without its prefix.
pub const JOURNAL: &str = "internal.payment-journal";

/// How a topic keeps its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cleanup {
    /// By age.
    Delete,
    /// The newest record of each key.
    Compact,
}

impl Cleanup {
    /// As the broker spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
        }
    }
}

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Desired {
    /// The full name.
    pub name: String,
    /// Partitions to create it with.
    pub partitions: i32,
    /// Whether another count than `partitions` breaks the protocol.
    pub partitions_fixed: bool,
    /// The topic that must have exactly as many partitions, wherever that is there already.
    #[serde(skip)]
    pub partitions_like: Option<String>,
    /// Cleanup policy; `None` where the topic holds no data.
    pub cleanup: Option<Cleanup>,
    /// `min.insync.replicas` to create it with; `None` where the topic holds no data.
    pub min_insync_replicas: Option<i32>,
    /// Whether losing its newest records would repeat rows or payments: state and journal.
    #[serde(skip)]
    pub holds_truth: bool,
}

/// A topic as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actual {
    /// Its partitions.
    pub partitions: i32,
    /// Replicas of the partition that has the fewest.
    pub replication: i32,
    /// Its `cleanup.policy`, as the broker spells it.
    pub cleanup: String,
    /// Its `min.insync.replicas`, where the broker tells it.
    pub min_insync_replicas: Option<i32>,
}

/// What to do about one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Step {
    /// It is as it should be.
    Keep {
        /// The topic.
        topic: Desired,
        /// What is there.
        found: Actual,
    },
    /// It is missing.
    Create {
        /// The topic.
        topic: Desired,
    },
    /// It is there and wrong; nothing is changed by itself.
    Conflict {
        /// The topic.
        topic: Desired,
        /// What is there.
        found: Actual,
        /// What is wrong, with both values.
        reason: String,
    },
}

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
    /// Creating a topic failed.
    #[error("creating topic {topic}: {code}; create it yourself or check the rights of the client")]
    Create {
        /// Which.
        topic: String,
        /// The broker's answer.
        code: RDKafkaErrorCode,
    },
    /// Topics are missing and must not be created.
    #[error("missing topics: {0}; run `topics apply`, or set kafka.manage_topics: true")]
    Missing(String),
    /// Topics are there and wrong.
    #[error("{0}")]
    Conflict(String),
}

impl Error {
    /// Whether waiting may help: brokers that have just started know neither their controller nor
    /// each other yet.
    pub fn is_transient(&self) -> bool {
        use RDKafkaErrorCode as Code;
        match self {
            // Rights and files are mended while the connector waits.
            Self::Kafka { .. } | Self::Refused { .. } => true,
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
            Self::Missing(_) | Self::Conflict(_) => false,
        }
    }

    /// Whether the brokers know the client and say no.
    pub fn is_refused(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Create { code, .. } => is_refusal(*code),
            Self::Kafka { .. } | Self::Missing(_) | Self::Conflict(_) => false,
        }
    }

    /// The code of its log line.
    pub fn event(&self) -> Event {
        match self {
            _ if self.is_refused() => Event::KafkaRefused,
            _ if self.is_transient() => Event::KafkaUnavailable,
            _ => Event::TopicMismatch,
        }
    }
}

/// Every topic of the deployment; those of payments only with the sink.
pub fn desired(kafka: &Kafka, payments: bool) -> Vec<Desired> {
    let topic = |suffix: &str, cleanup, partitions_fixed| Desired {
        name: kafka.topic(suffix),
        partitions: kafka.shards,
        partitions_fixed,
        partitions_like: None,
        cleanup,
        min_insync_replicas: cleanup.map(|_| MIN_INSYNC_REPLICAS.min(kafka.replication_factor)),
        holds_truth: suffix == STATE || suffix == JOURNAL,
    };
    let mut topics: Vec<Desired> = Stream::ALL
        .iter()
        .map(|stream| {
            let cleanup = if stream.is_reference() { Cleanup::Compact } else { Cleanup::Delete };
            topic(stream.topic_suffix(), Some(cleanup), false)
        })
        .collect();
    topics.push(topic(DELETIONS, Some(Cleanup::Delete), false));
    topics.push(topic(QUARANTINE, Some(Cleanup::Delete), false));
    topics.push(topic(ASSIGNMENT, None, true));
    topics.push(topic(STATE, Some(Cleanup::Compact), true));
    if payments {
        topics.push(topic(COMMANDS, Some(Cleanup::Delete), false));
        topics.push(topic(RESULTS, Some(Cleanup::Delete), false));
        topics.push(topic(REJECTED_COMMANDS, Some(Cleanup::Delete), false));
        let commands = Some(kafka.topic(COMMANDS));
        let journal = topic(JOURNAL, Some(Cleanup::Compact), false);
        topics.push(Desired { partitions_like: commands, ..journal });
    }
    topics
}

/// Compares what there should be with what there is.
pub fn plan(desired: &[Desired], actual: &BTreeMap<String, Actual>) -> Vec<Step> {
    desired
        .iter()
        .cloned()
        .map(|mut topic| {
            let pattern = topic.partitions_like.as_ref();
            let pattern = pattern.and_then(|name| Some((name, actual.get(name)?.partitions)));
            topic.partitions = pattern.map_or(topic.partitions, |(_, partitions)| partitions);
            match actual.get(&topic.name) {
                None => Step::Create { topic },
                Some(found) => match conflict(&topic, found, pattern) {
                    None => Step::Keep { topic, found: found.clone() },
                    Some(reason) => Step::Conflict { topic, found: found.clone(), reason },
                },
            }
        })
        .collect()
}

fn conflict(topic: &Desired, found: &Actual, pattern: Option<(&String, i32)>) -> Option<String> {
    if let Some((name, partitions)) = pattern
        && partitions != found.partitions
    {
        return Some(format!(
            "topic {} has {} partitions, {name} has {partitions}: both must have as many, because a command's journal lies in the partition of the same number",
            topic.name, found.partitions
        ));
    }
    if topic.partitions_fixed && found.partitions != topic.partitions {
        return Some(format!(
            "topic {} has {} partitions, kafka.shards wants {}",
            topic.name, found.partitions, topic.partitions
        ));
    }
    let wanted = topic.cleanup?.as_str();
    (found.cleanup != wanted).then(|| {
        format!("topic {} has cleanup.policy={}, wanted {wanted}", topic.name, found.cleanup)
    })
}

/// Why a topic that is as it must be may still lose what was committed; a warning, because the
/// brokers' defaults are the operator's.
pub fn weakness(step: &Step) -> Option<String> {
    let Step::Keep { topic, found } = step else { return None };
    let there = found.min_insync_replicas?;
    let is_weak =
        topic.holds_truth && found.replication > MIN_INSYNC_REPLICAS && there < MIN_INSYNC_REPLICAS;
    is_weak.then(|| {
        format!(
            "topic {} has min.insync.replicas={there} with {} replicas: what one broker alone \
             holds counts as committed, and is lost with it; set it to {MIN_INSYNC_REPLICAS}",
            topic.name, found.replication
        )
    })
}

/// Says no where topics conflict, or are missing and may not be created; else what to create.
pub fn check(steps: &[Step], may_create: bool) -> Result<Vec<Desired>, Error> {
    let mut conflicts = Vec::new();
    let mut missing = Vec::new();
    for step in steps {
        match step {
            Step::Keep { .. } => {}
            Step::Create { topic } => missing.push(topic.clone()),
            Step::Conflict { reason, .. } => conflicts.push(reason.clone()),
        }
    }
    if !conflicts.is_empty() {
        return Err(Error::Conflict(conflicts.join("; ")));
    }
    if !may_create && !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|topic| topic.name.as_str()).collect();
        return Err(Error::Missing(names.join(", ")));
    }
    Ok(missing)
}

fn admin(kafka: &Kafka) -> Result<AdminClient<Logging>, Error> {
    client_config(kafka, &Role::Admin)
        .and_then(|config| config.create_with_context(Logging))
        .map_err(|e| failed(kafka, e))
}

fn failed(kafka: &Kafka, source: KafkaError) -> Error {
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

/// Those of the topics that are there.
pub async fn actual(kafka: &Kafka, desired: &[Desired]) -> Result<BTreeMap<String, Actual>, Error> {
    let names: Vec<String> = desired.iter().map(|topic| topic.name.clone()).collect();
    let settings = kafka.clone();
    let sizes = tokio::task::spawn_blocking(move || sizes(&settings))
        .await
        .map_err(|_| failed(kafka, KafkaError::Canceled))??;
    let there: Vec<&String> = names.iter().filter(|name| sizes.contains_key(*name)).collect();
    let mut found = BTreeMap::new();
    if there.is_empty() {
        return Ok(found);
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
        found.insert(name.clone(), actual);
    }
    Ok(found)
}

/// Partitions and replicas of every topic there is. Blocks.
fn sizes(kafka: &Kafka) -> Result<BTreeMap<String, (i32, i32)>, Error> {
    let failed = |error| failed(kafka, error);
    let consumer: BaseConsumer<Logging> = client_config(kafka, &Role::Viewer)
        .and_then(|config| config.create_with_context(Logging))
        .map_err(failed)?;
    let metadata = consumer
        .fetch_metadata(None, METADATA_TIMEOUT)
        .map_err(|error| failed(refusal(&consumer).unwrap_or(error)))?;
    Ok(metadata.topics().iter().map(|t| (t.name().to_owned(), size_of(t))).collect())
}

/// What a client was told of a refused login. The call that waits for a broker only sees that none
/// can be used; why stands in an event, which an admin client does not hand out.
fn refusal(consumer: &BaseConsumer<Logging>) -> Option<KafkaError> {
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
    )
}

/// Partitions, and replicas of the partition that has the fewest.
fn size_of(topic: &MetadataTopic) -> (i32, i32) {
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
    (count(topic.partitions().len()), count(replicas.unwrap_or(0)))
}

/// Creates the topics; one that another replica created meanwhile is fine.
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
            let replication = TopicReplication::Fixed(kafka.replication_factor);
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
            Err((topic, code)) => return Err(Error::Create { topic, code }),
        }
    }
    Ok(())
}

/// What there should be beside what there is.
async fn steps(kafka: &Kafka, payments: bool) -> Result<Vec<Step>, Error> {
    let desired = desired(kafka, payments);
    Ok(plan(&desired, &actual(kafka, &desired).await?))
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
