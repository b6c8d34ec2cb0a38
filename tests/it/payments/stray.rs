//! Records of the journal that nobody can read: they stop the sink, and what the line says helps.

use super::{
    DEADLINE,
    orders::{produce, produce_tombstone},
    refused::Paid,
    stage::{OWNED, STOPPED, end, say},
};

const JOURNAL: &str = "internal.payment-journal";
const NOT_DONE: i32 = 1;
const STRAY: &str = "what/is-this";

#[test]
fn a_stray_and_a_damaged_record_stop_the_sink_until_something_readable_lies_over_them() {
    let paid = Paid::new("pay-stray");
    let (brokers, topic) = (paid.stage.brokers(), paid.stage.topic(JOURNAL));
    let records = paid.stage.records(JOURNAL);
    let is_story = |key: Option<&str>| key.is_some_and(|key| key.starts_with("acme/"));
    let story = records.iter().rev().find(|r| is_story(r.key.as_deref())).unwrap();
    let (key, value) = (story.key.as_deref().unwrap(), story.value.as_deref().unwrap());
    let partition = story.partition;
    produce(brokers, &topic, partition, STRAY, b"x");
    produce(brokers, &topic, partition, key, &value[..9]);

    let words = [topic.as_str(), STRAY, "tombstone", "docs/payments.md", "1 more"];
    end(&mut paid.assert_stops(&words));
    let said = say(&paid.home, &["commands", "list"]);
    assert!(said.code == NOT_DONE && said.err.contains(STRAY), "{said:?}");
    produce_tombstone(brokers, &topic, partition, STRAY);
    let words = [topic.as_str(), key, "damaged", "do not delete it", "docs/payments.md"];
    end(&mut paid.assert_stops(&words));
    produce(brokers, &topic, partition, key, value);

    let mut connector = paid.home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    paid.stage.feed().wait_for_final(&paid.orders);
    let posts = || paid.stage.posts().iter().count();
    assert_eq!(posts(), paid.orders.len(), "the one that waited alone");
    let exported = say(&paid.home, &["commands", "export"]);
    assert_eq!(exported.out.lines().count(), paid.orders.len(), "{exported:?}");

    // While it runs it is not waited for whether something comes over it.
    produce(brokers, &topic, 0, STRAY, b"x");
    let line = connector.wait_for_line(STOPPED, DEADLINE);
    assert!(line.contains(STRAY), "{line}");
    produce_tombstone(brokers, &topic, 0, STRAY);
    end(&mut connector);
    let mut connector = paid.home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    end(&mut connector);
    assert_eq!(posts(), paid.orders.len());
}
