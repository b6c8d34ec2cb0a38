//! Mistakes at the command line, each with its exit code and what to do, and signals.

use std::{fs, net::TcpListener};

use super::stage::{DEADLINE, Outcome, Stage};
use crate::harness::{process::Home, wait::wait_until};

/// Changes the configuration of a stage, which must hold what is replaced.
#[track_caller]
fn change(stage: &Stage, from: &str, to: &str) {
    let path = stage.home.path().join("config.yaml");
    let config = fs::read_to_string(&path).unwrap();
    assert!(config.contains(from), "{config}");
    fs::write(&path, config.replacen(from, to, 1)).unwrap();
}

#[track_caller]
fn assert_hint(said: &Outcome, error: &str, hint: &str) {
    let Outcome { stdout, stderr, .. } = said;
    assert!(stdout.is_empty() && stderr.contains(error), "{said:?}");
    let last = stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("hint: ") && last.contains(hint), "{said:?}");
}

#[test]
fn each_mistake_is_told_with_what_to_do() {
    let stage = Stage::offline("hints");
    let reset = |more: &[&str]| stage.expect(2, &[&["checkpoint", "reset"], more].concat());
    assert_hint(&reset(&["--why", " "]), "--why is empty", "why the loss may be accepted");
    assert_hint(&reset(&["--why", "x", "--shard", "7"]), "no shard 7", "shards are 0 to 1");
    for list in ["banks", "customers", "virtual_pos_transactions"] {
        let refused = stage.expect(2, &["preview", list, "--entity", "5"]);
        assert_hint(&refused, &format!("{list} is one list"), "leave --entity away");
    }
    let none = stage.expect(2, &["preview", "bank_transactions", "--entity", "5"]);
    assert_hint(&none, "lists no 5", "name one");
    // Its events outlive a connection: only the broker that is away ends this.
    let gone = stage.expect(69, &["tail", "quarantine", "--connection", "gone"]);
    assert!(gone.stderr.starts_with("warning: no connection gone, "), "{gone:?}");
    change(
        &stage,
        "bank_transactions: {poll_interval: 1s, start: 5d, lookback: 5d}",
        "bank_transactions: null",
    );
    let off = stage.expect(78, &["preview", "bank_transactions"]);
    assert_hint(&off, "bank_transactions is switched off for connection acme", "streams.bank_");
}

#[test]
fn an_entity_is_looked_for_in_each_connection_and_missed_where_nobody_has_it() {
    let stage = Stage::offline("entity");
    let (api, home) = (stage.simulator.base_url(), stage.home.path().display().to_string());
    let beta = format!(
        "connections:\n  - id: beta\n    tos:\n      base_url: \"{api}\"\n      token_url: \
         \"{api}/auth/oauth/v2/token\"\n      client_id_file: \"{home}/key\"\n      \
         client_secret_file: \"{home}/secret\"\n      consent_id: c\n      resource: sandbox\n      \
         institutions: [{{code: \"0009999\"}}]\n"
    );
    change(&stage, "connections:\n", &beta);
    let preview = |code: i32, entity: &str| {
        stage.expect(code, &["preview", "tos_payments", "--since", "5d", "--entity", entity])
    };
    let found = preview(0, "0006624").lines();
    assert!(!found.is_empty());
    assert!(found.iter().all(|event| event["key"].as_str().unwrap().starts_with("acme/")));
    let nobody = preview(2, "7");
    assert_hint(&nobody, "connection beta lists no 7", "name one");
    assert_hint(&nobody, "connection acme lists no 7", "name one");
}

#[test]
fn a_port_that_is_taken_is_told_with_the_words_of_the_system() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for more in [&["--api-only"][..], &[]] {
        let home = Home::new("");
        let mut sandbox = home.connector(&[&["sandbox", "--listen", &address], more].concat());
        let code = sandbox.wait(DEADLINE);
        let said = Outcome { code, stdout: sandbox.stdout(), stderr: sandbox.stderr() };
        assert_eq!(said.code, 1, "{said:?}");
        assert_hint(&said, "in use", "--listen");
    }
}

#[test]
fn a_preview_shows_rows_under_the_rules_in_force() {
    let stage = Stage::offline("rules");
    let shown = |stage: &Stage| {
        let rows = ["preview", "bank_transactions", "--limit", "1000"];
        stage.expect(0, &rows).lines()
    };
    let name = |row: &serde_json::Value| row["value"]["counterparty_title"].clone();
    let named = |row: &&serde_json::Value| name(row).is_string();
    assert!(shown(&stage).iter().filter(named).any(|row| name(row) != "***"));
    change(&stage, "state: {", "privacy: {classes: {P: mask}}\nstate: {");
    let masked = shown(&stage);
    assert!(masked.iter().filter(named).count() > 0);
    assert!(masked.iter().filter(named).all(|row| name(row) == "***"), "{masked:?}");
    // The same by the environment, which knows no capitals.
    let mut preview = std::process::Command::new(env!("CARGO_BIN_EXE_vomsis-connect"));
    preview
        .args(["preview", "bank_transactions", "--limit", "1000", "--config", "config.yaml"])
        .env("VOMSIS__PRIVACY__FIELDS__BANKTRANSACTION__COUNTERPARTY_TITLE", "drop")
        .current_dir(stage.home.path());
    let told = preview.output().unwrap();
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success() && text.lines().count() == masked.len(), "{text}");
    assert!(text.lines().all(|row| row.contains("\"counterparty_title\":null")), "{text}");
}

#[test]
fn tos_without_institutions_is_asked_for_a_token_alone() {
    let stage = Stage::offline("no-institutions");
    change(&stage, "institutions: [{code: \"0006624\"}]", "institutions: []");
    change(&stage, "    streams:\n", "    streams:\n      tos_payments: null\n");
    let check = stage.expect(0, &["check", "--only", "vomsis", "-o", "json"]);
    assert_eq!(check.step("acme tos token")["status"], "ok");
    let read = check.step("acme tos read");
    assert_eq!(read["status"], "warn");
    assert!(read["detail"].as_str().unwrap().contains("institutions is empty"), "{read}");
    assert!(read["hint"].is_string());
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let stage = Stage::offline("ctrl-c");
    // It looks for a broker that is not there, for ten seconds, and hears nothing meanwhile.
    let mut tail = stage.start(&["tail", "quarantine"]);
    let status = format!("/proc/{}/status", tail.pid());
    // SIGINT is 2, and the masks count from bit 0.
    let catches = |status: &str| {
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        u64::from_str_radix(caught.trim(), 16).is_ok_and(|mask| mask & 2 != 0)
    };
    wait_until("it listens to signals", DEADLINE, || {
        fs::read_to_string(&status).is_ok_and(|status| catches(&status))
    });
    wait_until("it ends", DEADLINE, || {
        tail.sigint();
        !tail.is_running()
    });
    assert_eq!(tail.wait(DEADLINE), 130, "{}", tail.stderr());
}
