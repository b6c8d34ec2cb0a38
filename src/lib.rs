//! vomsis-connect: bank, POS, virtual-POS and TOS rows from HTTP APIs into Kafka, exactly once.
//!
//! The rooms are named for the data that walks through them; `ARCHITECTURE.md` is the map.

pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod telemetry;
