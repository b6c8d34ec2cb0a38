//! The whole connector as a process against a real broker, with a source that costs next to
//! nothing: how fast a backfill is beside a bare producer, and what ten thousand accounts hold.
//!
//! `cargo bench --bench stream` runs both; `-- backfill` or `-- memory` one of them. The figures
//! of a run stand in `docs/performance.md`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that fails should stop")]

#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/it/harness/mod.rs"]
mod harness;
#[path = "../measure/mod.rs"]
mod measure;

mod backfill;
mod bare;
mod connector;
mod memory;
mod source;

fn main() {
    measure::run_chosen(&[("backfill", backfill::run), ("memory", memory::run)]);
}
