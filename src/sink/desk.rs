//! What all tasks of one ownership share: the open commands, the brakes, the way to the journal.
//!
//! Nothing changes here before it is committed: [`Desk::record`] writes an event with its result,
//! waits for the confirmed commit, and only then lets brakes, metrics and the other tasks see it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    api::Client,
    domain::{commands::PaymentResult, ids::ConnectionId, time::Timestamp},
    log_event,
    mapping::PrivacyRules,
    publish::{
        batch::EventRecord,
        encode::{self, Encoder},
        group::{Gone, Publisher},
    },
    telemetry::events::Event,
};

pub use crate::telemetry::clock::now;

use super::{
    brakes::{Brakes, StopSource},
    command::CommandKey,
    journal::{Entry, IllegalTransition, JournalEvent, Status, codec},
    ledger::{Index, JournalRecord, Write},
    open::{Open, State},
    plan::{Failures, Policy, Situation, Step, next_step},
    result::{Publication, latest_result},
    rivals::{Rival, Rivals},
    tally::Tally,
    witness::{Seen, Witness},
};

/// Why a task of the sink ends before its work is done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The journal's producer is gone; what was handed to it may or may not be committed.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// A mistake of this program: the event cannot follow.
    #[error("command {}: {source}", .key.shown())]
    Illegal {
        /// Which.
        key: CommandKey,
        /// Why not.
        source: IllegalTransition,
    },
    /// A mistake of this program: a task panicked.
    #[error("a task broke off")]
    Broke,
    /// A mistake of this program: its own intent has no outcome.
    #[error("command {}: an intent of this owner has no outcome", .key.shown())]
    Unfinished {
        /// Which.
        key: CommandKey,
    },
    /// A mistake of this program: the result does not fit its schema.
    #[error("command {}: {source}", .key.shown())]
    Encode {
        /// Which.
        key: CommandKey,
        /// Why not.
        source: encode::Error,
    },
    /// Another owner or another deployment writes the journal.
    #[error("{0}")]
    Ousted(String),
    /// A record of the journal cannot be relied on; the next restore stops at it.
    #[error("a record of the journal is not understood, it may be the kill switch: {0}")]
    NotUnderstood(#[from] codec::Error),
    /// What others write into the journal does not arrive.
    #[error("the journal cannot be followed, so the kill switch would not be heard: {0}")]
    Deaf(String),
    /// A finished command's story cannot be read again.
    #[error("reading the journal again: {0}")]
    Archive(String),
    /// The command topic cannot be read on.
    #[error("the command topic cannot be read on")]
    IntakeEnded,
}

/// What never changes during an ownership.
#[derive(Debug)]
pub struct Fixed {
    /// Of this owner.
    pub epoch: u64,
    /// Times and counts.
    pub policy: Policy,
    /// The source systems, those with a virtual POS alone.
    pub clients: HashMap<ConnectionId, Client>,
    /// The names of all connections.
    pub connections: BTreeMap<ConnectionId, bool>,
    /// Schemas and topics.
    pub encoder: Arc<Encoder>,
    /// What is masked before it leaves.
    pub privacy: Arc<PrivacyRules>,
    /// Counts and gauges.
    pub tally: Tally,
    /// Where finished stories lie.
    pub index: Arc<Index>,
    /// Knows what was seen of the journal.
    pub witness: Arc<Witness>,
    /// Turns true when the ownership ends.
    pub stop: CancellationToken,
}

/// Shared by all tasks of one ownership.
#[derive(Debug)]
pub struct Desk {
    /// What never changes.
    pub fixed: Fixed,
    journal: Publisher<Write>,
    state: Mutex<State>,
    /// Counts up whenever a brake may have let go.
    brakes_changed: watch::Sender<u64>,
    arrivals: mpsc::UnboundedSender<CommandKey>,
}

impl Desk {
    /// With what the journal told: open commands with their partitions, the brakes, and the rivals
    /// among the finished ones.
    pub fn new(
        fixed: Fixed,
        journal: Publisher<Write>,
        open: impl IntoIterator<Item = Entry>,
        mut brakes: Brakes,
        rivals: Rivals,
    ) -> (Self, mpsc::UnboundedReceiver<CommandKey>) {
        let (arrivals, arrived) = mpsc::unbounded_channel();
        let open = open.into_iter().map(|entry| {
            // Only a valid command can be open, and each of those has arrived somewhere.
            let partition = entry.arrival().map_or(0, |arrival| arrival.partition);
            // What an earlier owner was about to send is a doubt, before anybody has written that.
            if matches!(entry.status(), Status::Intended(_)) {
                brakes.doubt(entry.key());
            }
            // The lock was there before: nobody gives a permission any more that is not known here.
            (entry.key().clone(), Open { entry, partition, since: Instant::now() })
        });
        let open = open.collect();
        let state = State::new(open, brakes, rivals);
        state.show(&fixed.tally);
        let state = Mutex::new(state);
        let (brakes_changed, _) = watch::channel(0);
        (Self { fixed, journal, state, brakes_changed, arrivals }, arrived)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before the guard is dropped.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An open or parked command as it stands.
    pub fn entry(&self, key: &CommandKey) -> Option<Entry> {
        self.state().open.get(key).map(|open| open.entry.clone())
    }

    /// How many commands are open or parked.
    pub fn open_count(&self) -> usize {
        self.state().open.len()
    }

    /// How many commands there is something to do for: parked ones wait for a person.
    pub fn active_count(&self) -> usize {
        self.state().active()
    }

    /// What comes next for a command; a refund that may go on has its amount set aside with it.
    pub fn next_step(&self, entry: &Entry, failures: Failures, now: Timestamp) -> Step {
        let mut state = self.state();
        let (epoch, held) = (self.fixed.epoch, state.held(entry.key()));
        let situation = Situation { epoch, brakes: &state.brakes, failures, held };
        let step = next_step(entry, now, &situation, &self.fixed.policy);
        if let (Step::Execute, Some(order)) = (&step, entry.order()) {
            state.brakes.reserve(entry.key(), order.kind);
        }
        step
    }

    /// For how long an open command is known to stand as it does: see [`Situation::held`].
    pub fn held(&self, key: &CommandKey) -> Duration {
        self.state().held(key)
    }

    /// Other commands that may have changed the payment since this one's look at it.
    pub fn rivals(&self, entry: &Entry) -> Vec<Rival> {
        self.state().rivals.of(entry)
    }

    /// Asks the brakes, as they are now.
    pub fn with_brakes<T>(&self, ask: impl FnOnce(&Brakes) -> T) -> T {
        ask(&self.state().brakes)
    }

    /// Gives a set-aside amount back.
    pub fn release(&self, key: &CommandKey) {
        self.state().brakes.release(key);
        self.brakes_moved();
    }

    /// Nobody knows what became of a request: it counts before that is written.
    pub fn doubt(&self, key: &CommandKey) {
        self.state().brakes.doubt(key);
    }

    /// Turns the kill switch on, or one hand of it off.
    pub fn set_stop(&self, by: StopSource, why: Option<String>) {
        let mut state = self.state();
        match why {
            Some(why) => state.brakes.stop(by, why),
            None => state.brakes.release_stop(by),
        }
        drop(state);
        self.brakes_moved();
    }

    /// Told whenever a brake may have let go.
    pub fn brakes(&self) -> watch::Receiver<u64> {
        self.brakes_changed.subscribe()
    }

    fn brakes_moved(&self) {
        self.brakes_changed.send_modify(|count| *count += 1);
    }

    /// Writes what happened to a command, with its result where there is one; returns the command
    /// as it is once that is committed.
    ///
    /// # Errors
    /// [`Failure::Gone`] says that nobody knows whether it was written: nothing may be done that
    /// depends on it.
    pub async fn record(&self, before: &Entry, event: JournalEvent) -> Result<Entry, Failure> {
        let (after, ()) = self.record_with(before, event, |_| ()).await?;
        Ok(after)
    }

    /// The same for a permission, which must not be used before it is seen: see [`Witness`].
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub async fn permit(
        &self,
        before: &Entry,
        intent: JournalEvent,
    ) -> Result<(Entry, Seen), Failure> {
        self.record_with(before, intent, |record| self.fixed.witness.expect(record)).await
    }

    /// Writes a command as it is after an event; `begin` is told of its record before anybody can read it.
    async fn record_with<T>(
        &self,
        before: &Entry,
        event: JournalEvent,
        begin: impl FnOnce(&JournalRecord) -> T,
    ) -> Result<(Entry, T), Failure> {
        let (key, decided) = (before.key().clone(), Instant::now());
        let partition = self.state().open.get(&key).map_or(0, |open| open.partition);
        let publishes = event.publishes();
        let after = before.with(event).map_err(|source| Failure::Illegal { key, source })?;
        let mut write = Write::default();
        if publishes {
            write.results.extend(self.result(&after)?);
        }
        let record = JournalRecord::story(&after, partition);
        let begun = begin(&record);
        write.journal.push(record);
        self.journal.publish(write).await?;
        self.remember(before, &after, (partition, decided));
        Ok((after, begun))
    }

    fn remember(&self, before: &Entry, after: &Entry, (partition, decided): (i32, Instant)) {
        let mut state = self.state();
        state.brakes.moved(before, after);
        state.put(after, partition, decided);
        state.show(&self.fixed.tally);
        drop(state);
        self.fixed.tally.moved(after);
        self.brakes_moved();
    }

    /// Forgets what the caps ask for no more.
    pub fn forget_old_days(&self, now: Timestamp) {
        self.state().brakes.forget_old_days(now);
    }

    /// Takes commands over that were just journaled: they get their turn from now on.
    pub fn take_over(&self, entries: Vec<(Entry, i32)>) {
        let mut state = self.state();
        let mut open = Vec::new();
        for (entry, partition) in entries {
            state.brakes.add(&entry);
            self.fixed.tally.moved(&entry);
            if !entry.status().is_finished() {
                open.push(entry.key().clone());
            }
            state.put(&entry, partition, Instant::now());
        }
        state.show(&self.fixed.tally);
        drop(state);
        for key in open {
            // The dispatcher is gone only when the ownership is ending anyway.
            drop(self.arrivals.send(key));
        }
    }

    /// Hands a write to the journal's thread and waits for the confirmed commit.
    ///
    /// # Errors
    /// Where nobody knows whether it was written.
    pub async fn write(&self, write: Write) -> Result<(), Gone> {
        self.journal.publish(write).await
    }

    /// The newest result of a command as it is published; nothing where there is none yet.
    ///
    /// # Errors
    /// Where it does not fit its schema.
    pub fn result(&self, entry: &Entry) -> Result<Option<EventRecord>, Failure> {
        latest_result(entry, self.fixed.index.since())
            .map(|publication| self.encode(entry.key(), publication))
            .transpose()
    }

    /// A result as it is published.
    ///
    /// # Errors
    /// Where it does not fit its schema.
    pub fn encode(
        &self,
        key: &CommandKey,
        mut publication: Publication<'_>,
    ) -> Result<EventRecord, Failure> {
        let failed = |source| Failure::Encode { key: key.clone(), source };
        let Fixed { encoder, privacy, .. } = &self.fixed;
        privacy.apply(&mut publication.content);
        let topic = encoder.topic(PaymentResult::NAME).map_err(failed)?;
        let value = encoder.encode(PaymentResult::NAME, &publication.content).map_err(failed)?;
        Ok(EventRecord {
            topic,
            key: publication.key,
            value: Some(value),
            headers: Some(publication.headers),
        })
    }
}

/// Says what became of a command, at the loudness that it deserves.
pub fn announce(entry: &Entry) {
    let (key, status) = (entry.key(), entry.status());
    let event = match status {
        Status::InDoubt { .. } => Event::CommandInDoubt,
        Status::Parked => Event::CommandParked,
        Status::NotSent { .. } => Event::CommandNotSent,
        Status::Resolved { .. } => Event::CommandResolved,
        Status::Done { .. } | Status::Declined | Status::Rejected | Status::Expired => {
            Event::CommandEnded
        }
        Status::Received | Status::Intended(_) => return,
    };
    log_event!(
        event,
        connection = %key.shown_connection(),
        reference = %key.shown_reference(),
        command = %key.command_id,
        kind = entry.outline().kind.as_str(),
        status = status.word(),
        "payment command"
    );
}

#[cfg(test)]
#[path = "desk_tests.rs"]
pub(crate) mod tests;
