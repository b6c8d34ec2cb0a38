//! `run`: the connector against real systems.

/// Arguments of `run`; everything else stands in the configuration.
#[derive(Debug, clap::Args)]
pub struct Args {}
