//! Commands from their topic into the journal.
//!
//! A batch of records is one transaction: new commands, results of invalid ones, results of known
//! ones again, records that are no commands. Only after it is committed do the commands get their
//! turn, and only then may the group remember the offsets: what is not in the journal is read again.

use std::{collections::HashMap, sync::Arc, time::Duration};

use apache_avro::Schema;
use tokio::time::sleep;

use crate::{
    domain::{ids::ConnectionId, vocabulary::CommandType},
    failpoints::{self, Point},
    kafka::topics,
    log_event,
    publish::{decode::split, registry::Registry},
    telemetry::events::Event,
};

use super::{
    admission::{self, Access, Intake, Known, RejectedBecause, Rejection, recall},
    archive::Archive,
    command::CommandKey,
    desk::{Desk, Failure, announce, now},
    intake::{Batches, Raw},
    journal::{Arrival, Entry},
    lag::Lag,
    ledger::{JournalRecord, Refused, Write},
    payload,
    reporter::Reporter,
    result::{STREAM, duplicate_answer},
};

/// Open commands at which no more are read: the topic keeps them as well.
const OPEN_MAX: usize = 20_000;
/// Key, value and headers of a record that is passed on to the rejected ones; a broker takes 1,048,588
/// with its own overhead, and one record that it does not take would hold up all payments.
const REFUSED_BYTES_MAX: usize = 1_040_000;
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);
const CROWDED_PAUSE: Duration = Duration::from_millis(200);

/// Takes commands in.
#[derive(Debug)]
pub struct Clerk {
    desk: Arc<Desk>,
    registry: Registry,
    archive: Arc<Archive>,
    reporter: Arc<Reporter>,
    lag: Lag,
    commands_topic: String,
    rejected_topic: String,
    schemas: HashMap<u32, Schema>,
    /// Ids that the registry does not know, or that are no Avro, of the batch that is taken in.
    refused: HashMap<u32, String>,
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
    /// Knows no schema yet.
    pub fn new(
        desk: Arc<Desk>,
        registry: Registry,
        archive: Archive,
        reporter: Arc<Reporter>,
        lag: Lag,
        topic: impl Fn(&str) -> String,
    ) -> Self {
        Self {
            desk,
            registry,
            archive: Arc::new(archive),
            reporter,
            lag,
            commands_topic: topic(topics::COMMANDS),
            rejected_topic: topic(topics::REJECTED_COMMANDS),
            schemas: HashMap::new(),
            refused: HashMap::new(),
        }
    }

    /// Runs until the ownership ends.
    ///
    /// # Errors
    /// Where the journal is lost, or the topic cannot be read on.
    pub async fn run(mut self, mut batches: Batches) -> Result<(), Failure> {
        let stop = self.desk.fixed.stop.clone();
        while !stop.is_cancelled() {
            if self.desk.open_count() >= OPEN_MAX {
                sleep(CROWDED_PAUSE).await;
                continue;
            }
            let batch = tokio::select! {
                () = stop.cancelled() => break,
                batch = batches.recv() => batch.ok_or(Failure::IntakeEnded)?,
            };
            if !self.take_all(&batch).await? {
                break;
            }
        }
        Ok(())
    }

    /// Takes a batch in; what stands before a schema that the registry has yet to tell does not wait
    /// for it. Says whether the ownership goes on.
    async fn take_all(&mut self, batch: &[Raw]) -> Result<bool, Failure> {
        self.refused.clear();
        let mut taken = 0;
        let mut intakes = Vec::with_capacity(batch.len());
        for (at, raw) in batch.iter().enumerate() {
            if !self.knows_schema_of(raw) && at > taken {
                let before = batch.get(taken..at).unwrap_or_default();
                self.take_in(before, std::mem::take(&mut intakes)).await?;
                taken = at;
            }
            match self.decode_one(raw).await {
                Some(intake) => intakes.push(intake),
                None => return Ok(false),
            }
        }
        failpoints::reach(Point::CommandRead);
        self.take_in(batch.get(taken..).unwrap_or_default(), intakes).await?;
        Ok(true)
    }

    fn knows_schema_of(&self, raw: &Raw) -> bool {
        let id = raw.value.as_deref().and_then(split).map(|(id, _)| id);
        id.is_none_or(|id| self.schemas.contains_key(&id) || self.refused.contains_key(&id))
    }

    async fn decode_one(&mut self, raw: &Raw) -> Option<Intake> {
        let undecodable =
            |detail: &str| Intake::Rejected(Rejection::new(RejectedBecause::Undecodable, detail));
        let Some((id, datum)) = raw.value.as_deref().and_then(split) else {
            return Some(undecodable("the value is not avro in the confluent wire format"));
        };
        if !self.refused.contains_key(&id)
            && let Some(refusal) = self.learn_schema(id).await?
        {
            self.refused.insert(id, refusal);
        }
        if let Some(refusal) = self.refused.get(&id) {
            return Some(undecodable(refusal));
        }
        let Some(schema) = self.schemas.get(&id) else {
            return Some(undecodable("its schema is not known"));
        };
        let connections = &self.desk.fixed.connections;
        let access = |connection: &ConnectionId| match connections.get(connection) {
            None => Access::Unknown,
            Some(false) => Access::NoVirtualPos,
            Some(true) => Access::Ready,
        };
        Some(match payload::decode(schema, datum) {
            Ok(payload) => admission::read(&payload, raw.key.as_deref(), access),
            Err(rejection) => Intake::Rejected(rejection),
        })
    }

    /// Asks the registry for a schema until it answers: a registry that is away is no reason to
    /// call a command undecodable. Outer nothing: the ownership ended; inner text: there is none.
    async fn learn_schema(&mut self, id: u32) -> Option<Option<String>> {
        let mut pause = RETRY_MIN;
        while !self.schemas.contains_key(&id) {
            match self.registry.schema(id).await {
                Ok(text) => match Schema::parse_str(&text) {
                    Ok(schema) => drop(self.schemas.insert(id, schema)),
                    Err(error) => return Some(Some(format!("schema {id} is no avro: {error}"))),
                },
                Err(error) if !error.is_retriable() => {
                    return Some(Some(format!("the registry does not know schema {id}: {error}")));
                }
                Err(error) => {
                    log_event!(error.event(), %error, retry_in_s = pause.as_secs_f64(), "payment commands wait for the schema registry");
                    tokio::select! {
                        () = self.desk.fixed.stop.cancelled() => return None,
                        () = sleep(pause) => pause = (pause * 2).min(RETRY_MAX),
                    }
                }
            }
        }
        Some(None)
    }

    async fn take_in(&self, batch: &[Raw], intakes: Vec<Intake>) -> Result<(), Failure> {
        let mut known = self.recall_all(&intakes).await?;
        let mut take = Take::default();
        for (raw, intake) in batch.iter().zip(intakes) {
            self.take_one(&mut take, &mut known, raw, intake)?;
        }
        self.desk.write(take.write).await?;
        failpoints::reach(Point::CommandJournaled);
        self.count(&take.refusals, &take.duplicates);
        take.fresh.iter().for_each(|(entry, _)| announce(entry));
        self.desk.take_over(take.fresh);
        self.tell_progress(batch);
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
        let existing = intake.known_by().and_then(|(key, digest)| {
            let entry = known.get(key);
            Some((entry?.clone(), recall(entry, digest)))
        });
        match (intake, existing) {
            (Intake::Rejected(rejection), _) => {
                take.refusals.push(rejection.reason.as_str());
                take.write.refused.push(self.refused(raw, &rejection));
            }
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
                let arrival = Arrival { partition: raw.partition, offset: raw.offset };
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

    /// Lets the group remember how far the batch went.
    fn tell_progress(&self, batch: &[Raw]) {
        let mut next: HashMap<i32, i64> = HashMap::new();
        for raw in batch {
            let next = next.entry(raw.partition).or_default();
            *next = (*next).max(raw.offset + 1);
        }
        for (partition, next) in next {
            self.reporter.taken(partition, next);
        }
    }
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
