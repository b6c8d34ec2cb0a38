//! A quiet run: every kind of command to its end.

use chrono::TimeDelta;

use super::{
    orders::Order,
    stage::{OWNED, Stage, end},
};
use crate::payments::DEADLINE;

#[test]
fn each_command_becomes_one_request_and_one_result() {
    let stage = Stage::new("pay-once");
    stage.pay(&["A", "B", "C", "D/1"], "100.00");
    let unknown = Order::refund("nobody's", 100);
    let late = Order::refund("A", 300).expiring_in(TimeDelta::seconds(-1));
    // Older than a journal's memory, and than this journal: it was never executed, and that is final.
    let very_late = Order::refund("A", 400).expiring_in(TimeDelta::days(-400));
    let orders = [
        Order::refund("A", 100),
        Order::refund("A", 200),
        Order::cancel("B"),
        Order::refund("C", 10_000),
        Order { currency: Some("TL"), ..Order::refund("D/1", 5_050) },
        Order { currency: Some("EUR"), ..Order::refund("D/1", 1_000) },
        unknown,
        late,
        very_late,
    ];
    stage.shop.send(&orders);
    let home = stage.home();
    let mut connector = home.run();
    connector.wait_for_line(OWNED, DEADLINE);
    let mut feed = stage.feed();
    feed.wait_for_final(&orders);
    end(&mut connector);

    let checked = stage.check(&orders);
    let outcomes: Vec<_> =
        orders.iter().map(|order| checked.newest[&order.id]["outcome"].as_str().unwrap()).collect();
    assert_eq!(
        outcomes,
        [
            "SUCCEEDED",
            "SUCCEEDED",
            "SUCCEEDED",
            "SUCCEEDED",
            "SUCCEEDED",
            "REJECTED",
            "REJECTED",
            "EXPIRED",
            "EXPIRED"
        ]
    );
    assert_eq!(checked.posts.iter().count(), 5);
    let first = &checked.newest[&orders[0].id];
    assert_eq!((&first["amount"], &first["sequence"]), (&"1.00000".into(), &1.into()));
    assert_eq!((&first["inferred"], &first["provider_code"]), (&false.into(), &"00".into()));
    assert!(first["executed_at"].is_string() && first["provider_operation_id"].is_i64(), "{first}");
}
