//! What must be right before a shard is asked for, in an order that leaves nothing behind where it
//! is not: Kafka is looked at, the schemas are registered or verified, then topics are created.
//!
//! So a wrong registry costs no topic, a wrong Kafka no schema, and topics that are there and wrong
//! end the process before it has changed anything.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{App, Broker, pollers::Pollers, privacy_rules};
use crate::{
    domain::schemas,
    kafka::topics,
    log_event,
    publish::{encode::Encoder, registry::Registry},
};

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

impl App {
    /// Waits for Kafka and the registry, and has topics and schemas as they must be. `None`:
    /// stopped while waiting.
    ///
    /// # Errors
    /// What waiting does not mend: topics or schemas that are wrong, secrets and rules that cannot
    /// be used.
    pub(super) async fn prepare(
        &self,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<Pollers>> {
        let privacy = privacy_rules(&self.config).await?;
        let (kafka, payments) = (&self.config.kafka, self.config.sink.enabled);
        let is_real = self.broker == Broker::Real;
        if is_real && self.kafka_says(stop, || topics::inspect(kafka, payments)).await?.is_none() {
            return Ok(None);
        }
        self.health.set_kafka_answers(true);
        let Some(ids) = self.schema_ids(stop).await? else { return Ok(None) };
        self.health.set_schemas_known();
        if is_real && self.kafka_says(stop, || topics::ensure(kafka, payments)).await?.is_none() {
            return Ok(None);
        }
        self.health.set_topics_awaited(false);
        let encoder = Encoder::new(&ids, |suffix| kafka.topic(suffix))?;
        Ok(Some(Pollers {
            config: Arc::clone(&self.config),
            clients: self.clients.clone(),
            encoder: Arc::new(encoder),
            privacy: Arc::new(privacy),
            board: Arc::clone(&self.board),
            metrics: Arc::clone(&self.metrics),
        }))
    }

    /// Asks Kafka about its topics until it answers.
    async fn kafka_says<A>(
        &self,
        stop: &CancellationToken,
        ask: impl Fn() -> A,
    ) -> anyhow::Result<Option<()>>
    where
        A: Future<Output = Result<(), topics::Error>>,
    {
        let mut pause = RETRY_MIN;
        loop {
            match ask().await {
                Ok(()) => {
                    self.health.set_kafka_answers(true);
                    self.health.set_topics_held_up(None);
                    return Ok(Some(()));
                }
                Err(error) if error.is_transient() => {
                    let too_few = matches!(error, topics::Error::TooFewBrokers { .. });
                    self.health.set_kafka_answers(too_few);
                    self.health.set_topics_held_up(too_few.then(|| error.to_string()));
                    log_event!(error.event(), %error, retry_in_s = pause.as_secs(), "kafka cannot be used yet");
                }
                Err(error) => {
                    // One line of the log, however many topics it is about.
                    let all = error.to_string().replace('\n', "; ");
                    log_event!(error.event(), error = all, "ending: kafka cannot be used as it is");
                    return Err(error.into());
                }
            }
            if waited(&mut pause, stop).await.is_none() {
                return Ok(None);
            }
        }
    }

    async fn schema_ids(
        &self,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<HashMap<&'static str, u32>>> {
        let registry = Registry::new(&self.config.schema_registry);
        let records: Vec<_> = schemas::needed(self.config.sink.enabled).collect();
        let mut pause = RETRY_MIN;
        loop {
            match registry.ids(&records, |suffix| self.config.kafka.topic(suffix)).await {
                Ok(ids) => return Ok(Some(ids)),
                Err(error) if error.is_retriable() => {
                    log_event!(error.event(), %error, retry_in_s = pause.as_secs(), "the schema registry cannot be used yet");
                }
                Err(error) => {
                    log_event!(error.event(), %error, "ending: without its schemas nothing can be written");
                    return Err(error.into());
                }
            }
            if waited(&mut pause, stop).await.is_none() {
                return Ok(None);
            }
        }
    }
}

/// Waits and doubles the pause; `None` when stopped meanwhile.
async fn waited(pause: &mut Duration, stop: &CancellationToken) -> Option<()> {
    tokio::select! {
        () = stop.cancelled() => return None,
        () = sleep(*pause) => {}
    }
    *pause = (*pause * 2).min(RETRY_MAX);
    Some(())
}
