//! Makes every series exist before the first scrape, so that a rate never misses its first step.

use std::sync::Arc;

use crate::{
    api,
    config::model::{Config, Kafka},
    domain::time::Timestamp,
    kafka::{topics, verdict::Verdict},
    poll::series::Series,
    shards::owner::Phase,
    telemetry::metrics::Metrics,
};

/// Seeds what is known from the configuration; the streams' gauges follow the board from then on.
pub(super) fn seed(config: &Config, metrics: &Arc<Metrics>, started_at: Timestamp) -> Series {
    for connection in &config.connections {
        api::series::seed(connection, metrics, started_at.seconds());
        if config.sink.enabled && connection.virtual_pos.is_some() {
            api::series::seed_payments(connection, metrics);
        }
    }
    seed_kafka(&config.kafka, config.sink.enabled, metrics);
    seed_shards(config.kafka.shards, metrics);
    let quarantine = config.kafka.topic(topics::QUARANTINE);
    Series::new(&config.connections, &quarantine, Arc::clone(metrics))
}

fn seed_kafka(kafka: &Kafka, payments: bool, metrics: &Metrics) {
    let written =
        topics::desired(kafka, payments).into_iter().filter(|topic| topic.cleanup.is_some());
    for topic in written {
        metrics.kafka_produced_records.with_label_values(&[&topic.name]);
        metrics.kafka_produce_duration.with_label_values(&[&topic.name]);
        for verdict in Verdict::ALL {
            metrics.kafka_produce_errors.with_label_values(&[&*topic.name, verdict.as_str()]);
        }
    }
}

fn seed_shards(shards: i32, metrics: &Metrics) {
    for shard in 0..shards {
        let label = shard.to_string();
        for phase in Phase::SHOWN {
            metrics.shard_state.with_label_values(&[&*label, phase.as_str()]);
        }
        metrics.shard_fenced.with_label_values(&[&label]);
        metrics.shard_restore_duration.with_label_values(&[&label]);
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    fn scrape(sink: &str) -> String {
        let keys = "{app_key_file: k, app_secret_file: s}";
        let text = format!(
            "connections: [{{id: a, virtual_pos: {keys}}}, {{id: b, bank_pos: {keys}}}]\n{sink}"
        );
        let config = crate::config::parse("c", &text, std::iter::empty()).unwrap().config;
        let metrics = Arc::new(Metrics::new());
        seed(&config, &metrics, Timestamp(0));
        TextEncoder::new().encode_to_string(&metrics.registry.gather()).unwrap()
    }

    #[test]
    fn the_sinks_calls_have_series_from_the_start_where_there_is_a_sink() {
        let with = scrape("sink: {enabled: true, acknowledge_real_money: true}\n");
        let without = scrape("");
        for operation in ["find_payment", "change_payment"] {
            let series = |id: &str| {
                format!(
                    "vomsis_api_requests_total{{code=\"200\",connection=\"{id}\",operation=\"{operation}\"}} 0"
                )
            };
            assert!(with.contains(&series("a")), "{operation}: {with}");
            assert!(!with.contains(&series("b")) && !without.contains(&series("a")), "{operation}");
        }
    }
}
