//! What a connector's process costs, and what it counts; for every benchmark that runs one.

use std::{fs, time::Duration};

use crate::harness::{http, process::Process};

/// Long enough for a machine that is busy with something else.
pub(crate) const DEADLINE: Duration = Duration::from_secs(900);
/// Kernel ticks a second: `sysconf(_SC_CLK_TCK)` is 100 on every Linux.
const TICKS: f64 = 100.0;

/// A part of a benchmark by its name; it says what came out.
type Part<'a> = (&'a str, fn() -> String);

/// Runs the parts that the command line names, or all of them, and prints what came out.
pub(crate) fn run_chosen(parts: &[Part<'_>]) {
    // Cargo passes `--bench`; what is left chooses.
    let chosen: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for (name, run) in parts {
        if chosen.is_empty() || chosen.iter().any(|arg| arg == name) {
            println!("{}", run());
        }
    }
}

/// The sum of all series of a metric that have these words among their labels.
pub(crate) fn metric(process: &mut Process, name: &str, labels: &str) -> f64 {
    let address = process.address(DEADLINE);
    let body = http::get(address, "/metrics").map(|answer| answer.body).unwrap_or_default();
    body.lines()
        .filter(|line| line.starts_with(name) && line.contains(labels))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// CPU seconds of all its threads so far, user and system.
pub(crate) fn cpu_seconds(process: &Process) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    // The name in brackets may hold spaces; utime and stime are the 12th and 13th field behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).unwrap().parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS
}

/// Whether a figure is within its goal, in words.
pub(crate) fn judged(seen: f64, at_most: f64) -> String {
    let word = if seen <= at_most { "met" } else { "NOT MET" };
    format!("goal {at_most}: {word}")
}

/// Resident memory in MB, now and at its highest.
pub(crate) fn resident_mb(process: &Process) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let value = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1000.0
    };
    (value("VmRSS"), value("VmHWM"))
}
