//! Connections whose positions lie in another partition than theirs.
//!
//! `kafka.shards` says in which partition the positions of a connection lie. Where it was raised, and
//! the topics with it, some connections belong in partitions that know nothing of them: they would
//! begin anew, and publish all of their rows once more.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::ControlFlow,
    time::Duration,
};

use crate::{
    config::model::Kafka,
    domain::ids::{ConnectionId, EntityKey},
    kafka::{
        reading::{self, Stretch, read_committed_while},
        topics::STATE,
    },
    state::{changelog::ShardState, codec::StateKey},
};

use super::placement::shard_of;

/// Longer than an open transaction can hold the end back.
const READ_DEADLINE: Duration = Duration::from_secs(60);

/// A connection that would begin anew.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the positions of connection {connection} lie in {topic}[{found}], but with kafka.shards {shards} they belong in partition {wanted}, which has none of it; stopped, because all of its rows would be published again. set kafka.shards back to what it was, and give the assignment topic and, from a backup, the state topic as many partitions as they had; or begin anew with another kafka.topic_prefix. checkpoint reset does not help here"
)]
pub struct Moved {
    /// The state topic.
    pub topic: String,
    /// The connection.
    pub connection: ConnectionId,
    /// A partition that has positions of it.
    pub found: i32,
    /// The partition that should have them.
    pub wanted: i32,
    /// `kafka.shards`.
    pub shards: i32,
}

/// In which partitions each connection has positions.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<ConnectionId, BTreeSet<i32>>);

impl Places {
    /// What one partition has.
    pub(super) fn add_state(&mut self, partition: i32, state: &ShardState) {
        let placed = state.entities().filter(|(_, state)| state.checkpoint.is_some());
        placed.for_each(|(entity, _)| self.add(partition, entity));
    }

    fn add(&mut self, partition: i32, entity: &EntityKey) {
        self.0.entry(entity.connection.clone()).or_default().insert(partition);
    }

    /// The first of these connections that would begin anew. One that has done so already, in earlier
    /// days, is none: what it left behind hurts nobody any more. Nor is one that is configured no more.
    pub(super) fn moved(
        &self,
        kafka: &Kafka,
        configured: &BTreeSet<ConnectionId>,
    ) -> Option<Moved> {
        let shards = kafka.shards;
        let placed = self.0.iter().filter(|(connection, _)| configured.contains(*connection));
        placed.into_iter().find_map(|(connection, partitions)| {
            let wanted = shard_of(connection, shards);
            let found = partitions.first().filter(|_| !partitions.contains(&wanted))?;
            let (topic, connection) = (kafka.topic(STATE), connection.clone());
            Some(Moved { topic, connection, found: *found, wanted, shards })
        })
    }
}

/// Looks whether a connection would begin anew, here or by what lies here. Blocks.
///
/// That costs nothing where this partition has only what belongs in it and the last one was ever
/// written to: partitions that were added are empty, and stay so, because none is signed before this.
/// Else all the others are read for whose positions they have.
pub(super) fn find(
    (kafka, configured): (&Kafka, &BTreeSet<ConnectionId>),
    shard: i32,
    state: &ShardState,
    last_is_empty: bool,
    is_wanted: impl Fn() -> bool,
) -> Result<Option<Moved>, reading::Error> {
    let mut places = Places::default();
    places.add_state(shard, state);
    if !last_is_empty && places.moved(kafka, configured).is_none() {
        return Ok(None);
    }
    for stretch in reading::stretches(kafka, &kafka.topic(STATE))? {
        if stretch.partition != shard {
            let entities = placed(kafka, &stretch, &is_wanted)?;
            entities.iter().for_each(|entity| places.add(stretch.partition, entity));
        }
    }
    Ok(places.moved(kafka, configured))
}

/// The entities that have a position in a partition. Records that cannot be understood stop the shard
/// that they lie in; here they are passed over.
fn placed(
    kafka: &Kafka,
    stretch: &Stretch,
    is_wanted: impl Fn() -> bool,
) -> Result<HashSet<EntityKey>, reading::Error> {
    let mut placed = HashSet::new();
    read_committed_while(kafka, stretch, READ_DEADLINE, is_wanted, |_, key, value| {
        let key = std::str::from_utf8(key).ok().and_then(|key| StateKey::parse(key).ok());
        match (key, value) {
            (Some(StateKey::Checkpoint(entity)), Some(_)) => drop(placed.insert(entity)),
            (Some(StateKey::Checkpoint(entity)), None) => drop(placed.remove(&entity)),
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(placed)
}
