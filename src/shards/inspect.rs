//! The state as it is committed, for people: without the lock, and without the local cache.

use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    config::model::Kafka,
    domain::{ids::ConnectionId, refusals::TosRefusals},
    kafka::{
        reading::{self, Stretch, read_committed},
        topics::STATE,
    },
    state::{
        changelog::ShardState,
        codec::{self, StateValue},
    },
};

use super::placement::shard_of;

/// Longer than an open transaction can hold the end back.
const READ_DEADLINE: Duration = Duration::from_secs(60);

/// The partitions of the state topic, up to their true ends.
///
/// Blocks. A topic that does not exist is an error.
pub fn stretches(kafka: &Kafka) -> Result<Vec<Stretch>, reading::Error> {
    reading::stretches(kafka, &kafka.topic(STATE))
}

/// Everything that is committed in one partition. Blocks; `records` counts what was read.
pub fn committed_state(
    kafka: &Kafka,
    stretch: &Stretch,
    records: &AtomicU64,
) -> Result<ShardState, reading::Error> {
    let mut state = ShardState::default();
    read_committed(kafka, stretch, READ_DEADLINE, |_, key, value| {
        let key = std::str::from_utf8(key).map_err(|_| "the key is not text".to_owned())?;
        state.apply(key, value).map_err(|error| error.to_string())?;
        records.fetch_add(1, Ordering::Relaxed);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(state)
}

/// How often the TOS tokens of these connections were refused, as a running connector has kept it.
/// Reads the partitions of their shards alone, and of their records only what is about refusals.
///
/// Blocks.
pub fn tos_refusals(
    kafka: &Kafka,
    stretches: &[Stretch],
    connections: &[ConnectionId],
) -> Result<HashMap<ConnectionId, TosRefusals>, reading::Error> {
    let keys: HashMap<String, &ConnectionId> =
        connections.iter().map(|id| (codec::refusals_key(id), id)).collect();
    let mut found = HashMap::new();
    let shards = i32::try_from(stretches.len()).unwrap_or(kafka.shards);
    let holds =
        |stretch: &&Stretch| connections.iter().any(|id| shard_of(id, shards) == stretch.partition);
    for stretch in stretches.iter().filter(holds) {
        read_committed(kafka, stretch, READ_DEADLINE, |_, key, value| {
            let key = std::str::from_utf8(key).unwrap_or_default();
            if let Some(id) = keys.get(key) {
                let value = value.map(codec::decode).transpose();
                match value.map_err(|error| error.to_string())? {
                    Some(StateValue::Refusals(refusals)) => {
                        found.insert((*id).clone(), refusals);
                    }
                    _ => drop(found.remove(*id)),
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(found)
}
