//! `docs/metrics.md`, made from the table of metrics.

use prometheus::core::Collector;

use super::metrics::Metrics;

macro_rules! described {
    ($metrics:ident: $($field:ident $kind:literal)*) => {
        [$(($kind, $metrics.$field.desc().into_iter().cloned().collect::<Vec<_>>()),)*]
    };
}

fn page() -> String {
    let m = Metrics::new();
    let rows = described! { m:
        build_info "gauge" config_info "gauge" config_reload_success_timestamp "gauge"
        source_polls "counter" source_poll_duration "histogram" source_records "counter"
        source_last_success "gauge" source_newest_record "gauge"
        source_checkpoint_position "gauge" source_checkpoint_commit "gauge"
        source_freshness_slo "gauge" source_quiet_slo "gauge" source_state "gauge"
        source_backfill_progress "gauge" api_requests "counter" api_request_duration "histogram"
        api_retries "counter" api_rate_limit_remaining "gauge" api_rate_limit_limit "gauge"
        api_rate_limit_wait "counter" api_auth_attempts "counter" api_token_expiry "gauge"
        api_unknown_fields "counter" kafka_produced_records "counter"
        kafka_produce_errors "counter" kafka_produce_duration "histogram"
        kafka_producer_queue "gauge" dlq_records "counter" state_size_bytes "gauge"
        state_flush_duration "histogram" state_flush_errors "counter" shard_state "gauge"
        shard_fenced "counter" shard_restore_duration "gauge" transaction_duration "histogram"
        command_outcomes "counter" command_duration "histogram" commands_in_doubt "gauge"
        commands_oldest_in_doubt "gauge" commands_waiting "gauge"
        commands_oldest_waiting "gauge" command_consumer_lag "gauge"
        sink_state "gauge"
    };
    let mut page =
        "# Metrics\n\nMade from `src/telemetry/metrics.rs`; `UPDATE=1 cargo test --lib` \
                    writes it. The `process_*` metrics of Prometheus stand beside these.\n\n\
                    | Metric | Type | Labels | What it says |\n|---|---|---|---|\n"
            .to_owned();
    for (kind, descriptions) in rows {
        for desc in descriptions {
            let labels = desc.variable_labels.join(", ");
            page.push_str(&format!("| `{}` | {kind} | {labels} | {} |\n", desc.fq_name, desc.help));
        }
    }
    page
}

#[test]
fn the_committed_page_is_the_generated_one() {
    super::assert_committed("docs/metrics.md", &page());
}

#[test]
fn every_field_of_the_table_has_a_row() {
    let source = include_str!("metrics.rs");
    let fields = source.lines().filter(|line| line.starts_with("    pub ") && line.ends_with(','));
    // The registry itself is no metric.
    let count = fields.count() - 1;
    let rows = page().lines().filter(|line| line.starts_with("| `vomsis_")).count();
    assert_eq!(rows, count);
}
