//! `check` and `preview` where TOS refuses: five refused tokens lock the bank's key.

use std::net::SocketAddr;

use vomsis_connect::sandbox::simulator::Operation;

use super::stage::{DEADLINE, Stage};
use crate::harness::http;

#[test]
fn commands_with_a_wrong_secret_ask_tos_for_two_tokens_in_all() {
    let stage = Stage::new("counted");
    let asked = || stage.simulator.requests().count(Operation::TosToken);
    let check = |code, more: &[&str]| {
        stage.expect(code, &[&["check", "--only", "vomsis", "-o", "json"], more].concat())
    };
    stage.home.write("secret", "wrong-secret");
    for tries in [1, 2, 2, 2, 2] {
        let outcome = check(77, &[]);
        assert_eq!(outcome.step("acme tos token")["status"], "failed", "{outcome:?}");
        assert_eq!(asked(), tries, "{outcome:?}");
    }
    let token = check(77, &[]).step("acme tos token");
    assert!(token["detail"].as_str().unwrap().contains("2 tokens were refused"), "{token}");
    assert!(token["hint"].as_str().unwrap().contains("--tos-again"), "{token}");
    let arguments = ["preview", "tos_payments", "--since", "2d"];
    let preview = stage.expect(77, &arguments);
    assert!(preview.stderr.contains("hint: change the secret file"), "{preview:?}");
    assert_eq!(asked(), 2);

    for tries in [3, 4, 4] {
        check(77, &["--tos-again"]);
        assert_eq!(asked(), tries, "a person's word, never up to the fifth");
    }
    let last = stage.expect(77, &[&arguments[..], &["--tos-again"]].concat());
    assert!(last.stderr.contains("one more refusal of this one would lock"), "{last:?}");
    assert_eq!(asked(), 4);

    stage.home.write("secret", "sandbox-secret");
    check(0, &[]);
    assert_eq!(asked(), 5, "another secret is asked with at once");
    let kept = std::fs::read_to_string(stage.home.path().join("state/tos-refusals.json"));
    assert!(kept.is_err(), "an accepted token ends the count: {kept:?}");
}

#[test]
fn checks_at_the_same_time_ask_tos_for_two_tokens_in_all() {
    let stage = Stage::new("together");
    stage.home.write("secret", "wrong-secret");
    let mut checks: Vec<_> = (0..4).map(|_| stage.start(&["check", "--only", "vomsis"])).collect();
    for check in &mut checks {
        assert_eq!(check.wait(DEADLINE), 77, "{}", check.stdout());
    }
    assert_eq!(stage.simulator.requests().count(Operation::TosToken), 2);
}

#[test]
fn where_refusals_cannot_be_counted_tos_is_asked_only_at_a_persons_word() {
    let stage = Stage::new("uncounted");
    let asked = || stage.simulator.requests().count(Operation::TosToken);
    std::fs::remove_dir(stage.home.path().join("state")).unwrap();
    let outcome = stage.expect(0, &["check", "--only", "vomsis", "-o", "json"]);
    let token = outcome.step("acme tos token");
    assert_eq!(token["status"], "warn", "{outcome:?}");
    assert!(token["detail"].as_str().unwrap().contains("not asked"), "{token}");
    assert!(token["hint"].as_str().unwrap().contains("--tos-again asks once"), "{token}");
    let arguments = ["preview", "tos_payments", "--since", "2d"];
    let preview = stage.expect(78, &arguments);
    assert!(preview.stderr.contains("state does not exist"), "{preview:?}");
    assert_eq!(asked(), 0);
    stage.expect(0, &[&arguments[..], &["--tos-again"]].concat());
    let again = stage.expect(0, &["check", "--only", "vomsis", "--tos-again", "-o", "json"]);
    assert_eq!(again.step("acme tos token")["status"], "ok", "{again:?}");
    assert_eq!(asked(), 2);
    assert!(!stage.home.path().join("state").exists(), "run creates it, nobody else");
}

#[test]
fn a_key_that_the_bank_has_locked_is_told_as_such_and_left_alone() {
    let stage = Stage::new("locked");
    let asked = || stage.simulator.requests().count(Operation::TosToken);
    lock_key(&stage);
    let before = asked();
    for code in [77, 77] {
        let outcome = stage.expect(code, &["check", "--only", "vomsis", "-o", "json"]);
        let token = outcome.step("acme tos token");
        let detail = token["detail"].as_str().unwrap();
        assert!(detail.contains("the bank has locked this key"), "{detail}");
        assert!(!detail.contains("correct the secret"), "the secret is right: {detail}");
        assert!(token["hint"].as_str().unwrap().contains("have the bank unlock"), "{token}");
    }
    assert_eq!(asked(), before + 1, "it is remembered");
    let (address, unlock) = (address(&stage), r#"{"unlock_tos": true}"#);
    let body = Some(("application/json", unlock));
    let answer = http::request(address, "POST", "/_ctl/faults", body).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    stage.expect(77, &["check", "--only", "vomsis"]);
    assert_eq!(asked(), before + 1);
    stage.expect(0, &["check", "--only", "vomsis", "--tos-again"]);
    stage.expect(0, &["check", "--only", "vomsis"]);
}

/// Five wrong secrets, as somebody else might have sent them.
fn lock_key(stage: &Stage) {
    let form = "client_id=sandbox-key&client_secret=no&grant_type=b2b_credentials&scope=payment\
                &consentId=c&resource=sandbox";
    for _ in 0..5 {
        let body = Some(("application/x-www-form-urlencoded", form));
        let path = "/auth/oauth/v2/token";
        let answer = http::request(address(stage), "POST", path, body).unwrap();
        assert_eq!(answer.status, 401, "{answer:?}");
    }
}

fn address(stage: &Stage) -> SocketAddr {
    stage.simulator.base_url().trim_start_matches("http://").parse().unwrap()
}
