//! `checkpoint`: how far each entity has come, as it is committed in Kafka, and the way on where
//! some of that was lost.

mod reset;

use std::sync::{Arc, atomic::AtomicU64};

use clap::Subcommand;
use serde::Serialize;

use super::{Context, Exit, Failure, output, preview::chosen, progress};
use crate::{
    config::model::Kafka,
    domain::{
        ids::{EntityKey, Stream},
        time::Timestamp,
    },
    shards::{inspect, reset::Decision},
    state::changelog::EntityState,
    telemetry::clock::now,
};

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
    /// Show them, read from Kafka; takes no lock and disturbs nobody.
    List {
        /// Only this connection.
        #[arg(long, value_name = "ID")]
        connection: Option<String>,
        /// Only this stream.
        #[arg(long, value_parser = crate::cli::stream)]
        stream: Option<Stream>,
    },
    /// Accept that the state topic lost something (STATE_REGRESSION): its shards go on with what is
    /// left, and what is missing is read and published again; or take shards over from a deployment
    /// of another env or kafka.group that has ended. Shows what it would do, and does it with --yes.
    Reset {
        /// Only this shard, else every one that lost something.
        #[arg(long, value_name = "N")]
        shard: Option<i32>,
        /// Why; it is written down in the state topic.
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// Who; it is written down too.
        #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
        by: String,
        /// Do it.
        #[arg(long)]
        yes: bool,
    },
}

/// Runs one of them.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.command {
        Command::List { connection, stream } => list(connection, stream, context).await,
        Command::Reset { shard, why, by, yes } => {
            let decision = Decision { by, why, at: now() };
            reset::run(shard, decision, yes, context).await
        }
    }
}

async fn list(
    connection: Option<String>,
    stream: Option<Stream>,
    context: &Context,
) -> Result<(), Failure> {
    let config = context.load()?.config;
    let mut rows = read(config.kafka.clone()).await?;
    rows.retain(|row| {
        connection.as_ref().is_none_or(|wanted| *wanted == row.connection)
            && stream.is_none_or(|wanted| wanted.name() == row.stream)
    });
    if rows.is_empty() {
        // One that the configuration has no more may still have checkpoints; one that has neither
        // is a slip of the pen.
        chosen(&config, connection.as_deref())?;
        eprintln!("no checkpoints: nothing that fits was committed yet");
    }
    output::print(context, &rows, || table(&rows))
}

/// One entity's position.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    connection: String,
    stream: &'static str,
    entity: String,
    shard: i32,
    /// The highest id read; lists have none.
    cursor: Option<i64>,
    /// First day of the first backfill.
    start: Option<String>,
    /// First day not yet backfilled; none when it is done.
    backfill_next: Option<String>,
    /// Share of the backfill, from 0 to 1.
    backfill_ratio: Option<f64>,
    /// Business time of the newest row.
    newest_at: Option<String>,
    /// Rows remembered for comparison.
    seen_rows: usize,
    /// When the rows that this covers were fetched.
    covered_at: Option<String>,
}

async fn read(kafka: Kafka) -> Result<Vec<Row>, Failure> {
    let records = Arc::new(AtomicU64::new(0));
    let shown = progress::count("records of the state topic", Arc::clone(&records));
    let reading = tokio::task::spawn_blocking(move || -> Result<_, Failure> {
        let mut rows = Vec::new();
        for stretch in inspect::stretches(&kafka)? {
            let state = inspect::committed_state(&kafka, &stretch, &records)?;
            rows.extend(state.entities().map(|(key, state)| row(stretch.partition, key, state)));
        }
        Ok(rows)
    });
    let read = reading.await;
    drop(shown);
    let mut rows = read.map_err(|error| Failure::new(Exit::Failed, error.to_string()))??;
    rows.retain(|row| row.covered_at.is_some() || row.seen_rows > 0);
    rows.sort_by(|a, b| order(a).cmp(&order(b)));
    Ok(rows)
}

/// Entities are mostly numbers, and people count them that way.
fn order(row: &Row) -> (&str, &str, i64, &str) {
    (&row.connection, row.stream, row.entity.parse().unwrap_or(i64::MAX), &row.entity)
}

fn row(shard: i32, key: &EntityKey, state: &EntityState) -> Row {
    let checkpoint = state.checkpoint.as_ref();
    let day = |day: crate::domain::time::Day| day.to_date().to_string();
    Row {
        connection: key.connection.to_string(),
        stream: key.stream.name(),
        entity: key.entity.to_string(),
        shard,
        cursor: checkpoint.and_then(|c| c.cursor),
        start: checkpoint.map(|c| day(c.start)),
        backfill_next: checkpoint.and_then(|c| c.backfill_next).map(day),
        backfill_ratio: checkpoint.map(|c| c.backfill_ratio(now().local_day())),
        newest_at: checkpoint.and_then(|c| c.newest_at).map(Timestamp::to_rfc3339),
        seen_rows: state.seen.len(),
        covered_at: checkpoint.map(|c| c.covered_at.to_rfc3339()),
    }
}

fn table(rows: &[Row]) -> String {
    let columns = ["connection", "stream", "entity", "cursor", "backfill", "newest", "seen rows"];
    let mut table = output::unbroken_table(&[&columns[..], &["covered at"]].concat());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    for row in rows {
        table.add_row([
            row.connection.clone(),
            row.stream.to_owned(),
            row.entity.clone(),
            or_dash(row.cursor.map(|cursor| cursor.to_string())),
            or_dash(backfill(row)),
            or_dash(row.newest_at.clone()),
            row.seen_rows.to_string(),
            or_dash(row.covered_at.clone()),
        ]);
    }
    table.to_string()
}

fn backfill(row: &Row) -> Option<String> {
    let ratio = row.backfill_ratio?;
    Some(match &row.backfill_next {
        None => "done".to_owned(),
        Some(next) => format!("{:.0} %, next {next}", (ratio * 100.0).floor()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::ids::ConnectionId, state::position::Checkpoint};

    fn shown(entity: &str, backfill_next: Option<i32>) -> Row {
        let key = EntityKey {
            connection: ConnectionId::try_new("acme").unwrap(),
            stream: Stream::BankTransactions,
            entity: entity.into(),
        };
        let today = now().local_day();
        let mut checkpoint = Checkpoint::initial(today.plus(-10), Timestamp(0));
        checkpoint.cursor = Some(7);
        checkpoint.backfill_next = backfill_next.map(|days| today.plus(days));
        row(1, &key, &EntityState { checkpoint: Some(checkpoint), ..EntityState::default() })
    }

    #[test]
    fn a_backfill_is_done_or_somewhere() {
        assert_eq!(backfill(&shown("1", None)).unwrap(), "done");
        let half = backfill(&shown("1", Some(-5))).unwrap();
        assert!(half.starts_with("50 %, next 2"), "{half}");
    }

    #[test]
    fn entities_stand_in_the_order_of_their_numbers() {
        let mut rows = [shown("10", None), shown("9", None), shown("all", None)];
        rows.sort_by(|a, b| order(a).cmp(&order(b)));
        let entities: Vec<_> = rows.iter().map(|row| row.entity.as_str()).collect();
        assert_eq!(entities, ["9", "10", "all"]);
    }
}
