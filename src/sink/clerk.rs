//! Commands from their topic into the journal.
//!
//! A batch of records is one transaction: new commands, results of invalid ones, results of known
//! ones again, records that are no commands. Only after it is committed do the commands get their
//! turn, and only when a reader has seen it may the group remember the offsets: what is not in the journal
//! is read again.
//!
//! A partition whose next record needs a schema that the registry does not tell stands still there,
//! by itself: nothing behind that record is taken, so its commands stay in order, and once the
//! registry answers it is read again from that record on.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::sleep};

use crate::{
    domain::{ids::ConnectionId, vocabulary::CommandType},
    failpoints::{self, Point},
    kafka::topics,
    log_event,
    publish::decode::split,
    telemetry::events::Event,
};

use super::{
    admission::{self, Access, Intake, Known, RejectedBecause, Rejection, recall},
    archive::Archive,
    command::CommandKey,
    desk::{Desk, Failure, announce, now},
    intake::{Again, Batches, Raw, Source},
    journal::{Arrival, Entry},
    lag::Lag,
    ledger::{JournalRecord, Refused, Write},
    payload,
    reporter::Reporter,
    result::{STREAM, duplicate_answer},
    schemas::{Schemas, Told},
    standstill::Standstill,
    unseen::Unseen,
    witness::Seen,
};

/// Commands under way at which no more are read: the topic keeps them as well. Parked ones do not
/// count: people may take weeks, and what lies behind them would not even expire.
const ACTIVE_MAX: usize = 20_000;
/// Key, value and headers of a record that is passed on to the rejected ones; a broker takes 1,048,588
/// with its own overhead, and one record that it does not take would hold up all payments.
const REFUSED_BYTES_MAX: usize = 1_040_000;
const CROWDED_PAUSE: Duration = Duration::from_millis(200);

/// Takes commands in.
#[derive(Debug)]
pub struct Clerk {
    desk: Arc<Desk>,
    schemas: Schemas,
    archive: Arc<Archive>,
    unseen: Unseen,
    lag: Lag,
    batches: Batches,
    again: mpsc::UnboundedSender<Again>,
    still: Standstill,
    commands_topic: String,
    rejected_topic: String,
}

/// What one batch comes to.
#[derive(Debug, Default)]
struct Take {
    write: Write,
    fresh: Vec<(Entry, i32)>,
    refusals: Vec<&'static str>,
    duplicates: Vec<CommandType>,
}

impl Clerk {
    /// Of the records that this source hands over.
    pub fn new(
        desk: Arc<Desk>,
        schemas: Schemas,
        archive: Archive,
        reporter: Arc<Reporter>,
        source: Source,
        topic: impl Fn(&str) -> String,
    ) -> Self {
        let Source { batches, lag, again } = source;
        Self {
            desk,
            schemas,
            archive: Arc::new(archive),
            unseen: Unseen::new(reporter),
            lag,
            batches,
            again,
            still: Standstill::default(),
            commands_topic: topic(topics::COMMANDS),
            rejected_topic: topic(topics::REJECTED_COMMANDS),
        }
    }

    /// Runs until the ownership ends.
    ///
    /// # Errors
    /// Where the journal is lost, or the topic cannot be read on.
    pub async fn run(mut self) -> Result<(), Failure> {
        let stop = self.desk.fixed.stop.clone();
        while !stop.is_cancelled() {
            let is_crowded = self.desk.active_count() >= ACTIVE_MAX;
            tokio::select! {
                () = stop.cancelled() => {}
                schema = self.schemas.answered() => {
                    self.go_on(schema.map_err(|_| Failure::Broke)?);
                }
                batch = self.batches.recv(), if !is_crowded => {
                    self.take_all(&batch.ok_or(Failure::IntakeEnded)?).await?;
                }
                () = sleep(CROWDED_PAUSE), if is_crowded => {}
            }
        }
        Ok(())
    }

    /// Takes a batch in; what stands before a schema that was not seen before does not wait for it,
    /// and what stands behind it in another partition waits for a moment at most.
    async fn take_all(&mut self, batch: &[Raw]) -> Result<(), Failure> {
        self.schemas.forget_refusals();
        let mut read = Vec::with_capacity(batch.len());
        for raw in batch {
            if !self.still.is_next(raw)? {
                continue;
            }
            if schema_of(raw).is_some_and(|id| !self.schemas.is_settled(id)) {
                self.take_in(std::mem::take(&mut read)).await?;
            }
            match self.decode_one(raw).await {
                Ok(intake) => read.push((raw, intake)),
                Err(schema) => self.stand_still(raw, schema),
            }
        }
        failpoints::reach(Point::CommandRead);
        self.take_in(read).await
    }

    /// What a record is; the schema that it needs, where the registry does not tell that one.
    async fn decode_one(&mut self, raw: &Raw) -> Result<Intake, u32> {
        let undecodable =
            |detail: &str| Intake::Rejected(Rejection::new(RejectedBecause::Undecodable, detail));
        let Some((id, datum)) = raw.value.as_deref().and_then(split) else {
            return Ok(undecodable("the value is not avro in the confluent wire format"));
        };
        let schema = match self.schemas.learn(id).await {
            Told::Schema(schema) => schema,
            Told::None(refusal) => return Ok(undecodable(refusal)),
            Told::NotYet => return Err(id),
        };
        let connections = &self.desk.fixed.connections;
        let access = |connection: &ConnectionId| match connections.get(connection) {
            None => Access::Unknown,
            Some(false) => Access::NoVirtualPos,
            Some(true) => Access::Ready,
        };
        Ok(match payload::decode(schema, datum) {
            Ok(payload) => admission::read(&payload, raw.key.as_deref(), access),
            Err(rejection) => Intake::Rejected(rejection),
        })
    }

    /// Nothing more of this partition is taken until the registry tells the schema.
    fn stand_still(&mut self, raw: &Raw, schema: u32) {
        self.still.begin(raw, schema);
        self.show_standing();
    }

    /// The registry answers about a schema: partitions that waited for it are read again.
    fn go_on(&mut self, schema: u32) {
        for again in self.still.end(schema) {
            // The reader is gone only when the ownership is ending, or when it has to.
            self.again.send(again).unwrap_or_default();
        }
        self.show_standing();
    }

    fn show_standing(&self) {
        self.desk.fixed.tally.waits_for_registry(self.still.waits());
    }

    async fn take_in(&mut self, read: Vec<(&Raw, Intake)>) -> Result<(), Failure> {
        if read.is_empty() {
            return Ok(());
        }
        let (batch, intakes): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let mut known = self.recall_all(&intakes).await?;
        let mut take = Take::default();
        for (raw, intake) in batch.iter().zip(intakes) {
            self.take_one(&mut take, &mut known, raw, intake)?;
        }
        let seen = self.expect_all(&take.write.journal);
        self.desk.write(take.write).await?;
        failpoints::reach(Point::CommandJournaled);
        self.count(&take.refusals, &take.duplicates);
        take.fresh.iter().for_each(|(entry, _)| announce(entry));
        self.desk.take_over(take.fresh);
        self.tell_progress(&batch, seen);
        batch.iter().for_each(|raw| self.lag.hold(raw.partition, -1));
        Ok(())
    }

    /// The journal's entries of the batch's commands: open ones from memory, finished ones from
    /// Kafka. In this order: a command leaves the memory only after its place is known.
    async fn recall_all(&self, intakes: &[Intake]) -> Result<HashMap<CommandKey, Entry>, Failure> {
        let mut known = HashMap::new();
        let mut places = Vec::new();
        for (key, _) in intakes.iter().filter_map(Intake::known_by) {
            if known.contains_key(key) {
                continue;
            }
            if let Some(entry) = self.desk.entry(key) {
                known.insert(key.clone(), entry);
            } else if let Some(place) = self.desk.fixed.index.place_of(key) {
                places.push(place);
            }
        }
        if places.is_empty() {
            return Ok(known);
        }
        let archive = Arc::clone(&self.archive);
        let read = tokio::task::spawn_blocking(move || {
            places.into_iter().map(|place| archive.read(place)).collect::<Result<Vec<_>, _>>()
        });
        let entries = read.await.map_err(|error| Failure::Archive(error.to_string()))?;
        for entry in entries.map_err(Failure::Archive)? {
            known.insert(entry.key().clone(), entry);
        }
        Ok(known)
    }

    fn take_one(
        &self,
        take: &mut Take,
        known: &mut HashMap<CommandKey, Entry>,
        raw: &Raw,
        intake: Intake,
    ) -> Result<(), Failure> {
        let now = now();
        let arrival = Arrival { partition: raw.partition, offset: raw.offset };
        let existing = intake.known_by().and_then(|(key, digest)| {
            let entry = known.get(key);
            Some((entry?.clone(), recall(entry, digest, arrival)))
        });
        match (intake, existing) {
            (Intake::Rejected(rejection), _) => {
                take.refusals.push(rejection.reason.as_str());
                take.write.refused.push(self.refused(raw, &rejection));
            }
            (_, Some((_, Known::Read))) => {}
            (_, Some((entry, Known::Again | Known::New))) => {
                take.write.results.extend(self.desk.result(&entry)?);
            }
            (Intake::Accepted(command), Some((first, Known::Duplicate))) => {
                let other = command.order.outline();
                take.duplicates.push(other.kind);
                let answer = duplicate_answer(&first, &other, now);
                take.write.results.push(self.desk.encode(first.key(), answer)?);
            }
            (Intake::Invalid { outline, .. }, Some((first, Known::Duplicate))) => {
                take.duplicates.push(outline.kind);
                let answer = duplicate_answer(&first, &outline, now);
                take.write.results.push(self.desk.encode(first.key(), answer)?);
            }
            (Intake::Accepted(command), None) => {
                let entry = Entry::received(command, arrival, now);
                self.journal(take, known, entry, raw.partition)?;
            }
            (Intake::Invalid { key, outline, why }, None) => {
                let entry = Entry::refused(key, outline, why, now);
                self.journal(take, known, entry, raw.partition)?;
            }
        }
        Ok(())
    }

    fn journal(
        &self,
        take: &mut Take,
        known: &mut HashMap<CommandKey, Entry>,
        entry: Entry,
        partition: i32,
    ) -> Result<(), Failure> {
        take.write.results.extend(self.desk.result(&entry)?);
        take.write.journal.push(JournalRecord::story(&entry, partition));
        known.insert(entry.key().clone(), entry.clone());
        take.fresh.push((entry, partition));
        Ok(())
    }

    fn refused(&self, raw: &Raw, rejection: &Rejection) -> Refused {
        let reason = rejection.reason.as_str();
        log_event!(
            Event::CommandRefused,
            topic = self.commands_topic,
            partition = raw.partition,
            offset = raw.offset,
            reason,
            "a record of the command topic is no payment command"
        );
        let headers = vec![
            ("vomsis_reason", reason.to_owned()),
            ("vomsis_detail", rejection.detail.clone()),
            ("vomsis_source_topic", self.commands_topic.clone()),
            ("vomsis_source_partition", raw.partition.to_string()),
            ("vomsis_source_offset", raw.offset.to_string()),
        ];
        within_limit(Refused { key: raw.key.clone(), value: raw.value.clone(), headers })
    }

    fn count(&self, refusals: &[&'static str], duplicates: &[CommandType]) {
        let tally = &self.desk.fixed.tally;
        duplicates.iter().for_each(|kind| tally.duplicate(*kind));
        for reason in refusals {
            let labels = ["", STREAM, self.rejected_topic.as_str(), reason];
            tally.metrics().dlq_records.with_label_values(&labels).inc();
        }
    }

    /// Of each partition the last record that is written: the end of a transaction lies behind all of them.
    fn expect_all(&self, journal: &[JournalRecord]) -> HashMap<i32, Seen> {
        let last: HashMap<i32, _> =
            journal.iter().map(|record| (record.partition, record)).collect();
        let witness = &self.desk.fixed.witness;
        last.into_iter().map(|(partition, record)| (partition, witness.expect(record))).collect()
    }

    /// Lets the group remember how far the batch went, once it is seen in the journal.
    fn tell_progress(&mut self, batch: &[&Raw], mut seen: HashMap<i32, Seen>) {
        let mut next: HashMap<i32, i64> = HashMap::new();
        for raw in batch {
            let next = next.entry(raw.partition).or_default();
            *next = (*next).max(raw.offset + 1);
        }
        for (partition, next) in next {
            self.unseen.taken(partition, next, seen.remove(&partition));
        }
    }
}

/// The schema that a record names.
fn schema_of(raw: &Raw) -> Option<u32> {
    raw.value.as_deref().and_then(split).map(|(id, _)| id)
}

/// The record as it came, or without what no broker would take together with the headers.
fn within_limit(mut refused: Refused) -> Refused {
    let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let headers: usize = refused.headers.iter().map(|(key, value)| key.len() + value.len()).sum();
    let (key, value) = (len(&refused.key), len(&refused.value));
    if headers + key + value <= REFUSED_BYTES_MAX {
        return refused;
    }
    let left_out = if headers + key <= REFUSED_BYTES_MAX {
        format!("its value of {value} bytes is")
    } else {
        refused.key = None;
        format!("its key of {key} and its value of {value} bytes are")
    };
    refused.value = None;
    for (name, detail) in &mut refused.headers {
        if *name == "vomsis_detail" {
            detail
                .push_str(&format!("; {left_out} too large to stand here, see where it came from"));
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(key: usize, value: usize) -> Refused {
        let headers = vec![("vomsis_reason", "UNDECODABLE".into()), ("vomsis_detail", "x".into())];
        within_limit(Refused { key: Some(vec![0; key]), value: Some(vec![0; value]), headers })
    }

    #[test]
    fn what_no_broker_takes_is_left_out_and_the_rest_is_as_it_came() {
        let kept = refused(3, 999_999);
        assert_eq!((kept.key.unwrap().len(), kept.value.unwrap().len()), (3, 999_999));
        assert_eq!(kept.headers[1].1, "x");
        let cut = refused(3, REFUSED_BYTES_MAX);
        assert_eq!((cut.key.unwrap().len(), cut.value), (3, None));
        assert!(cut.headers[1].1.contains("its value of 1040000 bytes is too large"));
        let cut = refused(REFUSED_BYTES_MAX, 3);
        assert_eq!((cut.key, cut.value), (None, None));
        assert!(cut.headers[1].1.contains("its key of 1040000 and its value of 3 bytes are too"));
    }
}
