//! vomsis-connect: bank, POS, virtual-POS and TOS rows from HTTP APIs into Kafka, exactly once.
//!
//! The rooms are named for the data that walks through them; `ARCHITECTURE.md` is the map.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod failpoints;
pub mod http;
pub mod kafka;
pub mod mapping;
pub mod poll;
pub mod publish;
pub mod sandbox;
pub mod shards;
pub mod sink;
pub mod state;
pub mod telemetry;
