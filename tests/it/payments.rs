//! Payment commands from a real Kafka to a simulated virtual POS whose ledger counts every request:
//! at most one a command, and one final result each, whichever process dies, stands still or is
//! lied to.
//!
//! The connector runs as child processes; `checker` compares commands, requests, results and the
//! journal with one another.

mod admin;
mod again;
mod answers;
mod asleep;
mod brakes;
mod canary;
mod checker;
mod crowd;
mod desk;
mod examples;
mod feed;
mod given_back;
mod hangs;
mod heard;
mod held;
mod invalid;
mod killed;
mod late;
mod meeting;
mod members;
mod once;
mod orders;
mod people;
mod refused;
mod several;
mod stage;
mod story;
mod stray;
mod unknown;
mod untold;
mod widened;

use std::time::Duration;

pub(crate) const DEADLINE: Duration = Duration::from_secs(180);
