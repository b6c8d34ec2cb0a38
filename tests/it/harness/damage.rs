//! What can happen to a topic behind the connector's back.

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier},
};

use super::{
    topics::{admin, block_on, create_topic},
    wait::{GENEROUS, wait_until},
};

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(GENEROUS)).request_timeout(Some(GENEROUS))
}

/// How many partitions a topic has; none where there is no topic.
pub(crate) fn partitions(brokers: &str, topic: &str) -> usize {
    let admin = admin(brokers);
    let metadata = admin.inner().fetch_metadata(Some(topic), GENEROUS).unwrap();
    metadata.topics().first().map_or(0, |topic| topic.partitions().len())
}

/// Deletes a topic.
#[track_caller]
pub(crate) fn delete(brokers: &str, topic: &str) {
    block_on(admin(brokers).delete_topics(&[topic], &options())).unwrap()[0].as_ref().unwrap();
    wait_until("the topic is gone", GENEROUS, || partitions(brokers, topic) == 0);
}

/// Deletes a topic and makes an empty one of its name.
#[track_caller]
pub(crate) fn recreate(brokers: &str, topic: &str, count: i32, policy: &str) {
    delete(brokers, topic);
    create_topic(brokers, topic, count, &[("cleanup.policy", policy)]);
    wait_until("the topic is there", GENEROUS, || {
        i32::try_from(partitions(brokers, topic)) == Ok(count)
    });
}

/// Gives a topic more partitions.
#[track_caller]
pub(crate) fn widen(brokers: &str, topic: &str, count: usize) {
    let more = NewPartitions::new(topic, count);
    block_on(admin(brokers).create_partitions(&[more], &options())).unwrap()[0].as_ref().unwrap();
    wait_until("there are more", GENEROUS, || partitions(brokers, topic) == count);
}

/// Changes how a topic keeps its records, and waits until a broker says so: the controller knows it
/// first.
#[track_caller]
pub(crate) fn set_policy(brokers: &str, topic: &str, policy: &str) {
    let (admin, resource) = (admin(brokers), ResourceSpecifier::Topic(topic));
    let config = AlterConfig::new(resource).set("cleanup.policy", policy);
    block_on(admin.alter_configs(&[config], &options())).unwrap()[0].as_ref().unwrap();
    wait_until("the policy is in force", GENEROUS, || {
        let shown = block_on(admin.describe_configs(&[resource], &options())).unwrap();
        let shown = shown[0].as_ref().unwrap().entry_map();
        shown.get("cleanup.policy").is_some_and(|entry| entry.value.as_deref() == Some(policy))
    });
}

/// Deletes the first records of each partition, or all of them, of a compacted topic: that is
/// forbidden while it is one.
#[track_caller]
pub(crate) fn cut(brokers: &str, topic: &str, count: i32, up_to: Offset) {
    set_policy(brokers, topic, "delete");
    delete_records(brokers, topic, count, up_to);
    set_policy(brokers, topic, "compact");
}

/// Deletes the first records of each partition, or all of them.
#[track_caller]
pub(crate) fn delete_records(brokers: &str, topic: &str, count: i32, up_to: Offset) {
    let mut offsets = TopicPartitionList::new();
    for partition in 0..count {
        offsets.add_partition_offset(topic, partition, up_to).unwrap();
    }
    wait_until("the records are deleted", GENEROUS, || {
        // refused until the broker has taken a new policy over
        block_on(admin(brokers).delete_records(&offsets, &options()))
            .is_ok_and(|done| done.elements().iter().all(|element| element.error().is_ok()))
    });
}
