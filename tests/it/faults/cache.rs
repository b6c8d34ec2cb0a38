//! The local cache is damaged, replaced, locked or made read-only: the topics do not show it.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use super::stage::{DEADLINE, Stage, end, lines_with, ticks};
use crate::harness::{http, process::Process, scrape::Scrape, wait::wait_until};

const UNUSABLE: &str = "VOM-STA-001";
const NOT_WRITTEN: &str = "VOM-STA-003";
const SHARDS: usize = 2;
/// What a file may grow to: more than a run's log, less than the store's after a few rows.
const DISK_BYTES: usize = 64 * 1024;
/// What an idle connector that polls twenty entities every second or two may use of a second.
const IDLE_TICKS: u64 = 60;

fn each_file(folder: &Path, change: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { each_file(&path, change) } else { change(&path) }
    }
}

fn cut(state: &Path) {
    each_file(state, &mut |file| {
        let bytes = fs::read(file).unwrap();
        fs::write(file, bytes.get(..bytes.len() / 2).unwrap()).unwrap();
    });
}

fn zero(state: &Path) {
    each_file(state, &mut |file| {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes.iter_mut().skip(middle.saturating_sub(100)).take(200).for_each(|byte| *byte = 0);
        fs::write(file, bytes).unwrap();
    });
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Runs it once more with new rows in the source; returns what it logged about the cache.
fn run_again(stage: &Stage, mut connector: Process, what: &str) -> Vec<String> {
    connector.wait_for_status("/readyz", 200, DEADLINE);
    stage.add_rows(3);
    stage.wait_for_all();
    let before = ticks(&connector);
    thread::sleep(Duration::from_secs(1));
    let used = ticks(&connector) - before;
    assert!(used < IDLE_TICKS, "{what}: {used} hundredths of a second in one");
    end(&mut connector);
    stage.assert_exactly_once();
    let log = connector.stderr();
    log.lines().filter(|line| line.contains("VOM-STA")).map(str::to_owned).collect()
}

#[test]
fn whatever_happens_to_the_cache_between_runs_the_topics_do_not_show_it() {
    let stage = Stage::new("cache");
    let (state, older) = (stage.home.path().join("state"), stage.home.path().join("older"));
    run_again(&stage, stage.home.run(), "first");
    copy(&state, &older);

    let damages: [(&str, &dyn Fn()); 6] = [
        ("deleted", &|| fs::remove_dir_all(&state).unwrap()),
        ("cut to half", &|| cut(&state)),
        ("200 bytes zeroed", &|| zero(&state)),
        ("an older copy", &|| {
            fs::remove_dir_all(&state).unwrap();
            copy(&older, &state);
        }),
        ("a file in place of the store's folder", &|| {
            fs::remove_dir_all(&state).unwrap();
            fs::create_dir(&state).unwrap();
            fs::write(state.join("sled"), "").unwrap();
        }),
        ("a file in place of the folder", &|| {
            fs::remove_dir_all(&state).unwrap();
            fs::write(&state, "").unwrap();
        }),
    ];
    for (what, damage) in damages {
        damage();
        let said = run_again(&stage, stage.home.run(), what);
        assert!(said.len() <= 1, "{what}: {said:?}");
        if what.starts_with("a file") {
            assert!(said[0].contains(UNUSABLE) && said[0].contains("state"), "{what}: {said:?}");
        } else {
            assert!(state.join("sled").is_dir(), "{what}: the cache is there again");
        }
    }
}

/// Starts the connector as somebody who may read everything and write nothing.
fn start_as_nobody(stage: &Stage) -> Process {
    let program = env!("CARGO_BIN_EXE_vomsis-connect");
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = Command::new(if root { "setpriv" } else { program });
    if root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program]);
    }
    stage.home.spawn(command.args(["run", "--config", "config.yaml"]))
}

#[test]
fn a_read_only_folder_costs_the_cache_and_nothing_else() {
    let stage = Stage::new("readonly");
    run_again(&stage, stage.home.run(), "first");
    let state = stage.home.path().join("state");
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    each_file(stage.home.path(), &mut |file| allow(file, 0o444));
    for folder in [&state.join("sled"), &state, stage.home.path()] {
        allow(folder, 0o555);
    }
    // the outputs of the process are written into the home by somebody else
    allow(stage.home.path(), 0o755);
    let said = run_again(&stage, start_as_nobody(&stage), "read-only");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(UNUSABLE) && said[0].contains("state"), "{said:?}");
    each_file(&state, &mut |file| allow(file, 0o644));
    for folder in [&state, &state.join("sled")] {
        allow(folder, 0o755);
    }
    let said = run_again(&stage, stage.home.run(), "writable again");
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn a_cache_that_another_process_holds_is_waited_for_and_then_done_without() {
    let stage = Stage::new("locked");
    run_again(&stage, stage.home.run(), "first");
    let db = fs::File::open(stage.home.path().join("state/sled/db")).unwrap();
    db.lock().unwrap();
    let mut connector = stage.home.run();
    connector.wait_for_line("VOM-STA-004", DEADLINE);
    let line = connector.wait_for_line(UNUSABLE, DEADLINE);
    assert!(line.contains("state/sled: another process still holds it"), "{line}");
    stage.add_rows(3);
    stage.wait_for_all();
    assert_eq!(lines_with(&connector, UNUSABLE), 1);
    // without the cache it reads Kafka; the holder's end changes nothing for the running one
    drop(db);
    end(&mut connector);
    stage.assert_exactly_once();
    assert!(run_again(&stage, stage.home.run(), "free again").is_empty());
}

/// What the metrics say of the cache: writes that failed, and shards that run without it.
fn lost(connector: &mut Process) -> (usize, usize) {
    let scrape = Scrape::of(connector.address(DEADLINE));
    let value = |name| format!("{:.0}", scrape.value(name, &[])).parse().unwrap();
    (value("vomsis_state_flush_errors_total"), value("vomsis_state_shards_without_cache"))
}

/// Starts the connector as somebody whose files cannot grow beyond so many bytes, as on a disk that
/// is full; that needs no rights, unlike a small disk. Without the signal the write fails.
fn start_on_full_disk(stage: &Stage, bytes: usize) -> Process {
    let script = format!("trap '' XFSZ; ulimit -f {} && exec \"$0\" \"$@\"", bytes / 512);
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_vomsis-connect")]);
    stage.home.spawn(command.args(["run", "--config", "config.yaml"]))
}

#[test]
fn a_full_disk_costs_the_cache_and_nothing_else() {
    let stage = Stage::new("full");
    let mut connector = start_on_full_disk(&stage, DISK_BYTES);
    connector.wait_for_status("/readyz", 200, DEADLINE);
    wait_until("the cache is given up", DEADLINE, || {
        stage.add_rows(20);
        stage.wait_for_all();
        lines_with(&connector, NOT_WRITTEN) > 0
    });
    let (errors, without) = lost(&mut connector);
    assert!(errors >= 1 && without >= 1, "{errors} errors, {without} shards");
    let said = run_again(&stage, connector, "filled");
    assert!(said.len() <= SHARDS, "{said:?}");
    assert!(said.iter().all(|line| line.contains("File too large")), "{said:?}");

    let mut connector = start_on_full_disk(&stage, DISK_BYTES);
    connector.wait_for_status("/readyz", 200, DEADLINE);
    wait_until("it is without a cache again", DEADLINE, || {
        stage.add_rows(20);
        stage.wait_for_all();
        lost(&mut connector).1 >= 1
    });
    let said = run_again(&stage, connector, "still full");
    assert!((1..=SHARDS).contains(&said.len()), "{said:?}");
    assert!(run_again(&stage, stage.home.run(), "space again").is_empty());
}

#[test]
fn a_cache_that_cannot_be_opened_is_told_by_the_metrics_for_as_long_as_it_lasts() {
    let stage = Stage::new("unopened");
    fs::write(stage.home.path().join("state"), "").unwrap();
    let mut connector = stage.start();
    wait_until("both shards are seen without it", DEADLINE, || lost(&mut connector) == (0, SHARDS));
    assert_eq!(lines_with(&connector, UNUSABLE), 1);
    fs::remove_file(stage.home.path().join("state")).unwrap();
    end(&mut connector);
    let mut connector = stage.start();
    assert_eq!(lost(&mut connector), (0, 0));
}

#[test]
#[cfg_attr(
    not(feature = "failpoints"),
    ignore = "needs a connector built with --features failpoints, as `make test` does"
)]
fn a_disk_that_does_not_answer_costs_the_cache_and_nothing_else() {
    let stage = Stage::new("silent-disk");
    let environment = [("VOMSIS_FAILPOINT", "cache-writing:9:pause"), ("VOMSIS_HURRY", "4")];
    let mut connector = stage.home.run_with(&environment);
    connector.wait_for_status("/readyz", 200, DEADLINE);
    wait_until("a write hangs and is waited for no more", DEADLINE, || {
        stage.add_rows(2);
        stage.wait_for_all();
        lines_with(&connector, NOT_WRITTEN) > 0
    });
    let line = connector.wait_for_line(NOT_WRITTEN, DEADLINE);
    assert!(line.contains("did not come back within 5 s"), "{line}");
    assert_eq!(http::get(connector.address(DEADLINE), "/livez").unwrap().status, 200);
    let (errors, without) = lost(&mut connector);
    assert!(errors >= 1 && without >= 1, "{errors} errors, {without} shards");
    run_again(&stage, connector, "silent");
    assert!(run_again(&stage, stage.home.run(), "it answers again").is_empty());
}
