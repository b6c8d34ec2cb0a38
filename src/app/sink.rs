//! The payment sink's part of the wiring.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{App, pollers::Pollers};
use crate::{
    api::Client,
    config::model::{Config, Connection},
    domain::ids::ConnectionId,
    http::{
        Health,
        admin::{Switch, Unmoved, Word},
    },
    log_event,
    sink::{
        journal::records::Stop,
        owner,
        tally::{Phase, Tally},
        words,
    },
    telemetry::{clock::now, events::Event},
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
            said.map_err(|error| match error {
                words::Error::Refused(why) => Unmoved::Unavailable(why.to_string()),
                words::Error::Unknown(why) => Unmoved::Unknown(why.to_string()),
            })
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
        let sink = tokio::spawn(owner::run(parts, stop.clone()));
        self.health.set_sink_awaited(false);
        let (health, tally) = (Arc::clone(&self.health), self.tally.clone());
        Some(tokio::spawn(watched(sink, stop.clone(), health, tally)))
    }
}

/// The sink's outcome when it has one; an end that nobody asked for shows at once: the streams go
/// on, and the replica is not ready.
async fn watched(
    sink: JoinHandle<std::io::Result<()>>,
    stop: CancellationToken,
    health: Arc<Health>,
    tally: Tally,
) -> std::io::Result<()> {
    let outcome = sink.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    if let (Err(error), false) = (&outcome, stop.is_cancelled()) {
        log_event!(Event::SinkBroke, %error, "the payment sink broke off; restart this replica");
        let why = "the payment sink broke off (VOM-SNK-030): restart this replica".to_owned();
        tally.enter(Phase::Stopped, Some(why.clone()));
        health.set_sink_stopped(Some(why));
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    async fn seen(
        sink: JoinHandle<std::io::Result<()>>,
        is_ending: bool,
    ) -> (bool, bool, &'static str) {
        let (health, stop) = (Arc::new(Health::new()), CancellationToken::new());
        let kafka = crate::sink::desk::tests::kafka();
        let tally = Tally::new(Arc::new(Metrics::new()), &kafka);
        if is_ending {
            stop.cancel();
        }
        let outcome = watched(sink, stop, Arc::clone(&health), tally.clone()).await;
        let ready = health.checks().iter().any(|check| check.name == "sink" && check.ok);
        (outcome.is_ok(), ready, tally.standing().phase.as_str())
    }

    #[tokio::test]
    async fn a_sink_that_broke_off_takes_the_readiness_away_at_once() {
        let broken = || tokio::spawn(async { panic!("a mistake") });
        let refused = || tokio::spawn(async { Err(std::io::Error::other("no thread")) });
        assert_eq!(seen(broken(), false).await, (false, false, "stopped"));
        assert_eq!(seen(refused(), false).await, (false, false, "stopped"));
        assert_eq!(seen(broken(), true).await, (false, true, "standby"));
        assert_eq!(seen(tokio::spawn(async { Ok(()) }), true).await, (true, true, "standby"));
    }
}
