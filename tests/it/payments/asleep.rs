//! An owner that stands still at some step, and goes on when another replica has taken over.

use std::thread;

use vomsis_connect::failpoints::Point;

use super::{
    DEADLINE,
    orders::Order,
    stage::{OWNED, Stage},
};
use crate::harness::wait::wait_until;

/// It is no owner any more: by the group's word, or because its commit was refused.
const OUSTED: [&str; 2] = ["VOM-SNK-002", "VOM-SNK-004"];

/// What the sleeper says when it does.
const GOES_ON: &str = "the process goes on";

/// When the sleeper goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wakes {
    /// As soon as another replica is the owner.
    AtOnce,
    /// When the heir has said the last word about the command.
    AfterTheEnd,
}

#[test]
#[cfg_attr(
    not(feature = "failpoints"),
    ignore = "needs a connector built with --features failpoints, as `make test` does"
)]
fn an_owner_that_slept_between_intent_and_request_sends_nothing_after_its_deadline() {
    let posts = sleeps_at(Point::IntentCommitted, Wakes::AfterTheEnd, "PARKED", false);
    assert_eq!(posts, 0, "its permission was over when it woke up");
}

#[test]
#[cfg_attr(
    not(feature = "failpoints"),
    ignore = "needs a connector built with --features failpoints, as `make test` does"
)]
fn an_owner_that_wakes_up_within_its_deadline_sends_the_one_request_and_the_heir_finds_it() {
    let posts = sleeps_at(Point::IntentCommitted, Wakes::AtOnce, "SUCCEEDED", true);
    assert_eq!(posts, 1, "the heir gave no permission of its own");
}

#[test]
#[cfg_attr(
    not(feature = "failpoints"),
    ignore = "needs a connector built with --features failpoints, as `make test` does"
)]
fn wherever_the_owner_sleeps_nobody_sends_twice() {
    let steps = [
        (Point::CommandRead, false),
        (Point::CommandJournaled, false),
        (Point::PaymentLooked, false),
        (Point::BeforeIntent, false),
        (Point::AnswerRead, true),
        (Point::BeforeResult, true),
        (Point::ResultCommitted, false),
    ];
    for some in steps.chunks(4) {
        thread::scope(|scope| {
            for (point, inferred) in some {
                scope.spawn(move || {
                    let posts = sleeps_at(*point, Wakes::AtOnce, "SUCCEEDED", *inferred);
                    assert_eq!(posts, 1, "{point:?}");
                });
            }
        });
    }
}

/// How often the API was asked.
fn sleeps_at(point: Point, wakes: Wakes, outcome: &str, inferred: bool) -> usize {
    let stage = Stage::new("pay-asleep");
    stage.pay(&["A"], "10.00");
    let homes = [stage.home(), stage.home()];
    let order = Order::refund("A", 250);
    stage.shop.send([&order]);
    let name = format!("{}:1:stop", point.name());
    let mut sleeper = homes[0].run_with(&[("VOMSIS_FAILPOINT", &name)]);
    let mut feed = stage.feed();
    wait_until(&format!("the owner sleeps at {name}"), DEADLINE, || {
        sleeper.stderr().contains("the process stands still")
    });
    let mut heir = homes[1].run();
    heir.wait_for_line(OWNED, DEADLINE);
    assert!(!sleeper.stderr().contains(GOES_ON), "it did not sleep: {}", sleeper.stderr());
    if wakes == Wakes::AtOnce {
        sleeper.sigcont();
    }
    let result = feed.wait_for(&order, outcome);
    assert_eq!(result["inferred"], inferred, "{result}");
    sleeper.sigcont();
    sleeper.wait_for_line(GOES_ON, DEADLINE);
    wait_until("the sleeper learns that it is no owner any more", DEADLINE, || {
        let said = sleeper.stderr();
        OUSTED.iter().any(|code| said.contains(code))
    });

    // Whoever is the owner now takes a further command, with the first one's story behind it.
    let next = Order::refund("A", 300);
    stage.shop.send([&next]);
    feed.wait_for(&next, "SUCCEEDED");
    assert!(sleeper.is_running() && heir.is_running(), "both go on");
    let checked = stage.check(&[order, next]);
    checked.posts.iter().count() - 1
}
