//! The kill switch by the admin listener.

use chrono::TimeDelta;

use super::{
    DEADLINE,
    orders::Order,
    stage::{Stage, change, end},
};
use crate::harness::{http, process::Process};

const HALTED: &str = "VOM-SNK-020";
const RESUMED: &str = "VOM-SNK-021";
/// How soon a command expires that tells how long the others were held.
const SOON: TimeDelta = TimeDelta::seconds(4);

/// Asks the admin listener, which says that it was done.
#[track_caller]
fn put(connector: &mut Process, path: &str) {
    let address = connector.address_in("listening for operators", DEADLINE);
    let word = ("application/json", r#"{"actor": "ayse", "reason": "drill"}"#);
    let answer = http::request(address, "PUT", path, Some(word)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn the_admin_call_halts_and_a_restart_does_not_undo_it() {
    let stage = Stage::new("pay-admin");
    stage.pay(&["A", "B"], "100.00");
    let home = stage.home();
    let admin = "\nadmin: {enabled: true, listen: \"127.0.0.1:0\"}";
    change(&home, "\nsink: {", &format!("{admin}\nsink: {{"));
    let mut connector = home.run();
    put(&mut connector, "/api/v1/commands/halt");
    connector.wait_for_line(HALTED, DEADLINE);
    let held = Order::refund("A", 100);
    let first = Order::refund("B", 200).expiring_in(SOON);
    stage.shop.send([&held, &first]);
    let mut feed = stage.feed();
    feed.wait_for(&first, "EXPIRED");
    connector.kill9();
    let mut connector = home.run();
    let line = connector.wait_for_line(HALTED, DEADLINE);
    assert!(line.contains("ayse") && line.contains("drill"), "{line}");
    let second = Order::refund("B", 300).expiring_in(SOON);
    stage.shop.send([&second]);
    feed.wait_for(&second, "EXPIRED");
    assert_eq!(stage.posts().iter().count(), 0, "nothing left");
    put(&mut connector, "/api/v1/commands/resume");
    connector.wait_for_line(RESUMED, DEADLINE);
    feed.wait_for(&held, "SUCCEEDED");
    end(&mut connector);
    stage.check(&[held, first, second]);
}
