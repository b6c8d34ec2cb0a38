//! Everything outside of the connector, played in one process: the source systems and a schema
//! registry.
//!
//! The simulator answers as the source documents show, quirks included, from a ledger that tests
//! can read as the ground truth. Nothing here talks to anybody's bank, and no row is anybody's.

pub mod broker;
pub mod embedded;
mod generator;
pub mod ledger;
mod random;
pub mod registry;
pub mod simulator;

pub use registry::Registry;
pub use simulator::{Simulator, SimulatorOptions};
