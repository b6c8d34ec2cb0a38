//! One id that was used for two payments: two commands, and people can say which of them they mean.

use serde_json::{Value, json};

use super::{
    DEADLINE,
    feed::Feed,
    orders::Order,
    stage::{OWNED, Stage, change, end, say},
};
use crate::harness::{http, process::Process, wait::wait_until};

const NOT_DONE: i32 = 1;

/// Waits until the newest result of the id for this payment has this outcome.
#[track_caller]
fn wait_for(feed: &mut Feed, order: &Order, outcome: &str) {
    wait_until(&format!("{} is {outcome}", order.reference), DEADLINE, || {
        feed.catch_up();
        let mine = feed.results(order).iter().filter(|r| r["reference_no"] == *order.reference);
        mine.max_by_key(|r| r["sequence"].as_i64()).is_some_and(|r| r["outcome"] == outcome)
    });
}

/// `METHOD /api/v1/commands/PATH`; the status, and the body as JSON.
fn ask(connector: &mut Process, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let address = connector.address_in("listening for operators", DEADLINE);
    let body = body.map(Value::to_string);
    let body = body.as_deref().map(|body| ("application/json", body));
    let answer = http::request(address, method, &format!("/api/v1/commands/{path}"), body).unwrap();
    (answer.status, answer.json())
}

#[test]
fn a_parked_command_whose_id_another_payment_has_too_is_decided_by_its_reference() {
    let mut stage = Stage::new("pay-several");
    stage.sink = "max_in_doubt: 1".to_owned();
    stage.pay(&["A", "B"], "100.00");
    let home = stage.home();
    let admin = "\nadmin: {enabled: true, listen: \"127.0.0.1:0\"}";
    change(&home, "\nsink: {", &format!("{admin}\nsink: {{"));
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let mut feed = stage.feed();
    stage.faults(&["closed:x1:change_payment"]);
    let parked = Order::refund("A", 100);
    stage.shop.send([&parked]);
    wait_for(&mut feed, &parked, "PARKED");
    let id = parked.id.as_str();
    let other = Order { id: id.to_owned(), ..Order::refund("B", 200) }.of("beta");
    stage.shop.send([&other]);
    wait_for(&mut feed, &other, "SUCCEEDED");

    let by = ["--outcome", "not-executed", "--evidence", "panel", "--actor", "ayse", "--yes"];
    for verb in [&["show", id][..], &["reconcile", id], &[&["resolve", id], &by[..]].concat()] {
        let said = say(&home, &[&["commands"], verb].concat());
        assert_eq!(said.code, NOT_DONE, "{verb:?}: {said:?}");
        for word in ["acme/A (PARKED)", "beta/B (SUCCEEDED)", "--reference"] {
            assert!(said.err.contains(word), "{word}: {said:?}");
        }
    }
    let (status, problem) = ask(&mut connector, "GET", id, None);
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("acme/A (PARKED)"));

    let shown = |more: &[&str]| say(&home, &[&["commands", "show", id], more].concat());
    assert!(shown(&["--reference", "B"]).out.contains("SUCCEEDED"));
    assert!(shown(&["--connection", "acme"]).out.contains("PARKED"));
    let nobody = shown(&["--reference", "C"]);
    assert!(nobody.code == NOT_DONE && nobody.err.contains("of reference C"), "{nobody:?}");
    let said = say(&home, &["commands", "reconcile", id, "--reference", "A"]);
    assert!(said.code == 0 && said.out.contains("PARKED"), "{said:?}");
    let (status, story) = ask(&mut connector, "GET", &format!("{id}?reference=A"), None);
    assert_eq!((status, &story["status"]), (200, &"PARKED".into()), "{story}");
    let decision = json!({ "outcome": "executed", "evidence": "panel", "actor": "ayse" });
    let path = format!("{id}/resolve?reference=B");
    assert_eq!(ask(&mut connector, "POST", &path, Some(&decision)).0, 409, "it is done");

    // What the list says is what works.
    let listed = say(&home, &["commands", "list", "-o", "json"]);
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    let next = listed[0]["next"].as_str().unwrap();
    let (typed, _) = next.split_once(" --outcome").unwrap();
    let typed: Vec<&str> = typed.split(' ').chain(by).collect();
    let said = say(&home, &typed);
    assert!(said.code == 0 && said.out.contains("DECLINED"), "{next}: {said:?}");
    wait_for(&mut feed, &parked, "DECLINED");
    wait_for(&mut feed, &other, "SUCCEEDED");
    // Its place in `max_in_doubt` is free again.
    let further = Order::refund("A", 300);
    stage.shop.send([&further]);
    feed.wait_for(&further, "SUCCEEDED");
    assert_eq!(stage.posts().iter().count(), 3, "no decision sends anything");
    end(&mut connector);
}
