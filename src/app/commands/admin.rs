//! Commands for the admin listener.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    Error, compare, duplicates, journal,
    list::{self, Row, Wanted},
    resolve::{decide, outcome, parked},
    story::Story,
    the_one,
};
use crate::{
    config::model::Config,
    http::admin::{CommandState, Commands, Decision, Filter, Outcome, Refused},
    sink::journal::records::{Finding, Resolve},
    telemetry::clock::now,
};

/// Answers from the journal in Kafka, whichever replica owns the sink.
#[derive(Debug)]
pub struct Desk {
    config: Arc<Config>,
    /// Each question reads the whole journal: one after the other is soon enough for people.
    one_at_a_time: Semaphore,
}

impl Desk {
    /// Nothing is contacted yet.
    pub fn new(config: Arc<Config>) -> Self {
        Self { config, one_at_a_time: Semaphore::new(1) }
    }

    async fn list(&self, filter: Filter) -> Result<Value, Refused> {
        let _turn = self.one_at_a_time.acquire().await;
        let journal = journal(&self.config.kafka).await?;
        let state = match filter.state {
            CommandState::Open => Wanted::Open,
            CommandState::InDoubt => Wanted::InDoubt,
            CommandState::Parked => Wanted::Parked,
            CommandState::Finished => Wanted::Finished,
            CommandState::All => Wanted::All,
        };
        let Filter { connection, reference, .. } = filter;
        let chosen = list::Filter { state, connection, reference }.chosen(&journal);
        let rows: Vec<Row> = chosen.into_iter().map(|entry| Row::of(entry, &journal)).collect();
        let halted = journal.stop.as_ref().filter(|stop| stop.stopped).map(|stop| {
            json!({ "at": stop.at.to_rfc3339(), "actor": stop.actor, "reason": stop.reason })
        });
        Ok(json!({ "commands": value(&rows)?, "halted": halted }))
    }

    async fn show(&self, id: Uuid) -> Result<Value, Refused> {
        let _turn = self.one_at_a_time.acquire().await;
        let journal = journal(&self.config.kafka).await?;
        let (_, told) = the_one(&journal, id)?;
        let found = duplicates::of(&self.config, told.entry.key()).await;
        let found = found.as_deref().map_err(String::as_str);
        value(&Story::of(&told.entry, &journal).with(&told.entry, found))
    }

    async fn reconcile(&self, id: Uuid) -> Result<Value, Refused> {
        let _turn = self.one_at_a_time.acquire().await;
        value(&compare::reconcile(&self.config, id).await?)
    }

    async fn resolve(&self, id: Uuid, decision: Decision) -> Result<Value, Refused> {
        let _turn = self.one_at_a_time.acquire().await;
        let kafka = &self.config.kafka;
        let journal = journal(kafka).await?;
        let (key, told) = parked(&journal, id)?;
        let Decision { outcome: said, evidence, actor } = decision;
        let finding = match said {
            Outcome::Executed => Finding::Executed,
            Outcome::NotExecuted => Finding::NotExecuted,
        };
        let decision = Resolve { outcome: finding, evidence, actor, at: now() };
        let is_published = decide(kafka, &journal, (key, told), &decision).await?;
        Ok(json!({ "command_id": id, "outcome": is_published.then(|| outcome(finding)) }))
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
            Error::Journal(_) | Error::NotWritten { .. } => Self::Unavailable(detail),
            Error::Unknown(_) => Self::Unknown(detail),
            Error::Ambiguous(_)
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

    fn show(&self, id: Uuid) -> BoxFuture<'_, Result<Value, Refused>> {
        Box::pin(self.show(id))
    }

    fn reconcile(&self, id: Uuid) -> BoxFuture<'_, Result<Value, Refused>> {
        Box::pin(self.reconcile(id))
    }

    fn resolve(&self, id: Uuid, decision: Decision) -> BoxFuture<'_, Result<Value, Refused>> {
        Box::pin(self.resolve(id, decision))
    }
}
