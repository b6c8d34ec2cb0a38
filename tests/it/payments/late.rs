//! Commands that come long after their time, to a journal that may have known them and forgotten.

use chrono::TimeDelta;
use serde_json::Value;
use vomsis_connect::{
    kafka::settings::sink_transactional_id,
    sink::journal::{
        codec::{IDENTITY_KEY, encode_identity},
        records::Identity,
    },
};

use super::{
    DEADLINE,
    feed::Feed,
    orders::{Order, produce},
    stage::{OWNED, PARTITIONS, Stage, end},
};
use crate::harness::{topics::create_topic, wait::wait_until};

const JOURNAL: &str = "internal.payment-journal";
/// UUIDs of version 7 from 2022-02-22 on, one for each partition: so old is the journal.
const MADE_IN_2022: [&str; PARTITIONS as usize] =
    ["017f22e2-79b0-7cc3-98c4-dc0c0c07398f", "017f22e2-7d98-7cc3-98c4-dc0c0c07398f"];
const YEARS_BEFORE: TimeDelta = TimeDelta::days(-365 * 20);

/// A journal that has been there for years, and has forgotten whatever it knew.
fn old_journal(stage: &Stage) {
    let (brokers, topic) = (stage.brokers(), stage.topic(JOURNAL));
    create_topic(brokers, &topic, PARTITIONS, &[("cleanup.policy", "compact")]);
    for (partition, uuid) in (0..).zip(MADE_IN_2022) {
        let transactional_prefix = sink_transactional_id("test", &stage.kafka());
        let identity = Identity { uuid: uuid.to_owned(), transactional_prefix };
        produce(brokers, &topic, partition, IDENTITY_KEY, &encode_identity(&identity));
    }
}

/// Waits for so many results of a command; all of them.
#[track_caller]
fn results<'f>(feed: &'f mut Feed, order: &Order, count: usize) -> &'f [Value] {
    wait_until(&format!("{count} results of {}", order.id), DEADLINE, || {
        feed.catch_up();
        feed.outcomes(order).len() >= count
    });
    feed.results(order)
}

#[test]
fn what_an_old_journal_may_have_forgotten_is_not_told_to_have_never_been_sent() {
    let stage = Stage::new("pay-late");
    stage.pay(&["A", "B"], "100.00");
    old_journal(&stage);
    let late = Order::refund("A", 100).expiring_in(TimeDelta::days(-400));
    let invalid = Order { amount: None, ..late.clone() };
    let invalid = Order { id: Order::cancel("B").id, reference: "B".to_owned(), ..invalid };
    // These it would know still, or has never known.
    let recent = Order::refund("A", 200).expiring_in(TimeDelta::days(-80));
    let older = Order::refund("B", 300).expiring_in(YEARS_BEFORE);
    stage.shop.send([&late, &invalid, &recent, &older]);
    let home = stage.home();
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let mut feed = stage.feed();
    for (order, outcome) in [(&late, "EXPIRED"), (&invalid, "REJECTED")] {
        let [told] = results(&mut feed, order, 1) else { panic!("told once") };
        assert_eq!(told["outcome"], outcome, "{told}");
        // It takes no earlier result's place, and is no end.
        assert_eq!((&told["sequence"], &told["final"]), (&0.into(), &false.into()), "{told}");
        assert!(told["detail"].as_str().unwrap().contains("may have been executed before"));
    }
    for order in [&recent, &older] {
        let [told] = results(&mut feed, order, 1) else { panic!("told once") };
        let expected = (&"EXPIRED".into(), &1.into(), &true.into());
        assert_eq!((&told["outcome"], &told["sequence"], &told["final"]), expected, "{told}");
    }

    // Once more, to the next owner: the same answer, under the same id.
    end(&mut connector);
    let mut connector = home.run();
    stage.shop.send([&late, &invalid]);
    for order in [&late, &invalid] {
        let [first, again] = results(&mut feed, order, 2) else { panic!("told twice") };
        assert_eq!(first, again);
    }
    end(&mut connector);
    assert_eq!(stage.posts().iter().count(), 0, "nothing was sent");
}
