//! `tail`: decoded events of a topic as JSON lines.

use std::{str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Context, Exit, Failure, output, preview::chosen, run::stop_on_signals};
use crate::{
    config::model::{Kafka, SchemaRegistry},
    kafka::{
        topics,
        viewing::{self, Unopened, Viewed, Viewer},
    },
    publish::{
        decode::{self, Decoder},
        registry::Registry,
    },
};

const POLL: Duration = Duration::from_millis(200);

/// Arguments of `tail`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The topic, with or without its prefix.
    pub topic: String,
    /// Where to begin: `beginning`, `end`, or a time such as `2026-01-31T08:00:00Z`.
    #[arg(long, default_value = "end")]
    pub from: From,
    /// Only events of this connection.
    #[arg(long, value_name = "ID")]
    pub connection: Option<String>,
    /// Only events of this account, terminal or institution.
    #[arg(long, value_name = "ID")]
    pub entity: Option<String>,
    /// End after this many events.
    #[arg(long, visible_alias = "max", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the oldest event there is.
    Beginning,
    /// With the next one.
    End,
    /// With the first one at or after an instant.
    Time(DateTime<Utc>),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" => Ok(Self::Beginning),
            "end" => Ok(Self::End),
            time => DateTime::parse_from_rfc3339(time)
                .map(|time| Self::Time(time.to_utc()))
                .map_err(|_| "write beginning, end or a time such as 2026-01-31T08:00:00Z".into()),
        }
    }
}

/// Prints events until Ctrl-C, or until `--limit` is reached.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    output::only_lines(context, "tail")?;
    let config = context.load()?.config;
    chosen(&config, args.connection.as_deref())?;
    let prefix = format!("{}.", config.kafka.topic_prefix);
    let suffix = args.topic.strip_prefix(&prefix).unwrap_or(&args.topic);
    let topic = config.kafka.topic(suffix);
    holds_events(&topic, suffix)?;
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    let from = match args.from {
        From::Beginning => viewing::From::Beginning,
        From::End => viewing::From::End,
        From::Time(time) => viewing::From::Time(time.timestamp_millis()),
    };
    let mut left = args.limit.unwrap_or(u64::MAX);
    let wanted = |viewed: &Viewed| is_wanted(&args, viewed);
    follow(&config.kafka, &config.schema_registry, &[topic], from, stop, |viewed, value| {
        if wanted(viewed) {
            output::write(&format!("{}\n", line(viewed, value)))?;
            left = left.saturating_sub(1);
        }
        Ok(left > 0)
    })
    .await
}

/// The connector's own topics hold no Avro; other commands know what stands there.
fn holds_events(topic: &str, suffix: &str) -> Result<(), Failure> {
    let shown_by = match suffix {
        topics::STATE => "checkpoint list shows what it holds",
        topics::JOURNAL => "commands list and commands show tell what it holds",
        topics::ASSIGNMENT => "it holds no records; status shows who has which shard",
        _ => return Ok(()),
    };
    let message = format!("topic {topic} holds no events but the connector's own records");
    Err(Failure::new(Exit::Usage, message).hint(shown_by))
}

/// Reads topics and hands each record with its decoded value to `each`, until that says no.
pub(super) async fn follow(
    kafka: &Kafka,
    registry: &SchemaRegistry,
    topics: &[String],
    from: viewing::From,
    stop: CancellationToken,
    mut each: impl FnMut(&Viewed, serde_json::Value) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let unavailable = |error: &dyn std::fmt::Display| {
        let message = format!("kafka at {}: {error}", kafka.bootstrap_servers);
        Failure::new(Exit::Unavailable, message)
            .hint("check kafka.bootstrap_servers and the network")
    };
    let mut decoder = Decoder::new(Registry::new(registry));
    // librdkafka's calls block; block_in_place lets the runtime go on beside them.
    let mut viewer =
        tokio::task::block_in_place(|| Viewer::open(kafka, topics, from)).map_err(|error| {
            match error {
                Unopened::NoTopic(_) => Failure::new(Exit::Failed, error.to_string())
                    .hint("topics plan lists those there should be, and whether they are there"),
                Unopened::Kafka(_) => unavailable(&error),
            }
        })?;
    while !stop.is_cancelled() {
        let viewed = tokio::task::block_in_place(|| viewer.next(POLL))
            .map_err(|error| unavailable(&error))?;
        let Some(viewed) = viewed else { continue };
        let value = match &viewed.value {
            None => serde_json::Value::Null,
            Some(bytes) => match decoder.decode(bytes).await {
                Ok(value) => value,
                // Not the record's fault: without its schema none that follows could be shown.
                Err(decode::Error::Registry(error)) if error.is_retriable() => {
                    return Err(error.into());
                }
                Err(error) => json!({ "undecodable": error.to_string() }),
            },
        };
        if !each(&viewed, value)? {
            break;
        }
    }
    Ok(())
}

/// One event as one line of JSON.
pub(super) fn line(viewed: &Viewed, value: serde_json::Value) -> String {
    json!({
        "topic": viewed.topic,
        "partition": viewed.partition,
        "offset": viewed.offset,
        "key": viewed.key,
        "value": value,
    })
    .to_string()
}

/// Keys are `connection/…`; what follows is the entity of bank, POS and TOS rows.
fn is_wanted(args: &Args, viewed: &Viewed) -> bool {
    let (connection, entity) = viewed.key.split_once('/').unwrap_or((&viewed.key, ""));
    args.connection.as_ref().is_none_or(|wanted| wanted == connection)
        && args.entity.as_ref().is_none_or(|wanted| wanted == entity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_of_the_connector_itself_is_shown_by_other_commands() {
        let hint = |suffix: &str| {
            let failure = holds_events("x", suffix).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            failure.hint.unwrap()
        };
        assert!(hint("internal.state").contains("checkpoint list"));
        assert!(hint("internal.payment-journal").contains("commands list"));
        assert!(hint("internal.assignment").contains("status"));
        assert_eq!(holds_events("x", "bank.transactions"), Ok(()));
    }

    #[test]
    fn a_reader_begins_at_an_end_or_a_time() {
        assert_eq!("end".parse(), Ok(From::End));
        let time = "2026-01-31T08:00:00+03:00".parse::<From>().unwrap();
        assert_eq!(time, From::Time(DateTime::from_timestamp(1_769_835_600, 0).unwrap()));
        assert!("yesterday".parse::<From>().is_err());
    }
}
