//! Transactions of the journal whose end Kafka has lost: what they say counts, and the sink goes on.

use vomsis_connect::{
    domain::{
        money::Money,
        payment::{PaymentState, Provider},
        vocabulary::VirtualPosStatus,
    },
    failpoints::Point,
    sink::journal::{
        Entry, JournalEvent,
        codec::{self, Line, Record},
    },
    telemetry::clock::now,
};

use super::{
    DEADLINE,
    again::{committed, move_to_the_end},
    orders::Order,
    stage::{OWNED, PARTITIONS, Stage, say},
};
use crate::harness::{
    hanging::{Held, UNVERIFIED},
    kafka::{Broker, BrokerOptions},
    process::Home,
    topics::Record as Stored,
    wait::wait_until,
};

/// Records of a transaction without an end are taken as said.
const HELD: &str = "VOM-SNK-024";
/// A request provably did not leave.
const NOT_SENT: &str = "VOM-SNK-015";
const JOURNAL: &str = "internal.payment-journal";
const SIGABRT: i32 = 128 + 6;

/// A connector that died with one refund under way, and the next word of its journal, held.
struct Scene {
    stage: Stage,
    home: Home,
    order: Order,
    // after what uses it
    _broker: Broker,
}

impl Scene {
    #[track_caller]
    fn new(test: &str, dies_at: Point, next: impl Fn(&Entry) -> JournalEvent) -> Self {
        let (key, value) = UNVERIFIED;
        let properties = vec![(key.to_owned(), value.to_owned())];
        let broker = Broker::start(BrokerOptions { properties, ..BrokerOptions::default() });
        let brokers = broker.bootstrap();
        let stage = Stage::at(test, &brokers, &brokers);
        stage.pay(&["A"], "10.00");
        let (home, order) = (stage.home(), Order::refund("A", 250));
        stage.shop.send([&order]);
        let point = format!("{}:1", dies_at.name());
        let mut connector = home.run_with(&[("VOMSIS_FAILPOINT", &point)]);
        assert_eq!(connector.wait(DEADLINE), SIGABRT, "{}", connector.stderr());

        let records = stage.records(JOURNAL);
        let told = records.iter().rev().find_map(|record| {
            let key = record.key.as_deref()?;
            match codec::read_line(key.as_bytes(), record.value.as_deref()).unwrap() {
                Line::Said(Record::Command(entry)) => Some((record.partition, entry)),
                _ => None,
            }
        });
        let (partition, entry) = told.expect("the command is in the journal");
        // The other partition says nothing of it, and is written to by nobody else.
        let is_meant = |record: &&Stored| {
            record.partition != partition && record.key.as_deref() == Some(codec::IDENTITY_KEY)
        };
        let identity = records.iter().find(is_meant).expect("each partition has an identity");
        move_to_the_end(&stage);
        let entry = entry.with(next(&entry)).unwrap();
        let transactional_id = format!("test.{prefix}.{prefix}.sink.v1", prefix = stage.prefix);
        let topic = stage.topic(JOURNAL);
        let held = Held {
            broker: &brokers,
            transactional_id: &transactional_id,
            topic: &topic,
            partition,
        };
        let value = identity.value.as_deref().unwrap();
        Held { partition: identity.partition, ..held }.leave(codec::IDENTITY_KEY.as_bytes(), value);
        held.leave(entry.key().to_string().as_bytes(), &codec::encode_entry(&entry));
        Self { stage, home, order, _broker: broker }
    }

    fn posts(&self) -> usize {
        self.stage.posts().iter().count()
    }

    /// The sink runs, says what it found, comes to this outcome, and takes further commands; everybody
    /// can read the journal to its end again.
    #[track_caller]
    fn ends_as(&self, outcome: &str) -> serde_json::Value {
        let mut connector = self.home.run();
        connector.wait_for_lines(HELD, 2, DEADLINE);
        connector.wait_for_line(OWNED, DEADLINE);
        self.stage.records(JOURNAL);
        let mut feed = self.stage.feed();
        let result = feed.wait_for(&self.order, outcome);
        let next = Order::refund("A", 300);
        self.stage.shop.send([&next]);
        feed.wait_for(&next, "SUCCEEDED");
        self.stage.check(&[self.order.clone(), next]);
        result
    }
}

#[test]
#[cfg_attr(
    not(feature = "failpoints"),
    ignore = "needs a connector built with --features failpoints, as `make test` does"
)]
fn an_intent_whose_transaction_lost_its_end_is_a_permission_that_may_have_been_used() {
    let scene = Scene::new("pay-held-intent", Point::BeforeIntent, |_| {
        let before = PaymentState {
            status: VirtualPosStatus::Successful,
            amount: Money::parse("10.00").ok(),
            refunded: Money::parse("0").ok(),
            refunded_unknown: false,
            currency: Some("TRY".to_owned()),
        };
        let at = now();
        JournalEvent::Intended {
            at,
            attempt: 1,
            epoch: 1,
            before,
            send_not_after: at,
            over_at: Some(at),
        }
    });
    // People can read it too.
    let said = say(&scene.home, &["commands", "list", "-o", "json"]);
    assert!(said.code == 0 && said.out.contains(&scene.order.id), "{said:?}");
    scene.ends_as("PARKED");
    assert_eq!(scene.posts(), 1, "of the further command alone");
}

#[test]
fn what_no_reader_of_committed_records_sees_permits_nothing_and_is_read_again() {
    let (key, value) = UNVERIFIED;
    let properties = vec![(key.to_owned(), value.to_owned())];
    let broker = Broker::start(BrokerOptions { properties, ..BrokerOptions::default() });
    let brokers = broker.bootstrap();
    let stage = Stage::at("pay-held-unseen", &brokers, &brokers);
    stage.pay(&["A", "B"], "10.00");
    let (home, order) = (stage.home(), Order::refund("A", 250));
    stage.shop.send([&order]);
    let mut connector = home.run();
    stage.feed().wait_for(&order, "SUCCEEDED");
    wait_until("its offset is kept", DEADLINE, || committed(&stage) == 1);
    // From here on no transaction in the journal is seen to end, whoever is told that it is committed.
    let records = stage.records(JOURNAL);
    let topic = stage.topic(JOURNAL);
    for partition in 0..PARTITIONS {
        let is_identity = |record: &&Stored| {
            record.partition == partition && record.key.as_deref() == Some(codec::IDENTITY_KEY)
        };
        let identity = records.iter().find(is_identity).expect("each partition has an identity");
        let transactional_id = &format!("{}.of-somebody-else.{partition}", stage.prefix);
        Held { broker: &brokers, transactional_id, topic: &topic, partition }
            .leave(codec::IDENTITY_KEY.as_bytes(), identity.value.as_deref().unwrap());
    }
    let unseen = Order::refund("B", 300);
    stage.shop.send([&unseen]);
    let line = connector.wait_for_line(NOT_SENT, DEADLINE);
    assert!(line.contains(&unseen.id), "{line}");
    assert_eq!(stage.posts().iter().count(), 1, "of the first command alone");
    // It is in the journal, where an abort could still take it back: whoever comes next reads it again.
    assert_eq!(
        committed(&stage),
        1,
        "no offset passes a command that nobody has seen in the journal"
    );
}

#[test]
#[cfg_attr(
    not(feature = "failpoints"),
    ignore = "needs a connector built with --features failpoints, as `make test` does"
)]
fn a_result_whose_transaction_lost_its_end_is_told_and_its_request_not_repeated() {
    let scene = Scene::new("pay-held-result", Point::BeforeResult, |_| {
        let refunded_total = Money::parse("2.50").ok();
        let provider =
            Provider { code: Some("00".to_owned()), refunded_total, ..Provider::default() };
        JournalEvent::Approved { at: now(), provider }
    });
    assert_eq!(scene.posts(), 1);
    let result = scene.ends_as("SUCCEEDED");
    assert_eq!(result["inferred"], false, "{result}");
    assert_eq!(scene.posts(), 2, "one each");
}
