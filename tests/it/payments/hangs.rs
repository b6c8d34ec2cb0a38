//! A thread of the owner hangs for ever: its process ends by itself, and the heir pays nothing again.

use std::thread;

use super::{
    DEADLINE,
    orders::Order,
    stage::{OWNED, PARTITIONS, Stage},
};
use crate::harness::wait::wait_until;

const HANGS: &str = "VOM-APP-006";
/// A shard is restored, its mark committed.
const RESTORED: &str = "VOM-SHD-002";
const SIGABRT: i32 = 128 + 6;

#[test]
#[cfg_attr(
    not(feature = "failpoints"),
    ignore = "needs a connector built with --features failpoints, as `make test` does"
)]
fn an_owner_with_a_thread_that_hangs_ends_by_itself_and_nobody_pays_twice() {
    thread::scope(|scope| {
        // The group's thread would never say that the place is lost.
        scope.spawn(|| hangs_at("offsets-noted:1:pause", "sink-group"));
        // The command stands in the journal, behind two shards' and the owner's marks; nobody is told.
        scope.spawn(|| hangs_at("committed:4:pause", "sink-journal"));
    });
}

fn hangs_at(point: &str, named: &str) {
    let stage = Stage::new("pay-hangs");
    stage.pay(&["A"], "10.00");
    let homes = [stage.home(), stage.home()];
    let environment = [("VOMSIS_FAILPOINT", point), ("VOMSIS_HURRY", "12")];
    let mut stuck = homes[0].run_with(&environment);
    // All marks are committed before there is a command, so that the next commit is the command's.
    stuck.wait_for_lines(RESTORED, usize::try_from(PARTITIONS).unwrap(), DEADLINE);
    stuck.wait_for_line(OWNED, DEADLINE);
    let order = Order::refund("A", 250);
    stage.shop.send([&order]);
    let mut feed = stage.feed();
    wait_until(&format!("a thread hangs at {point}"), DEADLINE, || {
        stuck.stderr().contains("this thread stands still")
    });
    let mut heir = homes[1].run();
    assert_eq!(stuck.wait(DEADLINE), SIGABRT, "{point}: {}", stuck.stderr());
    let line = stuck.wait_for_line(HANGS, DEADLINE);
    assert!(line.contains(named), "{line}");
    heir.wait_for_line(OWNED, DEADLINE);
    feed.wait_for(&order, "SUCCEEDED");
    let next = Order::refund("A", 300);
    stage.shop.send([&next]);
    feed.wait_for(&next, "SUCCEEDED");
    let checked = stage.check(&[order, next]);
    assert_eq!(checked.posts.iter().count(), 2, "one request a command");
}
