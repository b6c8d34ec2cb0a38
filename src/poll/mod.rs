//! From a schedule to committed rows.
//!
//! In the order of the data; the first line of each pair decides, the second acts:
//!
//! - `plan`, `history`, `backoff`: what is due, window by window, and when again after a failure
//! - `row_limit`, `fetch`, `day_parts`, `backlog`: asks the API, and looks twice where a count may be a
//!   limit, at a day by its hours; by days where a live answer is too large
//! - `digest`, `working`, `kinds`, `repeats`, `refusal`, `absence`: new, changed, late and known rows;
//!   what goes to quarantine; which of several contents counts; when nothing of an answer is believed;
//!   rows that are gone
//! - `failure`, `entity`: why a step did not end well; publishes with the checkpoint last (`seal`), and only
//!   then remembers
//! - `task`, `feed` with `feed_trail`, `feed_look_back`, `feed_backlog`, `feed_unlisted` and `feed_out`,
//!   `snapshot`: one account, terminal or institution; all accounts at once; lists that are read whole
//! - `completion`, `lookups`: what lists lack, asked for by id or bank by bank
//! - `served`: what an account knows of the feed that may read for it
//! - `connection`, `discovery`, `tos_refusals`: starts and stops them as the lists say; refused tokens
//! - `fields`: single fields of a row before it is mapped
//! - `board`, `report`, `blame`, `series`, `rooms`: what is shown, whose call failed, how many
//!   windows may wait for their commit
//! - `preview`: what would be published

mod absence;
mod backlog;
mod backoff;
mod blame;
pub mod board;
mod completion;
pub mod connection;
mod day_parts;
pub mod digest;
pub mod discovery;
pub mod entity;
mod failure;
pub mod feed;
mod feed_backlog;
mod feed_look_back;
mod feed_out;
mod feed_trail;
pub mod feed_unlisted;
pub mod fetch;
mod fields;
pub mod history;
mod kinds;
mod lookups;
pub mod plan;
pub mod preview;
mod refusal;
mod repeats;
mod report;
pub mod rooms;
mod row_limit;
pub mod series;
pub mod served;
pub mod snapshot;
pub mod task;
mod tos_refusals;
mod working;

#[cfg(test)]
mod tests;
