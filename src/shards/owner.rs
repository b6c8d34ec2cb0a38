//! The life of one owned shard: lock, restore, run, and again after a loss.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinError,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::model::Kafka,
    domain::ids::ConnectionId,
    kafka::verdict::Verdict,
    log_event,
    publish::{
        group::{self, CommitObserver, Publisher},
        writer::Lost,
    },
    state::{changelog::ShardState, note::Note, store::Store},
    telemetry::{events::Event, metrics::Metrics, pulse},
};

use super::{
    assignment::{Granted, NoteUpdate},
    pace::{self, Pace},
    restore::{self, Locked, Request, Restores},
};

/// How long a restore that is not wanted any more may take to notice it.
const RESTORE_GRACE: Duration = Duration::from_secs(5);
/// How long pollers may take to end once they are told to.
const POLLERS_GRACE: Duration = Duration::from_secs(15);
/// How long the writer's thread may take for what is queued.
const WRITER_GRACE: Duration = Duration::from_secs(20);
/// A shard that is lost sooner than this after it began is not shown as owned again before it has held for
/// as long: else one whose transactions fail again and again would look well between them.
pub const TRIAL: Duration = Duration::from_secs(30);
/// Without a terminal a long restore says every so often how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// What runs on an owned shard; the pollers, in the real program.
pub trait Work: Send + Sync + 'static {
    /// Runs until `stop`; `state` is everything committed, `publisher` the only way to add to it.
    fn run(
        &self,
        shard: i32,
        state: ShardState,
        publisher: Publisher,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send;
}

/// Where a shard stands, for the status page and readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Lock and state are being taken, or pollers run again after they were lost too soon.
    Restoring,
    /// Pollers run.
    Owned,
    /// Another replica, or a lost connection, took the lock; it will be tried again.
    Fenced,
    /// Only an operator can help.
    Stopped,
    /// Given back.
    Released,
}

impl Phase {
    /// The label of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restoring => "restoring",
            Self::Owned => "owned",
            Self::Fenced => "fenced",
            Self::Stopped => "stopped",
            Self::Released => "released",
        }
    }

    /// Phases that metrics show.
    pub const SHOWN: [Self; 4] = [Self::Restoring, Self::Owned, Self::Fenced, Self::Stopped];
}

/// What every shard of the process shares.
#[derive(Debug)]
pub struct Context<W> {
    /// Part of the transactional id.
    pub env: String,
    /// Brokers and names.
    pub kafka: Kafka,
    /// The local cache, where it is open.
    pub store: Option<Store>,
    /// The connections that are configured.
    pub connections: Arc<BTreeSet<ConnectionId>>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Where restores show how far they are.
    pub restores: Arc<Restores>,
    /// The pollers.
    pub work: Arc<W>,
    /// To the group member.
    pub notes: mpsc::UnboundedSender<NoteUpdate>,
    /// Phase changes, for readiness and the status page.
    pub phases: mpsc::UnboundedSender<(i32, Phase)>,
    /// [`TRIAL`], except in tests.
    pub trial: Duration,
}

impl<W: Work> Context<W> {
    /// Runs the shard until `stop`.
    pub async fn own(self: Arc<Self>, granted: Granted, stop: CancellationToken) {
        let shard = granted.shard;
        let mut note = granted.note;
        let mut pace = Pace::new();
        let mut lost_soon = false;
        // A cache holds what Kafka may have lost.
        let mut believes_cache = true;
        while !stop.is_cancelled() {
            if !pace.is_stopped() {
                self.enter(shard, Phase::Restoring);
            }
            // Whatever comes next is judged by itself.
            let was_lost_soon = std::mem::take(&mut lost_soon);
            let started = Instant::now();
            let restored = self.restore(shard, note.clone(), believes_cache, &stop).await;
            self.restores.end(shard);
            match restored {
                Ok(Some(locked)) => {
                    pace.go_on();
                    believes_cache = true;
                    let identity = locked.note.identity.clone();
                    let reached = Arc::new(AtomicI64::new(locked.note.end));
                    let begun = Instant::now();
                    let lost = self.run(shard, locked, &reached, (&stop, was_lost_soon)).await;
                    lost_soon = lost.is_some() && begun.elapsed() < self.trial;
                    // What was confirmed since must be there too when the state is read again.
                    let confirmed = Note { identity, end: reached.load(Ordering::Acquire) };
                    note = Some(self.note_after(shard, confirmed, lost.as_ref()));
                    self.report_loss(shard, lost.as_ref());
                    let is_fenced = lost.is_some_and(|lost| lost.verdict == Verdict::Fenced);
                    // Nobody polls while it waits to begin anew: it must not look owned.
                    if !is_fenced && !stop.is_cancelled() {
                        self.enter(shard, Phase::Restoring);
                    }
                }
                Ok(None) => break,
                Err(error) if error.needs_operator() => {
                    believes_cache &= !matches!(error, restore::Error::Regression { .. });
                    // Another's state topic is read whole by each look.
                    let first_look = match error {
                        restore::Error::OtherDeployment { .. } | restore::Error::Moved(_) => {
                            pace::LONGEST
                        }
                        _ => pace::FIRST_LOOK,
                    };
                    if pace.stop(error.to_string(), first_look) {
                        log_event!(error.event(), shard, %error, "shard stopped");
                        self.enter(shard, Phase::Stopped);
                    }
                }
                Err(error) => {
                    log_event!(Event::RestoreFailed, shard, %error, retry_in_s = pace.next().as_secs(), "shard not ready");
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(pace.pause(started.elapsed())) => {}
            }
        }
        self.enter(shard, Phase::Released);
    }

    /// Locks and reads on a thread of its own; `None` when the shard was given back meanwhile.
    async fn restore(
        &self,
        shard: i32,
        note: Option<Note>,
        believes_cache: bool,
        stop: &CancellationToken,
    ) -> Result<Option<Locked>, restore::Error> {
        let progress = self.restores.begin(shard);
        let request = Request {
            env: self.env.clone(),
            kafka: self.kafka.clone(),
            shard,
            note,
            store: self.store.clone(),
            believes_cache,
            connections: Arc::clone(&self.connections),
            progress: Arc::clone(&progress),
            stop: stop.clone(),
        };
        let mut restoring = tokio::task::spawn_blocking(move || {
            let _followed = pulse::follow("restore", Some(shard));
            restore::lock_and_restore(&request)
        });
        let locked = loop {
            tokio::select! {
                joined = &mut restoring => match outcome(shard, joined) {
                    Err(restore::Error::GivenBack) => return Ok(None),
                    outcome => break outcome?,
                },
                () = stop.cancelled() => {
                    // It must not fence who has the shard by then, nor write anything in its place;
                    // whoever has it here next would meet it at the local cache.
                    drop(timeout(RESTORE_GRACE, restoring).await);
                    return Ok(None);
                }
                () = sleep(PROGRESS_INTERVAL) => log_event!(
                    Event::RestoreProgress,
                    shard,
                    records = progress.records.load(Ordering::Relaxed),
                    offset = progress.offset.load(Ordering::Relaxed),
                    end = progress.end.load(Ordering::Relaxed),
                    "restoring the shard"
                ),
            }
        };
        let label = shard.to_string();
        let seconds = locked.took.as_secs_f64();
        self.metrics.shard_restore_duration.with_label_values(&[&label]).set(seconds);
        log_event!(
            Event::ShardRestored,
            shard,
            seconds,
            records = locked.records_read,
            seen_rows = locked.state.seen_rows(),
            from_cache = locked.from_cache,
            "shard restored"
        );
        Ok(Some(locked))
    }

    /// Runs pollers and writer until one of them ends; says why the writer was lost, if it was.
    /// `reached` is told how far the state partition is committed. One that is `on_trial` is shown as owned
    /// only after a while.
    async fn run(
        &self,
        shard: i32,
        locked: Locked,
        reached: &Arc<AtomicI64>,
        (stop, on_trial): (&CancellationToken, bool),
    ) -> Option<Lost> {
        let (publisher, inbox) = group::channel();
        let (ended, mut writer_ended) = oneshot::channel();
        let (note, notes) = (locked.note.clone(), self.notes.clone());
        let observer = Noting { shard, note, notes, reached: Arc::clone(reached) };
        observer.committed(locked.note.end);
        let metrics = Arc::clone(&self.metrics);
        let (writer, cache) = (locked.writer, locked.cache);
        let thread = thread::Builder::new().name(format!("shard-{shard}")).spawn(move || {
            let _followed = pulse::follow("shard", Some(shard));
            let outcome = group::run(writer, cache, inbox, &observer, &metrics);
            // Nobody waits any more once the grace period is over.
            drop(ended.send(outcome));
        });
        if let Err(error) = thread {
            log_event!(Event::ShardBroke, shard, %error, "the shard's thread cannot start");
            return None;
        }
        let mut trial = pin!(sleep(if on_trial { self.trial } else { Duration::ZERO }));
        let mut is_shown = !on_trial;
        if is_shown {
            self.enter(shard, Phase::Owned);
        }
        let pollers_stop = stop.child_token();
        let mut work =
            Box::pin(self.work.run(shard, locked.state, publisher, pollers_stop.clone()));
        let lost = loop {
            tokio::select! {
                () = &mut work => break None,
                outcome = &mut writer_ended => break Some(outcome),
                () = &mut trial, if !is_shown => {
                    is_shown = true;
                    self.enter(shard, Phase::Owned);
                }
            }
        };
        pollers_stop.cancel();
        if lost.is_some() && timeout(POLLERS_GRACE, &mut work).await.is_err() {
            log_event!(Event::PollersSlow, shard, "pollers did not end in time, dropping them");
        }
        drop(work);
        let outcome = match lost {
            Some(outcome) => outcome.ok(),
            None => timeout(WRITER_GRACE, writer_ended).await.ok().and_then(Result::ok),
        };
        outcome.and_then(Result::err)
    }

    /// What is remembered of the state after a run. A lost end is told to the group too: the records by
    /// which it was noticed cover it, and the next owner would find a partition that is long enough.
    fn note_after(&self, shard: i32, confirmed: Note, lost: Option<&Lost>) -> Note {
        if !lost.is_some_and(|lost| lost.is_regression) {
            return confirmed;
        }
        let note = confirmed.lost();
        drop(self.notes.send(NoteUpdate { shard, note: note.clone() }));
        note
    }

    fn report_loss(&self, shard: i32, lost: Option<&Lost>) {
        let Some(lost) = lost else { return };
        if lost.verdict == Verdict::Fenced {
            self.metrics.shard_fenced.with_label_values(&[&shard.to_string()]).inc();
            self.enter(shard, Phase::Fenced);
        }
        let event = match lost.verdict {
            Verdict::Fenced => Event::ShardFenced,
            Verdict::Unknown => Event::TransactionUnknown,
            Verdict::Failed => Event::TransactionFailed,
        };
        log_event!(event, shard, verdict = lost.verdict.as_str(), reason = %lost, "shard lost, its state is read again before anything is written");
    }

    fn enter(&self, shard: i32, phase: Phase) {
        let label = shard.to_string();
        for shown in Phase::SHOWN {
            let gauge = self.metrics.shard_state.with_label_values(&[&label, shown.as_str()]);
            gauge.set(i64::from(shown == phase));
        }
        // The receiver is gone only when the process is ending anyway.
        self.phases.send((shard, phase)).unwrap_or_default();
    }
}

/// What a restore came to. A panic in there is a bug; the shard is tried again like after any other
/// failure, because a shard that is held and not polled looks ready.
fn outcome<T>(
    shard: i32,
    joined: Result<Result<T, restore::Error>, JoinError>,
) -> Result<T, restore::Error> {
    joined.unwrap_or_else(|error| {
        log_event!(Event::ShardBroke, shard, %error, "restore broke off");
        Err(restore::Error::Broke(error.to_string()))
    })
}

/// Tells the group, now and then, how far the state partition is committed, and its owner at once.
struct Noting {
    shard: i32,
    note: Note,
    notes: mpsc::UnboundedSender<NoteUpdate>,
    reached: Arc<AtomicI64>,
}

impl CommitObserver for Noting {
    fn committed(&self, state_end: i64) {
        self.reached.store(state_end, Ordering::Release);
        let note = Note { identity: self.note.identity.clone(), end: state_end };
        drop(self.notes.send(NoteUpdate { shard: self.shard, note }));
    }
}

#[cfg(test)]
#[path = "owner_tests.rs"]
mod tests;
