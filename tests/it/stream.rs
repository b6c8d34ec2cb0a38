//! Rows from the source systems into a real Kafka: each content of each row exactly once, whichever
//! process dies, stops or is cut off.
//!
//! The connector runs as child processes; `checker` compares the topics and the state with the
//! ledger of the simulated source, by the tables in `truth`.

mod aborted;
mod brokers;
pub(crate) mod checker;
mod churn;
mod deletions;
mod documents;
mod hangs;
mod killed;
mod left;
mod lost_reply;
mod once;
mod steps;
mod storm;
mod tail;
mod takeover;
mod truth;
mod upgrade;

use std::time::Duration;

use vomsis_connect::{domain::ids::Stream, sandbox::simulator::Operation};

pub(crate) use self::{checker::STREAMS, churn::SMALL};
use self::{
    checker::{Late, Topics},
    churn::Churn,
    tail::Tail,
};
use crate::harness::{
    kafka::shared_broker,
    process::{Home, Process},
    registry::shared_registry,
    source::{Setup, Source},
    topics::{Record, read_to_end, unique_prefix},
    wait::wait_until,
};

pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

pub(crate) fn published(prefix: &str, stream: Stream) -> Vec<Record> {
    read_to_end(shared_broker().bootstrap(), &format!("{prefix}.{}", stream.topic_suffix()))
}

/// The topics of a test at the shared broker.
pub(crate) fn topics(prefix: &str) -> Topics<'_> {
    let (brokers, registry) = (shared_broker().bootstrap(), shared_registry().url());
    Topics { brokers, registry, prefix }
}

/// The only connection of most tests.
const CONNECTIONS: [&str; 1] = ["acme"];

/// A small source, and replicas that publish it under one prefix.
#[derive(Debug)]
struct Scene {
    source: Source,
    prefix: String,
}

impl Scene {
    fn new(name: &str) -> Self {
        Self { source: Source::loaded(&SMALL), prefix: unique_prefix(name) }
    }

    fn topics(&self) -> Topics<'_> {
        topics(&self.prefix)
    }

    fn setup(&self) -> Setup<'_> {
        Setup::new(&self.prefix)
    }

    /// So many replicas, each in a home of its own.
    fn start(&self, setup: &Setup<'_>, replicas: usize) -> (Vec<Home>, Vec<Process>) {
        let homes: Vec<Home> = (0..replicas).map(|_| self.source.home_of(setup)).collect();
        let running = homes.iter().map(Home::run).collect();
        (homes, running)
    }

    /// Waits until nothing more can come: every content stands there once, and every replica runs.
    #[track_caller]
    fn assert_exactly_once(&self, churn: &Churn<'_>, tail: &mut Tail<'_>, running: &mut [Process]) {
        settle(&self.source, churn, tail);
        self.topics().assert_exactly_once(&self.source, &CONNECTIONS, Late::Sometimes);
        assert!(running.iter_mut().all(Process::is_running), "no replica gave up");
    }
}

/// Waits until every content is visible, and then until the source was read all over again twice:
/// what memory had lost would be published anew.
fn settle(source: &Source, churn: &Churn<'_>, tail: &mut Tail<'_>) {
    let wanted = churn.wanted();
    wait_until("every content is visible", DEADLINE, || {
        tail.catch_up();
        tail.total() >= wanted
    });
    let requests = || source.simulator.requests();
    // A look-back of an account asks for three windows, one of a terminal for one or two.
    let (accounts, terminals) = churn.entity_counts();
    let rounds = [
        (Operation::AccountTransactions, 8 * accounts),
        (Operation::StationTransactions, 6 * terminals),
        (Operation::TransactionsList, 2),
        (Operation::TosQuery, 16),
    ];
    let before = rounds.map(|(operation, _)| requests().count(operation));
    wait_until("the source is read all over again", DEADLINE, || {
        let now = requests();
        rounds
            .iter()
            .zip(before)
            .all(|((operation, more), old)| now.count(*operation) >= old + more)
    });
    tail.catch_up();
}
