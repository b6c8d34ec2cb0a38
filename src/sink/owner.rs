//! The life of the sink: become the owner, read the journal, work, and again after a loss.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    api::Client,
    config::model::{self, Kafka, SchemaRegistry},
    domain::ids::ConnectionId,
    log_event,
    mapping::PrivacyRules,
    publish::encode::Encoder,
    telemetry::events::Event,
};

use super::{
    absence::Absence,
    journal::records::Stop,
    ownership::{self, Change, Member},
    stop_file,
    tally::{Phase, Tally},
    term::{Term, term},
    words,
};

const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// How long leaving the group may take.
const LEAVE_GRACE: Duration = Duration::from_secs(4);

/// Told when the sink has stopped for good, or goes on (`None`).
pub trait Standing: Send + Sync {
    /// Why only an operator can help.
    fn stopped(&self, why: Option<String>);
}

/// What the sink is made of.
pub struct Parts {
    /// Part of the transactional id.
    pub env: String,
    /// Brokers and names.
    pub kafka: Kafka,
    /// For the schemas of commands.
    pub schema_registry: SchemaRegistry,
    /// Caps and times.
    pub sink: model::Sink,
    /// Where the kill switch's file is looked for.
    pub state_dir: PathBuf,
    /// Every connection, and whether it has a virtual POS.
    pub connections: BTreeMap<ConnectionId, bool>,
    /// Clients of those that have one.
    pub clients: HashMap<ConnectionId, Client>,
    /// Schemas and topics.
    pub encoder: Arc<Encoder>,
    /// What is masked before it leaves.
    pub privacy: Arc<PrivacyRules>,
    /// Counts and gauges.
    pub tally: Tally,
    /// Readiness.
    pub standing: Arc<dyn Standing>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("env", &self.env).finish_non_exhaustive()
    }
}

impl Parts {
    /// Shows how the sink stands; readiness is about a stop for good alone.
    fn enter(&self, phase: Phase, why: Option<String>) {
        self.standing.stopped(why.clone().filter(|_| phase == Phase::Stopped));
        self.tally.enter(phase, why);
        // A sink that retries or has stopped still has the doubts that it had. A replica that is not
        // the owner knows of none: only what an owner shows counts for the alerts, so it is none first.
        if phase == Phase::Standby {
            self.tally.forget_commands();
        }
    }
}

/// Runs the sink until `stop`: waits to become the owner, works, gives back.
///
/// # Errors
/// Where the group's thread cannot be started, or has ended by itself.
pub async fn run(parts: Parts, stop: CancellationToken) -> std::io::Result<()> {
    let (leave, leaving) = watch::channel(false);
    let (mut member, thread) = ownership::join(parts.kafka.clone(), leaving)?;
    let spreading = stop.child_token();
    let (kafka, folder, until) = (parts.kafka.clone(), parts.state_dir.clone(), spreading.clone());
    let begin = move || {
        let kafka = kafka.clone();
        let say = async move |word: Stop| words::say_stop(&kafka, &word).await;
        stop_file::spread(folder.clone(), say, until.clone())
    };
    let spread = tokio::spawn(stop_file::keep(begin, spreading.clone()));
    let outcome = serve(&parts, &mut member, &stop).await;
    spreading.cancel();
    // A record that is on its way when the program ends is said again at the next start.
    spread.abort();
    leave.send_replace(true);
    // A hanging client must not hang the exit.
    let left = tokio::task::spawn_blocking(move || thread.join());
    if timeout(LEAVE_GRACE, left).await.is_err() {
        log_event!(
            Event::LeaveTimedOut,
            "leaving the sink's group takes too long, ending without it"
        );
    }
    outcome
}

/// Term after term, until `stop` or until the group's thread says nothing any more.
async fn serve(
    parts: &Parts,
    member: &mut Member,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    let (mut backoff, mut absence) = (BACKOFF_MIN, Absence::default());
    parts.tally.enter(Phase::Standby, None);
    while !stop.is_cancelled() {
        let change = tokio::select! {
            () = stop.cancelled() => break,
            change = member.changes.recv() => change,
        };
        let taken = match change {
            Some(Change::Gained(taken)) => taken,
            Some(Change::Lost) => {
                absence.end();
                parts.enter(Phase::Standby, None);
                continue;
            }
            // No term knows those partitions: the next one begins with them.
            Some(Change::Widened) => {
                member.renew.send(()).unwrap_or_default();
                continue;
            }
            None if stop.is_cancelled() => break,
            None => return Err(std::io::Error::other("the thread of the sink's group has ended")),
        };
        parts.enter(Phase::Restoring, None);
        let started = Instant::now();
        let ended = term(parts, taken, member, &mut absence, stop).await;
        match ended {
            Term::GivenBack => {
                // Another one looks from now on.
                absence.end();
                backoff = BACKOFF_MIN;
                parts.enter(Phase::Standby, None);
                log_event!(
                    Event::SinkReleased,
                    "this replica executes no payment commands any more"
                );
            }
            Term::Again(reason) => {
                parts.enter(Phase::Retrying, Some(reason.clone()));
                if started.elapsed() > BACKOFF_MAX {
                    backoff = BACKOFF_MIN;
                }
                log_event!(
                    Event::SinkLost,
                    reason,
                    retry_in_s = backoff.as_secs(),
                    "the sink begins anew with its journal"
                );
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = sleep(backoff) => backoff = (backoff * 2).min(BACKOFF_MAX),
                }
                // The member is gone only when the process is ending anyway.
                member.renew.send(()).unwrap_or_default();
            }
            Term::Stopped(reason) => {
                log_event!(Event::SinkStopped, reason, "payment sink stopped");
                parts.enter(Phase::Stopped, Some(reason));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "owner_tests.rs"]
mod tests;
