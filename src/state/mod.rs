//! What the connector remembers: positions and seen rows, as values, as bytes, and on disk.
//!
//! The truth is the changelog in Kafka. `position` and `seen` are the values, `codec` and `chunk`
//! their bytes, `changelog` puts the records of one shard back together, `note` tells whether any
//! were lost, `reset` is an operator's word about a loss, `store` is the local cache that any
//! doubt throws away, and `keeper` the thread that writes it.

pub mod changelog;
mod chunk;
pub mod codec;
pub mod folder;
pub mod keeper;
pub mod note;
mod places;
pub mod position;
pub mod reset;
pub mod seen;
pub mod store;
