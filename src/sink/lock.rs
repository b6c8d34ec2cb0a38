//! Lock, then read: the only way to become the owner.
//!
//! `init_transactions` fences the owner before and waits for its open transaction, so the ends of
//! the journal's partitions that are read afterwards hold everything it ever committed. What is
//! missing, emptied, cut or another deployment's stops the sink: an empty journal would pay again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    config::model::Kafka,
    domain::time::Timestamp,
    failpoints::{self, Point},
    kafka::{
        reading::{self, Stretch},
        settings::sink_transactional_id,
        topics,
    },
    publish::transaction::{Lost, Transactions},
    state::note::{Found, Note, Regression, check_regression},
};

use super::{
    command::CommandKey,
    finished::Place,
    held::{self, Standing},
    journal::{
        Entry,
        codec::{self, Line, Record},
        records::{Identity, Owner},
    },
    ledger::{self, JournalRecord, Topics, Write},
    memory::Journal,
    ownership::Taken,
};

/// For the first record of a partition of the commands.
const FIRST_RECORD_DEADLINE: Duration = Duration::from_secs(30);
/// Tombstones in one transaction.
const FORGET_AT_ONCE: usize = 1000;
/// Partition of the records that are about the whole journal.
pub const HEAD_PARTITION: i32 = 0;

/// Why the sink cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lock or the first commit failed.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The journal could not be read to its end.
    #[error(transparent)]
    Read(#[from] reading::Error),
    /// The journal and the commands are not partitioned alike.
    #[error(
        "journal topic {journal} has {found} partitions, the command topic has {wanted}: both must have as many. give the one with fewer more, never fewer; the sink goes on by itself then"
    )]
    Partitions {
        /// The journal topic.
        journal: String,
        /// Its partitions.
        found: usize,
        /// Those of the command topic.
        wanted: usize,
    },
    /// The journal lost something.
    #[error(
        "JOURNAL_REGRESSION: {journal}[{partition}]: {regression}; stopped, because commands that were executed would be executed again. restore the topic from a backup; docs/payments.md says what else can be done"
    )]
    Regression {
        /// The journal topic.
        journal: String,
        /// The partition.
        partition: i32,
        /// What it lost.
        regression: Regression,
    },
    /// The journal is empty although commands were taken.
    #[error(
        "JOURNAL_REGRESSION: {journal}[{partition}] is empty, but the group has taken commands up to offset {next}; stopped, because commands that were executed would be executed again. restore the topic from a backup; docs/payments.md says what else can be done"
    )]
    Emptied {
        /// The journal topic.
        journal: String,
        /// The partition.
        partition: i32,
        /// What the group remembers.
        next: i64,
    },
    /// Partitions of the journal are empty and the group remembers nothing, but commands were executed.
    #[error(
        "JOURNAL_REGRESSION: {journal}{partitions:?} is empty and the group remembers no offsets, but {results} holds a result that is not older than the oldest command of {commands}{partitions:?}; stopped, because commands that were executed would be executed again. restore the topic from a backup; docs/payments.md says what else can be done"
    )]
    Forgotten {
        /// The journal topic.
        journal: String,
        /// The topic of results.
        results: String,
        /// The topic of commands.
        commands: String,
        /// The partitions of both.
        partitions: Vec<i32>,
    },
    /// Another deployment executes the same commands.
    #[error(
        "journal topic {journal} belongs to the deployment {found:?}, this one is {ours:?}: two sinks of different env, topic_prefix or group cannot fence each other and would pay twice. one command topic belongs to one deployment"
    )]
    OtherDeployment {
        /// The journal topic.
        journal: String,
        /// Whose it is.
        found: String,
        /// Who asks.
        ours: String,
    },
    /// Another replica is to run it, or the program ends.
    #[error("the sink was given back while its journal was read")]
    GivenBack,
}

impl Error {
    /// Whether trying again by itself cannot help. A topic that is missing may be so for a moment:
    /// [`Absence`](super::absence::Absence) decides about that.
    pub const fn needs_operator(&self) -> bool {
        match self {
            Self::Partitions { .. }
            | Self::Regression { .. }
            | Self::Emptied { .. }
            | Self::Forgotten { .. }
            | Self::OtherDeployment { .. } => true,
            Self::Read(error) => matches!(error, reading::Error::Record { .. }),
            Self::Lost(_) | Self::GivenBack => false,
        }
    }

    /// Whether the brokers do not know a topic that must be there.
    pub fn is_missing_topic(&self) -> bool {
        matches!(self, Self::Read(error) if error.is_missing_topic())
    }
}

/// What is needed to become the owner.
#[derive(Debug, Clone)]
pub struct Request {
    /// Part of the transactional id.
    pub env: String,
    /// Brokers and names.
    pub kafka: Kafka,
    /// How far the group has taken the commands.
    pub taken: Vec<Taken>,
    /// Now, for what may be forgotten.
    pub now: Timestamp,
    /// The sink is given back: the lock must not be taken from a successor, nor anything written.
    pub stop: CancellationToken,
}

impl Request {
    /// Asked before every step that another owner would feel.
    fn go_on(&self) -> Result<(), Error> {
        if self.stop.is_cancelled() { Err(Error::GivenBack) } else { Ok(()) }
    }
}

/// The journal as it is, and the right to add to it.
#[derive(Debug)]
pub struct Locked {
    /// Holds the lock.
    pub transactions: Transactions,
    /// The topics that are written.
    pub topics: Topics,
    /// Of this owner.
    pub epoch: u64,
    /// What the journal tells.
    pub journal: Journal,
    /// How far each partition is written, and its identity.
    pub notes: BTreeMap<i32, Note>,
    /// Up to where each partition was read, this owner's mark included.
    pub read_to: BTreeMap<i32, i64>,
    /// Commands whose newest words Kafka held back: nobody knows whether their results are visible.
    pub untold: Vec<Entry>,
}

/// Takes the lock, reads the whole journal, and marks it as this owner's. Blocks.
///
/// # Errors
/// Where anything about the journal is not certain, or the sink was given back meanwhile; see
/// [`Error::needs_operator`].
pub fn lock_and_restore(request: &Request) -> Result<Locked, Error> {
    request.go_on()?;
    let ours = sink_transactional_id(&request.env, &request.kafka);
    let mut transactions = Transactions::lock(&request.kafka, ours.clone())?;
    failpoints::reach(Point::SinkLocked);
    let topics = Topics {
        journal: request.kafka.topic(topics::JOURNAL),
        rejected: request.kafka.topic(topics::REJECTED_COMMANDS),
    };
    let stretches = reading::stretches(&request.kafka, &topics.journal)?;
    if stretches.len() != request.taken.len() {
        let (found, wanted) = (stretches.len(), request.taken.len());
        return Err(Error::Partitions { journal: topics.journal, found, wanted });
    }
    let mut read = Read::default();
    for stretch in &stretches {
        read.take(request, stretch)?;
        request.go_on()?;
    }
    let mut notes = check(request, &read.journal, &stretches, &ours)?;
    check_first_start(request, &notes)?;
    let epoch = read.journal.owner.map_or(0, |owner| owner.epoch) + 1;
    request.go_on()?;
    mark(&mut transactions, &topics, &mut notes, &ours, epoch, &read.held)?;
    // What was said between the reading and the mark: the kill switch, and another deployment that
    // began at the same time with a journal that was empty for it too.
    let read_to: BTreeMap<i32, i64> = notes.iter().map(|(at, note)| (*at, note.end)).collect();
    for stretch in stretches {
        let end = read_to.get(&stretch.partition).copied().unwrap_or(stretch.end);
        read.take(request, &Stretch { from: stretch.end, end, ..stretch })?;
    }
    if let Some(found) = read.prefixes.iter().find(|prefix| **prefix != ours) {
        let found = found.clone();
        return Err(Error::OtherDeployment { journal: topics.journal, found, ours });
    }
    let Read { mut journal, untold, .. } = read;
    forget(request, &mut transactions, &topics, &mut journal)?;
    let untold = untold.into_values().collect();
    Ok(Locked { transactions, topics, epoch, journal, notes, read_to, untold })
}

/// The journal as far as it is read.
#[derive(Default)]
struct Read {
    journal: Journal,
    /// Partitions whose end a transaction holds back that nobody ends.
    held: BTreeSet<i32>,
    /// What such transactions say of commands.
    untold: HashMap<CommandKey, Entry>,
    /// Whose identity was read, of all deployments.
    prefixes: BTreeSet<String>,
}

impl Read {
    /// Every record of a stretch; less where the sink is given back meanwhile.
    fn take(&mut self, request: &Request, stretch: &Stretch) -> Result<(), Error> {
        let partition = stretch.partition;
        let is_wanted = || !request.stop.is_cancelled();
        let each = |standing, offset, line| {
            self.note(standing, &line);
            self.journal.take(line, Place { partition, offset }, request.now);
        };
        let held = held::read(&request.kafka, stretch, is_wanted, each)?;
        self.held.extend(held.map(|_| partition));
        Ok(())
    }

    fn note(&mut self, standing: Standing, line: &Line) {
        match line {
            Line::Said(Record::Identity(Identity { transactional_prefix, .. })) => {
                self.prefixes.insert(transactional_prefix.clone());
            }
            Line::Said(Record::Command(entry)) if standing == Standing::Held => {
                self.untold.insert(entry.key().clone(), (**entry).clone());
            }
            _ => {}
        }
    }
}

/// Compares what was read with what the group remembers, and with whose it should be.
fn check(
    request: &Request,
    journal: &Journal,
    stretches: &[Stretch],
    ours: &str,
) -> Result<BTreeMap<i32, Note>, Error> {
    let topic = || request.kafka.topic(topics::JOURNAL);
    let mut notes = BTreeMap::new();
    for (stretch, taken) in stretches.iter().zip(&request.taken) {
        let (partition, end) = (stretch.partition, stretch.end);
        let identity = journal.identities.get(&partition);
        let uuid = identity.map(|identity| identity.uuid.as_str());
        let found = Found { identity: uuid, start: stretch.from, end };
        check_regression(taken.note.as_ref(), found, None)
            .map_err(|regression| Error::Regression { journal: topic(), partition, regression })?;
        match (identity, taken.next) {
            (None, Some(next)) => {
                return Err(Error::Emptied { journal: topic(), partition, next });
            }
            (Some(identity), _) if identity.transactional_prefix != ours => {
                return Err(Error::OtherDeployment {
                    journal: topic(),
                    found: identity.transactional_prefix.clone(),
                    ours: ours.to_owned(),
                });
            }
            (None, None) | (Some(_), _) => {}
        }
        let identity = uuid.map_or_else(String::new, str::to_owned);
        notes.insert(partition, Note { identity, end });
    }
    Ok(notes)
}

/// Empty partitions of the journal beside a group that remembers nothing, which `check` let pass: where
/// results are there that the commands in those partitions may have had, they are none of a first start,
/// and both were lost. A command topic that was made anew holds none that is as old as the results. A
/// group that remembers an offset of any partition was not lost: then the empty ones were added.
fn check_first_start(request: &Request, notes: &BTreeMap<i32, Note>) -> Result<(), Error> {
    let is_empty = |partition| notes.get(&partition).is_none_or(|note| note.identity.is_empty());
    let partitions: Vec<i32> = notes.keys().copied().filter(|at| is_empty(*at)).collect();
    if partitions.is_empty() || request.taken.iter().any(|taken| taken.next.is_some()) {
        return Ok(());
    }
    let topic = |name| request.kafka.topic(name);
    let (commands, results) = (topic(topics::COMMANDS), topic(topics::RESULTS));
    let oldest =
        reading::oldest_record(&request.kafka, &commands, is_empty, FIRST_RECORD_DEADLINE)?;
    match oldest {
        Some(oldest) if reading::holds_since(&request.kafka, &results, oldest)? => {
            let journal = topic(topics::JOURNAL);
            Err(Error::Forgotten { journal, results, commands, partitions })
        }
        Some(_) | None => Ok(()),
    }
}

/// Writes who owns the journal from now on, and the identity of partitions that are new. Where a
/// partition is held, its identity is written again: the end of this transaction, of the same producer,
/// is the end that the other one lacks.
fn mark(
    transactions: &mut Transactions,
    topics: &Topics,
    notes: &mut BTreeMap<i32, Note>,
    ours: &str,
    epoch: u64,
    held: &BTreeSet<i32>,
) -> Result<(), Lost> {
    let mut write = Write::default();
    let record = |partition, key: &str, value| JournalRecord {
        partition,
        key: key.to_owned(),
        value: Some(value),
        finished: None,
    };
    for (partition, note) in notes.iter_mut() {
        if note.identity.is_empty() {
            // Of the kind that tells when it was made: see `Index::since`.
            note.identity = Uuid::now_v7().to_string();
        } else if !held.contains(partition) {
            continue;
        }
        let uuid = note.identity.clone();
        let identity = Identity { uuid, transactional_prefix: ours.to_owned() };
        let value = codec::encode_identity(&identity);
        write.journal.push(record(*partition, codec::IDENTITY_KEY, value));
    }
    let owner = codec::encode_owner(Owner { epoch });
    write.journal.push(record(HEAD_PARTITION, codec::OWNER_KEY, owner));
    ledger::commit(transactions, &[&write], topics)?;
    for (partition, offset) in transactions.journal_places() {
        if let Some(note) = notes.get_mut(&partition) {
            note.end = note.end.max(offset + 1);
        }
    }
    Ok(())
}

/// Tombstones for commands that nobody can execute any more, and for what people decided about them.
fn forget(
    request: &Request,
    transactions: &mut Transactions,
    topics: &Topics,
    journal: &mut Journal,
) -> Result<(), Error> {
    for part in tombstones(journal).chunks(FORGET_AT_ONCE) {
        request.go_on()?;
        let write = Write { journal: part.to_vec(), ..Write::default() };
        ledger::commit(transactions, &[&write], topics)?;
    }
    Ok(())
}

fn tombstones(journal: &mut Journal) -> Vec<JournalRecord> {
    let of = |key: String, partition| JournalRecord { partition, key, value: None, finished: None };
    let stories = journal.take_forgettable();
    stories.iter().for_each(|(key, _)| journal.let_go(key));
    // Also those of stories that earlier owners forgot.
    let decisions = journal.take_orphaned_decisions();
    let decisions = decisions.into_iter().map(|(key, at)| of(codec::resolve_key(&key), at));
    let stories = stories.into_iter().map(|(key, at)| of(key.to_string(), at));
    stories.chain(decisions).collect()
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
