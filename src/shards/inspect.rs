//! The state as it is committed, for people: without the lock, and without the local cache.

use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    config::model::Kafka,
    kafka::{
        reading::{self, Stretch, read_committed},
        topics::STATE,
    },
    state::changelog::ShardState,
};

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
