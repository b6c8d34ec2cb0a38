//! What the connector remembers: positions and seen rows, as values, as bytes, and on disk.
//!
//! The truth is the changelog in Kafka. `position` and `seen` are the values, `codec` their bytes,
//! `changelog` puts the records of one shard back together, and `store` is the local cache that
//! any doubt throws away.

pub mod changelog;
pub mod codec;
pub mod folder;
mod places;
pub mod position;
pub mod seen;
pub mod store;
