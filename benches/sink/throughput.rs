//! Six thousand refunds of 32 payments, each of them once, beside a loop that promises nothing.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use crate::{
    api::{Api, REFERENCES},
    bare,
    deployment::{Deployment, PARTITIONS},
    harness::topics::{create_topic, read_to_end},
    measure::{DEADLINE, cpu_seconds, metric, resident_mb},
    shop::Shop,
};

const COMMANDS: usize = 6_000;
const PAUSE: Duration = Duration::from_millis(20);
const A_SECOND_MIN: f64 = 200.0;

/// Runs it and says what came out.
pub(crate) fn run() -> String {
    let api = Api::start();
    let deployment = Deployment::new(&api);
    let (ours, cpu, peak) = sink(&api, &deployment);
    let theirs = loop_beside(&deployment);
    report(ours, cpu, peak, theirs)
}

/// The connector; from the first command produced to the last result committed.
fn sink(api: &Api, deployment: &Deployment) -> (Duration, f64, f64) {
    let shop = Shop::new(&deployment.brokers, &deployment.topic("payment.commands"));
    let (mut connector, _) = deployment.own();
    let idle_cpu = cpu_seconds(&connector);
    let begun = Instant::now();
    (0..COMMANDS).for_each(|n| shop.send(n));
    shop.flush();
    let (name, done) = ("vomsis_command_outcomes_total", "outcome=\"succeeded\"");
    while metric(&mut connector, name, done) < COMMANDS as f64 {
        assert!(begun.elapsed() < DEADLINE, "commands are left: {}", connector.stderr());
        std::thread::sleep(PAUSE);
    }
    let took = begun.elapsed();
    let cpu = cpu_seconds(&connector) - idle_cpu;
    let (_, peak) = resident_mb(&connector);
    connector.sigterm();
    connector.wait(DEADLINE);
    assert_eq!(api.posts.try_iter().count(), COMMANDS, "one request a command");
    assert_eq!(api.refunded(), COMMANDS as u64, "each lira once");
    let results = read_to_end(&deployment.brokers, &deployment.results());
    let ids: HashSet<_> = results.iter().filter_map(|r| r.headers.get("ce_id")).collect();
    assert_eq!((results.len(), ids.len()), (COMMANDS, COMMANDS), "one result a command");
    (took, cpu, peak)
}

/// The same commands once more, in topics of their own and against an API of its own.
fn loop_beside(deployment: &Deployment) -> Duration {
    let api = Api::start();
    let (commands, results) = (deployment.topic("bare.commands"), deployment.topic("bare.results"));
    for topic in [&commands, &results] {
        create_topic(&deployment.brokers, topic, PARTITIONS, &[]);
    }
    let running = bare::Loop::start(&deployment.brokers, &commands, &results, &api, COMMANDS);
    let shop = Shop::new(&deployment.brokers, &commands);
    let begun = Instant::now();
    (0..COMMANDS).for_each(|n| shop.send(n));
    shop.flush();
    running.wait();
    let took = begun.elapsed();
    assert_eq!(api.refunded(), COMMANDS as u64, "each lira once");
    took
}

fn report(ours: Duration, cpu: f64, peak_mb: f64, theirs: Duration) -> String {
    let a_second = |took: Duration| COMMANDS as f64 / took.as_secs_f64();
    let rate = a_second(ours);
    format!(
        "{COMMANDS} refunds of {REFERENCES} payments\n  \
         the sink   {:6.2} s  {rate:5.0} commands/s (goal {A_SECOND_MIN}: {})  {:.2} ms of CPU a command  {peak_mb:.0} MB at most\n  \
         bare loop  {:6.2} s  {:5.0} commands/s\n  \
         ratio      {:.2}",
        ours.as_secs_f64(),
        if rate >= A_SECOND_MIN { "met" } else { "NOT MET" },
        cpu * 1000.0 / COMMANDS as f64,
        theirs.as_secs_f64(),
        a_second(theirs),
        theirs.as_secs_f64() / ours.as_secs_f64(),
    )
}
