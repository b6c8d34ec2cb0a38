//! Partitions that are added while the sink runs: their commands are read, or somebody is told.

use super::{
    DEADLINE,
    orders::{Order, Shop},
    stage::{OWNED, PARTITIONS, STOPPED, Stage, end},
};
use crate::harness::{damage, process::Process, registry::shared_registry};

const JOURNAL: &str = "internal.payment-journal";
const COMMANDS: &str = "payment.commands";
/// There are partitions of which the owner was told nothing.
const WIDENED: &str = "VOM-SNK-007";

/// Refunds of new payments, of which at least one lies in this partition; and sent by a shop that knows
/// of it, as one that was there before looks for new partitions every few minutes alone.
fn send_into(stage: &Stage, partition: i32, name: &str) -> Vec<Order> {
    let references: Vec<String> = (0..20).map(|number| format!("{name}{number}")).collect();
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    stage.pay(&references, "100.00");
    let orders: Vec<Order> =
        references.iter().map(|reference| Order::refund(reference, 100)).collect();
    let before = stage.records(COMMANDS).len();
    Shop::new(stage.brokers(), shared_registry().url(), &stage.prefix).send(&orders);
    let records = stage.records(COMMANDS);
    assert_eq!(records.len(), before + orders.len());
    assert!(records.iter().any(|record| record.partition == partition), "none lies in {partition}");
    orders
}

/// How often something was said so far.
fn count(connector: &Process, code: &str) -> usize {
    connector.stderr().lines().filter(|line| line.contains(code)).count()
}

#[test]
fn partitions_that_are_added_while_it_runs_are_read_once_the_journal_has_as_many() {
    let stage = Stage::new("pay-widened");
    let (commands, journal) = (stage.topic(COMMANDS), stage.topic(JOURNAL));
    let mut orders = send_into(&stage, PARTITIONS - 1, "A");
    let home = stage.home();
    let mut connector = home.run();
    stage.feed().wait_for_final(&orders);
    // The commands first: what lies in the new partition is nobody's, and the sink says so.
    damage::widen(stage.brokers(), &commands, 3);
    orders.extend(send_into(&stage, 2, "B"));
    // The client looks at its topics every few minutes, whatever else happens.
    let line = connector.wait_for_line(WIDENED, 3 * DEADLINE);
    assert!(line.contains(&commands), "{line}");
    let line = connector.wait_for_line(STOPPED, DEADLINE);
    for word in [format!("{journal} has 2 partitions"), "has 3: both must have as many".into()] {
        assert!(line.contains(&word), "{word:?} is not said: {line}");
    }
    damage::widen(stage.brokers(), &journal, 3);
    connector.wait_for_lines(OWNED, 2, DEADLINE);
    stage.feed().wait_for_final(&orders);
    // The journal first, as it should be: nothing stops.
    damage::widen(stage.brokers(), &journal, 4);
    damage::widen(stage.brokers(), &commands, 4);
    orders.extend(send_into(&stage, 3, "C"));
    connector.wait_for_lines(OWNED, 3, DEADLINE);
    stage.feed().wait_for_final(&orders);
    assert_eq!(count(&connector, STOPPED), 1);
    // The old commands come again, some in a partition that is not the one that they were read from.
    Shop::new(stage.brokers(), shared_registry().url(), &stage.prefix).send(&orders);
    end(&mut connector);
    let mut connector = home.run();
    let last = Order::refund("A0", 50);
    stage.shop.send([&last]);
    orders.push(last);
    stage.feed().wait_for_final(&orders);
    end(&mut connector);
    stage.check(&orders);
    assert_eq!(stage.posts().iter().count(), orders.len());
}
