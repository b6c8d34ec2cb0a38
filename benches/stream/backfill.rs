//! A million rows of history, exactly once, beside a bare producer of the same bytes.

use std::time::{Duration, Instant};

use crate::{
    bare,
    connector::home,
    harness::{
        kafka::shared_broker,
        topics::{create_topic, read_to_end, unique_prefix},
    },
    measure::{DEADLINE, cpu_seconds, judged, metric, resident_mb},
    source::{Size, Source},
};

const SIZE: Size = Size { accounts: 40, days: 28, rows_a_day: 893 };
/// Between two looks at `/metrics`. Each costs the connector a scrape, which counts as its CPU: with
/// one every 20 ms that was a twenty-fifth of the whole, and no Prometheus asks so often.
const PAUSE: Duration = Duration::from_millis(100);
const CPU_SECONDS_MAX: f64 = 10.0;
const RATIO_MIN: f64 = 0.5;

/// Runs it and says what came out.
pub(crate) fn run() -> String {
    let source = Source::start(SIZE);
    let prefix = unique_prefix("bench");
    let topic = format!("{prefix}.bank.transactions");
    let home = home(&source, &prefix, SIZE.days - 1);
    let mut connector = home.run();
    connector.address(DEADLINE);
    let idle_cpu = cpu_seconds(&connector);
    let label = format!("topic=\"{topic}\"");
    let name = "vomsis_kafka_produced_records_total";
    let begun = Instant::now();
    while metric(&mut connector, name, &label) < SIZE.rows() as f64 {
        assert!(begun.elapsed() < DEADLINE, "the backfill does not end: {}", connector.stderr());
        std::thread::sleep(PAUSE);
    }
    let took = source.first_call().expect("rows were asked for").elapsed();
    let cpu = cpu_seconds(&connector) - idle_cpu;
    let (_, peak) = resident_mb(&connector);
    connector.sigterm();
    connector.wait(DEADLINE);

    let bootstrap = shared_broker().bootstrap();
    let records = read_to_end(bootstrap, &topic);
    assert_eq!(records.len() as u64, SIZE.rows(), "each row once");
    let bytes: usize =
        records.iter().filter_map(|record| record.value.as_ref()).map(Vec::len).sum();
    let other = format!("{prefix}.bare");
    create_topic(bootstrap, &other, partitions(&records), &[]);
    let bare = bare::produce(bootstrap, &other, &records);
    report(took, cpu, peak, bare, bytes as f64 / records.len() as f64)
}

fn partitions(records: &[crate::harness::topics::Record]) -> i32 {
    records.iter().map(|record| record.partition).max().unwrap_or(0) + 1
}

fn report(took: Duration, cpu: f64, peak_mb: f64, bare: Duration, bytes: f64) -> String {
    let (ours, theirs) = (took.as_secs_f64(), bare.as_secs_f64());
    let rows = SIZE.rows() as f64;
    format!(
        "backfill of {rows} rows ({bytes:.0} B of Avro each)\n  \
         connector      {ours:6.2} s  {:8.0} rows/s  {cpu:.2} CPU s ({})  {peak_mb:.0} MB at most\n  \
         bare producer  {theirs:6.2} s  {:8.0} rows/s\n  \
         ratio          {:.2} (goal {RATIO_MIN}: {})",
        rows / ours,
        judged(cpu, CPU_SECONDS_MAX),
        rows / theirs,
        theirs / ours,
        if theirs / ours >= RATIO_MIN { "met" } else { "NOT MET" },
    )
}
