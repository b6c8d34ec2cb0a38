//! The examples of the documentation, as a service would run them.

use std::{path::Path, process::Command, time::Duration};

use super::{
    DEADLINE,
    orders::Order,
    stage::{OWNED, Stage, end},
};
use crate::harness::{components::component, registry::shared_registry, watched::Watched};

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

#[test]
fn what_the_examples_send_is_executed_and_answered() {
    let stage = Stage::new("pay-examples");
    stage.pay(&["A", "B"], "100.00");
    let home = stage.home();
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let mut feed = stage.feed();
    let orders: Vec<Order> = [("A", java(&stage)), ("B", python(&stage))]
        .into_iter()
        .map(|(reference, command)| {
            let id = printed(command, &stage, reference, "12.50");
            Order { id, ..Order::refund(reference, 1_250) }
        })
        .collect();
    for order in &orders {
        let result = feed.wait_for(order, "SUCCEEDED");
        assert_eq!((&result["amount"], &result["final"]), (&"12.50000".into(), &true.into()));
    }
    end(&mut connector);
    stage.check(&orders);
}
