//! One transactional producer: its lock, and transactions that end well or end it.
//!
//! Anything but a confirmed commit ends the producer: librdkafka would commit what is left after a
//! failed `send`, and after a time-out nobody knows what the broker did, so the caller throws the
//! producer away, opens a new one and reads the state again.

use std::{
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
    types::RDKafkaErrorCode,
};

use crate::{
    config::model::Kafka,
    domain::time::Timestamp,
    failpoints::{self, Point},
    kafka::{
        context::{Deliveries, Sent},
        reading::refuses,
        settings::{Role, client_config},
        verdict::Verdict,
    },
    telemetry::pulse,
};

use super::{
    ahead::BatchLimit,
    batch::{EventHeaders, EventRecord},
};

/// How long `init_transactions` may take: longer than a predecessor's open transaction.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is asked whether a lock that is waited for is wanted still.
const INIT_STEP: Duration = Duration::from_millis(500);
/// How long a commit call may take; the broker aborts after ten seconds by itself.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long delivery may take once all records are sent.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// The step after which nobody may know.
const COMMITTING: &str = "commit_transaction";
const DELIVERING: &str = "delivering the records";
const FILLING: &str = "filling a transaction";
const SHORTEST_PAUSE: Duration = Duration::from_micros(250);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// How long to sleep before looking again: short for as long as a broker usually takes, for the next batch
/// waits for the look, and longer where it takes long. Each look costs two switches of the thread.
fn drain_pause(waited: Duration) -> Duration {
    (waited / 64).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// Why a producer is gone.
#[derive(Debug, thiserror::Error)]
#[error("{step} of transactional id {transactional_id}: {reason}")]
pub struct Lost {
    /// Which call.
    pub step: &'static str,
    /// Whose transaction.
    pub transactional_id: String,
    /// What it means.
    pub verdict: Verdict,
    /// Whether Kafka refused the login or a right.
    pub is_refused: bool,
    /// Whether the state partition was found to be another one, or to have lost its end.
    pub is_regression: bool,
    /// What Kafka says.
    pub reason: String,
}

impl Lost {
    /// Whether what was to be committed may stand all the same: only a call that was asked to commit can
    /// have done so, and one that ran out of time, or was fenced, does not tell.
    pub fn may_stand(&self) -> bool {
        self.step == COMMITTING && !self.is_refused
    }
}

/// A record on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    /// The full topic name.
    pub topic: &'a str,
    /// Where the topic is not partitioned by key.
    pub partition: Option<i32>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Without one it is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Option<OwnedHeaders>,
    /// What it is, for its delivery report.
    pub sent: Sent,
}

/// A producer that holds the lock of its transactional id.
pub struct Transactions {
    producer: BaseProducer<Deliveries>,
    transactional_id: String,
    batch_limit: BatchLimit,
}

impl std::fmt::Debug for Transactions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transactions")
            .field("transactional_id", &self.transactional_id)
            .finish_non_exhaustive()
    }
}

impl Transactions {
    /// Creates the producer and takes the lock: whoever held the id before is fenced from now on,
    /// and every transaction of it is either committed or aborted when this returns.
    ///
    /// Blocks up to [`INIT_TIMEOUT`].
    pub fn lock(kafka: &Kafka, transactional_id: String) -> Result<Self, Lost> {
        Self::lock_while(kafka, transactional_id, || true)
    }

    /// As [`lock`](Self::lock), but gives up, with an error, once it `is_wanted` no more: a request
    /// that brokers have not seen yet must not fence whoever has the lock by then.
    pub fn lock_while(
        kafka: &Kafka,
        transactional_id: String,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Self, Lost> {
        let role = Role::Writer { transactional_id: transactional_id.clone() };
        let lost = |step, error: KafkaError| Lost {
            step,
            transactional_id: transactional_id.clone(),
            verdict: Verdict::of(&error),
            is_refused: refuses(&error),
            is_regression: false,
            reason: error.to_string(),
        };
        let (producer, batch_limit) = client_config(kafka, &role)
            .and_then(|config| {
                let producer: BaseProducer<Deliveries> =
                    config.create_with_context(Deliveries::default())?;
                Ok((producer, BatchLimit::of(&config)))
            })
            .map_err(|e| lost("creating the producer", e))?;
        init(&producer, is_wanted).map_err(|e| lost("init_transactions", e))?;
        Ok(Self { producer, transactional_id, batch_limit })
    }

    /// First offset and true end (read-uncommitted) of a partition.
    pub fn watermarks(
        &self,
        topic: &str,
        partition: i32,
        timeout: Duration,
    ) -> Result<(i64, i64), Lost> {
        pulse::step("reading the watermarks");
        self.producer
            .client()
            .fetch_watermarks(topic, partition, timeout)
            .map_err(|e| self.lost("reading the watermarks", &e))
    }

    /// The state partition reaches to this offset: state records that are given a lower one are lost.
    pub fn know_state_end(&self, end: i64) {
        self.producer.context().know_state_end(end);
    }

    /// The id of the cluster, where the broker tells it.
    pub fn cluster_id(&self, timeout: Duration) -> Option<String> {
        pulse::step("asking for the id of the cluster");
        self.producer.client().fetch_cluster_id(timeout)
    }

    /// Commits what `fill` sends as one transaction. Blocks; after an error this must be dropped.
    pub fn commit(&mut self, fill: impl FnOnce(&Self) -> Result<(), Lost>) -> Result<(), Lost> {
        pulse::step(FILLING);
        self.producer.context().begin();
        self.producer.begin_transaction().map_err(|e| self.lost("begin_transaction", &e))?;
        failpoints::reach(Point::Begun);
        fill(self)?;
        self.drain()?;
        pulse::step("committing a transaction");
        failpoints::reach(Point::BeforeCommit);
        self.producer.commit_transaction(COMMIT_TIMEOUT).map_err(|e| self.lost(COMMITTING, &e))?;
        failpoints::reach(Point::Committed);
        Ok(())
    }

    /// The offset after the newest state record delivered so far.
    pub fn state_next_offset(&self) -> i64 {
        self.producer.context().state_next_offset()
    }

    /// Partition and offset of the last transaction's journal records, in the order in which they
    /// were sent.
    pub fn journal_places(&self) -> Vec<(i32, i64)> {
        self.producer.context().journal_places()
    }

    /// Hands one record to the producer; only within [`commit`](Self::commit).
    pub fn send(&self, outgoing: Outgoing<'_>) -> Result<(), Lost> {
        let mut message: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(outgoing.topic, outgoing.sent.opaque());
        message.partition = outgoing.partition;
        message.key = outgoing.key;
        message.payload = outgoing.value;
        message.headers = outgoing.headers;
        let mut full_since = None;
        loop {
            match self.producer.send(message) {
                Ok(()) => {
                    failpoints::reach(Point::Sent);
                    return Ok(());
                }
                // A full queue is the usual backpressure of a large transaction.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if full_since.get_or_insert_with(Instant::now).elapsed() < DRAIN_TIMEOUT =>
                {
                    pulse::step(FILLING);
                    message = back;
                    self.producer.poll(Duration::ZERO);
                    thread::sleep(SHORTEST_PAUSE);
                }
                Err((error, _)) => return Err(self.lost("send", &error)),
            }
        }
    }

    /// What the client puts into one batch of a partition, at most.
    pub(super) const fn batch_limit(&self) -> BatchLimit {
        self.batch_limit
    }

    /// Waits until what was sent so far is acknowledged, or until then; only within
    /// [`commit`](Self::commit), which judges what came of it.
    pub(super) fn pace(&self, until: Instant) {
        pulse::step("awaiting a batch of a transaction");
        self.await_reports(until);
        pulse::step(FILLING);
    }

    /// Hands one event to the producer; only within [`commit`](Self::commit).
    pub fn send_event(&self, event: &EventRecord, times: &mut Times) -> Result<(), Lost> {
        let headers = event.headers.as_ref();
        self.send(Outgoing {
            topic: &event.topic,
            partition: None,
            key: Some(event.key.as_bytes()),
            value: event.value.as_deref(),
            headers: headers.map(|headers| cloud_event_headers(headers, times.text(headers.time))),
            sent: Sent::Event,
        })
    }

    /// Waits until every record is acknowledged: commit's own flush would poll in steps of 100 ms.
    fn drain(&self) -> Result<(), Lost> {
        pulse::step("delivering the records of a transaction");
        if !self.await_reports(Instant::now() + DRAIN_TIMEOUT) {
            let error = KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut);
            return Err(self.lost(DELIVERING, &error));
        }
        match self.producer.context().first_error() {
            None => self.check_place(),
            Some((code, topic)) => {
                let lost = self.lost(DELIVERING, &KafkaError::MessageProduction(code));
                let reason = format!("{}, for a record of topic {topic}", lost.reason);
                Err(Lost { reason, ..lost })
            }
        }
    }

    /// Takes up the delivery reports until there is none to come, or until then; whether there is none.
    fn await_reports(&self, until: Instant) -> bool {
        let started = Instant::now();
        let mut left = self.producer.in_flight_count();
        while left > 0 {
            // Each poll takes up the reports of one batch, and a transaction has one or more a partition.
            self.producer.poll(Duration::ZERO);
            let before = std::mem::replace(&mut left, self.producer.in_flight_count());
            if left < before {
                continue;
            }
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(drain_pause(started.elapsed()));
        }
        true
    }

    /// A partition that was recreated, or has lost its end, takes records on without a word.
    fn check_place(&self) -> Result<(), Lost> {
        let Some((offset, end)) = self.producer.context().state_went_back() else { return Ok(()) };
        Err(Lost {
            step: DELIVERING,
            transactional_id: self.transactional_id.clone(),
            verdict: Verdict::Failed,
            is_refused: false,
            is_regression: true,
            reason: format!(
                "a state record came to offset {offset} of a partition that had reached {end}: the \
                 topic was recreated, or has lost its end"
            ),
        })
    }

    fn lost(&self, step: &'static str, error: &KafkaError) -> Lost {
        let fatal = self.producer.client().fatal_error();
        let code = fatal.as_ref().map(|(code, _)| *code);
        Lost {
            step,
            transactional_id: self.transactional_id.clone(),
            verdict: Verdict::with_fatal(code, error),
            is_refused: refuses(error)
                || code.is_some_and(|code| refuses(&KafkaError::Global(code))),
            is_regression: false,
            reason: fatal.map_or_else(
                || error.to_string(),
                |(_, cause)| format!("{error}, because of a fatal error: {cause}"),
            ),
        }
    }
}

/// `init_transactions` in steps: the client goes on between two calls, and a call takes up what it
/// has come to. Blocks up to [`INIT_TIMEOUT`].
fn init(
    producer: &BaseProducer<Deliveries>,
    is_wanted: impl Fn() -> bool,
) -> Result<(), KafkaError> {
    let started = Instant::now();
    loop {
        pulse::step("taking the lock of its transactional id");
        let asked = Instant::now();
        let Err(error) = producer.init_transactions(INIT_STEP) else { return Ok(()) };
        // What comes before the step has run out is an answer.
        let may_come = matches!(&error, KafkaError::Transaction(error) if error.is_retriable())
            && asked.elapsed() >= INIT_STEP / 2;
        if !may_come || started.elapsed() >= INIT_TIMEOUT || !is_wanted() {
            return Err(error);
        }
    }
}

/// `ce_time` as text: the rows of an answer share theirs, so the last one usually serves.
#[derive(Debug, Default)]
pub struct Times {
    last: Option<(Timestamp, String)>,
}

impl Times {
    fn text(&mut self, time: Timestamp) -> &str {
        if self.last.as_ref().is_none_or(|(known, _)| *known != time) {
            self.last = Some((time, time.to_rfc3339()));
        }
        self.last.as_ref().map_or("", |(_, text)| text)
    }
}

/// CloudEvents headers in Kafka's binary mode; `time` is `headers.time` as text.
pub(super) fn cloud_event_headers(headers: &EventHeaders, time: &str) -> OwnedHeaders {
    let mut id = [0_u8; uuid::fmt::Hyphenated::LENGTH];
    let id: &str = headers.id.as_hyphenated().encode_lower(&mut id);
    OwnedHeaders::new_with_capacity(6)
        .insert(Header { key: "ce_specversion", value: Some("1.0") })
        .insert(Header { key: "ce_id", value: Some(id) })
        .insert(Header { key: "ce_source", value: Some(headers.source.as_ref()) })
        .insert(Header { key: "ce_type", value: Some(headers.kind.as_ref()) })
        .insert(Header { key: "ce_time", value: Some(time) })
        .insert(Header { key: "content-type", value: Some("application/avro") })
}
