//! Refused TOS tokens over restarts: five of them lock the bank's key.

use vomsis_connect::sandbox::simulator::Operation;

use super::stage::{DEADLINE, Stage, end};
use crate::harness::{http, topics::read_to_end, wait::wait_until};

const LOCKED_OUT: &str = "VOM-API-025";
const LOCKED: &str = "VOM-API-026";

#[test]
fn restarts_with_a_wrong_secret_ask_for_two_tokens_in_all_and_a_right_one_heals_it() {
    let stage = Stage::new("refusals");
    let wrong = stage.home.write("wrong", "wrong-secret");
    stage.change("client_secret_file", "secret\"", "wrong\"");
    let asked = || stage.source.simulator.requests().count(Operation::TosToken);
    // one try a start: the second within a run comes after a quarter of an hour
    for (start, tries) in [(1, 1), (2, 2), (3, 2), (4, 2)] {
        let mut connector = stage.start();
        let code = if start == 1 { "VOM-API-021" } else { LOCKED_OUT };
        connector.wait_for_line(code, DEADLINE);
        assert_eq!(asked(), tries, "start {start}");
        wait_until("the bank rows come all the same", DEADLINE, || stage.count() > 200);
        end(&mut connector);
    }
    // From another machine, so to say: what the connector has kept in Kafka counts there too.
    let state = stage.home.path().join("state");
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    let (code, stdout, stderr) = stage.command(&["check", "--only", "vomsis"]);
    assert_eq!(code, 77, "{stderr}");
    assert!(stdout.contains("2 tokens were refused"), "{stdout}");
    assert_eq!(asked(), 2);
    std::fs::write(wrong, "sandbox-secret").unwrap();
    let mut connector = stage.start();
    stage.wait_for_all();
    end(&mut connector);
    stage.assert_exactly_once();
    let state = read_to_end(stage.brokers(), &stage.topic("internal.state"));
    let (key, mut kept) = ("acme/tos_payments/_access/refusals", 0);
    for record in state.iter().filter(|record| record.key.as_deref() == Some(key)) {
        let text =
            String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
        assert!(!text.contains("secret"), "{text}");
        kept += 1;
    }
    assert_eq!(kept, 3, "two refusals, and the success that ends them");
}

#[test]
fn a_locked_key_is_left_alone_until_the_bank_unlocks_it_and_a_check_is_granted_a_token() {
    let stage = Stage::new("locked");
    let base = stage.source.simulator.base_url();
    let post = |path: &str, kind: &str, body: &str| {
        let address = base.trim_start_matches("http://").parse().unwrap();
        http::request(address, "POST", path, Some((kind, body))).unwrap().status
    };
    let form = "client_id=sandbox-key&client_secret=no&grant_type=b2b_credentials&scope=payment\
                &consentId=c&resource=sandbox";
    for _ in 0..5 {
        post("/auth/oauth/v2/token", "application/x-www-form-urlencoded", form);
    }
    let asked = || stage.source.simulator.requests().count(Operation::TosToken);
    let before = asked();
    for _ in 1..=2 {
        let mut connector = stage.start();
        connector.wait_for_line(LOCKED, DEADLINE);
        end(&mut connector);
    }
    assert_eq!(asked(), before + 1, "a restart knows that the key is locked");
    let mut connector = stage.start();
    connector.wait_for_line(LOCKED, DEADLINE);
    assert_eq!(post("/_ctl/faults", "application/json", r#"{"unlock_tos": true}"#), 200);
    let (code, stdout, _) = stage.command(&["check", "--only", "vomsis", "--tos-again"]);
    assert_eq!(code, 0, "{stdout}");
    stage.wait_for_all();
    assert_eq!(asked(), before + 3, "the command's token, and then the connector's");
    end(&mut connector);
    stage.assert_exactly_once();
}
