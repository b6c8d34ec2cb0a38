//! Which replica runs the sink, and how far the commands are taken.
//!
//! The replicas form a group on the assignment topic; whoever holds its partition 0 is the owner.
//! The group only places: what fences is the transactional id. The owner commits the offsets of the
//! command topic in the same group, so that the usual tools show its lag, and beside each offset
//! how far the journal was written then: a journal that was emptied later is noticed by that.

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
    failpoints::{self, Point},
    kafka::{
        group::{self, Ended, Group},
        seat::Seat,
        settings::sink_group,
        topics,
    },
    log_event,
    state::note::Note,
    telemetry::{events::Event, pulse},
};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How soon partitions that were added are noticed.
const COUNT_INTERVAL: Duration = Duration::from_secs(30);
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);
/// Offsets that are not committed anew are forgotten by the broker after some days.
const REFRESH_INTERVAL: Duration = Duration::from_secs(3600);
/// The partition of the assignment topic whose holder is the owner.
const OWNERS_PARTITION: i32 = 0;

/// One partition of the command topic, as the group remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The partition, of the command topic and of the journal alike.
    pub partition: i32,
    /// The offset of the first command that is not in the journal; nothing where the group has
    /// none.
    pub next: Option<i64>,
    /// How far the journal was written then.
    pub note: Option<Note>,
}

/// How many partitions the topics of the sink have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    /// The command topic.
    commands: usize,
    /// The journal; nothing where the brokers do not tell.
    journal: Option<usize>,
}

impl Counts {
    /// Whether what began with these must begin anew, now that there are those: commands would lie
    /// where nobody reads them, or the journal that was too small is so no more. One that was given more
    /// partitions first waits for the commands to be given as many.
    fn are_outgrown(self, now: Self) -> bool {
        let was_unequal = self.journal.is_some_and(|journal| journal != self.commands);
        now.commands > self.commands || was_unequal && now.journal == Some(now.commands)
    }
}

/// A change of who runs the sink, or of what it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This replica does, from now on.
    Gained(Vec<Taken>),
    /// Another one will.
    Lost,
    /// This replica does, and there are partitions by now of which it was told nothing.
    Widened,
}

/// How far one partition is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The partition.
    pub partition: i32,
    /// The offset of the first command that is not in the journal.
    pub next: i64,
    /// How far the journal is written.
    pub note: Note,
}

/// The member's channels.
#[derive(Debug)]
pub struct Member {
    /// Whether this replica is the owner.
    pub changes: mpsc::UnboundedReceiver<Change>,
    /// What the group is to remember; the newest of each partition counts.
    pub progress: mpsc::UnboundedSender<Progress>,
    /// Asks for [`Change::Gained`] anew, with the offsets as they are by then.
    pub renew: mpsc::UnboundedSender<()>,
}

/// Joins the group on a thread of its own and stays until `stop` turns true.
///
/// # Errors
/// Where the thread cannot be started.
pub fn join(
    kafka: Kafka,
    stop: watch::Receiver<bool>,
) -> std::io::Result<(Member, thread::JoinHandle<()>)> {
    let (changes, changed) = mpsc::unbounded_channel();
    let (progress, progressed) = mpsc::unbounded_channel();
    let (renew, renewals) = mpsc::unbounded_channel();
    let handle = thread::Builder::new().name("sink-group".into()).spawn(move || {
        let _followed = pulse::follow("sink-group", None);
        let name = sink_group(&kafka);
        let mut membership = Membership {
            kafka: kafka.clone(),
            changes,
            progressed,
            renewals,
            owner: false,
            counts: Counts::default(),
            counted_at: Instant::now(),
            pending: BTreeMap::new(),
            committed: BTreeMap::new(),
            committed_at: Instant::now(),
            refreshed_at: Instant::now(),
        };
        group::stay(&kafka, &name, &stop, &mut membership);
    })?;
    Ok((Member { changes: changed, progress, renew }, handle))
}

struct Membership {
    kafka: Kafka,
    changes: mpsc::UnboundedSender<Change>,
    progressed: mpsc::UnboundedReceiver<Progress>,
    renewals: mpsc::UnboundedReceiver<()>,
    owner: bool,
    /// When the sink was taken, or seen to be wider.
    counts: Counts,
    counted_at: Instant,
    pending: BTreeMap<i32, Progress>,
    committed: BTreeMap<i32, Progress>,
    committed_at: Instant,
    refreshed_at: Instant,
}

impl group::Member for Membership {
    fn turn(&mut self, group: &Group, places: &BTreeSet<i32>) -> Result<(), KafkaError> {
        match (self.owner, places.contains(&OWNERS_PARTITION)) {
            (true, false) => self.give_back(),
            (false, true) => self.take(&group.consumer)?,
            (true, true) if self.renewals.try_recv().is_ok() => self.take(&group.consumer)?,
            (true, true) | (false, false) => {}
        }
        if self.owner && self.counted_at.elapsed() >= COUNT_INTERVAL {
            self.counted_at = Instant::now();
            self.count(&group.consumer);
        }
        if self.refreshed_at.elapsed() >= REFRESH_INTERVAL {
            self.refreshed_at = Instant::now();
            self.refresh();
        }
        if self.committed_at.elapsed() >= COMMIT_INTERVAL {
            self.committed_at = Instant::now();
            self.commit(&group.consumer);
        }
        Ok(())
    }

    fn leave(&mut self, group: &Group) {
        self.commit(&group.consumer);
    }

    fn lost(&mut self, ended: &Ended) {
        log_event!(Event::AssignmentFailed, error = %ended, "the sink's group failed, joining it again");
        self.give_back();
    }
}

impl Membership {
    fn give_back(&mut self) {
        if std::mem::take(&mut self.owner) {
            // The receiver is gone only when the process is ending anyway.
            drop(self.changes.send(Change::Lost));
        }
        self.pending.clear();
        self.committed.clear();
    }

    /// What was committed is committed again, unless newer is on its way.
    fn refresh(&mut self) {
        for (partition, progress) in &self.committed {
            self.pending.entry(*partition).or_insert_with(|| progress.clone());
        }
    }

    fn take(&mut self, consumer: &BaseConsumer<Seat>) -> Result<(), KafkaError> {
        self.commit(consumer);
        pulse::step("reading how far commands are taken");
        let taken = taken(consumer, &self.kafka)?;
        self.counts =
            Counts { commands: taken.len(), journal: self.partitions(consumer, topics::JOURNAL) };
        self.counted_at = Instant::now();
        self.committed = remembered(&taken);
        self.owner = true;
        drop(self.changes.send(Change::Gained(taken)));
        Ok(())
    }

    /// Says once where partitions were added of which the sink knows nothing.
    fn count(&mut self, consumer: &BaseConsumer<Seat>) {
        pulse::step("counting the partitions of the command topic");
        let Some(commands) = self.partitions(consumer, topics::COMMANDS) else { return };
        let now = Counts { commands, journal: self.partitions(consumer, topics::JOURNAL) };
        if !self.counts.are_outgrown(now) {
            return;
        }
        self.counts = now;
        log_event!(
            Event::CommandsWidened,
            topic = self.kafka.topic(topics::COMMANDS),
            partitions = now.commands,
            journal_partitions = now.journal,
            "the topics of the sink have more partitions than when it began"
        );
        drop(self.changes.send(Change::Widened));
    }

    /// How many partitions a topic has; nothing where the brokers do not tell, which passes or is seen
    /// by whoever reads it.
    fn partitions(&self, consumer: &BaseConsumer<Seat>, topic: &str) -> Option<usize> {
        match consumer.fetch_metadata(Some(&self.kafka.topic(topic)), CALL_TIMEOUT) {
            Ok(metadata) => {
                metadata.topics().first().map(|t| t.partitions().len()).filter(|count| *count > 0)
            }
            Err(error) => {
                tracing::debug!(%error, topic, "counting partitions");
                None
            }
        }
    }

    fn commit(&mut self, consumer: &BaseConsumer<Seat>) {
        while let Ok(progress) = self.progressed.try_recv() {
            self.pending.insert(progress.partition, progress);
        }
        if !self.owner {
            // What a term that was given back still tells is older than what its successor does.
            self.pending.clear();
        }
        if self.pending.is_empty() {
            return;
        }
        let commands = self.kafka.topic(topics::COMMANDS);
        let mut offsets = TopicPartitionList::new();
        for progress in self.pending.values() {
            let mut element = offsets.add_partition(&commands, progress.partition);
            element.set_metadata(progress.note.to_metadata());
            if let Err(error) = element.set_offset(Offset::Offset(progress.next)) {
                tracing::debug!(%error, "noting how far commands are taken");
            }
        }
        pulse::step("noting how far commands are taken");
        failpoints::reach(Point::BeforeOffsets);
        match consumer.commit(&offsets, CommitMode::Sync) {
            Ok(()) => {
                failpoints::reach(Point::OffsetsNoted);
                self.committed.append(&mut self.pending);
            }
            // In the middle of a rebalance; the journal knows what the offsets do not say.
            Err(error) => tracing::debug!(%error, "noting how far commands are taken"),
        }
    }
}

/// What is to be committed anew from time to time, also of partitions where nothing comes: the broker
/// would forget it, and with it what tells a lost journal from a new one.
fn remembered(taken: &[Taken]) -> BTreeMap<i32, Progress> {
    let of = |taken: &Taken| {
        let (partition, next, note) = (taken.partition, taken.next?, taken.note.clone()?);
        Some((partition, Progress { partition, next, note }))
    };
    taken.iter().filter_map(of).collect()
}

/// What the group remembers of every partition of the command topic.
fn taken(consumer: &BaseConsumer<Seat>, kafka: &Kafka) -> Result<Vec<Taken>, KafkaError> {
    let topic = kafka.topic(topics::COMMANDS);
    let metadata = consumer.fetch_metadata(Some(&topic), CALL_TIMEOUT)?;
    let mut asked = TopicPartitionList::new();
    for found in metadata.topics() {
        if let Some(code) = found.error() {
            return Err(KafkaError::MetadataFetch(code.into()));
        }
        for partition in found.partitions() {
            asked.add_partition(&topic, partition.id());
        }
    }
    let committed = consumer.committed_offsets(asked, CALL_TIMEOUT)?;
    let mut taken = Vec::new();
    for element in committed.elements_for_topic(&topic) {
        element.error()?;
        let next = match element.offset() {
            Offset::Offset(next) => Some(next),
            _ => None,
        };
        let note = Note::from_metadata(element.metadata());
        taken.push(Taken { partition: element.partition(), next, note });
    }
    taken.sort_by_key(|taken| taken.partition);
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(partition: i32, next: i64) -> Progress {
        let note = Note { identity: format!("journal {partition}"), end: next };
        Progress { partition, next, note }
    }

    fn taken_of(progress: Progress) -> Taken {
        let Progress { partition, next, note } = progress;
        Taken { partition, next: Some(next), note: Some(note) }
    }

    #[test]
    fn a_term_is_outgrown_by_commands_that_it_does_not_read_and_by_a_journal_that_was_too_small() {
        let counts = |commands, journal| Counts { commands, journal };
        for (began, now, expected) in [
            (counts(2, Some(2)), counts(2, Some(2)), false),
            (counts(2, Some(2)), counts(3, Some(2)), true),
            (counts(2, Some(2)), counts(3, Some(3)), true),
            (counts(2, Some(2)), counts(3, None), true),
            // The journal first: it goes on until the commands follow.
            (counts(2, Some(2)), counts(2, Some(3)), false),
            // Stopped, until both are alike.
            (counts(3, Some(2)), counts(3, Some(2)), false),
            (counts(3, Some(2)), counts(3, None), false),
            (counts(3, Some(2)), counts(3, Some(3)), true),
            (counts(2, Some(3)), counts(3, Some(3)), true),
            // A broker that has not heard of it yet.
            (counts(3, Some(3)), counts(2, Some(3)), false),
            (counts(2, None), counts(2, Some(2)), false),
        ] {
            assert_eq!(began.are_outgrown(now), expected, "{began:?} {now:?}");
        }
    }

    #[test]
    fn what_is_refreshed_holds_partitions_that_are_idle_and_nothing_older_than_what_waits() {
        let never_taken = Taken { partition: 3, next: None, note: None };
        let taken = [taken_of(progress(1, 10)), taken_of(progress(2, 20)), never_taken];
        let (changes, _changed) = mpsc::unbounded_channel();
        let (_, progressed) = mpsc::unbounded_channel();
        let (_, renewals) = mpsc::unbounded_channel();
        let mut membership = Membership {
            kafka: crate::sink::desk::tests::kafka(),
            changes,
            progressed,
            renewals,
            owner: true,
            counts: Counts::default(),
            counted_at: Instant::now(),
            pending: BTreeMap::from([(2, progress(2, 21))]),
            committed: remembered(&taken),
            committed_at: Instant::now(),
            refreshed_at: Instant::now(),
        };
        membership.refresh();
        let refreshed: Vec<Progress> = membership.pending.into_values().collect();
        assert_eq!(refreshed, [progress(1, 10), progress(2, 21)]);
    }
}
