//! The payment sink's part of the wiring.

use std::{collections::BTreeMap, sync::Arc};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{App, Pollers};
use crate::{
    api::Client, config::model::Connection, domain::ids::ConnectionId, http::Health, sink::owner,
};

/// Lets readiness say that the payment sink has stopped.
struct Standing(Arc<Health>);

impl owner::Standing for Standing {
    fn stopped(&self, why: Option<String>) {
        self.0.set_sink_stopped(why);
    }
}

impl App {
    /// The payment sink beside the shards, where it is enabled. It shares the pollers' clients, so
    /// both keep to one quota.
    pub(super) fn start_sink(
        &self,
        work: &Pollers,
        stop: &CancellationToken,
    ) -> Option<JoinHandle<std::io::Result<()>>> {
        if !self.config.sink.enabled {
            return None;
        }
        let has_virtual_pos = |c: &Arc<Connection>| (c.id.clone(), c.virtual_pos.is_some());
        let connections: BTreeMap<_, _> =
            self.config.connections.iter().map(has_virtual_pos).collect();
        let able = |(id, _): &(&ConnectionId, &Client)| connections.get(*id) == Some(&true);
        let clients = work.clients.iter().filter(able);
        let parts = owner::Parts {
            env: self.config.env.clone(),
            kafka: self.config.kafka.clone(),
            schema_registry: self.config.schema_registry.clone(),
            sink: self.config.sink.clone(),
            state_dir: self.config.state_dir.clone(),
            clients: clients.map(|(id, client)| (id.clone(), client.clone())).collect(),
            connections,
            encoder: Arc::clone(&work.encoder),
            privacy: Arc::clone(&work.privacy),
            tally: self.tally.clone(),
            standing: Arc::new(Standing(Arc::clone(&self.health))),
        };
        Some(tokio::spawn(owner::run(parts, stop.clone())))
    }
}
