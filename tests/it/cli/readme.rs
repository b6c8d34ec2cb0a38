//! Every command of the pages that a new user follows runs. In the documentation a fenced block marked
//! `sh` is runnable, and only these pages have such blocks.

use std::{collections::BTreeSet, net::SocketAddr, path::Path, process::Command, time::Duration};

use super::stage::Stage;
use crate::{
    harness::{http, ports::free_port, process::Process, wait::wait_until},
    pages,
};

const DEADLINE: Duration = Duration::from_secs(120);
const PROGRAM: &str = env!("CARGO_BIN_EXE_vomsis-connect");
/// The listener that the README's status command names.
const LISTENER: &str = "127.0.0.1:8080";

const RUNNABLE: [&str; 2] = ["README.md", "docs/getting-started.md"];

/// Commands that are not run here, and why.
const LEFT_OUT: [(&str, &str); 3] = [
    ("cargo run --release -- sandbox", "a release build; cli::sandbox runs the same command"),
    ("cargo run --release -- sandbox --for 30s", "as above"),
    ("make test", "it is what runs this test"),
];

fn read(page: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap()
}

/// The lines of the fenced `sh` blocks, without comments.
fn commands(page: &str) -> Vec<String> {
    let text = read(page);
    let blocks = text.split("```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.strip_prefix("sh\n"))
        .flat_map(str::lines)
        .map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[test]
fn every_command_of_the_readme_runs() {
    run_all("readme", RUNNABLE[0], 10);
}

#[test]
fn every_command_of_getting_started_runs() {
    run_all("started", RUNNABLE[1], 7);
}

#[test]
fn what_is_left_out_stands_there_and_no_other_page_claims_to_be_runnable() {
    let runnable: Vec<_> = RUNNABLE.into_iter().flat_map(commands).collect();
    for (left_out, why) in LEFT_OUT {
        assert!(runnable.iter().any(|line| line == left_out), "nowhere: {left_out} ({why})");
    }
    let marked = pages::all().into_iter().filter(|page| read(page).contains("```sh\n"));
    assert_eq!(marked.collect::<BTreeSet<_>>(), RUNNABLE.map(str::to_owned).into());
}

fn run_all(test: &str, page: &str, at_least: usize) {
    let commands = commands(page);
    assert!(commands.len() >= at_least, "{commands:?}");
    let stage = Stage::new(test);
    let config = std::fs::read_to_string(stage.home.path().join("config.yaml")).unwrap();
    let listener = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let config = config.replace("127.0.0.1:0", &listener.to_string());
    std::fs::remove_file(stage.home.path().join("config.yaml")).unwrap();
    let mut connector: Option<Process> = None;
    for command in commands.iter().filter(|c| LEFT_OUT.iter().all(|(left_out, _)| c != left_out)) {
        let mut process = spawn(&stage, &command.replace(LISTENER, &listener.to_string()));
        if command.starts_with("vomsis-connect run") {
            // it runs until it is stopped; the commands after it look at it
            wait_until("the connector is ready", DEADLINE, || {
                assert!(process.is_running(), "{command}: {}", process.stderr());
                http::get(listener, "/readyz").is_ok_and(|answer| answer.status == 200)
            });
            connector = Some(process);
            continue;
        }
        let code = process.wait(DEADLINE);
        assert_eq!(code, 0, "{command}: {}\n{}", process.stdout(), process.stderr());
        if command.starts_with("vomsis-connect config init") {
            // "then put your key files and brokers in"
            stage.home.write("config.yaml", &config);
        }
    }
    let mut connector = connector.expect("the page runs the connector");
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0);
}

/// Runs a line of a shell that finds the program under its name.
fn spawn(stage: &Stage, line: &str) -> Process {
    let folder = Path::new(PROGRAM).parent().unwrap().display();
    #[expect(clippy::disallowed_methods, reason = "the shell needs the path of its other programs")]
    let path = std::env::var("PATH").unwrap_or_default();
    // exec, so that a signal for the process reaches the program
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {line}")]).env("PATH", format!("{folder}:{path}"));
    stage.home.spawn(&command)
}
