//! Client settings in one table, what librdkafka thinks of the operator's, error verdicts, groups
//! that place work, reading a partition to its end, topics.

pub mod context;
pub mod group;
pub mod patience;
pub mod properties;
pub mod reading;
pub mod seat;
pub mod settings;
pub mod topics;
pub mod verdict;
pub mod viewing;

#[cfg(test)]
mod refusing_broker;
