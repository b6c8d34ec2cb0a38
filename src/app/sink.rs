//! The payment sink's part of the wiring.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{App, Pollers};
use crate::{
    api::Client,
    config::model::{Config, Connection},
    domain::ids::ConnectionId,
    http::{
        Health,
        admin::{Switch, Unmoved, Word},
    },
    poll::entity::now,
    sink::{journal::records::Stop, owner, words},
};

/// Lets readiness say that the payment sink has stopped.
struct Standing(Arc<Health>);

impl owner::Standing for Standing {
    fn stopped(&self, why: Option<String>) {
        self.0.set_sink_stopped(why);
    }
}

/// Moves the kill switch by a record in the journal, as `commands halt` does.
#[derive(Debug)]
pub struct KillSwitch(pub Arc<Config>);

impl Switch for KillSwitch {
    fn set(&self, halted: bool, word: Word) -> BoxFuture<'_, Result<(), Unmoved>> {
        Box::pin(async move {
            if !self.0.sink.enabled {
                return Err(Unmoved::NoSink);
            }
            let Word { actor, reason } = word;
            let stop = Stop { stopped: halted, actor, reason, at: now() };
            let said = words::say_stop(&self.0.kafka, &stop).await;
            said.map_err(|error| Unmoved::Unavailable(error.to_string()))
        })
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
