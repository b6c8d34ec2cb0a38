//! Rows from the source systems into a real Kafka: each content of each row exactly once, whichever
//! process dies, stops or is cut off.
//!
//! The connector runs as child processes; `checker` compares the topics and the state with the
//! ledger of the simulated source, by the tables in `truth`.

pub(crate) mod checker;
mod once;
mod truth;

use std::time::Duration;

use vomsis_connect::domain::ids::Stream;

use self::checker::STREAMS;
use crate::harness::{
    kafka::shared_broker,
    registry::shared_registry,
    topics::{Record, read_to_end},
};

pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

pub(crate) fn published(prefix: &str, stream: Stream) -> Vec<Record> {
    read_to_end(shared_broker().bootstrap(), &format!("{prefix}.{}", stream.topic_suffix()))
}

/// The topics of a test at the shared broker.
pub(crate) fn topics(prefix: &str) -> checker::Topics<'_> {
    let (brokers, registry) = (shared_broker().bootstrap(), shared_registry().url());
    checker::Topics { brokers, registry, prefix }
}
