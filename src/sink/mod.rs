//! Payment commands from Kafka, each executed at most once, each ending in exactly one result.
//!
//! In: `<prefix>.payment.commands`. Out: `<prefix>.payment.results`, and the journal, which is the
//! memory of this room. Money moves by one `POST` a command; what decides about it is pure:
//!
//! - `payload`, `command`, `admission`: bytes of a record to a valid command, or why not
//! - `journal`: the story of one command as a list of events, and the one function that folds it
//! - `plan`, `look`, `doubt`, `rivals`, `brakes`, `answer`: what comes next, and what an answer means
//! - `result`: the event that tells what became of a command
//! - `queue`: one command of a reference at a time; `waiting`: how many wait, and since when
//! - `finished`, `retention`: what need not stay in memory, and in the journal
//! - `standstill`: partitions that wait for the schema of a record, and what of each is next
//!
//! None of these reads a clock or waits: they are given `now` and answer with times. The shell acts:
//!
//! - `ownership`, `owner`, `term`: which replica runs the sink, its life, one term of it
//! - `lock`, `memory`: the lock, and what the journal tells whoever takes it; `absence`: how long a topic
//!   of the sink has been missing; `held`, `unread`: records that no transaction ends, and such as
//!   cannot be read
//! - `reporter`: how far commands are taken and the journal is written, for the group
//! - `intake`, `lag`, `schemas`, `clerk`: records from the topic, how many wait there, what they were
//!   written with, commands into the journal
//! - `dispatch`, `turn`: whose turn it is, and one turn from look to result; `set_back`: a wall clock by
//!   which nothing would have its turn for longer than it should
//! - `desk`, `open`, `ledger`, `archive`: what the tasks share, what is committed, what is read again
//! - `witness`: whether a reader of committed records has seen a permission, or a command that was taken
//!   in; `unseen`: the offsets that wait for the latter
//! - `operator`, `decisions`, `stop_file`, `words`: what people say; `inspect`, `catalogue`: what they are told; `tally`: what is counted

pub mod absence;
pub mod admission;
pub mod answer;
pub mod archive;
pub mod brakes;
pub mod catalogue;
pub mod clerk;
pub mod command;
pub mod decisions;
pub mod desk;
pub mod dispatch;
pub mod doubt;
pub mod finished;
pub mod held;
pub mod inspect;
pub mod intake;
pub mod journal;
pub mod lag;
pub mod ledger;
pub mod lock;
pub mod look;
pub mod memory;
mod open;
pub mod operator;
pub mod owner;
pub mod ownership;
pub mod payload;
pub mod plan;
pub mod queue;
pub mod reporter;
pub mod result;
pub mod retention;
pub mod rivals;
pub mod schemas;
mod set_back;
mod standstill;
pub mod stop_file;
pub mod tally;
pub mod term;
mod text;
pub mod turn;
mod unread;
pub mod unseen;
pub mod waiting;
pub mod witness;
pub mod words;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
pub(crate) mod tests;
