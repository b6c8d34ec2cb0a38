//! The words of the business: ids, money, time and the records that are published.
//!
//! Nothing here reads a clock, a file or a socket, and nothing here knows an I/O crate.

pub mod commands;
pub mod content;
pub mod fields;
pub mod ids;
pub mod meta;
pub mod money;
pub mod payment;
pub mod quarantine;
pub mod record;
pub mod reference;
pub mod refusals;
pub mod schemas;
pub mod time;
pub mod transactions;
pub mod vocabulary;
pub mod warnings;
pub mod words;
