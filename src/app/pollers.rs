//! What runs on a shard that is owned: the pollers of its connections.

use std::{collections::HashMap, sync::Arc};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    api::Client,
    config::model::{Config, Connection},
    domain::ids::ConnectionId,
    mapping::PrivacyRules,
    poll::{
        board::Board,
        connection::{self, Parts},
        entity::Shared,
        rooms::Rooms,
    },
    publish::{encode::Encoder, group::Publisher},
    shards::{owner::Work, placement::shard_of},
    state::changelog::ShardState,
    telemetry::{clock::now, metrics::Metrics},
};

/// The pollers of one shard.
#[derive(Debug)]
pub(super) struct Pollers {
    pub(super) config: Arc<Config>,
    pub(super) clients: HashMap<ConnectionId, Client>,
    pub(super) encoder: Arc<Encoder>,
    pub(super) privacy: Arc<PrivacyRules>,
    pub(super) board: Arc<Board>,
    pub(super) metrics: Arc<Metrics>,
}

/// The connections that hash to the shard.
pub(super) fn connections_of(
    config: &Config,
    shard: i32,
) -> impl Iterator<Item = &Arc<Connection>> {
    let shards = config.kafka.shards;
    config.connections.iter().filter(move |c| shard_of(&c.id, shards) == shard)
}

impl Work for Pollers {
    async fn run(
        &self,
        shard: i32,
        mut state: ShardState,
        publisher: Publisher,
        stop: CancellationToken,
    ) {
        let mut connections = JoinSet::new();
        for config in connections_of(&self.config, shard) {
            let Some(api) = self.clients.get(&config.id) else { continue };
            let parts = Parts {
                config: Arc::clone(config),
                api: api.clone(),
                encoder: Arc::clone(&self.encoder),
                privacy: Arc::clone(&self.privacy),
                shared: Shared {
                    publisher: publisher.clone(),
                    board: Arc::clone(&self.board),
                    metrics: Arc::clone(&self.metrics),
                    rooms: Rooms::default(),
                },
            };
            self.board.begin(&config.id, now());
            let own = state.take_connection(&config.id);
            connections.spawn(connection::run(parts, own, stop.child_token()));
        }
        // What is left belongs to connections that are no longer configured.
        drop(state);
        if connections.is_empty() {
            // Nothing to do, but the lock is held: the shard is this replica's until it is not.
            stop.cancelled().await;
        }
        while connections.join_next().await.is_some() {
            // A connection ends by itself only when a poller broke off: its memory cannot be
            // trusted, so the owner restores the shard and starts all of it again.
            stop.cancel();
        }
        drop(publisher);
    }
}
