//! `commands export`: every command with its story, for files, audits and other programs.

use std::io::{self, BufWriter, Write};

use super::list::{Of, State, filter};
use crate::{
    app::commands::story::Story,
    cli::{Context, Exit, Failure, output},
};

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
    let journal = super::journal(&kafka).await?;
    let mut chosen = filter(args.state, args.of).chosen(&journal);
    // By age: another export of a journal that went on begins with the same lines.
    chosen.sort_by_key(|entry| (entry.first_at(), entry.key().clone()));
    let mut stdout = BufWriter::new(io::stdout().lock());
    for entry in &chosen {
        let line = serde_json::to_string(&Story::of(entry, &journal))
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        writeln!(stdout, "{line}")?;
    }
    stdout.flush()?;
    eprintln!("{} of {} commands", chosen.len(), journal.commands.len());
    Ok(())
}
