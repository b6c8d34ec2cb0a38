//! The state of one shard, put together from the records of its partition.

use std::collections::HashMap;

use crate::domain::{
    ids::{ConnectionId, EntityKey},
    refusals::TosRefusals,
};

use super::{
    codec::{self, StateKey, StateValue},
    position::Checkpoint,
    reset::Reset,
    seen::SeenRows,
};

/// What is known of one entity.
#[derive(Debug, Clone, Default)]
pub struct EntityState {
    /// Its position; `None` until the first commit.
    pub checkpoint: Option<Checkpoint>,
    /// Its seen rows.
    pub seen: SeenRows,
}

/// Everything that one shard remembers.
#[derive(Debug, Clone, Default)]
pub struct ShardState {
    entities: HashMap<EntityKey, EntityState>,
    refusals: HashMap<ConnectionId, TosRefusals>,
    identity: Option<String>,
    reset: Option<Reset>,
}

/// What belongs to one connection.
#[derive(Debug, Clone, Default)]
pub struct ConnectionState {
    /// Its entities.
    pub entities: HashMap<EntityKey, EntityState>,
    /// Its TOS tokens that were refused.
    pub refusals: Option<TosRefusals>,
}

impl ShardState {
    /// Applies one record of the state topic; `None` is a tombstone.
    pub fn apply(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), codec::Error> {
        let key = StateKey::parse(key)?;
        let value = value.map(codec::decode).transpose()?;
        match (key, value) {
            (StateKey::Identity, Some(StateValue::Identity(uuid))) => self.identity = Some(uuid),
            (StateKey::Identity, None) => self.identity = None,
            (StateKey::Reset, Some(StateValue::Reset(reset))) => self.reset = Some(reset),
            (StateKey::Reset, None) => self.reset = None,
            (StateKey::Refusals(connection), Some(StateValue::Refusals(refusals))) => {
                self.refusals.insert(connection, refusals);
            }
            (StateKey::Refusals(connection), None) => {
                self.refusals.remove(&connection);
            }
            (StateKey::Checkpoint(entity), Some(StateValue::Checkpoint(checkpoint))) => {
                self.entities.entry(entity).or_default().checkpoint = Some(checkpoint);
            }
            (StateKey::Checkpoint(entity), None) => {
                if let Some(state) = self.entities.get_mut(&entity) {
                    state.checkpoint = None;
                }
            }
            (StateKey::Chunk(entity, id), Some(StateValue::Chunk(chunk))) => {
                self.entities.entry(entity).or_default().seen.put_chunk(id, chunk);
            }
            (StateKey::Chunk(entity, id), None) => {
                if let Some(state) = self.entities.get_mut(&entity) {
                    state.seen.forget_chunk(id);
                }
            }
            _ => return Err(codec::Error::Damaged("the value is of another kind than its key")),
        }
        Ok(())
    }

    /// The partition's identity, where it was ever written.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// What an operator has accepted, where anybody ever did.
    pub const fn reset(&self) -> Option<&Reset> {
        self.reset.as_ref()
    }

    /// Takes what belongs to one connection out; it belongs to its pollers from then on.
    pub fn take_connection(&mut self, connection: &ConnectionId) -> ConnectionState {
        let (taken, kept) = std::mem::take(&mut self.entities)
            .into_iter()
            .partition(|(key, _)| key.connection == *connection);
        self.entities = kept;
        ConnectionState { entities: taken, refusals: self.refusals.remove(connection) }
    }

    /// Entities in no particular order.
    pub fn entities(&self) -> impl Iterator<Item = (&EntityKey, &EntityState)> {
        self.entities.iter()
    }

    /// Rows remembered in all entities.
    pub fn seen_rows(&self) -> usize {
        self.entities.values().map(|state| state.seen.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            ids::{SourceId, Stream},
            time::{Day, Timestamp},
        },
        state::seen::{Chunk, ChunkId, SeenRow},
    };

    fn entity() -> EntityKey {
        EntityKey {
            connection: ConnectionId::try_new("acme").unwrap(),
            stream: Stream::PosTransactions,
            entity: "1".into(),
        }
    }

    #[test]
    fn records_add_up_and_tombstones_take_away() {
        let mut state = ShardState::default();
        let id = ChunkId { day: Day(1), index: 0 };
        let row = SeenRow {
            id: SourceId::Number(1),
            version: 1,
            hash: 1,
            hash_rule: 1,
            deleted: false,
            quarantined: false,
            source_key: None,
            key: None,
        };
        let chunk = codec::encode_chunk(&Chunk { rows: vec![row] });
        let checkpoint = Checkpoint::initial(Day(0), Timestamp(0));
        state.apply(&codec::chunk_key(&entity(), id), Some(&chunk)).unwrap();
        state
            .apply(&codec::checkpoint_key(&entity()), Some(&codec::encode_checkpoint(&checkpoint)))
            .unwrap();
        assert_eq!(state.seen_rows(), 1);
        state.apply(&codec::chunk_key(&entity(), id), None).unwrap();
        assert_eq!(state.seen_rows(), 0);
        let taken = state.take_connection(&entity().connection);
        assert_eq!(taken.entities[&entity()].checkpoint, Some(checkpoint));
        assert_eq!(state.entities().count(), 0);
    }

    #[test]
    fn a_value_of_another_kind_than_its_key_is_refused() {
        let mut state = ShardState::default();
        let bytes = codec::encode_checkpoint(&Checkpoint::initial(Day(0), Timestamp(0)));
        let key = codec::chunk_key(&entity(), ChunkId { day: Day(1), index: 0 });
        assert!(state.apply(&key, Some(&bytes)).is_err());
    }
}
