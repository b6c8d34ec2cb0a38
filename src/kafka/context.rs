//! What librdkafka calls back: logs, and delivery reports of a shard's producer.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::KafkaError,
    message::{DeliveryResult, Message},
    producer::{NoCustomPartitioner, ProducerContext},
    types::RDKafkaErrorCode,
};

use crate::{log_event, telemetry::events::Event};

/// Where the log lines of [`Logging`] and [`Deliveries`] come from.
pub(super) const TARGET: &str = module_path!();

/// Hands librdkafka's own log lines to `tracing`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logging;

impl ClientContext for Logging {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka client reports an error");
    }
}

impl ConsumerContext for Logging {}

/// As [`Logging`]; remembers besides why TLS with a broker did not stand. The call that waits for
/// a broker only says that none can be used.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    failed: Mutex<Option<String>>,
}

impl Handshakes {
    /// The newest failure: the broker, and what is wrong.
    pub(super) fn failed(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Handshakes {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Logging.error(error.clone(), reason);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::SSL) {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            *failed = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Handshakes {}

fn log_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // librdkafka retries by itself; what matters is reported again by the call that fails.
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            log_event!(Event::KafkaClient, facility, reason = message, "kafka client");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
            tracing::debug!(facility, message, "kafka client");
        }
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::trace!(facility, message, "kafka client");
        }
    }
}

/// What a record of a transaction is, for its delivery report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// An event for consumers.
    Event,
    /// A record of the state topic: its offset tags the local cache.
    State,
    /// The n-th record of the payment journal in this transaction: its place is remembered.
    Journal(usize),
}

impl Sent {
    /// As the opaque value that librdkafka hands back.
    pub const fn opaque(self) -> usize {
        match self {
            Self::Event => 0,
            Self::State => 1,
            Self::Journal(index) => 2 + index,
        }
    }
}

/// Collects the delivery reports of one transaction.
#[derive(Debug, Default)]
pub struct Deliveries {
    first_error: Mutex<Option<(RDKafkaErrorCode, String)>>,
    state_next_offset: AtomicI64,
    /// How far the state partition was known to reach when this transaction began.
    state_end: AtomicI64,
    /// The lowest offset that this transaction's state records were given; below zero where their
    /// offsets cannot be believed.
    state_lowest: AtomicI64,
    journal: Mutex<BTreeMap<usize, (i32, i64)>>,
}

impl Deliveries {
    /// Forgets the last transaction's reports.
    pub fn begin(&self) {
        *self.first_error.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.know_state_end(self.state_next_offset());
        self.state_lowest.store(i64::MAX, Ordering::Release);
    }

    /// The state partition reaches to this offset, whoever wrote it.
    pub fn know_state_end(&self, end: i64) {
        self.state_end.fetch_max(end, Ordering::AcqRel);
    }

    /// The offset that a state record of this transaction was given, and how far the partition had
    /// reached before, where that is further: the partition is another one, or has lost its end.
    pub fn state_went_back(&self) -> Option<(i64, i64)> {
        let (lowest, end) =
            (self.state_lowest.load(Ordering::Acquire), self.state_end.load(Ordering::Acquire));
        (0..end).contains(&lowest).then_some((lowest, end))
    }

    /// Why the first record was not delivered that was not, and the topic that it was for.
    pub fn first_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.first_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The offset after the newest state record delivered so far, and never before what the partition was
    /// known to reach: a batch that the broker has already is acknowledged without its offsets.
    pub fn state_next_offset(&self) -> i64 {
        let known = self.state_end.load(Ordering::Acquire);
        self.state_next_offset.load(Ordering::Acquire).max(known)
    }

    /// Partition and offset of this transaction's journal records, in the order in which they were
    /// sent.
    pub fn journal_places(&self) -> Vec<(i32, i64)> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka producer reports an error");
    }
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: usize) {
        match result {
            Ok(message) if opaque == Sent::State.opaque() => {
                self.state_next_offset.fetch_max(message.offset() + 1, Ordering::AcqRel);
                // A batch that the broker had already is acknowledged without an offset, and librdkafka
                // counts on from that: -1, 0, 1, ….
                self.state_lowest.fetch_min(message.offset(), Ordering::AcqRel);
            }
            Ok(message) => {
                if let Some(index) = opaque.checked_sub(Sent::Journal(0).opaque()) {
                    let place = (message.partition(), message.offset());
                    let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
                    journal.insert(index, place);
                }
            }
            Err((error, message)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                let mut first = self.first_error.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| (code, message.topic().to_owned()));
            }
        }
    }
}
