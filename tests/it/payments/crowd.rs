//! Many commands: about one payment in their order, and ten thousand while the API is away.

use std::{fs, time::Duration};

use super::{
    DEADLINE,
    orders::Order,
    stage::{OWNED, Stage, end},
};
use crate::harness::{process::Process, topics::block_on, wait::wait_until};

#[test]
fn commands_of_one_payment_are_executed_one_after_another_in_their_order() {
    let stage = Stage::new("pay-order");
    stage.pay(&["A", "B", "C"], "10.00");
    let mut orders = Vec::new();
    for cents in [100, 200, 300] {
        orders.push(Order::refund("A", cents));
        orders.push(Order::refund("C", cents + 1));
    }
    orders.push(Order::cancel("A"));
    orders.push(Order::cancel("B"));
    orders.push(Order::refund("B", 100));
    orders.push(Order::refund("A", 500));
    orders.push(Order::refund("A", 399));
    orders.push(Order::refund("A", 1));
    // The first answer is lost: whatever else is asked of that payment waits for the truth.
    stage.faults(&["applied_closed:x1"]);
    stage.shop.send(&orders);
    let home = stage.home();
    let mut connector = home.run();
    stage.feed().wait_for_final(&orders);
    end(&mut connector);

    let checked = stage.check(&orders);
    let outcome = |kind: &str, reference: &str, cents: i64| {
        let order = orders.iter().find(|order| {
            order.kind == kind
                && order.reference == reference
                && (kind == "CANCEL" || order.amount == Order::refund("", cents).amount)
        });
        checked.newest[&order.unwrap().id]["outcome"].as_str().unwrap().to_owned()
    };
    // A partly refunded payment cannot be cancelled, nor can more be given back than was paid.
    assert_eq!(outcome("CANCEL", "A", 0), "DECLINED");
    assert_eq!(outcome("REFUND", "A", 500), "DECLINED");
    assert_eq!(outcome("REFUND", "A", 399), "SUCCEEDED");
    assert_eq!(outcome("REFUND", "A", 1), "SUCCEEDED");
    assert_eq!(outcome("CANCEL", "B", 0), "SUCCEEDED");
    assert_eq!(outcome("REFUND", "B", 100), "REJECTED");
    for reference in ["A", "C"] {
        let asked: Vec<_> = orders.iter().filter(|order| order.reference == reference).collect();
        let came: Vec<_> = checked.posts.of(reference).collect();
        assert_eq!(came.len(), asked.len(), "{reference}");
        for (post, order) in came.iter().zip(&asked) {
            assert_eq!(checked.posts_of(order)[0].number, post.number, "{reference}: {came:?}");
        }
    }
    assert_eq!(checked.inferred(), 1);
}

const MANY: usize = 10_000;
const PAYMENTS: usize = 200;
/// For a program that is built to be debugged; it holds for any number of commands behind it.
const MEMORY_MIB_MAX: u64 = 160;

#[test]
fn ten_thousand_commands_wait_for_the_api_and_are_executed_once_each() {
    let stage = Stage::new("pay-crowd");
    let references: Vec<String> = (0..PAYMENTS).map(|n| format!("A{n}")).collect();
    let names: Vec<&str> = references.iter().map(String::as_str).collect();
    stage.pay(&names, "100.00");
    let order =
        |n: usize| Order::refund(names[n % PAYMENTS], i64::try_from(n / PAYMENTS + 1).unwrap());
    let orders: Vec<Order> = (0..MANY).map(order).collect();
    let home = stage.home();
    block_on(stage.simulator().refuse_connections(Duration::from_secs(3600)));
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let idle = memory_mib(&connector);
    stage.shop.send(&orders);
    let journal = stage.topic("internal.payment-journal");
    wait_until("every command is in the journal", DEADLINE, || {
        let records = crate::harness::topics::read_to_end(stage.brokers(), &journal);
        records.len() >= MANY
    });
    let waiting = memory_mib(&connector);
    assert_eq!(stage.posts().iter().count(), 0);
    block_on(stage.simulator().refuse_connections(Duration::ZERO));
    let mut feed = stage.feed();
    feed.wait_for_final(&orders);
    let done = memory_mib(&connector);
    println!("MiB idle {idle}, with {MANY} commands waiting {waiting}, done {done}");
    assert!(waiting.max(done) < MEMORY_MIB_MAX, "{idle}, {waiting}, {done} MiB");
    end(&mut connector);
    let checked = stage.check(&orders);
    assert_eq!(checked.count("SUCCEEDED"), MANY);
    assert_eq!(checked.posts.iter().count(), MANY);
}

/// Resident memory.
fn memory_mib(connector: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", connector.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
