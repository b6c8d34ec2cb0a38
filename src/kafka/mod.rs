//! Client settings in one table, error verdicts, groups that place work, reading a partition to its
//! end, topics.

pub mod context;
pub mod group;
pub mod reading;
pub mod settings;
pub mod topics;
pub mod verdict;
pub mod viewing;
