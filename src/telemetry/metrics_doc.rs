//! `docs/metrics.md`, made from the table of metrics.

use super::metrics::Metrics;

/// Metric, label and every value of it; `tests/it/metrics.rs` compares them with what a process exports.
const VALUES: [(&str, &str, &str); 13] = [
    ("vomsis_source_polls_total", "outcome", "success empty error"),
    ("vomsis_source_records_total", "kind", "new changed unchanged deleted"),
    ("vomsis_source_state", "state", "running backfilling stopped failed"),
    (
        "vomsis_api_retries_total",
        "reason",
        "unauthorized connect timeout broken server_error bad_body rate_limited",
    ),
    ("vomsis_api_auth_attempts_total", "outcome", "success error unavailable"),
    ("vomsis_kafka_produce_errors_total", "reason", "fenced unknown failed"),
    (
        "vomsis_dlq_records_total",
        "reason",
        "UNKNOWN MISSING_FIELD INVALID_AMOUNT INVALID_ID INVALID_TYPE UNSUPPORTED_CURRENCY TOO_LARGE \
         UNDECODABLE WRONG_KEY WRONG_SCHEMA",
    ),
    ("vomsis_shard_state", "state", "restoring owned fenced stopped"),
    (
        "vomsis_command_outcomes_total",
        "outcome",
        "succeeded declined rejected expired duplicate in_doubt parked",
    ),
    ("vomsis_command_outcomes_total", "type", "cancel refund unknown"),
    ("vomsis_commands_in_doubt", "type", "cancel refund unknown"),
    ("vomsis_commands_waiting", "type", "cancel refund unknown"),
    ("vomsis_sink_state", "state", "standby restoring owned waiting halted retrying stopped"),
];

fn page() -> String {
    let mut page =
        "# Metrics\n\nMade from `src/telemetry/metrics.rs`; `UPDATE=1 cargo test --lib` \
                    writes it. The `process_*` metrics of Prometheus stand beside these.\n\n\
                    | Metric | Type | Labels | What it says |\n|---|---|---|---|\n"
            .to_owned();
    for (kind, (name, labels, help)) in Metrics::described() {
        page.push_str(&format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", ")));
    }
    page.push_str(
        "\n## Values of labels\n\nEvery series of these is there from the start. `operation` is a call of the \
         source, by its name in the [simulator's list](simulator.md#faults); `code` an HTTP status, or `error`.\n\n\
         | Values of | Label | |\n|---|---|---|\n",
    );
    for (name, label, values) in VALUES {
        let values: Vec<_> = values.split(' ').map(|value| format!("`{value}`")).collect();
        page.push_str(&format!("| {name} | {label} | {} |\n", values.join(", ")));
    }
    page
}

#[test]
fn the_committed_page_is_the_generated_one() {
    super::assert_committed("docs/metrics.md", &page());
}
