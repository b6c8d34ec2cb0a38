//! Every metric the program exports, as one typed table.
//!
//! Names and labels are the contract of `docs/metrics.md`; no label is unbounded. Series exist
//! from start: counters at 0, timestamps at process start until something better is known.

use chrono::{DateTime, Utc};
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, core::Collector,
};

/// Buckets of everything that a person waits for, in seconds.
const LATENCY_BUCKETS: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The metrics of the process; cheap to share behind an `Arc`.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is documented by its help text below")]
pub struct Metrics {
    pub registry: Registry,
    pub build_info: IntGaugeVec,
    pub config_info: IntGaugeVec,
    pub config_reload_success_timestamp: GaugeVec,
    pub source_polls: IntCounterVec,
    pub source_poll_duration: HistogramVec,
    pub source_records: IntCounterVec,
    pub source_last_success: GaugeVec,
    pub source_newest_record: GaugeVec,
    pub source_checkpoint_position: GaugeVec,
    pub source_checkpoint_commit: GaugeVec,
    pub source_freshness_slo: GaugeVec,
    pub source_quiet_slo: GaugeVec,
    pub source_state: IntGaugeVec,
    pub source_backfill_progress: GaugeVec,
    pub api_requests: IntCounterVec,
    pub api_request_duration: HistogramVec,
    pub api_retries: IntCounterVec,
    pub api_rate_limit_remaining: GaugeVec,
    pub api_rate_limit_limit: GaugeVec,
    pub api_rate_limit_wait: CounterVec,
    pub api_auth_attempts: IntCounterVec,
    pub api_token_expiry: GaugeVec,
    pub api_unknown_fields: IntCounterVec,
    pub kafka_produced_records: IntCounterVec,
    pub kafka_produce_errors: IntCounterVec,
    pub kafka_produce_duration: HistogramVec,
    pub kafka_producer_queue: IntGauge,
    pub dlq_records: IntCounterVec,
    pub state_size_bytes: IntGauge,
    pub state_flush_duration: Histogram,
    pub state_flush_errors: IntCounter,
    pub shard_state: IntGaugeVec,
    pub shard_fenced: IntCounterVec,
    pub shard_restore_duration: GaugeVec,
    pub transaction_duration: Histogram,
    /// `vomsis_command_outcomes_total{type,outcome}`
    pub command_outcomes: IntCounterVec,
    /// `vomsis_command_duration_seconds{type}`
    pub command_duration: HistogramVec,
    /// `vomsis_commands_in_doubt{type}`
    pub commands_in_doubt: IntGaugeVec,
    /// `vomsis_commands_oldest_in_doubt_timestamp_seconds`
    pub commands_oldest_in_doubt: Gauge,
    /// `vomsis_commands_waiting{type}`
    pub commands_waiting: IntGaugeVec,
    /// `vomsis_commands_oldest_waiting_timestamp_seconds`
    pub commands_oldest_waiting: Gauge,
    /// `vomsis_command_consumer_lag_records{topic,partition}`
    pub command_consumer_lag: IntGaugeVec,
    /// `vomsis_sink_state{state}`
    pub sink_state: IntGaugeVec,
}

struct Table {
    registry: Registry,
}

impl Table {
    fn add<C: Collector + Clone + 'static>(&self, metric: prometheus::Result<C>) -> C {
        // A duplicate or malformed name is a mistake in this file that the first test run shows.
        #[expect(clippy::expect_used, reason = "the names are literals of this file")]
        let metric = metric.expect("metric definition");
        #[expect(clippy::expect_used, reason = "the names are literals of this file")]
        self.registry.register(Box::new(metric.clone())).expect("unique metric name");
        metric
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(GaugeVec::new(Opts::new(name, help), labels))
    }

    fn int_gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        let opts = HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS.to_vec());
        self.add(HistogramVec::new(opts, labels))
    }

    fn histogram(&self, name: &str, help: &str) -> Histogram {
        let opts = HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS.to_vec());
        self.add(Histogram::with_opts(opts))
    }
}

impl Metrics {
    /// Registers every metric once.
    #[expect(clippy::too_many_lines, reason = "a table reads better whole")]
    pub fn new() -> Self {
        let t = Table { registry: Registry::new() };
        #[cfg(target_os = "linux")]
        {
            let process = prometheus::process_collector::ProcessCollector::for_self();
            // Losing the process metrics is no reason to lose the others.
            drop(t.registry.register(Box::new(process)));
        }
        let stream = ["connection", "stream"];
        Self {
            build_info: t.int_gauges(
                "vomsis_build_info",
                "Version of the program; always 1.",
                &["version", "revision"],
            ),
            config_info: t.int_gauges(
                "vomsis_config_info",
                "Hash of the configuration in force; always 1.",
                &["hash"],
            ),
            config_reload_success_timestamp: t.gauges(
                "vomsis_config_reload_success_timestamp_seconds",
                "When the configuration, or a secret file of it, was last read.",
                &[],
            ),
            source_polls: t.counters(
                "vomsis_source_polls_total",
                "Polls by outcome.",
                &["connection", "stream", "outcome"],
            ),
            source_poll_duration: t.histograms(
                "vomsis_source_poll_duration_seconds",
                "A poll from its first request to its commit.",
                &stream,
            ),
            source_records: t.counters(
                "vomsis_source_records_total",
                "Rows by what was found.",
                &["connection", "stream", "kind"],
            ),
            source_last_success: t.gauges(
                "vomsis_source_last_success_timestamp_seconds",
                "Last successful poll of the entity that is furthest behind; before its first one here, when the replica took the stream over.",
                &stream,
            ),
            source_newest_record: t.gauges(
                "vomsis_source_newest_record_timestamp_seconds",
                "Business time of the newest row seen; where none was ever seen, when the replica took the stream over.",
                &stream,
            ),
            source_checkpoint_position: t.gauges(
                "vomsis_source_checkpoint_position_timestamp_seconds",
                "Business time up to which every row has been read.",
                &stream,
            ),
            source_checkpoint_commit: t.gauges(
                "vomsis_source_checkpoint_commit_timestamp_seconds",
                "Last time a poll left the checkpoint true (committed, or nothing to commit), of the entity that is furthest behind; before its first one here, when the replica took the stream over.",
                &stream,
            ),
            source_freshness_slo: t.gauges(
                "vomsis_source_freshness_slo_seconds",
                "Age of the last success above which the stream is stale.",
                &stream,
            ),
            source_quiet_slo: t.gauges(
                "vomsis_source_quiet_slo_seconds",
                "Age of the newest row above which the stream is quiet; 0 is off.",
                &stream,
            ),
            source_state: t.int_gauges(
                "vomsis_source_state",
                "1 for the state the stream is in; all are 0 while nothing is known yet.",
                &["connection", "stream", "state"],
            ),
            source_backfill_progress: t.gauges(
                "vomsis_source_backfill_progress_ratio",
                "Share of the backfill that is done.",
                &stream,
            ),
            api_requests: t.counters(
                "vomsis_api_requests_total",
                "HTTP calls by status; code `error` means no answer.",
                &["connection", "operation", "code"],
            ),
            api_request_duration: t.histograms(
                "vomsis_api_request_duration_seconds",
                "HTTP calls from the first byte sent to the last received.",
                &["connection", "operation"],
            ),
            api_retries: t.counters(
                "vomsis_api_retries_total",
                "Calls made again, by reason.",
                &["connection", "operation", "reason"],
            ),
            api_rate_limit_remaining: t.gauges(
                "vomsis_api_rate_limit_remaining",
                "X-RateLimit-Remaining of the last answer; before it, the limit.",
                &["connection"],
            ),
            api_rate_limit_limit: t.gauges(
                "vomsis_api_rate_limit_limit",
                "X-RateLimit-Limit of the last answer; before it, quota.requests_per_minute.",
                &["connection"],
            ),
            api_rate_limit_wait: t.add(CounterVec::new(
                Opts::new(
                    "vomsis_api_rate_limit_wait_seconds_total",
                    "Time calls waited for the quota.",
                ),
                &["connection"],
            )),
            api_auth_attempts: t.counters(
                "vomsis_api_auth_attempts_total",
                "Token requests by outcome.",
                &["connection", "outcome"],
            ),
            api_token_expiry: t.gauges(
                "vomsis_api_token_expiry_timestamp_seconds",
                "When the token in use ends, of several the first; the start of the process where there is none.",
                &["connection"],
            ),
            api_unknown_fields: t.counters(
                "vomsis_api_unknown_fields_total",
                "Fields of rows that the model does not know.",
                &["connection", "operation"],
            ),
            kafka_produced_records: t.counters(
                "vomsis_kafka_produced_records_total",
                "Records committed.",
                &["topic"],
            ),
            kafka_produce_errors: t.counters(
                "vomsis_kafka_produce_errors_total",
                "Transactions that did not commit, by topic and reason.",
                &["topic", "reason"],
            ),
            kafka_produce_duration: t.histograms(
                "vomsis_kafka_produce_duration_seconds",
                "From the begin of a transaction to its commit, by topic it wrote.",
                &["topic"],
            ),
            kafka_producer_queue: t.add(IntGauge::with_opts(Opts::new(
                "vomsis_kafka_producer_queue_records",
                "Records handed to the shards' producers and not yet acknowledged; the payment sink's are not counted.",
            ))),
            dlq_records: t.counters(
                "vomsis_dlq_records_total",
                "Rows sent to quarantine, and records of the command topic sent to the rejected topic.",
                &["connection", "stream", "topic", "reason"],
            ),
            state_size_bytes: t.add(IntGauge::with_opts(Opts::new(
                "vomsis_state_size_bytes",
                "Size of the local cache on disk.",
            ))),
            state_flush_duration: t.histogram(
                "vomsis_state_flush_duration_seconds",
                "Writing a committed batch to the local cache.",
            ),
            state_flush_errors: t.add(IntCounter::with_opts(Opts::new(
                "vomsis_state_flush_errors_total",
                "Writes to the local cache that failed.",
            ))),
            shard_state: t.int_gauges(
                "vomsis_shard_state",
                "1 for the state the shard is in on this replica.",
                &["shard", "state"],
            ),
            shard_fenced: t.counters(
                "vomsis_shard_fenced_total",
                "Times the shard's producer was fenced.",
                &["shard"],
            ),
            shard_restore_duration: t.gauges(
                "vomsis_shard_restore_duration_seconds",
                "How long the last restore took.",
                &["shard"],
            ),
            transaction_duration: t.histogram(
                "vomsis_transaction_duration_seconds",
                "Kafka transactions from begin to commit.",
            ),
            command_outcomes: t.counters(
                "vomsis_command_outcomes_total",
                "Results of payment commands published, DUPLICATE answers included.",
                &["type", "outcome"],
            ),
            command_duration: t.histograms(
                "vomsis_command_duration_seconds",
                "From the journal's first word of a command to its end; a parked one ends when a person has decided.",
                &["type"],
            ),
            commands_in_doubt: t.int_gauges(
                "vomsis_commands_in_doubt",
                "Payment commands in doubt or parked, on the replica that runs the sink.",
                &["type"],
            ),
            commands_oldest_in_doubt: t.add(Gauge::with_opts(Opts::new(
                "vomsis_commands_oldest_in_doubt_timestamp_seconds",
                "Since when the oldest of them is in doubt; 0 where there is none.",
            ))),
            commands_waiting: t.int_gauges(
                "vomsis_commands_waiting",
                "Payment commands taken in that wait for their turn, a brake or the API, on the replica that runs the sink.",
                &["type"],
            ),
            commands_oldest_waiting: t.add(Gauge::with_opts(Opts::new(
                "vomsis_commands_oldest_waiting_timestamp_seconds",
                "Since when the oldest of them waits; 0 where there is none.",
            ))),
            sink_state: t.int_gauges(
                "vomsis_sink_state",
                "1 for the state the payment sink is in on this replica; all 0 where it is off.",
                &["state"],
            ),
            command_consumer_lag: t.int_gauges(
                "vomsis_command_consumer_lag_records",
                "Records of the command topic that were not read yet.",
                &["topic", "partition"],
            ),
            registry: t.registry,
        }
    }
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
