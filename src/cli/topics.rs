//! `topics`: the topics as they must be, and what would make them so.

use clap::Subcommand;

/// Arguments of `topics`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done with topics.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what is missing or different.
    Plan,
    /// Create what is missing.
    Apply {
        /// Without asking.
        #[arg(long)]
        yes: bool,
    },
}
