//! `sandbox` as a process, and the examples of `config/`.

use std::{collections::BTreeSet, path::Path, time::Duration};

use serde_json::Value;
use vomsis_connect::domain::ids::Stream;

use crate::harness::process::Home;

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
