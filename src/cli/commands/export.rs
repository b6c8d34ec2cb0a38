//! `commands export`: every command with its story, for files, audits and other programs.

use std::io::{self, BufWriter, Write};

use super::list::{Of, State, filter};
use crate::{
    app::commands::{
        list::{catalogue, stories},
        story::Story,
    },
    cli::{Context, Exit, Failure, output},
};

/// Stories in memory at a time; an old journal has millions.
const PART: usize = 5_000;

/// Arguments of `commands export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those that stand like this; by default every one.
    #[arg(long, value_enum, default_value_t = State::All)]
    state: State,
    #[command(flatten)]
    of: Of,
}

/// Writes them to stdout, each as `commands show -o json` tells it, without the duplicates: those are
/// on the results topic.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    output::only_lines(context, "commands export")?;
    let kafka = context.load()?.config.kafka;
    // By age: another export of a journal that went on begins with the same lines.
    let catalogue = catalogue(&kafka, filter(args.state, args.of)).await?;
    let mut stdout = BufWriter::new(io::stdout());
    for from in (0..catalogue.len()).step_by(PART) {
        let part = from..catalogue.len().min(from + PART);
        for entry in stories(&kafka, &catalogue, part).await? {
            let line = serde_json::to_string(&Story::of(&entry, &catalogue.words))
                .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
            writeln!(stdout, "{line}")?;
        }
    }
    stdout.flush()?;
    eprintln!("{} commands", catalogue.len());
    Ok(())
}
