//! Every metric the program exports, as one typed table.
//!
//! Names and labels are the contract of `docs/metrics.md`; no label is unbounded. Series exist
//! from start: counters at 0, timestamps at process start until something better is known.

use chrono::{DateTime, Utc};
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Registry,
};

use super::define::{Define, HOURS, LATENCY, registered};

/// The buckets of a line.
macro_rules! buckets {
    () => {
        LATENCY
    };
    ($buckets:ident) => {
        $buckets
    };
}

/// A line a metric: field, type, name, labels, buckets where they are not those of a latency, and
/// what it says. Makes the struct, its making and what the docs' table is made of.
macro_rules! metrics {
    ($(
        $field:ident: $kind:ty = $name:literal [$($label:literal),*] $(in $buckets:ident)?
        $help:literal;
    )*) => {
        /// The metrics of the process; cheap to share behind an `Arc`.
        #[derive(Debug)]
        pub struct Metrics {
            /// All of them, as they are scraped.
            pub registry: Registry,
            $(#[doc = concat!("`", $name, "`: ", $help)] pub $field: $kind,)*
        }

        impl Metrics {
            /// Registers every metric once.
            pub fn new() -> Self {
                let registry = Registry::new();
                #[cfg(target_os = "linux")]
                add_process(&registry);
                Self {
                    $($field: registered(
                        &registry,
                        <$kind>::define($name, $help, &[$($label),*], buckets!($($buckets)?)),
                    ),)*
                    registry,
                }
            }

            /// Type and description of each, in the table's order.
            #[cfg(test)]
            pub(super) fn described() -> Vec<(&'static str, super::define::Described)> {
                vec![$((<$kind>::TYPE, ($name, &[$($label),*], $help)),)*]
            }
        }
    };
}

metrics! {
    build_info: IntGaugeVec = "vomsis_build_info" ["version", "revision"]
        "Version of the program; always 1.";
    config_info: IntGaugeVec = "vomsis_config_info" ["hash"]
        "Hash of the configuration in force; always 1.";
    config_reload_success_timestamp: GaugeVec = "vomsis_config_reload_success_timestamp_seconds" []
        "When the configuration, or a secret file of it, was last read.";
    source_polls: IntCounterVec = "vomsis_source_polls_total" ["connection", "stream", "outcome"]
        "Polls by outcome.";
    source_poll_duration: HistogramVec = "vomsis_source_poll_duration_seconds" ["connection", "stream"] in HOURS
        "A poll from its first request to its commit.";
    source_records: IntCounterVec = "vomsis_source_records_total" ["connection", "stream", "kind"]
        "Rows by what was found.";
    source_last_success: GaugeVec = "vomsis_source_last_success_timestamp_seconds" ["connection", "stream"]
        "Last good answer of the API for the entity that is furthest behind, whether or not its rows arrived; before its first one here, when the replica took the stream over or the entity was listed, or open again.";
    source_newest_record: GaugeVec = "vomsis_source_newest_record_timestamp_seconds" ["connection", "stream"]
        "Business time of the newest row seen; where none was ever seen, when the replica took the stream over.";
    source_checkpoint_position: GaugeVec = "vomsis_source_checkpoint_position_timestamp_seconds" ["connection", "stream"]
        "Business time up to which every row has been read.";
    source_checkpoint_commit: GaugeVec = "vomsis_source_checkpoint_commit_timestamp_seconds" ["connection", "stream"]
        "Last time a poll left the checkpoint true (committed, or nothing to commit), of the entity that is furthest behind; before its first one here, when the replica took the stream over or the entity was listed, or open again.";
    source_freshness_slo: GaugeVec = "vomsis_source_freshness_slo_seconds" ["connection", "stream"]
        "Age of the last success above which the stream is stale; 0 is off.";
    source_quiet_slo: GaugeVec = "vomsis_source_quiet_slo_seconds" ["connection", "stream"]
        "Age of the newest row above which the stream is quiet; 0 is off.";
    source_state: IntGaugeVec = "vomsis_source_state" ["connection", "stream", "state"]
        "1 for the state the stream is in; all are 0 while nothing is known yet.";
    source_backfill_progress: GaugeVec = "vomsis_source_backfill_progress_ratio" ["connection", "stream"]
        "Share of the backfill that is done.";
    api_requests: IntCounterVec = "vomsis_api_requests_total" ["connection", "operation", "code"]
        "HTTP calls by status; code `error` means no answer.";
    api_request_duration: HistogramVec = "vomsis_api_request_duration_seconds" ["connection", "operation"]
        "HTTP calls from the first byte sent to the last received.";
    api_retries: IntCounterVec = "vomsis_api_retries_total" ["connection", "operation", "reason"]
        "Calls made again, by reason.";
    api_rate_limit_remaining: GaugeVec = "vomsis_api_rate_limit_remaining" ["connection"]
        "X-RateLimit-Remaining of the last answer; before it, the limit.";
    api_rate_limit_limit: GaugeVec = "vomsis_api_rate_limit_limit" ["connection"]
        "X-RateLimit-Limit of the last answer; before it, quota.requests_per_minute.";
    api_rate_limit_wait: CounterVec = "vomsis_api_rate_limit_wait_seconds_total" ["connection"]
        "Time calls waited for the quota.";
    api_auth_attempts: IntCounterVec = "vomsis_api_auth_attempts_total" ["connection", "outcome"]
        "Sign-ins by outcome. `error` also counts calls that were refused with a token at hand, and sign-ins that could not be asked for (a secret file that cannot be read, a TOS key that is asked no more).";
    api_access_refused: IntGaugeVec = "vomsis_api_access_refused" ["connection"]
        "1 while an API of the connection refuses access: until a call succeeds, or for as long as nothing is asked any more (a locked TOS key). 0 on replicas that do not poll the connection.";
    api_token_expiry: GaugeVec = "vomsis_api_token_expiry_timestamp_seconds" ["connection"]
        "When the token in use ends, of several the first; the start of the process where there is none.";
    api_unknown_fields: IntCounterVec = "vomsis_api_unknown_fields_total" ["connection", "operation"]
        "Fields of rows that the model does not know.";
    kafka_produced_records: IntCounterVec = "vomsis_kafka_produced_records_total" ["topic"]
        "Records committed.";
    kafka_produce_errors: IntCounterVec = "vomsis_kafka_produce_errors_total" ["topic", "reason"]
        "Transactions that did not commit, by topic and reason.";
    kafka_produce_duration: HistogramVec = "vomsis_kafka_produce_duration_seconds" ["topic"]
        "From the begin of a transaction to its commit, by topic it wrote.";
    kafka_producer_queue: IntGauge = "vomsis_kafka_producer_queue_records" []
        "Records handed to the shards' producers and not yet acknowledged; the payment sink's are not counted.";
    dlq_records: IntCounterVec = "vomsis_dlq_records_total" ["connection", "stream", "topic", "reason"]
        "Rows sent to quarantine, and records of the command topic sent to the rejected topic.";
    state_size_bytes: IntGauge = "vomsis_state_size_bytes" []
        "Size of the local cache on disk.";
    state_flush_duration: Histogram = "vomsis_state_flush_duration_seconds" []
        "Writing a committed batch to the local cache.";
    state_flush_errors: IntCounter = "vomsis_state_flush_errors_total" []
        "Writes to the local cache that failed.";
    state_shards_without_cache: IntGauge = "vomsis_state_shards_without_cache" []
        "Shards that this replica polls without the local cache: it could not be opened, or a write to it failed.";
    shard_state: IntGaugeVec = "vomsis_shard_state" ["shard", "state"]
        "1 for the state the shard is in on this replica.";
    shard_fenced: IntCounterVec = "vomsis_shard_fenced_total" ["shard"]
        "Times the shard's producer was fenced.";
    shard_restore_duration: GaugeVec = "vomsis_shard_restore_duration_seconds" ["shard"]
        "How long the last restore took.";
    transaction_duration: Histogram = "vomsis_transaction_duration_seconds" []
        "Kafka transactions from begin to commit.";
    command_outcomes: IntCounterVec = "vomsis_command_outcomes_total" ["type", "outcome"]
        "Results of payment commands published, DUPLICATE answers included.";
    command_duration: HistogramVec = "vomsis_command_duration_seconds" ["type"] in HOURS
        "From the journal's first word of a command to its end; a parked one ends when a person has decided.";
    commands_in_doubt: IntGaugeVec = "vomsis_commands_in_doubt" ["type"]
        "Payment commands in doubt or parked, on the replica that runs the sink.";
    commands_oldest_in_doubt: Gauge = "vomsis_commands_oldest_in_doubt_timestamp_seconds" []
        "Since when the oldest of them is in doubt; 0 where there is none.";
    commands_waiting: IntGaugeVec = "vomsis_commands_waiting" ["type"]
        "Payment commands taken in that wait for their turn, a brake or the API, on the replica that runs the sink.";
    commands_oldest_waiting: Gauge = "vomsis_commands_oldest_waiting_timestamp_seconds" []
        "Since when the oldest of them waits; 0 where there is none.";
    command_consumer_lag: IntGaugeVec = "vomsis_command_consumer_lag_records" ["topic", "partition"]
        "Records of the command topic that are not in the journal yet.";
    sink_state: IntGaugeVec = "vomsis_sink_state" ["state"]
        "1 for the state the payment sink is in on this replica; all 0 where it is off.";
}

/// The process' own metrics, as every Prometheus client names them.
#[cfg(target_os = "linux")]
fn add_process(registry: &Registry) {
    let process = prometheus::process_collector::ProcessCollector::for_self();
    // Losing the process metrics is no reason to lose the others.
    drop(registry.register(Box::new(process)));
}

impl Metrics {
    /// Notes that the configuration, or a secret file of it, was read and is in use.
    #[expect(clippy::cast_precision_loss, reason = "a gauge of seconds")]
    pub fn config_read(&self, at: DateTime<Utc>) {
        let seconds = at.timestamp_millis() as f64 / 1000.0;
        self.config_reload_success_timestamp.with_label_values(&[] as &[&str]).set(seconds);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn what_may_take_hours_is_told_from_what_takes_a_minute() {
        let metrics = Metrics::new();
        let (command, poll) = (&metrics.command_duration, &metrics.source_poll_duration);
        let labels = ["acme", "bank_transactions"];
        for seconds in [61.0, 301.0, 901.0, 3_601.0, 21_601.0] {
            command.with_label_values(&["refund"]).observe(seconds);
            poll.with_label_values(&labels).observe(seconds);
        }
        metrics.transaction_duration.observe(61.0);
        let text = TextEncoder::new().encode_to_string(&metrics.registry.gather()).unwrap();
        for (bound, count) in [("60", 0), ("300", 1), ("900", 2), ("3600", 3), ("21600", 4)] {
            for series in [
                "vomsis_command_duration_seconds_bucket{type=\"refund\"",
                "vomsis_source_poll_duration_seconds_bucket{connection=\"acme\",stream=\"bank_transactions\"",
            ] {
                let line = format!("{series},le=\"{bound}\"}} {count}");
                assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
            }
        }
        assert!(!text.contains("vomsis_transaction_duration_seconds_bucket{le=\"300\"}"));
    }
}
