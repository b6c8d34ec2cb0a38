//! A quiet run: every row of every source, field by field.

use vomsis_connect::sandbox::ledger::Load;

use super::{DEADLINE, checker::Late, churn::Churn, topics};
use crate::harness::{random::Random, source::Source, topics::unique_prefix, wait::wait_until};

#[test]
fn every_row_of_every_source_arrives_exactly_once() {
    let source = Source::loaded(&Load {
        accounts: 40,
        rows_per_account: 300,
        terminals: 6,
        rows_per_terminal: 200,
        virtual_pos: 80,
        tos: 30,
        customers: 3,
        days: 20,
        seed: Some(7),
    });
    let churn = Churn::new(&source, &["acme"], Random::seeded("once"));
    // The oldest day has the highest ids: a cursor that followed them would fall.
    [4, 10, 16].into_iter().for_each(|days| churn.backdate(days));
    let prefix = unique_prefix("once");
    let topics = topics(&prefix);
    let wanted = churn.wanted();
    let home = source.home(&prefix);
    let mut connector = home.run();
    connector.wait_for_status("/readyz", 200, DEADLINE);
    wait_until("every row is published", DEADLINE, || topics.count_visible() >= wanted);
    connector.sigterm();
    assert_eq!(connector.wait(DEADLINE), 0, "it drains and ends well");
    topics.assert_exactly_once(&source, &["acme"], Late::Never);
    drop(source);
}
