//! Each way in which the API answers, or does not, and what it makes of the command.

use vomsis_connect::sink::journal::JournalEvent;

use super::{
    DEADLINE,
    orders::Order,
    stage::{OWNED, Stage, end, say},
};
use crate::harness::wait::wait_until;

/// A fault, the outcome, and whether that is inferred from how the payment stands afterwards.
const TABLE: [(&str, &str, bool); 18] = [
    ("slow_answer=300ms:x1", "SUCCEEDED", false),
    ("deaf=700ms:x1:transaction_find", "SUCCEEDED", false),
    ("declined=51:x1", "DECLINED", false),
    ("declined=05:x1", "DECLINED", false),
    // Carried out, and nobody said so.
    ("applied_closed:x1", "SUCCEEDED", true),
    ("applied_504:x1", "SUCCEEDED", true),
    ("applied_html:x1", "SUCCEEDED", true),
    ("contradictory:x1", "SUCCEEDED", true),
    ("applied_error:x1", "SUCCEEDED", true),
    ("slow_answer=3s:x1", "SUCCEEDED", true),
    // A look before nobody can be sending any more would not find it.
    ("applied_late=4s:x1", "SUCCEEDED", true),
    // Not carried out, and nobody said so: never again without a person.
    ("closed:x1:change_payment", "PARKED", false),
    ("html:x1:change_payment", "PARKED", false),
    ("declined=91:x1", "PARKED", false),
    ("500:x1:change_payment", "PARKED", false),
    ("401:x1:change_payment", "PARKED", false),
    ("429=1:x1:change_payment", "PARKED", false),
    ("truncated:x1:change_payment", "SUCCEEDED", true),
];

#[test]
fn whatever_the_api_answers_the_command_ends_as_the_money_did() {
    let stage = Stage::new("pay-answers");
    let home = stage.home();
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let mut feed = stage.feed();
    let mut orders = Vec::new();
    for (number, (fault, ..)) in TABLE.iter().enumerate() {
        let reference = format!("A{number}");
        stage.pay(&[&reference], "100.00");
        stage.faults(&[fault]);
        let order = Order::refund(&reference, 100);
        stage.shop.send([&order]);
        wait_until(&format!("{fault} has befallen the request"), DEADLINE, || {
            stage.posts().of(&reference).count() > 0
        });
        orders.push(order);
    }
    feed.wait_for_final(&orders);
    end(&mut connector);
    let checked = stage.check(&orders);
    for ((fault, outcome, inferred), order) in TABLE.iter().zip(&orders) {
        let told = &checked.newest[&order.id];
        assert_eq!(
            (&told["outcome"], &told["inferred"]),
            (&(*outcome).into(), &(*inferred).into()),
            "{fault}: {told}"
        );
        let doubted = *inferred || *outcome == "PARKED";
        assert_eq!(told["sequence"], if doubted { 2 } else { 1 }, "{fault}: {told}");
        if let Some(code) = fault.strip_prefix("declined=") {
            let code = code.split(':').next().unwrap();
            match *outcome {
                "DECLINED" => assert_eq!(told["provider_code"], code),
                _ => {
                    let words = format!("(code {code})");
                    let told = |event: &JournalEvent| matches!(event, JournalEvent::Doubted { detail, .. } if detail.contains(&words));
                    assert!(checked.journal.count(told) > 0, "whoever decides can look it up");
                }
            }
        }
    }
    let refused = checked.journal.count(|event| matches!(event, JournalEvent::NotSent { .. }));
    assert_eq!(refused, 1, "a port that refuses is proof that nothing left");
}

#[test]
fn a_program_that_is_asked_to_end_waits_for_the_answer_that_is_on_its_way() {
    let stage = Stage::new("pay-drain");
    stage.pay(&["A"], "100.00");
    stage.faults(&["slow_answer=800ms:x1"]);
    let home = stage.home();
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let order = Order::refund("A", 100);
    stage.shop.send([&order]);
    wait_until("the request has come", DEADLINE, || stage.posts().of("A").count() > 0);
    end(&mut connector);
    // It is told before the program is gone, not found out by the next one.
    let checked = stage.check(std::slice::from_ref(&order));
    assert_eq!((checked.count("SUCCEEDED"), checked.inferred()), (1, 0));
}

#[test]
fn a_doubt_that_nobody_can_look_up_is_a_persons_before_long() {
    let stage = Stage::new("pay-blind");
    stage.pay(&["A"], "100.00");
    let home = stage.home();
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    // Carried out; and whoever asks for it afterwards is not answered.
    stage.faults(&["applied_closed:x1"]);
    let order = Order::refund("A", 100);
    stage.shop.send([&order]);
    let mut feed = stage.feed();
    feed.wait_for(&order, "IN_DOUBT");
    stage.faults(&["500:transaction_find"]);
    let told = feed.wait_for(&order, "PARKED");
    assert!(told["detail"].as_str().unwrap().contains("could not be looked up"), "{told}");
    // It would be clear by now; whoever parked it has left it to people.
    stage.faults(&[]);
    let arguments = ["commands", "resolve", &order.id, "--outcome", "executed", "--evidence"];
    let said = say(&home, &[&arguments[..], &["panel", "--actor", "ayse", "--yes"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    feed.wait_for(&order, "SUCCEEDED");
    end(&mut connector);
    let checked = stage.check(&[order]);
    assert_eq!((checked.count("SUCCEEDED"), checked.inferred()), (1, 0));
}
