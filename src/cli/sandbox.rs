//! `sandbox`: everything in one process, without an account or a broker.

use std::net::SocketAddr;

use crate::config::duration::Span;

/// Arguments of `sandbox`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// End by itself after this long.
    #[arg(long = "for", value_name = "DURATION", value_parser = super::duration)]
    pub for_: Option<Span>,
    /// Only the simulator, for tests and Compose.
    #[arg(long)]
    pub api_only: bool,
    /// Where the simulator listens; port 0 takes any free port and prints it.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Of the generator: the same seed gives the same rows.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}
