//! From a batch to a committed transaction.
//!
//! A [`batch::Batch`] is one value: the events and the state that proves them. `encode` knows the
//! schemas and turns records into bytes (`avro`), `registry` asks for their ids once at start, `writer`
//! owns a transactional producer, `ahead` says when the rows of one key have filled a batch, `transaction`
//! is one transaction with all that its calls may end in, and `group` puts batches of several pollers
//! into one, on the shard's thread, and has the local `cache` follow; `decode` is the way back.

mod ahead;
mod avro;
pub mod batch;
mod cache;
pub mod decode;
pub mod differences;
pub mod encode;
pub mod group;
pub mod registry;
pub mod transaction;
pub mod writer;
