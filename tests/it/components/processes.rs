//! Child processes: signals, output, and their end together with the tests.

use std::{fs, path::Path, process::Command};

use vomsis_connect::sandbox::simulator::APP_SECRET;

use crate::harness::{
    http,
    process::Home,
    wait::{GENEROUS, wait_until},
};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// The state letter of a process, `None` when there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn a_process_is_stopped_continued_and_killed_by_signal() {
    let home = Home::new("");
    let mut process = home.spawn(&shell("echo up; while :; do sleep 0.05; done"));
    process.wait_for_line("up", GENEROUS);
    process.sigstop();
    wait_until("it is stopped", GENEROUS, || state(process.pid()) == Some('T'));
    assert!(process.is_running());
    process.sigcont();
    wait_until("it runs on", GENEROUS, || state(process.pid()) != Some('T'));
    process.kill9();
    assert_eq!(process.wait(GENEROUS), 128 + 9);
    assert_eq!(state(process.pid()), None);
}

#[test]
fn a_process_that_ends_by_itself_has_its_own_status() {
    let home = Home::new("");
    let mut process = home
        .spawn(&shell("trap 'echo bye >&2; exit 7' TERM; echo up; while :; do sleep 0.05; done"));
    process.wait_for_line("up", GENEROUS);
    process.sigterm();
    assert_eq!(process.wait(GENEROUS), 7);
    assert_eq!((process.stdout().as_str(), process.stderr().as_str()), ("up\n", "bye\n"));
}

#[test]
fn a_child_and_its_folder_do_not_outlive_a_killed_parent() {
    let home = Home::new("");
    let folder = home.path().join("inner");
    fs::create_dir(&folder).unwrap();
    // a stand-in for the test binary: holds the guard's stdin, and is killed
    let script = r#"
        mkfifo "$1/pipe"
        sh -c "$0" watched 1 "$1" "$1/out" "$1/err" sleep 600 <"$1/pipe" >"$1/../pid" &
        exec 9>"$1/pipe"
        wait"#;
    let mut command = shell(script);
    command.arg(include_str!("../harness/watched.sh")).arg(&folder);
    let mut parent = home.spawn(&command);
    let pid = || fs::read_to_string(home.path().join("pid")).ok()?.trim().parse::<u32>().ok();
    wait_until("the child runs", GENEROUS, || pid().is_some_and(|pid| state(pid).is_some()));
    parent.kill9();
    wait_until("the child is gone", GENEROUS, || pid().is_some_and(|pid| state(pid).is_none()));
    wait_until("its folder is gone", GENEROUS, || !folder.exists());
}

#[test]
#[should_panic(expected = "the log shows")]
fn a_log_that_shows_a_secret_fails_the_test_of_its_process() {
    let home = Home::new("");
    let mut process = home.spawn(&shell("echo 'nothing that was planted' >&2"));
    process.wait(GENEROUS);
    drop(process);
    let script = format!("echo 'secret={APP_SECRET}' >&2");
    let mut process = home.spawn(&shell(&script));
    process.wait(GENEROUS);
}

#[test]
#[should_panic(expected = "the log shows account numbers")]
fn a_log_that_shows_an_account_number_fails_the_test_of_its_process() {
    let home = Home::new("");
    // Another than the planted one, of the same form.
    let account = "0006200000987654321097";
    let rest = format!("{account}292700");
    let rest = rest.chars().fold(0, |rest, c| (rest * 10 + c.to_digit(10).unwrap()) % 97);
    let script = format!("echo 'iban=TR{:02}{account};' >&2", 98 - rest);
    let mut process = home.spawn(&shell(&script));
    process.wait(GENEROUS);
}

#[test]
fn the_connector_starts_in_a_folder_of_its_own() {
    let home = Home::new("state: {dir: {home}/state}\n");
    let config = fs::read_to_string(home.path().join("config.yaml")).unwrap();
    assert!(Path::new(config.trim_start_matches("state: {dir: ")).is_absolute());
    let mut version = home.connector(&["version"]);
    version.wait(GENEROUS);
    let mut run = home.run();
    run.wait(GENEROUS);
}

#[test]
fn a_line_of_the_log_leads_to_the_http_listener() {
    let home = Home::new("");
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let answer = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut client, _) = server.accept().unwrap();
        let read = client.read(&mut [0; 1024]).unwrap();
        client.write_all(b"HTTP/1.0 204 No Content\r\n\r\n").unwrap();
        read
    });
    let mut process =
        home.spawn(&shell(&format!("echo 'listening on http://{address}/.'; exec sleep 60")));
    assert_eq!(process.address(GENEROUS), address);
    process.wait_for_status("/readyz", 204, GENEROUS);
    assert!(answer.join().unwrap() > 0);
    http::get(address, "/").unwrap_err();
}
