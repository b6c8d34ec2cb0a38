//! The transactional producer of one shard.
//!
//! Order within a transaction: events, then chunks of seen rows, then checkpoints. Anything but a
//! confirmed commit ends the writer: librdkafka would commit what is left after a failed `send`,
//! and after a time-out nobody knows what the broker did, so the caller throws the writer away,
//! opens a new one and reads the state again.

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
    kafka::{
        context::{Deliveries, Sent},
        settings::{Role, client_config},
        verdict::Verdict,
    },
};

use super::batch::{Batch, EventHeaders, EventRecord};

/// How long `init_transactions` may take: longer than a predecessor's open transaction.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a commit call may take; the broker aborts after ten seconds by itself.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long delivery of all records may take.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
const DRAIN_PAUSE: Duration = Duration::from_micros(200);

/// Why a writer is gone.
#[derive(Debug, thiserror::Error)]
#[error("{step} of transactional id {transactional_id}: {reason}")]
pub struct Lost {
    /// Which call.
    pub step: &'static str,
    /// Whose transaction.
    pub transactional_id: String,
    /// What it means.
    pub verdict: Verdict,
    /// What Kafka says.
    pub reason: String,
}

/// A producer that holds the lock of one shard.
pub struct Writer {
    producer: BaseProducer<Deliveries>,
    transactional_id: String,
    state_topic: String,
    shard: i32,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("transactional_id", &self.transactional_id)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Creates the producer and takes the lock: whoever held the id before is fenced from now on,
    /// and every transaction of it is either committed or aborted when this returns.
    ///
    /// Blocks up to [`INIT_TIMEOUT`].
    pub fn lock(kafka: &Kafka, transactional_id: String, shard: i32) -> Result<Self, Lost> {
        let role = Role::ShardWriter { transactional_id: transactional_id.clone() };
        let lost = |step, error: KafkaError| Lost {
            step,
            transactional_id: transactional_id.clone(),
            verdict: Verdict::of(&error),
            reason: error.to_string(),
        };
        let producer: BaseProducer<Deliveries> = client_config(kafka, &role)
            .and_then(|config| config.create_with_context(Deliveries::default()))
            .map_err(|e| lost("creating the producer", e))?;
        producer.init_transactions(INIT_TIMEOUT).map_err(|e| lost("init_transactions", e))?;
        let state_topic = kafka.topic("internal.state");
        Ok(Self { producer, transactional_id, state_topic, shard })
    }

    /// First offset and true end (read-uncommitted) of the shard's state partition.
    pub fn state_watermarks(&self, timeout: Duration) -> Result<(i64, i64), Lost> {
        self.producer
            .client()
            .fetch_watermarks(&self.state_topic, self.shard, timeout)
            .map_err(|e| self.lost("reading the watermarks", &e))
    }

    /// The id of the cluster, where the broker tells it.
    pub fn cluster_id(&self, timeout: Duration) -> Option<String> {
        self.producer.client().fetch_cluster_id(timeout)
    }

    /// Commits the batches as one transaction; returns the state topic's next offset.
    ///
    /// Blocks. After an error the writer must be dropped.
    pub fn commit(&mut self, batches: &[&Batch]) -> Result<i64, Lost> {
        self.producer.context().begin();
        self.producer.begin_transaction().map_err(|e| self.lost("begin_transaction", &e))?;
        let mut times = Times::default();
        for batch in batches {
            for event in &batch.events {
                self.send_event(event, &mut times)?;
            }
        }
        for batch in batches {
            for record in &batch.state {
                let mut message =
                    BaseRecord::with_opaque_to(&self.state_topic, Sent::State.opaque())
                        .partition(self.shard)
                        .key(record.key.as_str());
                if let Some(value) = &record.value {
                    message = message.payload(value.as_slice());
                }
                self.send(message)?;
            }
        }
        self.drain()?;
        self.producer
            .commit_transaction(COMMIT_TIMEOUT)
            .map_err(|e| self.lost("commit_transaction", &e))?;
        Ok(self.producer.context().state_next_offset())
    }

    /// The state topic, whole.
    pub fn state_topic(&self) -> &str {
        &self.state_topic
    }

    /// Records handed over and not yet acknowledged.
    pub fn in_flight(&self) -> i32 {
        self.producer.in_flight_count()
    }

    fn send_event(&self, event: &EventRecord, times: &mut Times) -> Result<(), Lost> {
        let mut message =
            BaseRecord::with_opaque_to(&event.topic, Sent::Event.opaque()).key(event.key.as_str());
        if let Some(value) = &event.value {
            message = message.payload(value.as_slice());
        }
        if let Some(headers) = &event.headers {
            message = message.headers(cloud_event_headers(headers, times.text(headers.time)));
        }
        self.send(message)
    }

    fn send(&self, mut message: BaseRecord<'_, str, [u8], usize>) -> Result<(), Lost> {
        let mut full_since = None;
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                // A full queue is the usual backpressure of a large transaction.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if full_since.get_or_insert_with(Instant::now).elapsed() < DRAIN_TIMEOUT =>
                {
                    message = back;
                    self.producer.poll(Duration::ZERO);
                    thread::sleep(DRAIN_PAUSE);
                }
                Err((error, _)) => return Err(self.lost("send", &error)),
            }
        }
    }

    /// Waits until every record is acknowledged: commit's own flush would poll in steps of 100 ms.
    fn drain(&self) -> Result<(), Lost> {
        let started = Instant::now();
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::ZERO);
            if started.elapsed() > DRAIN_TIMEOUT {
                let error = KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut);
                return Err(self.lost("delivering the records", &error));
            }
            thread::sleep(DRAIN_PAUSE);
        }
        self.producer.poll(Duration::ZERO);
        match self.producer.context().first_error() {
            None => Ok(()),
            Some(code) => {
                Err(self.lost("delivering the records", &KafkaError::MessageProduction(code)))
            }
        }
    }

    fn lost(&self, step: &'static str, error: &KafkaError) -> Lost {
        Lost {
            step,
            transactional_id: self.transactional_id.clone(),
            verdict: Verdict::of(error),
            reason: error.to_string(),
        }
    }
}

/// `ce_time` as text: the rows of an answer share theirs, so the last one usually serves.
#[derive(Default)]
struct Times {
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

fn cloud_event_headers(headers: &EventHeaders, time: &str) -> OwnedHeaders {
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
