//! `commands list`: who needs somebody, who waits, who is done.

use clap::ValueEnum;
use serde::Serialize;

use super::lines;
use crate::{
    cli::{Context, Failure, output},
    domain::time::Timestamp,
    sink::{
        inspect::Inspected,
        journal::{Entry, Status},
    },
};

/// Arguments of `commands list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those that stand like this; by default those that are not finished.
    #[arg(long, value_enum, default_value_t)]
    state: Wanted,
    /// Only this connection.
    #[arg(long, value_name = "ID")]
    connection: Option<String>,
    /// Only this payment.
    #[arg(long, value_name = "REFERENCE")]
    reference: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Wanted {
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

impl Wanted {
    const fn fits(self, status: &Status) -> bool {
        match self {
            Self::All => true,
            Self::Open => !status.is_finished(),
            Self::Finished => status.is_finished(),
            Self::Parked => matches!(status, Status::Parked),
            Self::InDoubt => matches!(status, Status::Parked | Status::InDoubt { .. }),
        }
    }
}

/// One command in a line.
#[derive(Debug, Serialize)]
struct Row {
    command_id: String,
    connection: String,
    reference_no: String,
    r#type: String,
    amount: Option<String>,
    status: &'static str,
    attempts: i32,
    /// Results published so far.
    sequence: i32,
    received_at: String,
    last_at: String,
    /// What to type where somebody must decide.
    next: Option<String>,
    #[serde(skip)]
    rank: (u8, Timestamp),
    #[serde(skip)]
    shown: Shown,
}

/// For people.
#[derive(Debug)]
struct Shown {
    amount: Option<String>,
    since: String,
}

/// Prints them.
pub(super) async fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let kafka = context.load()?.config.kafka;
    let journal = super::journal(&kafka).await?;
    let rows = rows(&journal, args);
    output::print(context, &rows, || table(&rows))?;
    if let Some(stop) = journal.stop.as_ref().filter(|stop| stop.stopped) {
        eprintln!(
            "the kill switch is on since {}, by {}: {}",
            lines::local(stop.at),
            stop.actor,
            stop.reason
        );
    }
    if rows.is_empty() {
        eprintln!("no command fits; --state all shows the finished ones too");
    }
    Ok(())
}

fn rows(journal: &Inspected, args: &Args) -> Vec<Row> {
    let mut rows: Vec<Row> = journal
        .commands
        .iter()
        .filter(|(key, told)| {
            args.state.fits(told.entry.status())
                && args.connection.as_ref().is_none_or(|c| *c == key.connection.as_str())
                && args.reference.as_ref().is_none_or(|r| **r == *key.reference_no)
        })
        .map(|(_, told)| row(&told.entry))
        .collect();
    rows.sort_by_key(|row| row.rank);
    rows
}

fn row(entry: &Entry) -> Row {
    let (key, outline, status) = (entry.key(), entry.outline(), entry.status());
    let urgency = match status {
        Status::Parked => 0,
        Status::InDoubt { .. } => 1,
        Status::Intended(_) | Status::NotSent { .. } | Status::Received => 2,
        Status::Done { .. }
        | Status::Declined
        | Status::Rejected
        | Status::Expired
        | Status::Resolved { .. } => 3,
    };
    let next = (*status == Status::Parked).then(|| {
        format!(
            "commands resolve {} --outcome executed|not-executed --evidence TEXT --actor NAME",
            key.command_id
        )
    });
    Row {
        command_id: key.command_id.to_string(),
        connection: key.connection.to_string(),
        reference_no: key.reference_no.to_string(),
        r#type: outline.kind.to_string(),
        amount: outline.amount.map(|amount| amount.to_string()),
        status: status.word(),
        attempts: entry.attempts(),
        sequence: entry.sequence(),
        received_at: entry.first_at().to_rfc3339(),
        last_at: entry.last_at().to_rfc3339(),
        next,
        rank: (urgency, entry.first_at()),
        shown: Shown {
            amount: outline.amount.map(|amount| lines::money(amount, lines::currency(entry))),
            since: lines::local(entry.last_at()),
        },
    }
}

fn table(rows: &[Row]) -> String {
    let columns = ["command", "connection", "reference", "type", "amount", "status", "since"];
    let mut table = output::table(&columns);
    for row in rows {
        table.add_row([
            row.command_id.clone(),
            row.connection.clone(),
            row.reference_no.clone(),
            row.r#type.clone(),
            row.shown.amount.clone().unwrap_or_else(|| "–".to_owned()),
            row.status.to_owned(),
            row.shown.since.clone(),
        ]);
    }
    table.to_string()
}
