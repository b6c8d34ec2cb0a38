//! The examples of the documentation, as a service would run them.

use std::{path::Path, process::Command, time::Duration};

use super::{
    DEADLINE,
    orders::Order,
    stage::{OWNED, Stage, end, say},
};
use crate::harness::{
    components::component, process::Home, registry::shared_registry, watched::Watched,
};

/// Kafka's client with Jackson, and what the example needs beside it.
const JARS: [&str; 2] = ["kafka-4.3.1", "avro-1.12.0"];

const GRACE: Duration = Duration::from_secs(1);

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(name).display().to_string()
}

/// Runs an example to its end; the id that it prints.
#[track_caller]
fn printed(mut command: Command, stage: &Stage, reference: &str, amount: &str) -> String {
    let registry = shared_registry().url();
    command.args([stage.brokers(), registry, "acme", reference, amount]);
    let folder = tempfile::tempdir().unwrap();
    let mut running = Watched::start(&command, folder.path(), "example", GRACE);
    let code = running.wait(DEADLINE);
    assert_eq!(code, 0, "{}", running.stderr());
    running.stdout().trim().to_owned()
}

fn java(stage: &Stage) -> Command {
    let jars = JARS.map(|name| format!("{}/*", component(name).display()));
    let mut command = Command::new(component("java-broker").join("bin/java"));
    command.arg(format!("-Dtopic={}", stage.topic("payment.commands"))).args([
        "-XX:TieredStopAtLevel=1",
        "-cp",
        &jars.join(":"),
        &example("SubmitRefund.java"),
    ]);
    command
}

fn python(stage: &Stage) -> Command {
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", component("python-2.16.1"))
        .env("TOPIC", stage.topic("payment.commands"))
        .arg(example("submit_refund.py"));
    command
}

/// The id that the command line prints for the same refund.
#[track_caller]
fn submitted(home: &Home, reference: &str, amount: &str) -> String {
    let by = ["--connection", "acme", "--requested-by", "ayse", "--yes"];
    let what = ["--type", "refund", "--reference", reference, "--amount", amount];
    let said = say(home, &[&["commands", "submit"], &by[..], &what].concat());
    assert_eq!(said.code, 0, "{said:?}");
    said.out.trim().to_owned()
}

#[test]
fn what_the_examples_send_is_executed_and_answered() {
    // Whose key librdkafka's own partitioner puts elsewhere.
    const REFERENCE: &str = "A";
    let stage = Stage::new("pay-examples");
    stage.pay(&[REFERENCE], "100.00");
    let home = stage.home();
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let mut feed = stage.feed();
    let ids = [
        (printed(java(&stage), &stage, REFERENCE, "12.50"), 1_250),
        (printed(python(&stage), &stage, REFERENCE, "13.50"), 1_350),
        (submitted(&home, REFERENCE, "14.50"), 1_450),
    ];
    let orders = ids.map(|(id, cents)| Order { id, ..Order::refund(REFERENCE, cents) });
    for (order, amount) in orders.iter().zip(["12.50000", "13.50000", "14.50000"]) {
        let result = feed.wait_for(order, "SUCCEEDED");
        assert_eq!((&result["amount"], &result["final"]), (&amount.into(), &true.into()));
    }
    end(&mut connector);
    stage.check(&orders);
    let places = stage.records("payment.commands").into_iter().map(|record| record.partition);
    let places: Vec<i32> = places.collect();
    assert!(places.len() == 3 && places.iter().all(|place| *place == places[0]), "{places:?}");
}
