//! `check` and `preview` against healthy and unhealthy systems.

use serde_json::{Map, Value, json};
use vomsis_connect::{
    domain::ids::Stream,
    sandbox::simulator::{FaultSpec, Operation},
};

use super::stage::{NOWHERE, Outcome, Stage};

/// `status` of each step.
fn statuses(outcome: &Outcome) -> Map<String, Value> {
    let name = |step: &Value| {
        format!("{} {}", step["target"].as_str().unwrap(), step["step"].as_str().unwrap())
    };
    let steps = outcome.json();
    steps.as_array().unwrap().iter().map(|s| (name(s), s["status"].clone())).collect()
}

fn faults(specs: &[&str]) -> Vec<FaultSpec> {
    specs.iter().map(|spec| spec.parse().unwrap()).collect()
}

fn count(stage: &Stage, operation: Operation) -> u64 {
    stage.simulator.requests().count(operation)
}

#[test]
fn a_healthy_deployment_is_ok_step_by_step() {
    let stage = Stage::new("check");
    let bare = stage.expect(0, &["check", "--only", "kafka", "-o", "json"]);
    let topics = bare.step("topics");
    assert_eq!(topics["status"], "warn", "{topics}");
    assert!(topics["detail"].as_str().unwrap().contains("0 of 14 as they must be, 14 missing"));
    stage.expect(0, &["topics", "apply"]);
    stage.expect(0, &["schemas", "register"]);
    let outcome = stage.expect(0, &["check", "-o", "json"]);
    let found = statuses(&outcome);
    for step in [
        "vomsis acme bank_pos app_key_file",
        "vomsis acme bank_pos token",
        "vomsis acme bank_pos read",
        "vomsis acme virtual_pos read",
        "vomsis acme tos client_secret_file",
        "vomsis acme tos read",
        "kafka reachable",
        "kafka topics",
        "registry reachable",
        "registry subjects",
        "state writable",
        "state not in use",
    ] {
        assert_eq!(found.get(step), Some(&json!("ok")), "{step}: {outcome:?}");
    }
    let table = stage.expect(0, &["check", "--only", "kafka,registry"]);
    assert!(table.stdout.contains("14 of 14 as they must be"), "{table:?}");
    assert!(table.stdout.contains("12 of 12 registered"), "{table:?}");
    assert!(!table.stdout.contains("vomsis ") && !table.stdout.contains('\u{1b}'), "{table:?}");
}

#[test]
fn a_refused_address_is_named_and_exits_with_77() {
    let stage = Stage::offline("refused");
    stage.simulator.set_faults(faults(&["ip_not_found:banks", "ip_not_found:accounts"]));
    let outcome = stage.expect(77, &["check", "--only", "vomsis", "-o", "json"]);
    let steps = outcome.json();
    let refused: Vec<_> =
        steps.as_array().unwrap().iter().filter(|s| s["status"] == "failed").collect();
    assert_eq!(refused.len(), 1, "the other APIs are checked all the same: {outcome:?}");
    assert!(refused[0]["hint"].as_str().unwrap().contains("203.0.113.7"), "{outcome:?}");
    let preview = stage.expect(77, &["preview", "bank_transactions"]);
    assert!(preview.stdout.is_empty() && preview.stderr.contains("203.0.113.7"), "{preview:?}");
}

#[test]
fn wrong_secrets_are_refused_once_and_tos_is_never_locked() {
    let stage = Stage::offline("secret");
    stage.home.write("secret", "wrong-secret");
    let outcome = stage.expect(77, &["check", "--only", "vomsis", "-o", "json"]);
    let found = statuses(&outcome);
    for api in ["bank_pos", "virtual_pos", "tos"] {
        assert_eq!(found[&format!("vomsis acme {api} token")], "failed", "{outcome:?}");
    }
    assert_eq!(count(&stage, Operation::TosToken), 1, "five refusals lock the key");
    std::fs::remove_file(stage.home.path().join("secret")).unwrap();
    let outcome = stage.expect(78, &["check", "--only", "vomsis"]);
    assert!(outcome.stdout.contains("secret does not exist"), "{outcome:?}");
    assert!(outcome.stdout.contains("name the right file in app_secret_file"), "{outcome:?}");
    assert_eq!(count(&stage, Operation::TosToken), 1, "without a secret nobody is asked");
}

#[test]
fn an_answer_that_is_cut_short_and_a_registry_under_another_path_have_hints_that_fit() {
    let stage = Stage::offline("hints");
    stage.simulator.set_faults(faults(&["truncated:banks"]));
    let outcome = stage.expect(69, &["check", "--only", "vomsis", "-o", "json"]);
    let read = outcome.step("acme bank_pos read");
    assert!(read["hint"].as_str().unwrap().contains("was cut short on its way"), "{read}");
    stage.simulator.set_faults(faults(&["429=1:banks"]));
    let limited = stage.expect(75, &["check", "--only", "vomsis", "-o", "json"]);
    let read = limited.step("acme bank_pos read");
    assert!(read["hint"].as_str().unwrap().contains("try again later"), "{read}");
    let stage = Stage::with("path", NOWHERE, &stage.simulator.base_url(), "");
    let outcome = stage.expect(69, &["check", "--only", "registry", "-o", "json"]);
    let reachable = outcome.step("reachable");
    let hint = reachable["hint"].as_str().unwrap();
    assert!(hint.contains("the path in schema_registry.url is wrong"), "{reachable}");
}

#[test]
fn a_long_finding_leaves_the_other_lines_of_a_pipe_as_they_are() {
    let stage = Stage::offline("lines");
    stage.simulator.set_faults(faults(&["ip_not_found:banks"]));
    let outcome = stage.expect(77, &["check", "--only", "vomsis"]);
    let longest = outcome.stdout.lines().map(str::len).max().unwrap();
    let shortest = outcome.stdout.lines().map(str::len).min().unwrap();
    assert!(longest > 150 && shortest < 60, "{outcome:?}");
    assert!(outcome.stdout.lines().all(|line| !line.ends_with(' ')), "{outcome:?}");
}

#[test]
fn every_step_runs_whatever_is_down() {
    let stage = Stage::offline("down");
    let outcome = stage.expect(69, &["check", "-o", "json"]);
    let found = statuses(&outcome);
    for (step, status) in [
        ("vomsis acme tos read", "ok"),
        ("kafka reachable", "failed"),
        ("registry reachable", "failed"),
        ("state writable", "ok"),
    ] {
        assert_eq!(found[step], status, "{outcome:?}");
    }
    let yaml = stage.expect(69, &["check", "--only", "registry", "-o", "yaml"]);
    assert!(yaml.stdout.contains("status: failed") && yaml.stdout.contains(NOWHERE), "{yaml:?}");
    for verb in [
        ["topics", "plan"],
        ["topics", "apply"],
        ["checkpoint", "list"],
        ["schemas", "check"],
        ["schemas", "register"],
    ] {
        let outcome = stage.expect(69, &verb);
        assert!(outcome.stdout.is_empty(), "{verb:?}: {outcome:?}");
        assert!(outcome.stderr.contains("hint: "), "{verb:?}: {outcome:?}");
    }
    // What this version holds is known all the same.
    let listed = stage.expect(69, &["schemas", "list", "-o", "json"]);
    assert_eq!(listed.json()[0]["id"], Value::Null);
    assert!(listed.stderr.contains("schema registry"), "{listed:?}");
}

#[test]
fn a_folder_that_cannot_be_used_is_a_matter_of_the_configuration() {
    let stage = Stage::offline("folder");
    std::fs::remove_dir(stage.home.path().join("state")).unwrap();
    stage.home.write("state", "a file stands in its place");
    let outcome = stage.expect(78, &["check", "--only", "state"]);
    assert!(outcome.stdout.contains("FAILED  state"), "{outcome:?}");
    let config = std::fs::read_to_string(stage.home.path().join("config.yaml")).unwrap();
    let state = format!("{}/state", stage.home.path().display());
    stage.home.write("config.yaml", &config.replace(&state, "/proc/nowhere/state"));
    let outcome = stage.expect(78, &["check", "--only", "state"]);
    for part in ["/proc/nowhere/state does not exist", "name another folder in state.dir"] {
        assert!(outcome.stdout.contains(part), "{part}: {outcome:?}");
    }
}

#[test]
fn a_password_file_that_is_missing_is_no_broker_that_is_away() {
    let stage = Stage::offline("password-file");
    let path = stage.home.path().join("config.yaml");
    let config = std::fs::read_to_string(&path).unwrap();
    let login = "security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN, sasl.username: u";
    let file = stage.home.path().join("none").display().to_string();
    let with = format!("properties: {{{login}, sasl.password_file: \"{file}\"}}, shards: 2");
    std::fs::write(&path, config.replace("shards: 2", &with)).unwrap();
    let halt = ["commands", "halt", "--reason", "drill", "--actor", "test", "--yes"];
    let words: [&[&str]; 6] = [
        &["topics", "plan"],
        &["check", "--only", "kafka"],
        &["tail", "quarantine"],
        &["checkpoint", "list"],
        &["checkpoint", "reset", "--why", "drill"],
        &halt,
    ];
    for words in words {
        let said = stage.expect(78, words);
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(all.contains("sasl.password: cannot read") && all.contains(&file), "{said:?}");
        assert!(all.contains("check its path, owner, mode"), "{said:?}");
    }
}

#[test]
fn files_and_rules_that_run_would_stumble_over_are_told() {
    let stage = Stage::offline("files");
    let path = stage.home.path().join("config.yaml");
    let config = std::fs::read_to_string(&path).unwrap();
    let set = |more: &str| std::fs::write(&path, format!("{config}{more}\n")).unwrap();
    let check =
        |code: i32| statuses(&stage.expect(code, &["check", "--only", "config", "-o", "json"]));
    let bare = check(0);
    assert_eq!(
        bare.into_iter().collect::<Vec<_>>(),
        [("config privacy rules".to_owned(), json!("ok"))]
    );

    let home = stage.home.path().display().to_string();
    let privacy = format!("privacy: {{classes: {{P: hmac}}, hmac_key_file: \"{home}/hmac\"}}");
    let admin = format!("admin: {{enabled: true, token_file: \"{home}/token\"}}");
    set(&format!("{privacy}\n{admin}"));
    let found = check(78);
    let all = ["privacy.hmac_key_file", "privacy rules", "admin.token_file"];
    let is = |found: &Map<String, Value>, statuses: [&str; 3]| {
        let found = all.map(|step| found[&format!("config {step}")].clone());
        assert_eq!(found, statuses.map(|status| json!(status)));
    };
    is(&found, ["failed", "ok", "failed"]);
    let table = stage.expect(78, &["check", "--only", "config"]);
    for words in ["/hmac does not exist", "name the right file in admin.token_file"] {
        assert!(table.stdout.contains(words), "{words}: {table:?}");
    }
    stage.home.write("hmac", "short");
    stage.home.write("token", " \n");
    is(&check(78), ["ok", "failed", "failed"]);
    stage.home.write("hmac", &"k".repeat(32));
    stage.home.write("token", "t");
    is(&check(0), ["ok", "ok", "ok"]);
    set("privacy: {fields: {BankTransaction.nonsense: drop}}");
    assert_eq!(check(78)["config privacy rules"], "failed");
    // Nobody need name it.
    assert_eq!(
        statuses(&stage.expect(69, &["check", "-o", "json"]))["config privacy rules"],
        "failed"
    );
}

#[test]
fn preview_shows_events_and_touches_neither_kafka_nor_registry_nor_state() {
    let stage = Stage::offline("preview");
    for stream in Stream::ALL {
        let outcome = stage.expect(0, &["preview", stream.name(), "--since", "5d", "--limit", "3"]);
        let events = outcome.lines();
        assert_eq!(events.len(), 3, "{stream}: {outcome:?}");
        for event in events {
            assert_eq!(event["value"]["meta"]["connection_id"], "acme", "{event}");
            assert!(event["key"].as_str().unwrap().starts_with("acme/"), "{event}");
        }
        assert!(outcome.stderr.contains("nothing was written"), "{outcome:?}");
    }
    let table = stage.expect(0, &["preview", "tos_payments", "--since", "5d", "-o", "table"]);
    assert!(table.stdout.contains("TO_ACCOUNT") && table.stdout.contains("TRY"), "{table:?}");
    let yaml = stage.expect(0, &["preview", "banks", "--limit", "2", "-o", "yaml"]);
    assert_eq!(yaml.stdout.matches("- topic: ").count(), 2, "{yaml:?}");
    let json = stage.expect(0, &["preview", "banks", "--limit", "2", "-o", "json"]);
    assert_eq!(json.json().as_array().map(Vec::len), Some(2), "one value: {json:?}");
    let state = std::fs::read_dir(stage.home.path().join("state")).unwrap();
    assert_eq!(state.count(), 0, "nothing was refused, so nothing is to be remembered");
    let wrong = stage.expect(2, &["preview", "bank_transactions", "--entity", "0"]);
    assert!(wrong.stderr.contains("it lists 24, 25"), "{wrong:?}");
    stage.expect(2, &["preview", "bank_transactions", "--connection", "other"]);
    stage.expect(2, &["preview", "bank_transactions", "--since", "5h"]);
}

#[test]
fn a_row_for_quarantine_is_marked_in_a_preview() {
    let stage = Stage::offline("quarantine");
    let bad = json!({"amount": "twelve"}).as_object().unwrap().clone();
    stage.simulator.ledger().add_rows(Stream::BankTransactions, "24", vec![bad]).unwrap();
    let arguments = ["preview", "bank_transactions", "--entity", "24", "--since", "5d"];
    let outcome = stage.expect(0, &[&arguments[..], &["--limit", "1000"]].concat());
    let marked: Vec<_> =
        outcome.lines().into_iter().filter(|event| event["quarantined"] == true).collect();
    assert_eq!(marked.len(), 1, "{outcome:?}");
    assert_eq!(marked[0]["value"]["field"], "amount", "{outcome:?}");
    assert!(outcome.stderr.contains("1 of them for quarantine"), "{outcome:?}");
}
