//! Caps, doubts and the kill switch: each holds what it should, over restarts, and nothing else.

use std::fs;

use chrono::TimeDelta;

use vomsis_connect::{domain::money::Money, sandbox::simulator::Operation};

use super::{
    DEADLINE,
    orders::Order,
    stage::{OWNED, Stage, end, say},
};
use crate::harness::{
    process::{Home, Process},
    scrape::Scrape,
};

const HALTED: &str = "VOM-SNK-020";
const RESUMED: &str = "VOM-SNK-021";
/// How soon a command expires that tells how long the others were held.
const SOON: TimeDelta = TimeDelta::seconds(4);

#[test]
fn caps_hold_by_command_and_by_day_and_a_restart_resets_nothing() {
    let mut stage = Stage::new("pay-caps");
    stage.sink = "max_amount: \"80.00\", max_daily_amount: \"100\"".to_owned();
    stage.pay(&["A", "B", "C"], "1000.00");
    let home = stage.home();
    let mut feed = stage.feed();
    let mut connector = home.run();
    let mut orders = Vec::new();
    let mut ask = |order: Order, outcome: &str| {
        stage.shop.send([&order]);
        let result = feed.wait_for(&order, outcome);
        orders.push(order);
        result["detail"].as_str().unwrap_or_default().to_owned()
    };
    let said = ask(Order::refund("A", 8_001), "REJECTED");
    assert!(said.contains("80.01") && said.contains("max_amount 80"), "{said}");
    ask(Order::refund("A", 6_000), "SUCCEEDED");
    let said = ask(Order::refund("A", 6_100), "REJECTED");
    assert!(said.contains("61") && said.contains("60") && said.contains("100"), "{said}");
    // What the bank refused was not spent, and another connection has a day of its own.
    stage.faults(&["declined=51:x1"]);
    ask(Order::refund("A", 3_900), "DECLINED");
    ask(Order::refund("B", 7_900).of("beta"), "SUCCEEDED");
    // A cancel gives back what it took the same day, and has no cap.
    ask(Order::cancel("C"), "SUCCEEDED");

    connector.kill9();
    connector = home.run();
    let said = ask(Order::refund("A", 4_001), "REJECTED");
    assert!(said.contains("max_daily_amount"), "{said}");
    ask(Order::refund("A", 2_500), "SUCCEEDED");
    // In doubt counts as spent, and so does parked.
    stage.faults(&["closed:x1:change_payment"]);
    ask(Order::refund("A", 1_500), "IN_DOUBT");
    let said = ask(Order::refund("C", 1), "REJECTED");
    assert!(said.contains("max_daily_amount"), "{said}");
    ask(Order::refund("B", 2_100).of("beta"), "SUCCEEDED");
    end(&mut connector);
    connector = home.run();
    let said = ask(Order::refund("C", 2), "REJECTED");
    assert!(said.contains("max_daily_amount"), "{said}");
    feed.wait_for_final(&orders);
    end(&mut connector);
    stage.check(&orders);
}

#[test]
fn many_at_once_stay_below_the_cap_of_the_day() {
    let mut stage = Stage::new("pay-cap-crowd");
    stage.sink = "max_daily_amount: \"10.00\", max_in_doubt: 100".to_owned();
    let references: Vec<String> = (0..40).map(|n| format!("A{n}")).collect();
    let names: Vec<&str> = references.iter().map(String::as_str).collect();
    stage.pay(&names, "100.00");
    let orders: Vec<Order> = names.iter().map(|reference| Order::refund(reference, 100)).collect();
    stage.shop.send(&orders);
    let home = stage.home();
    let mut connector = home.run();
    stage.feed().wait_for_final(&orders);
    end(&mut connector);
    let checked = stage.check(&orders);
    assert_eq!((checked.count("SUCCEEDED"), checked.count("REJECTED")), (10, 30));
    assert_eq!(checked.posts.gave_back(), Money::parse("10.00").unwrap());
}

#[test]
fn doubts_hold_new_commands_of_their_connection_until_a_person_decides() {
    let mut stage = Stage::new("pay-doubts");
    stage.sink = "max_in_doubt: 2".to_owned();
    stage.pay(&["A", "B", "C", "D", "E", "F"], "100.00");
    let home = stage.home();
    let mut feed = stage.feed();
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    stage.faults(&["closed:x2:change_payment"]);
    let doubted = [Order::refund("A", 100), Order::refund("B", 200)];
    stage.shop.send(&doubted);
    doubted.iter().for_each(|order| drop(feed.wait_for(order, "IN_DOUBT")));

    let held = Order::refund("C", 300);
    let expiring = Order::refund("D", 400).expiring_in(SOON);
    let elsewhere = Order::refund("E", 500).of("beta");
    stage.shop.send([&held, &expiring, &elsewhere]);
    feed.wait_for(&elsewhere, "SUCCEEDED");
    feed.wait_for(&expiring, "EXPIRED");
    // Parked ones count too, and a new owner knows of them.
    doubted.iter().for_each(|order| drop(feed.wait_for(order, "PARKED")));
    connector.kill9();
    connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let expiring_again = Order::refund("F", 600).expiring_in(SOON);
    stage.shop.send([&expiring_again]);
    feed.wait_for(&expiring_again, "EXPIRED");
    assert_eq!(feed.outcomes(&held).len(), 0, "it still waits");
    assert_eq!(stage.posts().iter().count(), 3, "two doubts and the other connection");
    let shown = Scrape::of(connector.address(DEADLINE));
    let gauge = shown.value("vomsis_commands_in_doubt", &[("type", "refund")]);
    let oldest = shown.value("vomsis_commands_oldest_in_doubt_timestamp_seconds", &[]);
    assert!((gauge - 2.0).abs() < f64::EPSILON && oldest > 1e9, "{gauge} since {oldest}");

    let arguments = ["commands", "resolve", &doubted[0].id, "--outcome", "not-executed"];
    let more = ["--evidence", "panel", "--actor", "ayse", "--yes"];
    let said = say(&home, &[&arguments[..], &more[..]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    feed.wait_for(&held, "SUCCEEDED");
    end(&mut connector);
    let [first, second] = doubted;
    let checked = stage.check(&[first, second, held, expiring, expiring_again, elsewhere]);
    assert_eq!((checked.count("PARKED"), checked.count("DECLINED")), (1, 1));
}

#[test]
fn the_kill_switch_holds_whichever_hand_is_on_it() {
    let stage = Stage::new("pay-halt");
    stage.pay(&["A", "B"], "100.00");
    let home = stage.home();
    let stop = home.path().join("state").join("payments.stop");
    fs::create_dir_all(stop.parent().unwrap()).unwrap();
    fs::write(&stop, "drill").unwrap();
    let mut feed = stage.feed();
    // It was there before the program: nothing leaves before it is seen.
    let held = Order::refund("A", 100);
    let first = Order::refund("B", 200).expiring_in(SOON);
    stage.shop.send([&held, &first]);
    let mut connector = home.run();
    connector.wait_for_line(HALTED, DEADLINE);
    let shown = Scrape::of(connector.address(DEADLINE));
    let halted = shown.value("vomsis_sink_state", &[("state", "halted")]);
    assert!((halted - 1.0).abs() < f64::EPSILON, "{halted}");
    feed.wait_for(&first, "EXPIRED");
    let looks = stage.simulator().requests().count(Operation::TransactionFind);
    assert_eq!(looks, 0, "nobody even looked at a payment");

    // The second hand, before the first one is taken away; asking is not needed to stop.
    let by = ["--reason", "drill", "--actor", "ayse"];
    let said = say(&home, &[&["commands", "halt"][..], &by].concat());
    assert_eq!((said.code, said.out.trim()), (0, "payment commands halted"), "{said:?}");
    // The file, the record that it was turned into, and this one.
    connector.wait_for_lines(HALTED, 3, DEADLINE);
    fs::remove_file(&stop).unwrap();
    connector.wait_for_lines(HALTED, 4, DEADLINE);
    connector.kill9();
    connector = home.run();
    connector.wait_for_line(HALTED, DEADLINE);
    let second = Order::refund("B", 300).expiring_in(SOON);
    stage.shop.send([&second]);
    feed.wait_for(&second, "EXPIRED");
    assert_eq!(stage.posts().iter().count(), 0, "nothing left");
    let listed = say(&home, &["commands", "list"]);
    assert!(
        listed.err.contains("the kill switch is on") && listed.err.contains("ayse"),
        "{listed:?}"
    );

    let said = say(&home, &[&["commands", "resume"][..], &by].concat());
    assert_eq!(said.code, 2, "going on needs a yes: {said:?}");
    let said = say(&home, &[&["commands", "resume", "--yes"][..], &by].concat());
    assert_eq!(said.code, 0, "{said:?}");
    connector.wait_for_line(RESUMED, DEADLINE);
    feed.wait_for(&held, "SUCCEEDED");

    // A file that appears while it works.
    fs::write(&stop, "drill").unwrap();
    connector.wait_for_lines(HALTED, 3, DEADLINE);
    let third = Order::refund("A", 400).expiring_in(SOON);
    stage.shop.send([&third]);
    feed.wait_for(&third, "EXPIRED");
    // Without its folder, and in another folder: the halt is in the journal.
    end(&mut connector);
    fs::remove_dir_all(stop.parent().unwrap()).unwrap();
    let elsewhere = stage.home();
    let mut connector = elsewhere.run();
    connector.wait_for_line(HALTED, DEADLINE);
    let late = Order::refund("B", 600).expiring_in(SOON);
    stage.shop.send([&late]);
    feed.wait_for(&late, "EXPIRED");
    let said = say(&home, &[&["commands", "resume", "--yes"][..], &by].concat());
    let does = "this will let payment commands be executed again\n";
    assert_eq!((said.code, said.err.as_str()), (0, does), "{said:?}");
    connector.wait_for_line(RESUMED, DEADLINE);

    let mut connector = resumed_beside_the_file(&elsewhere, connector);
    let fourth = Order::refund("A", 500);
    stage.shop.send([&fourth]);
    feed.wait_for(&fourth, "SUCCEEDED");
    end(&mut connector);
    stage.check(&[held, first, second, third, late, fourth]);
}

/// Resumed while the file is there: it holds this replica, and a restart does not overrule whoever
/// resumed.
fn resumed_beside_the_file(home: &Home, mut connector: Process) -> Process {
    let stop = home.path().join("state").join("payments.stop");
    fs::write(&stop, "drill").unwrap();
    connector.wait_for_lines(HALTED, 3, DEADLINE);
    let resume = ["commands", "resume", "--yes", "--reason", "drill", "--actor", "ayse"];
    let said = say(home, &resume);
    assert!(said.code == 0 && said.err.contains("payments.stop is still there"), "{said:?}");
    end(&mut connector);
    let mut connector = home.run();
    connector.wait_for_line(HALTED, DEADLINE);
    fs::remove_file(&stop).unwrap();
    connector.wait_for_line(RESUMED, DEADLINE);
    connector
}

#[test]
fn a_command_that_expires_while_the_api_is_away_is_never_sent() {
    let stage = Stage::new("pay-expired");
    stage.pay(&["A", "B"], "100.00");
    stage.faults(&["500:transaction_find"]);
    let orders = [Order::refund("A", 100).expiring_in(SOON), Order::refund("B", 200)];
    stage.shop.send(&orders);
    let home = stage.home();
    let mut connector = home.run();
    let mut feed = stage.feed();
    feed.wait_for(&orders[0], "EXPIRED");
    stage.faults(&[]);
    feed.wait_for_final(&orders);
    end(&mut connector);
    assert_eq!(stage.check(&orders).count("SUCCEEDED"), 1);
}
