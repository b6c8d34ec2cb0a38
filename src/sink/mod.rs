//! Payment commands from Kafka, each executed at most once, each ending in exactly one result.
//!
//! In: `<prefix>.payment.commands`. Out: `<prefix>.payment.results`, and the journal, which is the
//! memory of this room. Money moves by one `POST` a command; what decides about it is pure:
//!
//! - `payload`, `command`: bytes of a record to a valid command, or to the reason why not
//! - `journal`: the story of one command as a list of events, and the one function that folds it
//! - `plan`, `doubt`, `brakes`, `answer`: what comes next, and what an answer means
//! - `result`: the event that tells what became of a command
//! - `queue`: one command of a reference at a time
//! - `finished`, `retention`: what need not stay in memory, and in the journal
//!
//! None of these reads a clock or waits: they are given `now` and answer with times.

pub mod brakes;
pub mod command;
pub mod doubt;
pub mod journal;
pub mod payload;
pub mod plan;
mod text;
