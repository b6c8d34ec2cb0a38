//! The words of the business: ids, money, time and the records that are published.
//!
//! Nothing here reads a clock, a file or a socket, and nothing here knows an I/O crate.

pub mod ids;
pub mod money;
pub mod record;
pub mod time;
