//! `tail`: decoded events of a topic as JSON lines.

use std::{str::FromStr, time::Duration};

use chrono::{DateTime, NaiveDate};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    Context, Exit, Failure, output,
    preview::chosen,
    run::stop_on_signals,
    upstream::{KAFKA_AWAY, KAFKA_REFUSED, KAFKA_UNMADE},
};
use crate::{
    config::{
        duration::Span,
        model::{Kafka, SchemaRegistry},
    },
    domain::time::{Day, Timestamp},
    kafka::{
        reading::refuses,
        topics,
        viewing::{self, News, Unopened, Viewed, Viewer},
    },
    publish::{
        decode::{self, Decoder},
        registry::Registry,
    },
    telemetry::clock::now,
};

const POLL: Duration = Duration::from_millis(200);
/// What stands in a value's place where it cannot be decoded.
const UNDECODABLE: &str = "undecodable";

/// Arguments of `tail`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The topic, with or without its prefix.
    pub topic: String,
    /// Where to begin: `beginning`, `end`, a time such as `2026-01-31T08:00:00Z`, a day such as
    /// `2026-01-31` (its first instant in Istanbul), or a duration ago, such as `30m` or `2d`.
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
    Time(Timestamp),
    /// With the first one that is no older than this.
    Ago(Span),
}

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "beginning" => return Ok(Self::Beginning),
            "end" => return Ok(Self::End),
            _ => {}
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Time(Timestamp::from_utc(time.to_utc())));
        }
        if let Ok(day) = text.parse::<NaiveDate>() {
            return Ok(Self::Time(Day::from_date(day).start()));
        }
        Span::parse(text).map(Self::Ago).map_err(|_| {
            "write beginning, end, a time such as 2026-01-31T08:00:00Z, a day such as 2026-01-31, or \
             a duration ago such as 30m"
                .to_owned()
        })
    }
}

impl From {
    /// The same for who reads; what has not come yet has no first event.
    fn at(self, now: Timestamp) -> Result<viewing::From, Failure> {
        let time = match self {
            Self::Beginning => return Ok(viewing::From::Beginning),
            Self::End => return Ok(viewing::From::End),
            Self::Time(time) => time,
            Self::Ago(span) => {
                let millis = i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
                Timestamp(now.0.saturating_sub(millis))
            }
        };
        if time > now {
            let (time, now) = (time.to_rfc3339(), now.to_rfc3339());
            let message = format!("--from is {time}, and that is to come: it is {now}");
            return Err(Failure::new(Exit::Usage, message)
                .hint("leave --from away for what comes from now on"));
        }
        // Instants before 1970 would be the names of the ends to a broker.
        Ok(viewing::From::Time(time.0.max(0)))
    }
}

/// Prints events until Ctrl-C, or until `--limit` is reached.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    output::only_lines(context, "tail")?;
    let from = args.from.at(now())?;
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
                Unopened::Kafka(_) if error.is_unmade() => {
                    Failure::new(Exit::Config, said(&error)).hint(KAFKA_UNMADE)
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
    fn a_reader_begins_at_an_end_a_time_a_day_or_a_while_ago() {
        let now = Timestamp(1_769_900_000_000);
        let begins = |text: &str| text.parse::<From>().unwrap().at(now);
        let at = |millis| Ok(viewing::From::Time(millis));
        assert_eq!(begins("end"), Ok(viewing::From::End));
        assert_eq!(begins("2026-01-31T08:00:00+03:00"), at(1_769_835_600_000));
        assert_eq!(begins("2026-01-31"), at(1_769_806_800_000), "midnight in Istanbul");
        assert_eq!(begins("1h 30m"), at(now.0 - 5_400_000));
        assert_eq!(begins("0"), at(now.0));
        assert_eq!((begins("99999d"), begins("1969-12-31")), (at(0), at(0)));
        for text in ["yesterday", "30", "2026-02-30", "31.01.2026"] {
            assert!(text.parse::<From>().unwrap_err().contains("30m"), "{text}");
        }
        for text in ["2026-02-02", "2026-02-01T00:00:00Z"] {
            let failure = begins(text).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message.contains("is to come"), "{failure:?}");
            assert!(failure.hint.unwrap().contains("leave --from away"));
        }
    }
}
