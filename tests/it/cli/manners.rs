//! What a user of the command line relies on: data alone on stdout, words on stderr, exit codes, an end
//! on Ctrl-C, and hints that fit.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::stage::{Outcome, Stage};
use crate::harness::{process::Home, wait::wait_until};

const DEADLINE: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_vomsis-connect");

/// Runs a command that needs nothing but a folder.
#[track_caller]
fn alone(home: &Home, code: i32, arguments: &[&str]) -> Outcome {
    let mut process = home.connector(arguments);
    let outcome = Outcome {
        code: process.wait(DEADLINE),
        stdout: process.stdout(),
        stderr: process.stderr(),
    };
    assert_eq!(outcome.code, code, "{arguments:?}: {outcome:?}");
    outcome
}

#[test]
fn a_broker_that_is_away_is_told_in_our_words_alone() {
    let stage = Stage::offline("away");
    let ours = |line: &str| line.starts_with("error: ") || line.starts_with("hint: ");
    let halt = ["commands", "halt", "--reason", "drill", "--actor", "test", "--yes"];
    for arguments in [&["topics", "plan"][..], &["tail", "quarantine"], &halt] {
        let said = stage.expect(69, arguments);
        assert!(said.stderr.lines().all(ours) && said.stdout.is_empty(), "{said:?}");
        let errors = said.stderr.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "{said:?}");
        assert!(said.stderr.contains("hint: "), "{said:?}");
    }
    let talkative = stage.expect(69, &["topics", "plan", "-v"]);
    assert!(talkative.stderr.contains("Connection refused"), "{talkative:?}");
}

#[test]
fn the_schema_of_the_configuration_comes_as_json_or_yaml_and_is_no_table() {
    let home = Home::new("");
    let schema = alone(&home, 0, &["config", "schema"]);
    assert_eq!(alone(&home, 0, &["config", "schema", "-o", "json"]).stdout, schema.stdout);
    let yaml = alone(&home, 0, &["config", "schema", "-o", "yaml"]).stdout;
    assert!(yaml.contains("title: vomsis-connect configuration\n"), "{yaml}");
    assert!(serde_json::from_str::<Value>(&yaml).is_err());
    let table = alone(&home, 2, &["config", "schema", "-o", "table"]);
    assert!(table.stdout.is_empty() && table.stderr.contains("hint: "), "{table:?}");
}

#[test]
fn a_wish_for_log_lines_that_cannot_be_followed_is_a_mistake_and_a_blank_one_is_none() {
    let stage = Stage::offline("rust-log");
    let said = |wish: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(["topics", "plan", "-v", "--config", "config.yaml"]);
        let output = command.env("RUST_LOG", wish).current_dir(stage.home.path()).output().unwrap();
        assert!(output.stdout.is_empty(), "{output:?}");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for wish in ["vomsis_connect=infoo", "infoo"] {
        let (code, stderr) = said(wish);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.starts_with("error: RUST_LOG cannot be followed: "), "{stderr}");
        assert!(stderr.contains(wish) && stderr.contains("hint: write off, "), "{stderr}");
    }
    let (code, stderr) = said("");
    assert_eq!(code, Some(69), "{stderr}");
    assert!(stderr.contains("Connection refused"), "the log is on: {stderr}");
}

#[test]
fn a_shell_completes_what_comes_behind_the_first_word() {
    let home = Home::new("");
    let script = alone(&home, 0, &["completions", "bash"]).stdout;
    let ask = |words: &str| {
        let words = format!(
            "COMP_WORDS=({words} ''); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _vomsis__connect vomsis-connect '' ''; echo \"${{COMPREPLY[*]}}\""
        );
        let bash = Command::new("bash").arg("-c").arg(format!("{script}\n{words}")).output();
        String::from_utf8(bash.unwrap().stdout).unwrap()
    };
    for (words, offered) in [
        ("vomsis-connect", "preview"),
        ("vomsis-connect config", "validate"),
        ("vomsis-connect commands", "resolve"),
        ("vomsis-connect check", "--only"),
    ] {
        let said = ask(words);
        assert!(said.split_whitespace().any(|word| word == offered), "{words}: {said}");
    }
}

#[test]
fn what_flows_comes_in_lines_of_json_or_not_at_all() {
    let home = Home::new("");
    for form in ["table", "yaml"] {
        let refused = alone(&home, 2, &["sandbox", "--for", "1s", "-o", form]);
        assert!(refused.stdout.is_empty() && refused.stderr.contains("lines of JSON"));
    }
}

#[test]
fn a_configuration_that_cannot_be_read_gets_a_hint_that_fits() {
    let home = Home::new("kafka: {shards: many}\nhttp: {listen: [1]}\nconnections: no\n");
    std::fs::write(home.path().join("latin.yaml"), b"env: caf\xe9\n").unwrap();
    let hint = |config: &str| alone(&home, 78, &["config", "validate", config]).stderr;
    assert!(hint(".").contains("that is a folder"));
    assert!(hint("latin.yaml").contains("latin.yaml:1:9: not UTF-8"));
    assert!(hint("none.yaml").contains("config init writes one"));
    let wrong = hint("config.yaml");
    for key in ["1:17: kafka.shards", "2:16: http.listen", "3:14: connections"] {
        assert!(wrong.contains(key), "{key}: {wrong}");
    }
    let init = alone(&home, 1, &["config", "init", "--to", "none/c.yaml"]);
    assert!(init.stderr.contains("hint: there is no folder none"), "{init:?}");
}

#[test]
fn a_topic_of_the_connector_itself_is_refused_with_what_shows_it() {
    let stage = Stage::offline("internal");
    let state = format!("{}.internal.state", stage.prefix);
    for (topic, shown_by) in [
        (state.as_str(), "checkpoint list"),
        ("internal.payment-journal", "commands list"),
        ("internal.assignment", "status"),
    ] {
        let refused = stage.expect(2, &["tail", topic]);
        assert!(refused.stderr.contains(shown_by) && refused.stdout.is_empty(), "{refused:?}");
        assert!(refused.stderr.contains(&stage.prefix), "{refused:?}");
    }
}

#[test]
fn a_watched_status_is_a_line_of_json_each_time_and_ends_with_ctrl_c_or_its_reader() {
    let stage = Stage::offline("watch");
    let mut connector = stage.start(&["run"]);
    let url = format!("http://{}", connector.address(DEADLINE));
    let arguments = ["status", "--watch", "-o", "json", "--url", &url];
    let mut watch = stage.home.connector(&arguments);
    watch.wait_for_lines("verdict", 2, DEADLINE);
    watch.sigint();
    assert_eq!(watch.wait(DEADLINE), 0, "{}", watch.stderr());
    for line in watch.stdout().lines() {
        let status: Value = serde_json::from_str(line).expect(line);
        assert!(status["verdict"].is_string(), "{line}");
    }
    let mut read = Command::new(PROGRAM).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(read.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.ends_with("}\n"), "{first}");
    wait_until("it ends without its reader", DEADLINE, || read.try_wait().unwrap().is_some());
    assert_eq!(read.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_process_on_the_same_state_folder_says_at_once_that_it_waits() {
    let stage = Stage::offline("held");
    let mut first = stage.start(&["run"]);
    first.wait_for_status("/startupz", 200, DEADLINE);
    let mut second = stage.start(&["run"]);
    let line = second.wait_for_line("VOM-STA-004", DEADLINE);
    let line: Value = serde_json::from_str(&line).unwrap();
    assert!(line["dir"].as_str().unwrap().ends_with("state"), "{line}");
    first.kill9();
    second.wait_for_status("/startupz", 200, DEADLINE);
    assert!(!second.stderr().contains("VOM-STA-001"), "{}", second.stderr());
}
