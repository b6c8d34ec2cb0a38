//! `checkpoint`: how far each entity has come.

use clap::Subcommand;

/// Arguments of `checkpoint`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done with checkpoints.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show them.
    List {
        /// Only this connection.
        #[arg(long, value_name = "ID")]
        connection: Option<String>,
        /// Only this stream.
        #[arg(long, value_parser = crate::cli::stream)]
        stream: Option<crate::domain::ids::Stream>,
    },
}
