//! A registry that does not tell a schema: the partition that needs it waits alone, and says so.

use chrono::TimeDelta;
use serde_json::Value;
use vomsis_connect::domain::schemas::PAYMENT_COMMAND;

use super::{
    DEADLINE,
    orders::{Order, produce},
    stage::{OWNED, Stage, change, end},
};
use crate::harness::{
    gate::{Gate, Way},
    http,
    process::{Home, Process},
    registry::{register, shared_registry},
    scrape::Scrape,
    wait::wait_until,
};

const WAITS: &str = "payment commands wait for the schema registry";

/// A deployment whose registry can be taken away.
struct Desk {
    stage: Stage,
    gate: Gate,
    home: Home,
}

impl Desk {
    fn new(test: &str) -> Self {
        let stage = Stage::new(test);
        stage.pay(&["A", "B", "C", "D", "E", "F"], "100.00");
        let url = shared_registry().url();
        let (host, base) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let gate = Gate::before(host.parse().unwrap(), |_| Way::Through);
        let home = stage.home();
        change(&home, url, &format!("http://{}/{base}", gate.address()));
        Self { stage, gate, home }
    }

    /// The id of a schema of commands that nobody has seen before.
    fn new_schema(&self, name: &str) -> u32 {
        let mut schema: Value = serde_json::from_str(PAYMENT_COMMAND.json).unwrap();
        schema["doc"] = format!("{name} of {}", self.stage.prefix).into();
        let subject = format!("{}.{name}-value", self.stage.prefix);
        register(shared_registry().url(), &subject, &schema.to_string())
    }

    /// The registry tells no schema any more.
    fn take_away(&self) {
        self.gate.set(|request| match request.contains("/schemas/ids/") {
            true => Way::Closed,
            false => Way::Through,
        });
    }

    fn put(&self, partition: i32, order: &Order, schema: u32) {
        let (stage, value) = (&self.stage, order.value(schema));
        let topic = stage.topic("payment.commands");
        produce(stage.brokers(), &topic, partition, &order.key(), &value);
    }

    /// Waits until so many commands of each partition are not in the journal.
    #[track_caller]
    fn wait_for_lag(&self, connector: &mut Process, expected: [f64; 2]) {
        let (address, topic) = (connector.address(DEADLINE), self.stage.topic("payment.commands"));
        wait_until(&format!("{expected:?} commands wait"), DEADLINE, || {
            let shown = Scrape::of(address);
            let lag = |partition| {
                let labels = [("topic", topic.as_str()), ("partition", partition)];
                shown.sum("vomsis_command_consumer_lag_records", &labels)
            };
            [lag("0"), lag("1")].iter().zip(expected).all(|(lag, e)| (lag - e).abs() < f64::EPSILON)
        });
    }
}

/// The sink's state and reason, the verdict, and the gauges of `owned` and `waiting`.
fn standing(connector: &mut Process) -> (Value, String, [f64; 2]) {
    let address = connector.address(DEADLINE);
    let status = http::get(address, "/api/v1/status").unwrap().json();
    let shown = Scrape::of(address);
    let gauge = |state| shown.value("vomsis_sink_state", &[("state", state)]);
    let sink = serde_json::json!([status["sink"]["state"], status["sink"]["why"]]);
    (sink, status["verdict"].as_str().unwrap().to_owned(), [gauge("owned"), gauge("waiting")])
}

#[test]
fn a_partition_that_needs_an_untold_schema_waits_alone_and_in_order() {
    let desk = Desk::new("pay-untold");
    let (stage, known) = (&desk.stage, desk.stage.shop.schema_id());
    let mut connector = desk.home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let mut feed = stage.feed();
    let first = Order::refund("A", 100);
    desk.put(0, &first, known);
    feed.wait_for(&first, "SUCCEEDED");

    let untold = desk.new_schema("untold");
    desk.take_away();
    let unread = Order::refund("B", 200);
    desk.put(0, &unread, untold);
    connector.wait_for_line(WAITS, DEADLINE);
    let [behind, another] = ["C", "F"].map(|reference| Order::refund(reference, 300));
    desk.put(0, &behind, known);
    let beside = Order::refund("D", 400);
    let late = Order::refund("E", 500).expiring_in(TimeDelta::seconds(-1));
    desk.put(1, &beside, known);
    desk.put(1, &late, known);
    feed.wait_for(&beside, "SUCCEEDED");
    feed.wait_for(&late, "EXPIRED");
    desk.wait_for_lag(&mut connector, [2.0, 0.0]);
    desk.put(0, &another, known);
    desk.wait_for_lag(&mut connector, [3.0, 0.0]);
    let why = format!("waits for the registry (schema id {untold}, partition 0)");
    let (sink, verdict, gauges) = standing(&mut connector);
    assert_eq!(sink, serde_json::json!(["waiting", why]));
    assert!(verdict.contains("payment sink waiting"), "{verdict}");
    assert!(gauges.iter().all(|gauge| (gauge - 1.0).abs() < f64::EPSILON), "{gauges:?}");
    feed.catch_up();
    let is_silent = |order: &Order| feed.newest(order).is_none();
    assert!([&unread, &behind, &another].iter().all(|order| is_silent(order)), "nothing overtakes");

    desk.gate.set(|_| Way::Through);
    for order in [&unread, &behind, &another] {
        feed.wait_for(order, "SUCCEEDED");
    }
    desk.wait_for_lag(&mut connector, [0.0, 0.0]);
    assert_eq!(standing(&mut connector).0, serde_json::json!(["owned", null]));
    end(&mut connector);
    for reference in ["A", "B", "C", "D", "F"] {
        assert_eq!(stage.posts().of(reference).count(), 1, "{reference}");
    }
    assert_eq!(stage.posts().of("E").count(), 0);
    assert_eq!(stage.records("payment.commands.rejected").len(), 0);
}

#[test]
fn the_groups_offset_never_passes_a_command_that_waits_for_its_schema() {
    let desk = Desk::new("pay-unpassed");
    let (stage, known) = (&desk.stage, desk.stage.shop.schema_id());
    let mut connector = desk.home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let mut feed = stage.feed();
    let first = Order::refund("A", 100);
    desk.put(0, &first, known);
    feed.wait_for(&first, "SUCCEEDED");
    let untold = desk.new_schema("untold");
    desk.take_away();
    let [unread, behind] = ["B", "C"].map(|reference| Order::refund(reference, 200));
    desk.put(0, &unread, untold);
    desk.put(0, &behind, known);
    connector.wait_for_line(WAITS, DEADLINE);
    let beside = Order::refund("D", 300);
    desk.put(1, &beside, known);
    feed.wait_for(&beside, "SUCCEEDED");
    // Its last word is how far everything is taken.
    end(&mut connector);
    desk.gate.set(|_| Way::Through);
    let mut connector = desk.home.run();
    for order in [&unread, &behind] {
        feed.wait_for(order, "SUCCEEDED");
    }
    end(&mut connector);
    for reference in ["A", "B", "C", "D"] {
        assert_eq!(stage.posts().of(reference).count(), 1, "{reference}");
    }
}
