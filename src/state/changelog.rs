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
    deployment: Option<String>,
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
            (StateKey::Deployment, Some(StateValue::Deployment(of))) => self.deployment = Some(of),
            (StateKey::Deployment, None) => self.deployment = None,
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
                self.entities.entry(entity).or_default().seen.put_chunk(id, &chunk);
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

    /// What the transactional ids of those who may write the partition begin with; partitions of
    /// before that was noted have none.
    pub fn deployment(&self) -> Option<&str> {
        self.deployment.as_deref()
    }

    /// Takes what belongs to one connection out; it belongs to its pollers from then on.
    pub fn take_connection(&mut self, connection: &ConnectionId) -> ConnectionState {
        let (taken, kept) = std::mem::take(&mut self.entities)
            .into_iter()
            .partition(|(key, _)| key.connection == *connection);
        self.entities = kept;
        ConnectionState { entities: taken, refusals: self.refusals.remove(connection) }
    }

    /// Everything in it as keys and values of the state topic, in no particular order.
    pub fn records(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        // Named one by one, so that what is added is not forgotten here.
        let Self { entities, refusals, identity, reset, deployment } = self;
        let identity = identity
            .as_deref()
            .map(|uuid| (codec::IDENTITY_KEY.to_owned(), codec::encode_identity(uuid)));
        let reset =
            reset.as_ref().map(|reset| (codec::RESET_KEY.to_owned(), codec::encode_reset(reset)));
        let deployment = deployment
            .as_deref()
            .map(|of| (codec::DEPLOYMENT_KEY.to_owned(), codec::encode_deployment(of)));
        let refusals = refusals.iter().map(|(connection, refusals)| {
            (codec::refusals_key(connection), codec::encode_refusals(refusals))
        });
        let entities = entities.iter().flat_map(|(entity, state)| {
            let checkpoint = state.checkpoint.as_ref().map(|checkpoint| {
                (codec::checkpoint_key(entity), codec::encode_checkpoint(checkpoint))
            });
            let chunk =
                move |(id, bytes): (_, &[u8])| (codec::chunk_key(entity, id), bytes.to_vec());
            checkpoint.into_iter().chain(state.seen.chunks().map(chunk))
        });
        let own = identity.into_iter().chain(reset).chain(deployment);
        own.chain(refusals).chain(entities)
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
        state::seen::{Chunk, ChunkId, Published, SeenRow},
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
            published: Some(Published { hash: 1, rule: 1 }),
            deleted: false,
            quarantined: None,
            partial: false,
            unsure_day: false,
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
    fn a_state_is_made_again_from_its_records() {
        let mut state = ShardState::default();
        let row = |id| SeenRow {
            id: SourceId::Number(id),
            version: 2,
            published: Some(Published { hash: 3, rule: 1 }),
            deleted: false,
            quarantined: None,
            partial: false,
            unsure_day: false,
            source_key: Some(4),
            key: Some("5".into()),
        };
        for day in 1..4 {
            let chunk = codec::encode_chunk(&Chunk { rows: vec![row(day), row(day + 10)] });
            let id = ChunkId { day: Day(i32::try_from(day).unwrap()), index: 0 };
            state.apply(&codec::chunk_key(&entity(), id), Some(&chunk)).unwrap();
        }
        let checkpoint = codec::encode_checkpoint(&Checkpoint::initial(Day(0), Timestamp(0)));
        state.apply(&codec::checkpoint_key(&entity()), Some(&checkpoint)).unwrap();
        state.apply(codec::IDENTITY_KEY, Some(&codec::encode_identity("u"))).unwrap();
        let reset = Reset {
            by: "ayse".to_owned(),
            why: "moved".to_owned(),
            at: Timestamp(1),
            noted_identity: None,
            noted_end: 2,
            start: 1,
        };
        state.apply(codec::RESET_KEY, Some(&codec::encode_reset(&reset))).unwrap();
        state.apply(codec::DEPLOYMENT_KEY, Some(&codec::encode_deployment("prod.v.g"))).unwrap();
        let refusals = TosRefusals { refused: 2, salt: "s".to_owned(), digest: "d".to_owned() };
        let connection = entity().connection;
        let bytes = codec::encode_refusals(&refusals);
        state.apply(&codec::refusals_key(&connection), Some(&bytes)).unwrap();
        let mut again = ShardState::default();
        for (key, value) in state.records() {
            again.apply(&key, Some(&value)).unwrap();
        }
        let sorted = |state: &ShardState| {
            let mut records: Vec<_> = state.records().collect();
            records.sort();
            records
        };
        assert_eq!(sorted(&again), sorted(&state));
        assert_eq!((again.identity(), again.seen_rows()), (Some("u"), 6));
        assert_eq!(again.reset(), Some(&reset));
        assert_eq!(again.take_connection(&connection).refusals, Some(refusals));
    }

    #[test]
    fn a_value_of_another_kind_than_its_key_is_refused() {
        let mut state = ShardState::default();
        let bytes = codec::encode_checkpoint(&Checkpoint::initial(Day(0), Timestamp(0)));
        let key = codec::chunk_key(&entity(), ChunkId { day: Day(1), index: 0 });
        assert!(state.apply(&key, Some(&bytes)).is_err());
    }
}
