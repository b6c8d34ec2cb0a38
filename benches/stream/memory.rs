//! Ten thousand accounts with a million seen rows: what they hold, and how long a restore takes.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::{
    connector::home,
    harness::{process::Process, topics::unique_prefix},
    measure::{DEADLINE, cpu_seconds, judged, metric, resident_mb},
    source::{Size, Source},
};

const SIZE: Size = Size { accounts: 10_000, days: 15, rows_a_day: 7 };
const PAUSE: Duration = Duration::from_millis(100);
const RESIDENT_MB_MAX: f64 = 250.0;
const RESTORE_SECONDS_MAX: f64 = 10.0;

/// Runs it and says what came out.
pub(crate) fn run() -> String {
    let source = Source::start(SIZE);
    let prefix = unique_prefix("bench");
    let home = home(&source, &prefix, SIZE.days - 1);
    let mut connector = home.run();
    let rows =
        |process: &mut Process| metric(process, "vomsis_source_records_total", "kind=\"new\"");
    wait("the backfill ends", || rows(&mut connector) >= SIZE.rows() as f64);
    one_round(&source);
    let (after_backfill, backfill_peak) = resident_mb(&connector);
    connector.kill9();
    fs::remove_dir_all(home.path().join("state")).unwrap();

    let mut connector = home.run();
    let owned = |process: &mut Process| metric(process, "vomsis_shard_state", "state=\"owned\"");
    wait("the shard is restored", || owned(&mut connector) >= 1.0);
    let restore = metric(&mut connector, "vomsis_shard_restore_duration_seconds", "");
    let restore_cpu = cpu_seconds(&connector);
    one_round(&source);
    let (restored, restored_peak) = resident_mb(&connector);
    let transactions = metric(&mut connector, "vomsis_transaction_duration_seconds_count", "");
    let before = cpu_seconds(&connector);
    one_round(&source);
    let round_cpu = cpu_seconds(&connector) - before;
    let idle =
        metric(&mut connector, "vomsis_transaction_duration_seconds_count", "") - transactions;
    connector.kill9();
    format!(
        "{} accounts with {} seen rows\n  \
         resident after the backfill  {after_backfill:.0} MB ({}), at most {backfill_peak:.0} MB\n  \
         resident after a restore     {restored:.0} MB ({}), at most {restored_peak:.0} MB\n  \
         restore without the folder   {restore:.2} s ({}), {restore_cpu:.2} CPU s from the process start\n  \
         a round of idle polls        {idle:.0} transactions ({}), {:.0} µs of CPU a poll",
        SIZE.accounts,
        SIZE.rows(),
        judged(after_backfill, RESIDENT_MB_MAX),
        judged(restored, RESIDENT_MB_MAX),
        judged(restore, RESTORE_SECONDS_MAX),
        judged(idle, 0.0),
        round_cpu / f64::from(SIZE.accounts) * 1e6,
    )
}

/// Waits until every account was polled once more.
fn one_round(source: &Source) {
    let goal = source.calls() + u64::from(SIZE.accounts);
    wait("every account is polled once more", || source.calls() >= goal);
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < DEADLINE, "{what}: not within {} s", DEADLINE.as_secs());
        std::thread::sleep(PAUSE);
    }
}
