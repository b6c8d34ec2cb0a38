//! A commit of which nobody knows whether it happened: its request or its reply is lost.

use super::{
    DEADLINE,
    checker::{Late, Topics},
    churn::{Churn, SMALL},
    settle,
    tail::Tail,
};
use crate::harness::{
    kafka::{Broker, BrokerOptions},
    proxy::{Action, Direction, END_TXN, Rule},
    random::Random,
    registry::shared_registry,
    source::{Setup, Source},
    topics::unique_prefix,
    wait::wait_until,
};

const RESTORED: &str = "VOM-SHD-002";
const UNKNOWN: &str = "VOM-KFK-003";
const CONNECTIONS: [&str; 1] = ["acme"];

/// What happens to the commits, and how many unknown outcomes the connector has met after it.
///
/// The client asks again after some ten seconds (its `socket.timeout.ms` ends before
/// `transaction.timeout.ms`), so everything is dropped until the connector gives up. A connection
/// that is cut is made again inside the client, and the commit asked for again.
const LOSSES: [(Direction, Action, usize); 4] = [
    (Direction::Replies, Action::Cut, 0),
    (Direction::Requests, Action::Cut, 0),
    (Direction::Replies, Action::Drop, 1),
    (Direction::Requests, Action::Drop, 2),
];

fn proxied() -> Broker {
    Broker::start(BrokerOptions { proxied: true, ..BrokerOptions::default() })
}

#[test]
fn a_commit_with_an_unknown_outcome_loses_and_repeats_nothing_either_way() {
    let mut random = Random::seeded("unknown outcome");
    let broker = proxied();
    let brokers = broker.bootstrap();
    let source = Source::loaded(&SMALL);
    let prefix = unique_prefix("unknown");
    let registry = shared_registry().url();
    let topics = Topics { brokers: &brokers, registry, prefix: &prefix };
    let mut tail = Tail::new(&topics);
    let churn = Churn::new(&source, &CONNECTIONS, random.fork());
    let setup = Setup { brokers: broker.client_bootstrap(), ..Setup::new(&prefix) };
    let home = source.home_of(&setup);
    let mut connector = home.run();
    let proxy = broker.proxy();
    for (direction, action, unknown) in LOSSES {
        wait_until("all is published before", DEADLINE, || {
            tail.catch_up();
            tail.total() >= churn.wanted()
        });
        let (hits, before) = (proxy.hits(), tail.total());
        let rule = Rule::new(direction, action).of(END_TXN);
        proxy.apply(if action == Action::Drop { rule } else { rule.times(1) });
        churn.flood(3);
        wait_until("a commit is hit", DEADLINE, || proxy.hits() > hits);
        if (direction, action) == (Direction::Requests, Action::Drop) {
            wait_until("the transaction stays open", DEADLINE, || tail.is_transaction_open());
        } else {
            wait_until("the transaction is committed", DEADLINE, || {
                tail.catch_up();
                tail.total() > before
            });
        }
        connector.wait_for_lines(UNKNOWN, unknown, DEADLINE);
        proxy.clear();
    }
    settle(&source, &churn, &mut tail);
    topics.assert_exactly_once(&source, &CONNECTIONS, Late::Never);
    drop(connector);
}

#[test]
fn a_new_owner_sees_the_commit_whose_reply_never_came() {
    let mut random = Random::seeded("held reply");
    let broker = proxied();
    let brokers = broker.bootstrap();
    let source = Source::loaded(&SMALL);
    let prefix = unique_prefix("held");
    let registry = shared_registry().url();
    let topics = Topics { brokers: &brokers, registry, prefix: &prefix };
    let mut tail = Tail::new(&topics);
    let churn = Churn::new(&source, &CONNECTIONS, random.fork());
    let setup = Setup {
        brokers: broker.client_bootstrap(),
        shards: 1,
        session_ms: 1500,
        ..Setup::new(&prefix)
    };
    let homes = [source.home_of(&setup), source.home_of(&setup)];
    let mut sleeper = homes[0].run();
    sleeper.wait_for_line(RESTORED, DEADLINE);
    let mut heir = homes[1].run();
    wait_until("the history is published", DEADLINE, || {
        tail.catch_up();
        tail.total() >= churn.wanted()
    });

    let before = tail.total();
    let proxy = broker.proxy();
    proxy.apply(Rule::new(Direction::Replies, Action::Hold).of(END_TXN).times(1));
    churn.flood(3);
    wait_until("a commit's reply is held", DEADLINE, || proxy.hits() == 1);
    sleeper.sigstop();
    wait_until("the commit stands all the same", DEADLINE, || {
        tail.catch_up();
        tail.total() > before
    });
    heir.wait_for_line(RESTORED, DEADLINE);
    proxy.clear();
    sleeper.sigcont();
    churn.flood(2);
    settle(&source, &churn, &mut tail);
    topics.assert_exactly_once(&source, &CONNECTIONS, Late::Never);
    assert!(sleeper.is_running() && heir.is_running(), "both go on");
    drop((sleeper, heir));
}
