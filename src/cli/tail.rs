//! `tail`: decoded events of a topic as JSON lines.

use std::{str::FromStr, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    Context, Exit, Failure, output,
    preview::chosen,
    run::stop_on_signals,
    upstream::{KAFKA_AWAY, KAFKA_REFUSED},
};
use crate::{
    config::model::{Kafka, SchemaRegistry},
    kafka::{
        reading::refuses,
        topics,
        viewing::{self, News, Unopened, Viewed, Viewer},
    },
    publish::{
        decode::{self, Decoder},
        registry::Registry,
    },
};

const POLL: Duration = Duration::from_millis(200);
/// What stands in a value's place where it cannot be decoded.
const UNDECODABLE: &str = "undecodable";

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
    /// With the headers of each record: of events the CloudEvents attributes, `ce_type` and others.
    /// Records that cannot be decoded, and rejected commands, are always shown with theirs.
    #[arg(long)]
    pub headers: bool,
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
    // What was published of a connection outlives its place in the configuration.
    if let Err(failure) = chosen(&config, args.connection.as_deref()) {
        let hint = failure.hint.unwrap_or_default();
        eprintln!("warning: {}, {hint}; only what it published before is shown", failure.message);
    }
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
    let with_headers = args.headers || suffix == topics::REJECTED_COMMANDS;
    let mut left = args.limit.unwrap_or(u64::MAX);
    let wanted = |viewed: &Viewed| is_wanted(&args, viewed);
    follow(&config.kafka, &config.schema_registry, &[topic], from, stop, |viewed, value| {
        if wanted(viewed) {
            output::write(&format!("{}\n", line(viewed, value, with_headers)))?;
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
    let said =
        |error: &dyn std::fmt::Display| format!("kafka at {}: {error}", kafka.bootstrap_servers);
    let mut decoder = Decoder::new(Registry::new(registry));
    // librdkafka's calls block; block_in_place lets the runtime go on beside them.
    let mut viewer =
        tokio::task::block_in_place(|| Viewer::open(kafka, topics, from)).map_err(|error| {
            match error {
                Unopened::NoTopic(_) => Failure::new(Exit::Failed, error.to_string())
                    .hint("topics plan lists those there should be, and whether they are there"),
                Unopened::Kafka(_) if error.is_refused() => {
                    Failure::new(Exit::Refused, said(&error)).hint(KAFKA_REFUSED)
                }
                Unopened::Kafka(_) => {
                    Failure::new(Exit::Unavailable, said(&error)).hint(KAFKA_AWAY)
                }
            }
        })?;
    while !stop.is_cancelled() {
        let viewed = tokio::task::block_in_place(|| viewer.next(POLL)).map_err(|error| {
            if refuses(&error) {
                Failure::new(Exit::Refused, said(&error)).hint(KAFKA_REFUSED)
            } else {
                Failure::new(Exit::Failed, said(&error))
                    .hint("the topic is gone: topics plan lists those there should be")
            }
        })?;
        let Some(viewed) = viewed else {
            match tokio::task::block_in_place(|| viewer.news()) {
                Some(News::Away(error)) => {
                    eprintln!("waiting: {}", said(&error));
                }
                Some(News::Back) => eprintln!("kafka answers again"),
                None => {}
            }
            continue;
        };
        let value = match &viewed.value {
            None => serde_json::Value::Null,
            Some(bytes) => match decoder.decode(bytes).await {
                Ok(value) => value,
                // Not the record's fault: without its schema none that follows could be shown.
                Err(decode::Error::Registry(error)) if error.is_retriable() => {
                    return Err(error.into());
                }
                Err(error) => json!({ UNDECODABLE: error.to_string() }),
            },
        };
        if !each(&viewed, value)? {
            break;
        }
    }
    Ok(())
}

/// One event as one line of JSON. What cannot be decoded is shown with its headers in any case: of a
/// rejected command they say why.
pub(super) fn line(viewed: &Viewed, value: serde_json::Value, with_headers: bool) -> String {
    let mut shown = json!({
        "topic": viewed.topic,
        "partition": viewed.partition,
        "offset": viewed.offset,
        "key": viewed.key,
    });
    if with_headers || value.get(UNDECODABLE).is_some() {
        // Of a name that stands twice the last one counts, as for other readers.
        let headers = viewed.headers.iter().map(|(name, text)| (name.clone(), json!(text)));
        shown["headers"] = serde_json::Value::Object(headers.collect());
    }
    shown["value"] = value;
    shown.to_string()
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

    fn viewed(key: &str) -> Viewed {
        let headers = [("vomsis_reason", "x"), ("ce_type", "t"), ("vomsis_reason", "WRONG_KEY")];
        Viewed {
            topic: "t".to_owned(),
            partition: 1,
            offset: 7,
            key: key.to_owned(),
            headers: headers.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
            value: None,
        }
    }

    #[test]
    fn headers_stand_where_they_are_asked_for_and_where_nothing_else_tells_why() {
        let shown = |value: serde_json::Value, headers| -> serde_json::Value {
            serde_json::from_str(&line(&viewed("acme/1"), value, headers)).unwrap()
        };
        let expected = json!({"vomsis_reason": "WRONG_KEY", "ce_type": "t"});
        assert_eq!(shown(json!({"amount": "1"}), false).get("headers"), None);
        assert_eq!(shown(json!({"amount": "1"}), true)["headers"], expected);
        assert_eq!(shown(serde_json::Value::Null, true)["headers"], expected);
        assert_eq!(shown(json!({ UNDECODABLE: "no schema" }), false)["headers"], expected);
    }

    #[test]
    fn only_what_is_asked_for_is_wanted() {
        use clap::Parser;
        let wanted = |more: &[&str], key: &str| {
            let line = ["x", "tail", "bank.transactions"].into_iter().chain(more.iter().copied());
            let crate::cli::Command::Tail(args) =
                crate::cli::Cli::try_parse_from(line).unwrap().command
            else {
                panic!("not tail")
            };
            is_wanted(&args, &viewed(key))
        };
        for (more, key, expected) in [
            (&[][..], "acme/73", true),
            (&["--connection", "acme"], "acme/73", true),
            (&["--connection", "acm"], "acme/73", false),
            (&["--entity", "73"], "acme/73", true),
            (&["--entity", "7"], "acme/73", false),
            (&["--connection", "beta", "--entity", "73"], "acme/73", false),
            (&["--connection", "beta"], "no key of ours", false),
        ] {
            assert_eq!(wanted(more, key), expected, "{more:?} {key}");
        }
    }

    #[test]
    fn a_reader_begins_at_an_end_or_a_time() {
        assert_eq!("end".parse(), Ok(From::End));
        let time = "2026-01-31T08:00:00+03:00".parse::<From>().unwrap();
        assert_eq!(time, From::Time(DateTime::from_timestamp(1_769_835_600, 0).unwrap()));
        assert!("yesterday".parse::<From>().is_err());
    }
}
