//! `version`: what this binary was built from.

use super::{Context, Failure, output};
use crate::telemetry::build::BUILD;

/// Arguments of `version`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON; the same as `-o json`.
    #[arg(long)]
    pub json: bool,
}

/// Prints name, version, commit and compiler.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    if args.json {
        return output::write(&output::json(&BUILD)?);
    }
    output::print(context, &BUILD, || {
        format!("{} {} (revision {}, {})", BUILD.name, BUILD.version, BUILD.revision, BUILD.rustc)
    })
}
