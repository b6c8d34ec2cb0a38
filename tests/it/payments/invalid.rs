//! What is no command, and commands that may not be executed: each is told why, none is sent.

use vomsis_connect::domain::{money::Money, schemas::PAYMENT_RESULT};

use super::{
    DEADLINE,
    orders::Order,
    stage::{OWNED, Stage, change, end},
};
use crate::harness::{
    gate::{Gate, Way},
    registry::{register, shared_registry},
    scrape::Scrape,
    topics::Record,
    wait::wait_until,
};

/// A command that is wrong in one way, and words of its result's detail.
fn wrong(reference: &str) -> Vec<(Order, &'static str)> {
    let good = || Order::refund(reference, 500);
    let money = |unscaled| Some(Money::from_unscaled(unscaled));
    vec![
        (Order { amount: None, ..good() }, "needs an amount"),
        (Order { amount: money(0), ..good() }, "not above zero"),
        (Order { amount: money(-100_000), ..good() }, "not above zero"),
        (Order { amount: money(1_001), ..good() }, "two decimals"),
        (Order { amount: money(100_000), ..Order::cancel(reference) }, "CANCEL has no amount"),
        (Order { kind: "PAYMENT", ..good() }, "neither CANCEL nor REFUND"),
        (Order { requested_by: "  ".to_owned(), ..good() }, "requested_by is blank"),
        (Order { currency: Some(" "), ..good() }, "currency is blank"),
        (Order { currency: Some("USD"), ..good() }, "TRY, not USD"),
        (good().of("nobody"), "not configured"),
        (Order::refund(" ", 500), "reference_no is blank"),
        (Order::refund("A\nB", 500), "control characters"),
        (Order::refund(&"A".repeat(65), 500), "65 characters"),
        (Order::refund("nobody's", 500), "no payment of this reference"),
        (Order::refund("FAILED", 500), "FAILED"),
        (Order::cancel("REFUNDED"), "REFUNDED"),
    ]
}

#[test]
fn invalid_commands_get_a_result_that_says_what_to_change() {
    let stage = Stage::new("pay-invalid");
    stage.pay(&["A"], "100.00");
    for (reference, status) in [("FAILED", "failed"), ("REFUNDED", "refund")] {
        let mut ledger = stage.simulator().ledger();
        let mut payment = vomsis_connect::sandbox::ledger::NewPayment::new(reference, "100.00");
        payment.status = Some(status.to_owned());
        ledger.add_payment(&payment).unwrap();
    }
    let wrong = wrong("A");
    let orders: Vec<Order> = wrong.iter().map(|(order, _)| order.clone()).collect();
    stage.shop.send(&orders);
    let home = stage.home();
    let mut connector = home.run();
    let mut feed = stage.feed();
    feed.wait_for_final(&orders);
    for (order, words) in &wrong {
        let result = feed.newest(order).unwrap();
        assert_eq!(result["outcome"], "REJECTED", "{order:?}: {result}");
        let detail = result["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{words:?} is not said: {detail}");
        assert_eq!((&result["attempts"], &result["sequence"]), (&0.into(), &1.into()));
    }
    end(&mut connector);
    assert_eq!(stage.posts().iter().count(), 0);
    assert_eq!(stage.records("payment.commands.rejected").len(), 0);
}

#[test]
fn what_is_no_command_goes_to_the_rejected_topic_byte_for_byte() {
    let stage = Stage::new("pay-rejected");
    stage.pay(&["A"], "100.00");
    let schema = stage.shop.schema_id();
    let good = Order::refund("A", 100);
    let bytes = good.value(schema);
    let result_schema = register(
        shared_registry().url(),
        &format!("{}.other-value", stage.prefix),
        PAYMENT_RESULT.json,
    );
    let named = |id: &str| Order { id: id.to_owned(), ..good.clone() }.value(schema);
    let mut long = bytes.clone();
    long.push(0);
    let cut = bytes[..bytes.len() - 9].to_vec();
    let sent: Vec<(&str, Vec<u8>, &str)> = vec![
        ("acme/A", b"{\"type\":\"REFUND\"}".to_vec(), "UNDECODABLE"),
        ("acme/A", Vec::new(), "UNDECODABLE"),
        // As much as a producer sends by default; the headers make it larger than that.
        ("acme/A", vec![b'G'; 999_900], "UNDECODABLE"),
        ("acme/A", vec![0, 0, 0, 0], "UNDECODABLE"),
        ("acme/A", cut, "UNDECODABLE"),
        ("acme/A", long, "UNDECODABLE"),
        ("acme/A", good.value(0x7fff_fff0), "UNDECODABLE"),
        ("acme/A", good.value(result_schema), "WRONG_SCHEMA"),
        ("acme/B", bytes.clone(), "WRONG_KEY"),
        ("A", bytes.clone(), "WRONG_KEY"),
        ("", bytes, "WRONG_KEY"),
        ("acme/A", named("4711"), "INVALID_ID"),
        ("acme/A", named(""), "INVALID_ID"),
        ("acme/A", named("00000000-0000-0000-0000-000000000000"), "INVALID_ID"),
    ];
    for (key, value, _) in &sent {
        stage.shop.send_raw(key, value);
    }
    // Behind all of them, one that is right: nothing blocks it.
    stage.shop.send([&good]);
    let home = stage.home();
    let mut connector = home.run();
    stage.feed().wait_for(&good, "SUCCEEDED");
    wait_until("all of them are refused", DEADLINE, || {
        stage.records("payment.commands.rejected").len() >= sent.len()
    });
    end(&mut connector);
    let refused = stage.records("payment.commands.rejected");
    assert_eq!(refused.len(), sent.len(), "each once");
    let commands = stage.records("payment.commands");
    for record in &refused {
        assert_refused(record, &commands, &sent, &stage.topic("payment.commands"));
    }
    let checked = stage.check(&[good]);
    assert_eq!(checked.posts.iter().count(), 1);
}

/// A refused record is the command's record, with headers that say why and where it lay.
#[track_caller]
fn assert_refused(
    record: &Record,
    commands: &[Record],
    sent: &[(&str, Vec<u8>, &str)],
    topic: &str,
) {
    let headers = &record.headers;
    assert_eq!(headers["vomsis_source_topic"], topic);
    let at = |name: &str| headers[name].parse::<i64>().unwrap();
    let lay = (at("vomsis_source_partition"), at("vomsis_source_offset"));
    let source = commands.iter().find(|c| (i64::from(c.partition), c.offset) == lay).unwrap();
    assert_eq!((&record.key, &record.value), (&source.key, &source.value), "untouched");
    let (_, _, why) = sent
        .iter()
        .find(|(key, value, _)| {
            source.key.as_deref() == Some(*key)
                && source.value.as_deref().unwrap_or_default() == value
        })
        .unwrap();
    assert_eq!(&headers["vomsis_reason"], why, "{headers:?}");
    assert!(!headers["vomsis_detail"].is_empty(), "{headers:?}");
}

#[test]
fn a_registry_that_is_away_makes_no_command_undecodable() {
    let stage = Stage::new("pay-registry");
    stage.pay(&["A"], "100.00");
    let url = shared_registry().url();
    let (host, base) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    // It takes the schemas at the start, and then does not tell them.
    let away = |request: &str| match request.starts_with("GET") && request.contains("/schemas/ids/")
    {
        true => Way::Closed,
        false => Way::Through,
    };
    let gate = Gate::before(host.parse().unwrap(), away);
    let home = stage.home();
    change(&home, url, &format!("http://{}/{base}", gate.address()));
    let order = Order::refund("A", 100);
    stage.shop.send([&order]);
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    connector.wait_for_lines("payment commands wait for the schema registry", 2, DEADLINE);
    // Nothing else would tell whoever is on call.
    let shown = Scrape::of(connector.address(DEADLINE));
    let lag = shown.of_name("vomsis_command_consumer_lag_records", &[]);
    assert!(lag.map(|sample| sample.value).sum::<f64>() >= 1.0);
    assert_eq!(stage.records("payment.commands.rejected").len(), 0);
    assert_eq!(stage.posts().iter().count(), 0);
    gate.set(|_| Way::Through);
    stage.feed().wait_for(&order, "SUCCEEDED");
    end(&mut connector);
    stage.check(&[order]);
}
