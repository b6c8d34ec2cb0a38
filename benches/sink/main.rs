//! The payment sink as a process against a real broker: how late a request leaves, how many
//! commands a second go through beside a loop that promises nothing, and what a million finished
//! commands hold.
//!
//! `cargo bench --bench sink` runs all three; `-- latency`, `-- throughput` or `-- memory` one of
//! them. The figures of a run stand in `docs/performance.md`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that fails should stop")]

#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/it/harness/mod.rs"]
mod harness;
#[path = "../measure/mod.rs"]
mod measure;

mod api;
mod bare;
mod deployment;
mod latency;
mod memory;
mod shop;
mod throughput;

fn main() {
    measure::run_chosen(&[
        ("latency", latency::run),
        ("throughput", throughput::run),
        ("memory", memory::run),
    ]);
}
