//! Commands for the admin listener.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{
    Error, Meant, compare, duplicates, find,
    list::{self, Listed, Row, Wanted},
    resolve::{decide, outcome, parked},
    story::Story,
};
use crate::{
    api::Client,
    config::model::Config,
    domain::ids::ConnectionId,
    http::admin::{CommandState, Commands, Decision, Filter, MeantCommand, Outcome, Refused},
    sink::{
        journal::records::{Finding, Resolve},
        words,
    },
    telemetry::clock::now,
};

/// Answers from the journal in Kafka, whichever replica owns the sink.
#[derive(Debug)]
pub struct Desk {
    config: Arc<Config>,
    clients: HashMap<ConnectionId, Client>,
    /// Each question reads the whole journal: one after the other is soon enough for people.
    one_at_a_time: Semaphore,
    /// Some read the whole results topic as well, for which the others need not wait.
    one_of_results: Semaphore,
}

impl Desk {
    /// Nothing is contacted yet. `clients` are the connector's own: its quota and tokens are shared.
    pub fn new(config: Arc<Config>, clients: HashMap<ConnectionId, Client>) -> Self {
        let (one_at_a_time, one_of_results) = (Semaphore::new(1), Semaphore::new(1));
        Self { config, clients, one_at_a_time, one_of_results }
    }

    async fn list(&self, filter: Filter) -> Result<Value, Refused> {
        let _turn = self.one_at_a_time.acquire().await;
        let state = match filter.state {
            CommandState::Open => Wanted::Open,
            CommandState::InDoubt => Wanted::InDoubt,
            CommandState::Parked => Wanted::Parked,
            CommandState::Finished => Wanted::Finished,
            CommandState::All => Wanted::All,
        };
        let Filter { connection, reference, .. } = filter;
        let filter = list::Filter { state, connection, reference };
        let Listed { entries, left_out, words } = list::listed(&self.config.kafka, filter).await?;
        let rows: Vec<Row> = entries.iter().map(|entry| Row::of(entry, &words)).collect();
        let halted = words.stop.as_ref().filter(|stop| stop.stopped).map(|stop| {
            json!({ "at": stop.at.to_rfc3339(), "actor": stop.actor, "reason": stop.reason })
        });
        Ok(json!({ "commands": value(&rows)?, "left_out": left_out, "halted": halted }))
    }

    async fn show(&self, meant: MeantCommand) -> Result<Value, Refused> {
        let turn = self.one_at_a_time.acquire().await;
        let found = find(&self.config.kafka, &meant.into()).await?;
        drop(turn);
        let entry = &found.told.entry;
        let _turn = self.one_of_results.acquire().await;
        let others = duplicates::of(&self.config, entry.key()).await;
        let others = others.as_deref().map_err(String::as_str);
        value(&Story::of(entry, &found.words).with(entry, others))
    }

    async fn reconcile(&self, meant: MeantCommand) -> Result<Value, Refused> {
        let turn = self.one_at_a_time.acquire().await;
        let looked = compare::look_up(&self.config.kafka, &meant.into()).await?;
        drop(turn);
        let connection = looked.connection();
        let client = self.clients.get(connection);
        let client = client.ok_or_else(|| Error::NotConfigured(connection.clone()))?;
        value(&compare::ask(client, &looked).await?)
    }

    async fn resolve(&self, meant: MeantCommand, decision: Decision) -> Result<Value, Refused> {
        let _turn = self.one_at_a_time.acquire().await;
        let kafka = &self.config.kafka;
        let id = meant.id;
        let parked = parked(kafka, &meant.into()).await?;
        let Decision { outcome: said, evidence, actor } = decision;
        let finding = match said {
            Outcome::Executed => Finding::Executed,
            Outcome::NotExecuted => Finding::NotExecuted,
        };
        let decision = Resolve { outcome: finding, evidence, actor, at: now() };
        let is_published = decide(kafka, &parked, &decision).await?;
        Ok(json!({ "command_id": id, "outcome": is_published.then(|| outcome(finding)) }))
    }
}

impl From<MeantCommand> for Meant {
    fn from(MeantCommand { id, connection, reference }: MeantCommand) -> Self {
        Self { id, connection, reference }
    }
}

fn value<T: Serialize>(told: &T) -> Result<Value, Refused> {
    serde_json::to_value(told).map_err(|error| Refused::Broken(error.to_string()))
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::Journal(cause) if cause.is_missing_topic() => {
                Self::Unknown(format!("{detail}: no sink has run here yet"))
            }
            Error::NotWritten { cause: words::Error::Unknown(_), .. } => {
                Self::Unavailable(format!("{detail}; the command's story tells whether it was"))
            }
            Error::Journal(_) | Error::NotWritten { .. } => Self::Unavailable(detail),
            Error::Unknown(_) => Self::Unknown(detail),
            Error::Ambiguous { .. }
            | Error::NotParked { .. }
            | Error::Decided { .. }
            | Error::Overruled { .. }
            | Error::NotConfigured(_) => Self::Conflict(detail),
            Error::Api(_) => Self::Upstream(detail),
            Error::Broke(_) => Self::Broken(detail),
        }
    }
}

impl Commands for Desk {
    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Value, Refused>> {
        Box::pin(self.list(filter))
    }

    fn show(&self, meant: MeantCommand) -> BoxFuture<'_, Result<Value, Refused>> {
        Box::pin(self.show(meant))
    }

    fn reconcile(&self, meant: MeantCommand) -> BoxFuture<'_, Result<Value, Refused>> {
        Box::pin(self.reconcile(meant))
    }

    fn resolve(
        &self,
        meant: MeantCommand,
        decision: Decision,
    ) -> BoxFuture<'_, Result<Value, Refused>> {
        Box::pin(self.resolve(meant, decision))
    }
}
