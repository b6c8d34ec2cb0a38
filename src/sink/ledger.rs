//! What the sink writes, and the thread that commits it.
//!
//! A write is one thing that becomes visible as a whole: a result and the journal entry that
//! proves it. Writes of many commands share a transaction. After the confirmed commit, and only
//! then, whoever waits for it goes on: a request to the API leaves after its intent is committed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use rdkafka::message::{Header, OwnedHeaders};
use uuid::Uuid;

use crate::{
    domain::time::Timestamp,
    kafka::context::Sent,
    publish::{
        batch::EventRecord,
        group::{Grouped, Inbox},
        transaction::{Lost, Outgoing, Times, Transactions},
    },
    state::note::Note,
    telemetry::metrics::Metrics,
};

use super::{
    command::CommandKey,
    finished::{Finished, OutOfRange, Place},
    journal::{Entry, codec},
};

/// Topics that the sink writes, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// The journal.
    pub journal: String,
    /// Records that are no commands.
    pub rejected: String,
}

/// One record of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRecord {
    /// The partition of the command.
    pub partition: i32,
    /// As [`codec`] writes it.
    pub key: String,
    /// As [`codec`] writes it; without a value it is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The command, where its story ends with this record: it need not stay in memory.
    pub finished: Option<CommandKey>,
}

impl JournalRecord {
    /// The whole story of a command, as it is now.
    pub fn story(entry: &Entry, partition: i32) -> Self {
        let finished = entry.status().is_finished().then(|| entry.key().clone());
        let value = Some(codec::encode_entry(entry));
        Self { partition, key: entry.key().to_string(), value, finished }
    }
}

/// A record of the command topic that is no command: key and bytes as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Why it is none, and where it lay.
    pub headers: Vec<(&'static str, String)>,
}

/// What becomes visible together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Write {
    /// Results for consumers.
    pub results: Vec<EventRecord>,
    /// Records that are no commands.
    pub refused: Vec<Refused>,
    /// The journal, last: what it says is true of what stands before it.
    pub journal: Vec<JournalRecord>,
}

impl Grouped for Write {
    fn records(&self) -> usize {
        self.results.len() + self.refused.len() + self.journal.len()
    }

    fn bytes(&self) -> usize {
        let of = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        let results: usize = self.results.iter().map(|r| r.key.len() + of(&r.value)).sum();
        let refused: usize = self.refused.iter().map(|r| of(&r.key) + of(&r.value)).sum();
        let journal: usize = self.journal.iter().map(|j| j.key.len() + of(&j.value)).sum();
        results + refused + journal
    }
}

/// What confirmed commits taught: where finished stories lie, and how far the journal is written.
#[derive(Debug)]
pub struct Index {
    finished: Mutex<Stories>,
    notes: Mutex<BTreeMap<i32, Note>>,
    since: Option<Timestamp>,
}

/// Where finished stories lie. None is ever left out: a command that is not known is new.
#[derive(Debug, Default)]
pub struct Stories {
    packed: Finished,
    /// Places that are too far out to be packed; no cluster has had one.
    far: BTreeMap<CommandKey, Place>,
}

impl Stories {
    /// Remembers where a finished story lies; says whether it was not known yet.
    pub fn insert(&mut self, key: &CommandKey, place: Place) -> bool {
        match self.packed.insert(key, place) {
            Ok(is_new) => is_new,
            Err(OutOfRange(place)) => self.far.insert(key.clone(), place).is_none(),
        }
    }

    /// Forgets it.
    pub fn remove(&mut self, key: &CommandKey) {
        self.packed.remove(key);
        self.far.remove(key);
    }

    /// Where it lies.
    pub fn get(&self, key: &CommandKey) -> Option<Place> {
        self.far.get(key).copied().or_else(|| self.packed.get(key))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.packed.len() + self.far.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty() && self.far.is_empty()
    }
}

/// When an identity was made, where it is of the kind that tells (UUID version 7).
fn made_at(identity: &str) -> Option<Timestamp> {
    let (seconds, nanos) = Uuid::parse_str(identity).ok()?.get_timestamp()?.to_unix();
    let millis = i64::try_from(seconds).ok()?.checked_mul(1000)?;
    Some(Timestamp(millis.checked_add(i64::from(nanos / 1_000_000))?))
}

impl Index {
    /// What the restore found.
    pub fn new(finished: Stories, notes: BTreeMap<i32, Note>) -> Self {
        let began = notes.values().map(|note| made_at(&note.identity));
        let since = began.collect::<Option<Vec<_>>>().and_then(|began| began.into_iter().min());
        Self { finished: Mutex::new(finished), notes: Mutex::new(notes), since }
    }

    /// Where a finished story lies.
    pub fn place_of(&self, key: &CommandKey) -> Option<Place> {
        self.finished().get(key)
    }

    /// How far a partition of the journal is written.
    pub fn note(&self, partition: i32) -> Option<Note> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).cloned()
    }

    /// When the journal began, from its identities; nothing where one does not tell: identities of
    /// the first journals were random.
    pub const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    fn finished(&self) -> MutexGuard<'_, Stories> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A confirmed commit put these records there.
    pub(super) fn learn(&self, records: &[&JournalRecord], places: &[(i32, i64)]) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        for (record, (partition, offset)) in records.iter().zip(places.iter().copied()) {
            if let Some(note) = notes.get_mut(&partition) {
                note.end = note.end.max(offset + 1);
            }
            if let Some(key) = &record.finished {
                self.finished().insert(key, Place { partition, offset });
            }
        }
    }
}

/// Commits what arrives until every publisher is dropped, or the producer is lost. Blocks.
///
/// # Errors
/// The first transaction that is not confirmed; nobody whose write was in it is told anything.
pub fn run(
    mut transactions: Transactions,
    mut inbox: Inbox<Write>,
    topics: &Topics,
    index: &Arc<Index>,
    metrics: &Metrics,
) -> Result<(), Lost> {
    while let Some(requests) = inbox.gather() {
        let writes: Vec<&Write> = requests.iter().map(|request| &request.batch).collect();
        let started = Instant::now();
        let outcome = commit(&mut transactions, &writes, topics);
        let seconds = started.elapsed().as_secs_f64();
        count(metrics, &writes, topics, seconds, outcome.as_ref().err());
        outcome?;
        let records: Vec<&JournalRecord> = writes.iter().flat_map(|w| &w.journal).collect();
        index.learn(&records, &transactions.journal_places());
        for request in requests {
            request.confirm();
        }
    }
    Ok(())
}

/// One transaction: results, refused records, journal.
pub fn commit(
    transactions: &mut Transactions,
    writes: &[&Write],
    topics: &Topics,
) -> Result<(), Lost> {
    transactions.commit(|open| {
        let mut times = Times::default();
        for result in writes.iter().flat_map(|write| &write.results) {
            open.send_event(result, &mut times)?;
        }
        for refused in writes.iter().flat_map(|write| &write.refused) {
            open.send(Outgoing {
                topic: &topics.rejected,
                partition: None,
                key: refused.key.as_deref(),
                value: refused.value.as_deref(),
                headers: Some(headers_of(refused)),
                sent: Sent::Event,
            })?;
        }
        for (index, record) in writes.iter().flat_map(|write| &write.journal).enumerate() {
            open.send(Outgoing {
                topic: &topics.journal,
                partition: Some(record.partition),
                key: Some(record.key.as_bytes()),
                value: record.value.as_deref(),
                headers: None,
                sent: Sent::Journal(index),
            })?;
        }
        Ok(())
    })
}

fn headers_of(refused: &Refused) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(refused.headers.len());
    refused.headers.iter().fold(empty, |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value.as_str()) })
    })
}

fn count(metrics: &Metrics, writes: &[&Write], topics: &Topics, seconds: f64, lost: Option<&Lost>) {
    metrics.transaction_duration.observe(seconds);
    let mut by_topic: BTreeMap<&str, u64> = BTreeMap::new();
    for write in writes {
        for result in &write.results {
            *by_topic.entry(&result.topic).or_default() += 1;
        }
        *by_topic.entry(&topics.rejected).or_default() += write.refused.len() as u64;
        *by_topic.entry(&topics.journal).or_default() += write.journal.len() as u64;
    }
    for (topic, records) in by_topic.into_iter().filter(|(_, records)| *records > 0) {
        match lost {
            None => {
                metrics.kafka_produced_records.with_label_values(&[topic]).inc_by(records);
                metrics.kafka_produce_duration.with_label_values(&[topic]).observe(seconds);
            }
            Some(lost) => {
                let labels = [topic, lost.verdict.as_str()];
                metrics.kafka_produce_errors.with_label_values(&labels).inc();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_as_old_as_its_oldest_partition_where_all_of_them_tell() {
        let since = |identities: &[&str]| {
            let note = |identity: &&str| Note { identity: (*identity).to_owned(), end: 1 };
            let notes = (0..).zip(identities.iter().map(note)).collect();
            Index::new(Stories::default(), notes).since()
        };
        // 2022-02-22T19:22:22Z, the example of RFC 9562, and a second later.
        let (old, young) =
            ("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "017f22e2-7d98-7cc3-98c4-dc0c0c07398f");
        assert_eq!(since(&[young, old]), Some(Timestamp(1_645_557_742_000)));
        assert_eq!(since(&[young]), Some(Timestamp(1_645_557_743_000)));
        assert_eq!(since(&[old, "919108f7-52d1-4320-9bac-f847db4148a8"]), None);
        assert_eq!(since(&[]), None);
    }
}
