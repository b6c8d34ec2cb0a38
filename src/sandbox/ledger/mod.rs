//! What the simulated source knows: the ground truth that a test may compare with.
//!
//! Rows stand in it as finished JSON, so a window of 20,000 rows is a copy; every content that a
//! row ever had is kept, and rows that were deleted stay in the history.

mod arrivals;
mod error;
mod payments;
mod reference;
mod rows;
mod samples;
mod shelf;
mod truth;

pub use arrivals::{Load, Mix};
pub use error::LedgerError;
pub use payments::{NewPayment, Refusal};
pub use rows::Ledger;
pub(super) use samples::find_sample;
pub(super) use shelf::{Filter, Row, read_time, seconds};
pub use truth::RowHistory;

#[cfg(test)]
mod tests;
