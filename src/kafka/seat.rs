//! What librdkafka calls back about a membership in a group.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    ClientContext, Statistics,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance},
    error::KafkaError,
    statistics::ConsumerGroup,
    types::RDKafkaErrorCode,
};

use super::context::Logging;

/// Whether the group counts on this member, as librdkafka's rebalances tell, and whether its
/// coordinator is reached, as the statistics do.
///
/// A member whose coordinator is away for a session loses its places while other brokers still
/// answer: without this one it would look like a member that the group needs for nothing. One that
/// has no places is told nothing when it is lost, and still counts; only that it does not reach the
/// coordinator is seen.
#[derive(Debug, Clone, Default)]
pub struct Seat(Arc<State>);

#[derive(Debug, Default)]
struct State {
    joined: AtomicBool,
    reached: AtomicBool,
    trouble: Mutex<Option<String>>,
}

impl Seat {
    /// Whether the group counts on this member: it has joined, and has not been lost since.
    pub(super) fn is_joined(&self) -> bool {
        self.0.joined.load(Ordering::Acquire)
    }

    /// Whether the coordinator took part when it was looked at last, some seconds ago.
    pub(super) fn is_reached(&self) -> bool {
        self.0.reached.load(Ordering::Acquire)
    }

    /// What the client said last of a broker, unless the coordinator has been reached since.
    pub(super) fn trouble(&self) -> Option<String> {
        self.told().clone()
    }

    fn told(&self) -> MutexGuard<'_, Option<String>> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_joined(&self, joined: bool) {
        self.0.joined.store(joined, Ordering::Release);
        self.set_reached(joined);
    }

    fn set_reached(&self, reached: bool) {
        self.0.reached.store(reached, Ordering::Release);
        if reached {
            *self.told() = None;
        }
    }
}

impl ClientContext for Seat {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        Logging.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // That all are down says less than what one of them said before.
        let is_sum = error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown);
        let mut told = self.told();
        if !is_sum || told.is_none() {
            *told = Some(reason.to_owned());
        }
        drop(told);
        Logging.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.set_reached(statistics.cgrp.as_ref().is_some_and(takes_part));
    }
}

impl ConsumerContext for Seat {
    // Before, for giving the places back takes the mark of their loss away.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            // Be there none: whoever joined is told.
            Rebalance::Assign(_) => self.set_joined(true),
            Rebalance::Revoke(_) if !consumer.assignment_lost() => {}
            Rebalance::Revoke(_) | Rebalance::Error(_) => self.set_joined(false),
        }
    }
}

/// Whether the coordinator's connection is up and has been asked to let this member in. A rebalance
/// that another member holds up counts: a new client would only wait for it from the beginning.
fn takes_part(group: &ConsumerGroup) -> bool {
    group.state == "up" && group.join_state != "init"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(state: &str, join_state: &str) -> Statistics {
        let (state, join_state) = (state.to_owned(), join_state.to_owned());
        let cgrp = Some(ConsumerGroup { state, join_state, ..ConsumerGroup::default() });
        Statistics { cgrp, ..Statistics::default() }
    }

    #[test]
    fn a_member_that_the_group_counts_on_may_still_not_reach_it() {
        let seat = Seat::default();
        assert!(!seat.is_reached());
        for (state, join_state, is_reached) in [
            ("query-coord", "init", false),
            ("up", "init", false),
            ("up", "wait-join", true),
            ("wait-broker-transport", "wait-join", false),
            ("up", "steady", true),
            ("query-coord", "steady", false),
        ] {
            seat.set_joined(true);
            seat.stats(statistics(state, join_state));
            assert_eq!(seat.is_reached(), is_reached, "{state} {join_state}");
            assert!(seat.is_joined());
        }
    }

    #[test]
    fn what_was_wrong_is_known_until_the_coordinator_is_reached() {
        let seat = Seat::default();
        let down = || KafkaError::Global(RDKafkaErrorCode::AllBrokersDown);
        seat.error(down(), "1/1 brokers are down");
        assert_eq!(seat.trouble().as_deref(), Some("1/1 brokers are down"));
        seat.error(KafkaError::Global(RDKafkaErrorCode::SSL), "certificate verify failed");
        seat.error(down(), "1/1 brokers are down");
        assert_eq!(seat.trouble().as_deref(), Some("certificate verify failed"));
        seat.stats(statistics("up", "steady"));
        assert_eq!(seat.trouble(), None);
    }
}
