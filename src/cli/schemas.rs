//! `schemas`: the schemas of the events and what the registry knows of them.

use clap::Subcommand;

/// Arguments of `schemas`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done with schemas.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the schemas of this version.
    List,
    /// Ask the registry whether it knows them or would take them.
    Check,
    /// Register what is missing.
    Register {
        /// Without asking.
        #[arg(long)]
        yes: bool,
    },
}
