//! From a schedule to committed rows.
//!
//! `plan` says what is due, `fetch` asks the API, `digest` tells new, changed and known rows apart
//! and makes batches of them, and `task` runs one entity: plan, fetch, digest, publish, and only
//! then remember. `snapshot` does the same for lists that are read whole, `feed` for the
//! connection-wide bank call, `connection` starts and stops them all, and `preview` shows
//! what they would publish.

mod absence;
mod backoff;
mod blame;
pub mod board;
pub mod connection;
pub mod digest;
pub mod discovery;
pub mod entity;
pub mod feed;
mod feed_look_back;
pub mod fetch;
pub mod history;
pub mod plan;
pub mod preview;
mod refusal;
mod report;
pub mod rooms;
pub mod series;
pub mod snapshot;
pub mod task;
mod working;

#[cfg(test)]
mod tests;
