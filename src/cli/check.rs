//! `check`: whether every API, credential, broker, registry and folder can be used.

use clap::ValueEnum;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these, with commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Target>,
}

/// What can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The APIs and their credentials.
    Vomsis,
    /// Brokers and topics.
    Kafka,
    /// The schema registry.
    Registry,
    /// The folder of the local cache.
    State,
}

impl Args {
    /// Whether a target is wanted: all are, where none is named.
    pub fn wants(&self, target: Target) -> bool {
        self.only.is_empty() || self.only.contains(&target)
    }
}
