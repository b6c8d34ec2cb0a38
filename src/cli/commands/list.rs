//! `commands list`: who needs somebody, who waits, who is done.

use clap::ValueEnum;

use super::lines;
use crate::{
    app::commands::list::{Decided, FINISHED_MAX, Filter, Listed, Row, Wanted, listed},
    cli::{Context, Failure, output},
    sink::{inspect::Words, journal::Entry},
};

/// Arguments of `commands list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those that stand like this; by default those that are not finished.
    #[arg(long, value_enum, default_value_t)]
    state: State,
    #[command(flatten)]
    of: Of,
}

/// Whose commands are meant.
#[derive(Debug, clap::Args)]
pub(super) struct Of {
    /// Only this connection.
    #[arg(long, value_name = "ID")]
    connection: Option<String>,
    /// Only this payment.
    #[arg(long, value_name = "REFERENCE")]
    reference: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum State {
    /// Not finished: waiting, on their way, in doubt or parked.
    #[default]
    Open,
    /// In doubt or parked.
    InDoubt,
    /// Parked: somebody must decide.
    Parked,
    /// Finished.
    Finished,
    /// Every one.
    All,
}

/// What both arguments mean together.
pub(super) fn filter(state: State, of: Of) -> Filter {
    let state = match state {
        State::Open => Wanted::Open,
        State::InDoubt => Wanted::InDoubt,
        State::Parked => Wanted::Parked,
        State::Finished => Wanted::Finished,
        State::All => Wanted::All,
    };
    Filter { state, connection: of.connection, reference: of.reference }
}

/// Prints them.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let kafka = context.load()?.config.kafka;
    let Listed { entries, left_out, words } = listed(&kafka, filter(args.state, args.of)).await?;
    let rows: Vec<Row> = entries.iter().map(|entry| Row::of(entry, &words)).collect();
    output::print(context, &rows, || table(&entries, &words))?;
    if let Some(stop) = words.stop.as_ref().filter(|stop| stop.stopped) {
        eprintln!(
            "the kill switch is on since {}, by {}: {}",
            lines::local(stop.at),
            stop.actor,
            stop.reason
        );
    }
    if left_out > 0 {
        eprintln!(
            "{left_out} older finished ones are left out: a list has the newest {FINISHED_MAX}; \
             `commands export` tells of every one"
        );
    }
    if rows.is_empty() {
        eprintln!("no command fits; --state all shows the finished ones too");
    }
    Ok(())
}

fn table(entries: &[Entry], words: &Words) -> String {
    let columns = ["command", "connection", "reference", "type", "amount", "status", "since"];
    let mut table = output::unbroken_table(&columns);
    for entry in entries {
        let (key, outline) = (entry.key(), entry.outline());
        let amount = outline.amount.map(|amount| lines::money(amount, lines::currency(entry)));
        table.add_row([
            key.command_id.to_string(),
            key.connection.to_string(),
            key.reference_no.to_string(),
            outline.kind.to_string(),
            amount.unwrap_or_else(|| "–".to_owned()),
            status(entry, words),
            lines::local(entry.last_at()),
        ]);
    }
    table.to_string()
}

/// How a command stands, and what becomes of it when the sink runs.
fn status(entry: &Entry, words: &Words) -> String {
    let word = entry.status().word();
    match Decided::about(entry, words) {
        Some(Decided { outcome, .. }) => format!("{word}, decided: {outcome}"),
        None => word.to_owned(),
    }
}
