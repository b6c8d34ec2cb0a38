//! Topics: what there should be, what there is, and what to do about the difference.
//!
//! [`desired`] and [`plan`] are pure; [`actual`] and [`create`] ask the broker.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
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
            Self::Kafka { .. } => true,
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
        let code = match self {
            Self::Kafka { source, .. } => source.rdkafka_error_code(),
            Self::Create { code, .. } => Some(*code),
            Self::Missing(_) | Self::Conflict(_) => None,
        };
        matches!(
            code,
            Some(
                RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::SaslAuthenticationFailed
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::ClusterAuthorizationFailed
            )
        )
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
    Error::Kafka { bootstrap_servers: kafka.bootstrap_servers.clone(), source }
}

/// Those of the topics that are there.
pub async fn actual(kafka: &Kafka, desired: &[Desired]) -> Result<BTreeMap<String, Actual>, Error> {
    let admin = admin(kafka)?;
    let names: Vec<String> = desired.iter().map(|topic| topic.name.clone()).collect();
    let (admin, sizes) = {
        let settings = kafka.clone();
        // Metadata is a blocking call of librdkafka.
        tokio::task::spawn_blocking(move || {
            let metadata = admin
                .inner()
                .fetch_metadata(None, METADATA_TIMEOUT)
                .map_err(|e| failed(&settings, e))?;
            let there: BTreeMap<String, (i32, i32)> =
                metadata.topics().iter().map(|t| (t.name().to_owned(), size_of(t))).collect();
            Ok::<_, Error>((admin, there))
        })
        .await
        .map_err(|_| failed(kafka, KafkaError::Canceled))??
    };
    let there: Vec<&String> = names.iter().filter(|name| sizes.contains_key(*name)).collect();
    let mut found = BTreeMap::new();
    if there.is_empty() {
        return Ok(found);
    }
    let resources: Vec<_> = there.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(CALL_TIMEOUT));
    let configs =
        admin.describe_configs(&resources, &options).await.map_err(|e| failed(kafka, e))?;
    for (name, config) in there.into_iter().zip(configs) {
        let config = config.map_err(|code| failed(kafka, KafkaError::AdminOp(code)))?;
        let cleanup = config
            .entry_map()
            .get("cleanup.policy")
            .and_then(|entry| entry.value.clone())
            .unwrap_or_default();
        let (partitions, replication) = sizes.get(name).copied().unwrap_or_default();
        found.insert(name.clone(), Actual { partitions, replication, cleanup });
    }
    Ok(found)
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
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| {
            let replication = TopicReplication::Fixed(kafka.replication_factor);
            let new = NewTopic::new(&topic.name, topic.partitions, replication);
            match topic.cleanup {
                Some(cleanup) => new.set("cleanup.policy", cleanup.as_str()),
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

/// Brings the topics to what there should be, and checks what was there already.
pub async fn ensure(kafka: &Kafka, payments: bool) -> Result<(), Error> {
    let desired = desired(kafka, payments);
    let steps = plan(&desired, &actual(kafka, &desired).await?);
    create(kafka, &check(&steps, kafka.manage_topics)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(partitions_fixed: bool) -> Desired {
        Desired {
            name: "vomsis.x".into(),
            partitions: 8,
            partitions_fixed,
            partitions_like: None,
            cleanup: Some(Cleanup::Compact),
        }
    }

    fn found(partitions: i32, cleanup: &str) -> BTreeMap<String, Actual> {
        let found = Actual { partitions, replication: 1, cleanup: cleanup.into() };
        [("vomsis.x".to_owned(), found)].into()
    }

    #[test]
    fn a_missing_topic_is_created_only_where_that_is_allowed() {
        let steps = plan(&[topic(true)], &BTreeMap::new());
        assert_eq!(check(&steps, true).unwrap(), [topic(true)]);
        assert!(matches!(check(&steps, false), Err(Error::Missing(names)) if names == "vomsis.x"));
    }

    #[test]
    fn conflicts_name_both_values() {
        let wrong = check(&plan(&[topic(true)], &found(3, "compact")), true).unwrap_err();
        assert!(wrong.to_string().contains("3 partitions"), "{wrong}");
        assert!(wrong.to_string().contains("wants 8"), "{wrong}");
        let wrong = check(&plan(&[topic(true)], &found(8, "delete")), true).unwrap_err();
        assert!(wrong.to_string().contains("cleanup.policy=delete, wanted compact"), "{wrong}");
    }

    #[test]
    fn the_journal_has_as_many_partitions_as_the_commands() {
        let journal = Desired { partitions_like: Some("vomsis.c".into()), ..topic(false) };
        let mut there = found(8, "compact");
        let commands = Actual { partitions: 3, replication: 1, cleanup: "delete".into() };
        there.insert("vomsis.c".into(), commands);
        let wrong =
            check(&plan(std::slice::from_ref(&journal), &there), true).unwrap_err().to_string();
        assert!(wrong.contains("has 8 partitions") && wrong.contains("vomsis.c has 3"), "{wrong}");
        there.remove("vomsis.x");
        assert_eq!(check(&plan(&[journal], &there), true).unwrap()[0].partitions, 3);
    }

    #[test]
    fn event_topics_may_have_any_number_of_partitions() {
        let steps = plan(&[topic(false)], &found(3, "compact"));
        assert_eq!(check(&steps, false).unwrap(), []);
    }
}
