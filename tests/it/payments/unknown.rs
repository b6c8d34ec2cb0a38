//! A payment's two commits, that of its permission and that of its result, when nobody learns
//! whether they happened; and a broker that is killed with commands under way.

use std::sync::mpsc;

use super::{
    DEADLINE,
    feed::Feed,
    orders::Order,
    stage::{OWNED, PARTITIONS, Stage, say},
};
use crate::harness::{
    cluster::{BROKERS, Cluster, TRANSACTIONS},
    gate::{Gate, Way},
    kafka::{Broker, BrokerOptions},
    process::{Home, Process},
    proxy::{Action, Direction, END_TXN, PRODUCE, Rule},
    topics::create_topic,
    wait::wait_until,
};

/// The term is over, its producer thrown away.
const LOST: &str = "VOM-SNK-004";
/// What the API is asked for between the command's own commit and that of its intent.
const LOOK: &str = "/transaction/find";
const UNAVAILABLE: i32 = 69;
/// What it is asked for between the commit of the intent and that of the result.
const POST: &str = "\"transactionType\"";

/// A sink behind two proxies: one before the broker, one before the API.
struct Scene {
    broker: Broker,
    stage: Stage,
    gate: Gate,
    feed: Feed,
    connector: Process,
    orders: Vec<Order>,
    _home: Home,
}

impl Scene {
    fn new(test: &str, references: &[&str]) -> Self {
        let broker = Broker::start(BrokerOptions { proxied: true, ..BrokerOptions::default() });
        let mut stage = Stage::at(test, &broker.bootstrap(), &broker.client_bootstrap());
        let gate = Gate::before(stage.simulator().addr, |_| Way::Through);
        stage.api = format!("http://{}", gate.address());
        stage.pay(references, "100.00");
        let (home, feed) = (stage.home(), stage.feed());
        let mut connector = home.run();
        connector.wait_for_line(OWNED, DEADLINE);
        Self { broker, stage, gate, feed, connector, orders: Vec::new(), _home: home }
    }

    /// A refund whose commit behind the API's call is lost: everything that is said about it is
    /// dropped until the sink gives the term up. What is dropped still is when this returns.
    #[track_caller]
    fn lose_commit_behind(
        &mut self,
        call: &'static str,
        lost: Direction,
        reference: &str,
    ) -> Order {
        let (told, arrived) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let mut moment = Some((told, may_go));
        self.gate.set(move |request| {
            if request.contains(call)
                && let Some((told, may_go)) = moment.take()
            {
                told.send(()).unwrap();
                may_go.recv().unwrap();
            }
            Way::Through
        });
        let order = Order::refund(reference, 100);
        self.stage.shop.send([&order]);
        arrived.recv_timeout(DEADLINE).expect("the API is called");
        // The command is journaled; until its next commit nothing else is committed.
        let (hits, terms) = (self.broker.proxy().hits(), self.said(LOST));
        self.broker.proxy().apply(Rule::new(lost, Action::Drop).of(END_TXN));
        go.send(()).unwrap();
        self.connector.wait_for_lines(LOST, terms + 1, DEADLINE);
        assert!(self.broker.proxy().hits() > hits, "no commit was hit");
        self.orders.push(order.clone());
        order
    }

    /// Commits pass again; waits for the next term.
    #[track_caller]
    fn go_on(&mut self) {
        let terms = self.said(OWNED);
        self.broker.proxy().clear();
        self.connector.wait_for_lines(OWNED, terms + 1, DEADLINE);
    }

    fn said(&self, code: &str) -> usize {
        self.connector.stderr().lines().filter(|line| line.contains(code)).count()
    }

    fn posts(&self, order: &Order) -> usize {
        self.stage.posts().of(&order.reference).count()
    }

    /// A further command of the same payment gets through, and all of it is as it must be.
    #[track_caller]
    fn end(mut self) {
        let further: Vec<Order> =
            self.orders.iter().map(|order| Order::refund(&order.reference, 200)).collect();
        self.stage.shop.send(&further);
        for order in &further {
            self.feed.wait_for(order, "SUCCEEDED");
        }
        self.orders.extend(further);
        self.stage.check(&self.orders);
        assert!(self.connector.is_running(), "it never gave up: {}", self.connector.stderr());
    }
}

#[test]
fn nothing_is_sent_by_a_permission_of_which_nobody_knows_whether_it_was_committed() {
    let mut scene = Scene::new("pay-intent", &["A", "B"]);

    let order = scene.lose_commit_behind(LOOK, Direction::Requests, "A");
    assert_eq!(scene.posts(&order), 0, "its permission is not committed");
    scene.go_on();
    let result = scene.feed.wait_for(&order, "SUCCEEDED");
    assert_eq!((&result["inferred"], scene.posts(&order)), (&false.into(), 1), "{result}");

    let order = scene.lose_commit_behind(LOOK, Direction::Replies, "B");
    assert_eq!(scene.posts(&order), 0, "nobody has told it that it may");
    scene.go_on();
    // The next term finds the permission, and cannot know that its owner did not use it.
    scene.feed.wait_for(&order, "PARKED");
    assert_eq!(scene.posts(&order), 0);
    scene.end();
}

#[test]
fn a_result_of_which_nobody_knows_whether_it_was_committed_is_told_once_and_nothing_sent_again() {
    let mut scene = Scene::new("pay-result", &["A", "B"]);

    let order = scene.lose_commit_behind(POST, Direction::Requests, "A");
    scene.feed.catch_up();
    assert_eq!((scene.feed.results(&order), scene.posts(&order)), (&[][..], 1));
    scene.go_on();
    let result = scene.feed.wait_for(&order, "SUCCEEDED");
    assert_eq!((&result["inferred"], scene.posts(&order)), (&true.into(), 1), "{result}");

    let order = scene.lose_commit_behind(POST, Direction::Replies, "B");
    let result = scene.feed.wait_for(&order, "SUCCEEDED");
    assert_eq!(result["inferred"], false, "{result}");
    scene.go_on();
    assert_eq!(scene.posts(&order), 1);
    let (feed, orders) = (&scene.feed, scene.orders.clone());
    for order in &orders {
        let ends = feed.results(order).iter().filter(|result| result["final"] == true).count();
        assert_eq!(ends, 1, "{:?}", feed.results(order));
    }
    scene.end();
}

// Three brokers: the only one of a partition may lose the end of a transaction when it is killed,
// which is Kafka's matter (docs/runbooks/VomsisRestoreSlow.md).
#[test]
fn a_broker_that_is_killed_with_commands_under_way_costs_no_second_request() {
    const PAYMENTS: usize = 8;
    let mut cluster = Cluster::new();
    cluster.start(&[0, 1, 2]);
    let brokers = cluster.bootstrap();
    let mut stage = Stage::at("pay-broker", &brokers, &brokers);
    stage.replicas = BROKERS;
    let references: Vec<String> = (0..PAYMENTS).map(|number| format!("A{number}")).collect();
    let names: Vec<&str> = references.iter().map(String::as_str).collect();
    stage.pay(&names, "100.00");
    stage.faults(&["slow_answer=100ms"]);
    let home = stage.home();
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let (mut feed, mut orders) = (stage.feed(), Vec::new());
    // Who commits the transactions, then who holds the journal.
    let journal = stage.topic("internal.payment-journal");
    for (topic, amounts) in [(TRANSACTIONS, 1..=5), (journal.as_str(), 6..=10)] {
        // Those of one payment come one after another, each with an amount of its own.
        let next: Vec<Order> = amounts
            .flat_map(|cents| names.iter().map(move |name| Order::refund(name, cents)))
            .collect();
        let before = stage.posts().iter().count();
        cluster.wait_for_replicas();
        let victim = cluster.leader(topic, 0);
        stage.shop.send(&next);
        wait_until("some are sent", DEADLINE, || {
            feed.catch_up();
            stage.posts().iter().count() > before + PAYMENTS
        });
        cluster.kill9(&[victim]);
        let sent = stage.posts().iter().count() - before;
        assert!(sent < next.len(), "all {sent} had been sent before");
        orders.extend(next);
        feed.wait_for_final(&orders);
        cluster.start(&[victim]);
    }
    let checked = stage.check(&orders);
    println!("{} inferred, {} parked", checked.inferred(), checked.count("PARKED"));
    assert_eq!(checked.count("SUCCEEDED") + checked.count("PARKED"), orders.len());
    assert!(connector.is_running(), "it never gave up: {}", connector.stderr());
}

#[test]
fn a_halt_whose_acknowledgement_is_lost_is_not_told_as_unwritten() {
    let broker = Broker::start(BrokerOptions { proxied: true, ..BrokerOptions::default() });
    let stage = Stage::at("pay-halt", &broker.bootstrap(), &broker.client_bootstrap());
    let journal = stage.topic("internal.payment-journal");
    create_topic(stage.brokers(), &journal, PARTITIONS, &[("cleanup.policy", "compact")]);
    let home = stage.home();
    broker.proxy().apply(Rule::new(Direction::Replies, Action::Drop).of(PRODUCE));
    let said = say(&home, &["commands", "halt", "--reason", "drill", "--actor", "ayse"]);
    assert_eq!(said.code, UNAVAILABLE, "{said:?}");
    for word in ["not known to be written", "NOT KNOWN to be halted", "commands list"] {
        assert!(said.err.contains(word), "{word}: {said:?}");
    }
    broker.proxy().clear();
    let listed = say(&home, &["commands", "list"]);
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(listed.err.contains("the kill switch is on") && listed.err.contains("ayse"));
}
