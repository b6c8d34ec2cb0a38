//! How `check` may ask TOS for a token: five refused ones lock the bank's key, and neither `run` nor
//! the last `check` must be forgotten.

use std::{collections::HashMap, path::Path, time::Duration};

use tokio::{sync::OnceCell, task::spawn_blocking, time::timeout};

use crate::{
    api::{Asker, Client},
    config::model::{Config, Connection, Kafka},
    domain::{ids::ConnectionId, refusals::TosRefusals},
    shards::inspect,
};

/// Brokers that do not answer by then are told by the steps of Kafka; here they only cost time.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// A large state takes seconds to read; a person does not wait longer than this.
const READ_DEADLINE: Duration = Duration::from_secs(30);

/// What is known of refused tokens before anything is asked.
#[derive(Debug)]
pub(super) struct Tos<'a> {
    state_dir: &'a Path,
    kafka: &'a Kafka,
    /// Those that have the API.
    connections: Vec<ConnectionId>,
    again: bool,
    /// What running connectors have kept in Kafka; read once, and only where TOS is to be asked.
    kept: OnceCell<HashMap<ConnectionId, TosRefusals>>,
}

impl<'a> Tos<'a> {
    pub(super) fn new(config: &'a Config, again: bool) -> Self {
        let with_tos = config.connections.iter().filter(|connection| connection.tos.is_some());
        Self {
            state_dir: &config.state_dir,
            kafka: &config.kafka,
            connections: with_tos.map(|connection| connection.id.clone()).collect(),
            again,
            kept: OnceCell::new(),
        }
    }

    /// Tells the client what is on record.
    pub(super) async fn prepare(&self, client: &Client, config: &Connection) {
        client.share_tos_refusals(self.state_dir, Asker::Person { again: self.again });
        if let Some(kept) = self.kept.get_or_init(|| self.read()).await.get(&config.id) {
            client.recall_tos_refusals(kept);
        }
    }

    /// Takes no lock. Without Kafka the file in `state.dir` counts alone.
    async fn read(&self) -> HashMap<ConnectionId, TosRefusals> {
        let (kafka, connections) = (self.kafka.clone(), self.connections.clone());
        let finding = spawn_blocking(move || Some((inspect::stretches(&kafka).ok()?, kafka)));
        let Ok(Ok(Some((stretches, kafka)))) = timeout(ANSWER_DEADLINE, finding).await else {
            return HashMap::new();
        };
        let reading =
            spawn_blocking(move || inspect::tos_refusals(&kafka, &stretches, &connections));
        match timeout(READ_DEADLINE, reading).await {
            Ok(Ok(Ok(kept))) => kept,
            _ => HashMap::new(),
        }
    }
}
