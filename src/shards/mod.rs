//! Shards: who owns which, the lock, the restore, and the life of an owned shard.
//!
//! `placement` puts connections on shards, `assignment` shares shards between replicas, `restore`
//! locks a shard and reads its state (`moved`: unless a connection would begin anew), `owner` runs it
//! until it is lost or given back (`pace`: when it is tried again), `inspect` shows the state without
//! the lock, and `reset` writes down that an operator accepts a loss.

pub mod assignment;
pub mod inspect;
pub mod moved;
mod notes;
pub mod owner;
mod pace;
pub mod placement;
pub mod reset;
pub mod restore;
