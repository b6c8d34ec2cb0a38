//! `preview`: rows of the API as events on stdout; touches neither Kafka nor state.

use crate::{config::duration::Span, domain::ids::Stream};

/// Arguments of `preview`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which stream, such as `bank_transactions`.
    #[arg(value_parser = super::stream)]
    pub stream: Stream,
    /// How far back, in days.
    #[arg(long, default_value = "7d", value_parser = super::duration)]
    pub since: Span,
    /// No more events than this.
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
    /// Only this connection.
    #[arg(long, value_name = "ID")]
    pub connection: Option<String>,
}
