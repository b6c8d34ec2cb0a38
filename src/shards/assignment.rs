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
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
};
use tokio::sync::{mpsc, watch};

use crate::{
    config::model::Kafka,
    kafka::{
        context::Logging,
        settings::{Role, client_config},
    },
    log_event,
    state::note::Note,
    telemetry::events::Event,
};

const POLL: Duration = Duration::from_millis(200);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const RETRY_PAUSE: Duration = Duration::from_secs(2);
const NOTE_INTERVAL: Duration = Duration::from_secs(2);
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
        let mut membership = Membership {
            kafka,
            stop,
            changes,
            noted,
            owned: BTreeSet::new(),
            pending: BTreeMap::new(),
            noted_at: Instant::now(),
            silent: 0,
            miscounted: false,
        };
        while !*membership.stop.borrow() {
            if let Err(error) = membership.run() {
                log_event!(Event::AssignmentFailed, %error, "the shard assignment failed, joining the group again");
                membership.give_back(&BTreeSet::new());
                thread::sleep(RETRY_PAUSE);
            }
        }
    })?;
    Ok((Member { changes: changed, notes }, handle))
}

/// What the group has noted of every shard, without joining it. Blocks.
///
/// # Errors
/// Whatever the brokers say; no answer is not an empty note.
pub fn notes(kafka: &Kafka) -> Result<BTreeMap<i32, Note>, KafkaError> {
    let topic = kafka.topic("internal.assignment");
    let consumer: BaseConsumer<Logging> =
        client_config(kafka, &Role::GroupMember { group: kafka.group.clone() })?
            .create_with_context(Logging)?;
    let mut asked = TopicPartitionList::new();
    for shard in 0..kafka.shards {
        asked.add_partition(&topic, shard);
    }
    let committed = consumer.committed_offsets(asked, CALL_TIMEOUT)?;
    let noted = (0..kafka.shards).filter_map(|shard| {
        let element = committed.find_partition(&topic, shard)?;
        Note::from_metadata(element.metadata()).map(|note| (shard, note))
    });
    Ok(noted.collect())
}

struct Membership {
    kafka: Kafka,
    stop: watch::Receiver<bool>,
    changes: mpsc::UnboundedSender<Change>,
    noted: mpsc::UnboundedReceiver<NoteUpdate>,
    owned: BTreeSet<i32>,
    pending: BTreeMap<i32, Note>,
    noted_at: Instant,
    /// Questions in a row that Kafka did not answer.
    silent: u32,
    /// It was said that the number of shards is wrong.
    miscounted: bool,
}

impl Membership {
    fn run(&mut self) -> Result<(), KafkaError> {
        let topic = self.kafka.topic("internal.assignment");
        let role = Role::GroupMember { group: self.kafka.group.clone() };
        let consumer: BaseConsumer<Logging> =
            client_config(&self.kafka, &role)?.create_with_context(Logging)?;
        consumer.subscribe(&[&topic])?;
        let mut checked = Instant::now();
        while !*self.stop.borrow() {
            // Rebalances happen inside poll(); what they left is read off the assignment.
            if let Some(Err(error)) = consumer.poll(POLL) {
                tracing::debug!(%error, "assignment poll");
            }
            let assigned = assigned_shards(&consumer, &topic)?;
            self.give_back(&assigned);
            self.take(&consumer, &topic, &assigned)?;
            if self.noted_at.elapsed() >= NOTE_INTERVAL {
                self.commit_notes(&consumer, &topic);
            }
            if checked.elapsed() > CHECK_INTERVAL {
                self.check(&consumer, &topic);
                checked = Instant::now();
            }
        }
        self.commit_notes(&consumer, &topic);
        // A dynamic member that unsubscribes leaves at once: the next owner need not wait for the
        // session to time out.
        consumer.unsubscribe();
        consumer.poll(POLL);
        Ok(())
    }

    /// Whether Kafka answers, and whether the assignment topic still has as many partitions as there
    /// are shards: more would move connections between shards under their owners' feet.
    fn check(&mut self, consumer: &BaseConsumer<Logging>, topic: &str) {
        let metadata = match consumer.fetch_metadata(Some(topic), CHECK_TIMEOUT) {
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
        let shards = self.kafka.shards;
        // A topic that is not there at all is another matter, and may just be unknown to a broker.
        let wrong = partitions > 0 && i32::try_from(partitions) != Ok(shards);
        if wrong && !self.miscounted {
            log_event!(
                Event::ShardCountChanged,
                topic,
                partitions,
                shards,
                "the assignment topic no longer has as many partitions as kafka.shards: recreate it or change the setting, then restart"
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

    fn take(
        &mut self,
        consumer: &BaseConsumer<Logging>,
        topic: &str,
        assigned: &BTreeSet<i32>,
    ) -> Result<(), KafkaError> {
        let new: Vec<i32> = assigned.difference(&self.owned).copied().collect();
        if new.is_empty() {
            return Ok(());
        }
        let mut asked = TopicPartitionList::new();
        for shard in &new {
            asked.add_partition(topic, *shard);
        }
        let committed = consumer.committed_offsets(asked, CALL_TIMEOUT)?;
        for shard in new {
            let note = committed
                .find_partition(topic, shard)
                .and_then(|element| Note::from_metadata(element.metadata()));
            self.owned.insert(shard);
            drop(self.changes.send(Change::Granted(Granted { shard, note })));
        }
        Ok(())
    }

    fn commit_notes(&mut self, consumer: &BaseConsumer<Logging>, topic: &str) {
        self.noted_at = Instant::now();
        while let Ok(update) = self.noted.try_recv() {
            self.pending.insert(update.shard, update.note);
        }
        self.pending.retain(|shard, _| self.owned.contains(shard));
        if self.pending.is_empty() {
            return;
        }
        let mut offsets = TopicPartitionList::new();
        for (shard, note) in &self.pending {
            let mut element = offsets.add_partition(topic, *shard);
            element.set_metadata(note.to_metadata());
            if let Err(error) = element.set_offset(Offset::Offset(0)) {
                tracing::debug!(%error, shard, "noting the end of the state");
            }
        }
        match consumer.commit(&offsets, CommitMode::Sync) {
            Ok(()) => self.pending.clear(),
            // In the middle of a rebalance; a shard that moves is noted by its next owner.
            Err(error) => tracing::debug!(%error, "noting the end of the state"),
        }
    }
}

fn assigned_shards(
    consumer: &BaseConsumer<Logging>,
    topic: &str,
) -> Result<BTreeSet<i32>, KafkaError> {
    let assignment = consumer.assignment()?;
    Ok(assignment.elements_for_topic(topic).iter().map(|element| element.partition()).collect())
}
