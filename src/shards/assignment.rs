//! Sharing the shards: a consumer group on the assignment topic, whose partitions are the shards.
//!
//! The group only places work. It never fences: that is the transactional id's job, so an
//! assignment that is late or doubled costs a fenced producer and no row. The member's offsets on
//! the topic mean nothing; their metadata carries each shard's [`Note`].

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
};
use tokio::sync::{mpsc, watch};

use crate::{
    config::model::Kafka,
    failpoints::{self, Point},
    kafka::{
        context::Logging,
        group::{self, Ended, Group},
        patience::Trouble,
        settings::{Role, client_config},
        topics,
    },
    log_event,
    state::note::Note,
    telemetry::{events::Event, pulse},
};

use super::notes::{self, Notes};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const NOTE_INTERVAL: Duration = Duration::from_secs(2);
/// A coordinator that is there tells at once what it has noted, and a longer wait would hold up the
/// group.
const NOTE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the notes of new shards may be withheld. A coordinator that moves does so for seconds.
const UNREAD_MAX: Duration = Duration::from_secs(60);
/// Between two questions whether Kafka still answers; its answer tells the number of shards too.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Brokers that are there answer this one at once, and a longer wait would hold up the group.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);
/// Questions in a row without an answer that count: one may fall into a broker's restart.
const CHECKS_FAILED: u32 = 2;

/// A shard that this replica now has, with what the group noted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The shard.
    pub shard: i32,
    /// The group's note.
    pub note: Option<Note>,
}

/// A change of what this replica owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This replica has the shard from now on.
    Granted(Granted),
    /// Another replica will have it.
    Revoked(i32),
    /// Kafka has ceased to answer, or answers again.
    Kafka(bool),
    /// The group counts on this replica, or has lost it, with all of its shards.
    Joined(bool),
    /// The brokers keep this user out of the group, and why, or no longer.
    KeptOut(Option<String>),
}

/// What a shard wants the group to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteUpdate {
    /// The shard.
    pub shard: i32,
    /// What to note.
    pub note: Note,
}

/// The member's two channels and its end.
#[derive(Debug)]
pub struct Member {
    /// What this replica gains and loses.
    pub changes: mpsc::UnboundedReceiver<Change>,
    /// What shards want noted; the newest of each shard counts.
    pub notes: mpsc::UnboundedSender<NoteUpdate>,
}

/// Joins the group on a thread of its own and stays until `stop` turns true.
pub fn join(
    kafka: Kafka,
    stop: watch::Receiver<bool>,
) -> std::io::Result<(Member, thread::JoinHandle<()>)> {
    let (changes, changed) = mpsc::unbounded_channel();
    let (notes, noted) = mpsc::unbounded_channel();
    let handle = thread::Builder::new().name("assignment".into()).spawn(move || {
        let _followed = pulse::follow("assignment", None);
        let name = kafka.group.clone();
        let mut membership = Membership {
            shards: kafka.shards,
            changes,
            noted,
            owned: BTreeSet::new(),
            unread: Trouble::bearable_for(UNREAD_MAX),
            notes: Notes::default(),
            noted_at: Instant::now(),
            checked_at: Instant::now(),
            silent: 0,
            joined: false,
            kept_out: None,
            miscounted: false,
        };
        group::stay(&kafka, &name, &stop, &mut membership);
    })?;
    Ok((Member { changes: changed, notes }, handle))
}

/// What the group has noted of every shard, without joining it. Blocks.
///
/// # Errors
/// Whatever the brokers say; no answer is not an empty note.
pub fn notes(kafka: &Kafka) -> Result<BTreeMap<i32, Note>, KafkaError> {
    let topic = kafka.topic(topics::ASSIGNMENT);
    let consumer: BaseConsumer<Logging> =
        client_config(kafka, &Role::GroupMember { group: kafka.group.clone() })?
            .create_with_context(Logging)?;
    let noted = notes::read(&consumer, &topic, 0..kafka.shards, CALL_TIMEOUT)?;
    Ok(noted.into_iter().filter_map(|(shard, note)| Some((shard, note?))).collect())
}

struct Membership {
    shards: i32,
    changes: mpsc::UnboundedSender<Change>,
    noted: mpsc::UnboundedReceiver<NoteUpdate>,
    owned: BTreeSet<i32>,
    /// That the notes of new shards cannot be read.
    unread: Trouble,
    notes: Notes,
    noted_at: Instant,
    checked_at: Instant,
    /// Questions in a row that Kafka did not answer.
    silent: u32,
    /// What was said last of the group's counting on this replica.
    joined: bool,
    /// Why the brokers keep this user out of the group, as it was said last.
    kept_out: Option<String>,
    /// It was said that the number of shards is wrong.
    miscounted: bool,
}

impl group::Member for Membership {
    fn turn(&mut self, group: &Group, assigned: &BTreeSet<i32>) -> Result<(), KafkaError> {
        failpoints::reach(Point::GroupTurn);
        self.tell_joined(group.is_joined());
        self.tell_kept_out(group.kept_out());
        // Places that were added under way hold no connection; `check` tells of them.
        let assigned = assigned.range(..self.shards).copied().collect();
        self.give_back(&assigned);
        // Before whatever asks the coordinator, which may be silent.
        if self.checked_at.elapsed() > CHECK_INTERVAL {
            self.check(group);
            self.checked_at = Instant::now();
        }
        self.take(group, &assigned)?;
        if self.noted_at.elapsed() >= NOTE_INTERVAL {
            self.note(group);
            self.noted_at = Instant::now();
        }
        Ok(())
    }

    fn leave(&mut self, group: &Group) {
        self.gather_notes();
        // Closing the client waits for the answer.
        self.send_notes(group);
    }

    fn lost(&mut self, ended: &Ended) {
        log_event!(Event::AssignmentFailed, error = %ended, "the shard assignment failed, joining the group again");
        self.unread.end();
        self.tell_joined(false);
        self.give_back(&BTreeSet::new());
    }
}

impl Membership {
    fn tell_joined(&mut self, joined: bool) {
        if std::mem::replace(&mut self.joined, joined) != joined {
            drop(self.changes.send(Change::Joined(joined)));
        }
    }

    fn tell_kept_out(&mut self, why: Option<&str>) {
        if self.kept_out.as_deref() != why {
            self.kept_out = why.map(str::to_owned);
            drop(self.changes.send(Change::KeptOut(self.kept_out.clone())));
        }
    }

    /// Whether Kafka answers, and whether the assignment topic still has as many partitions as there
    /// are shards: more would move connections between shards under their owners' feet.
    fn check(&mut self, group: &Group) {
        let topic = group.topic.as_str();
        pulse::step("asking whether kafka answers");
        let metadata = match group.consumer.fetch_metadata(Some(topic), CHECK_TIMEOUT) {
            Ok(metadata) => metadata,
            Err(error) => {
                self.silent += 1;
                if self.silent == CHECKS_FAILED {
                    log_event!(Event::KafkaUnavailable, %error, "kafka does not answer any more, polling waits for it");
                    drop(self.changes.send(Change::Kafka(false)));
                }
                return;
            }
        };
        if std::mem::take(&mut self.silent) >= CHECKS_FAILED {
            log_event!(Event::KafkaAnswers, "kafka answers again");
            drop(self.changes.send(Change::Kafka(true)));
        }
        let partitions = metadata.topics().first().map_or(0, |t| t.partitions().len());
        let shards = self.shards;
        // A topic that is not there at all is another matter, and may just be unknown to a broker.
        let wrong = partitions > 0 && i32::try_from(partitions) != Ok(shards);
        if wrong && !self.miscounted {
            log_event!(
                Event::ShardCountChanged,
                topic,
                partitions,
                shards,
                "the assignment topic no longer has as many partitions as kafka.shards: recreate it alone, then restart, and leave the setting and the state topic as they are"
            );
        }
        self.miscounted = wrong;
    }

    fn give_back(&mut self, assigned: &BTreeSet<i32>) {
        for shard in self.owned.difference(assigned) {
            // The receiver is gone only when the process is ending anyway.
            drop(self.changes.send(Change::Revoked(*shard)));
        }
        self.owned.retain(|shard| assigned.contains(shard));
    }

    /// Takes new shards with what the group has noted of them. Without that a loss of their state would
    /// go unseen, so they wait until it can be read.
    fn take(&mut self, group: &Group, assigned: &BTreeSet<i32>) -> Result<(), KafkaError> {
        let new: Vec<i32> = assigned.difference(&self.owned).copied().collect();
        if new.is_empty() {
            self.unread.end();
            return Ok(());
        }
        pulse::step("reading the notes of new shards");
        match notes::read(&group.consumer, &group.topic, new, CALL_TIMEOUT) {
            Ok(noted) => {
                self.unread.end();
                for (shard, note) in noted {
                    self.owned.insert(shard);
                    drop(self.changes.send(Change::Granted(Granted { shard, note })));
                }
                Ok(())
            }
            Err(error) if self.unread.is_lasting(Instant::now()) => Err(error),
            Err(error) => {
                // As where the coordinator has just moved: the next turn asks the new one.
                tracing::debug!(%error, "reading the notes of new shards");
                Ok(())
            }
        }
    }

    fn gather_notes(&mut self) {
        while let Ok(update) = self.noted.try_recv() {
            self.notes.put(update.shard, update.note);
        }
        self.notes.keep(&self.owned);
    }

    fn note(&mut self, group: &Group) {
        self.gather_notes();
        // What a coordinator that is away was told would only queue up.
        if self.notes.is_empty() || !group.is_reached() {
            return;
        }
        let unsure = self.notes.unsure();
        if !unsure.is_empty() {
            pulse::step("reading what the group has noted");
            match notes::read(&group.consumer, &group.topic, unsure, NOTE_TIMEOUT) {
                Ok(found) => self.notes.settle(&found),
                Err(error) => {
                    tracing::debug!(%error, "reading what the group has noted");
                    return;
                }
            }
        }
        self.send_notes(group);
    }

    fn send_notes(&mut self, group: &Group) {
        if self.notes.is_empty() {
            return;
        }
        pulse::step("noting the end of the state");
        match group.consumer.commit(&self.notes.offsets(&group.topic), CommitMode::Async) {
            Ok(()) => self.notes.mark_sent(),
            Err(error) => tracing::debug!(%error, "noting the end of the state"),
        }
    }
}

#[cfg(test)]
#[path = "assignment_tests.rs"]
mod tests;
