//! Refused TOS tokens over restarts: five of them lock the bank's key.

use vomsis_connect::sandbox::simulator::Operation;

use super::stage::{DEADLINE, Stage, end};
use crate::harness::{topics::read_to_end, wait::wait_until};

const LOCKED_OUT: &str = "VOM-API-025";

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
