//! `sandbox` as a process, and the examples of `config/`.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use vomsis_connect::domain::ids::Stream;

use crate::harness::{process::Home, wait::wait_until};

const DEADLINE: Duration = Duration::from_secs(120);

#[test]
fn the_sandbox_shows_every_stream_and_ends_by_itself() {
    let home = Home::new("");
    let mut sandbox = home.connector(&["sandbox", "--for", "20s"]);
    assert_eq!(sandbox.wait(DEADLINE), 0, "{}", sandbox.stderr());
    let stdout = sandbox.stdout();
    let events: Vec<Value> =
        stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let topics: BTreeSet<&str> = events.iter().map(|e| e["topic"].as_str().unwrap()).collect();
    for stream in Stream::ALL {
        let topic = format!("vomsis.{}", stream.topic_suffix());
        assert!(topics.contains(topic.as_str()), "no event in {topic}: {topics:?}");
    }
    assert!(events.iter().all(|event| event["value"].get("undecodable").is_none()));
    let stderr = sandbox.stderr();
    for words in ["each line on stdout is one event", "the sandbox ended cleanly"] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
}

#[test]
fn the_sandbox_ends_when_nobody_reads_it_any_more() {
    let home = Home::new("");
    let mut sandbox = Command::new(env!("CARGO_BIN_EXE_vomsis-connect"))
        // Bounded, should nothing end it.
        .args(["sandbox", "--for", "3m"])
        .current_dir(home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(sandbox.stdout.take().unwrap());
    for _ in 0..5 {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.ends_with("}\n"), "{line}");
    }
    drop(reader);
    let mut status = None;
    wait_until("it ends without its reader", DEADLINE, || {
        status = sandbox.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0), "as any program in front of `head`");
}

#[test]
fn the_sandbox_submits_commands_of_each_kind_and_prints_their_results() {
    let home = Home::new("");
    let mut sandbox = home.connector(&["sandbox"]);
    let told = |stdout: &str| {
        let events = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let results = events.filter(|event| event["topic"] == "vomsis.payment.results");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let results = results.filter(|event| event["value"]["final"] == true);
        results
            .map(|event| (word(&event["value"]["type"]), word(&event["value"]["outcome"])))
            .collect::<Vec<_>>()
    };
    let submitted = |stderr: &str| stderr.matches("payment command ").count();
    wait_until("each of the six commands has its result", DEADLINE, || {
        assert!(sandbox.is_running(), "{}", sandbox.stderr());
        submitted(&sandbox.stderr()) == 6 && told(&sandbox.stdout()).len() >= 6
    });
    sandbox.sigterm();
    assert_eq!(sandbox.wait(DEADLINE), 0, "{}", sandbox.stderr());
    let told = told(&sandbox.stdout());
    for (kind, outcome) in
        [("REFUND", "SUCCEEDED"), ("CANCEL", "SUCCEEDED"), ("REFUND", "REJECTED")]
    {
        let expected = (kind.to_owned(), outcome.to_owned());
        assert!(told.contains(&expected), "{expected:?}: {told:?}");
    }
}

#[test]
fn every_example_of_a_configuration_validates() {
    let home = Home::new("");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        seen += 1;
        let path = path.display().to_string();
        let mut validate = home.connector(&["config", "validate", &path, "-o", "json"]);
        assert_eq!(validate.wait(DEADLINE), 0, "{path}: {}", validate.stderr());
        let verdict: Value = serde_json::from_str(&validate.stdout()).unwrap();
        assert_eq!(verdict["valid"], true);
    }
    assert!(seen >= 4);
}
