//! Shards: who owns which, the lock, the restore, and the life of an owned shard.
//!
//! `placement` puts connections on shards, `assignment` shares shards between replicas, `restore`
//! locks a shard and reads its state, `owner` runs it until it is lost or given back, `inspect` shows
//! the state without the lock.

pub mod assignment;
pub mod inspect;
pub mod note;
pub mod owner;
pub mod placement;
pub mod restore;
