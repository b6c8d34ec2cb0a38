//! `docs/metrics.md`, made from the table of metrics.

use super::metrics::Metrics;

fn page() -> String {
    let mut page =
        "# Metrics\n\nMade from `src/telemetry/metrics.rs`; `UPDATE=1 cargo test --lib` \
                    writes it. The `process_*` metrics of Prometheus stand beside these.\n\n\
                    | Metric | Type | Labels | What it says |\n|---|---|---|---|\n"
            .to_owned();
    for (kind, (name, labels, help)) in Metrics::described() {
        page.push_str(&format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", ")));
    }
    page
}

#[test]
fn the_committed_page_is_the_generated_one() {
    super::assert_committed("docs/metrics.md", &page());
}
