//! `status`: how the running connector stands.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::{
    Context, Exit, Failure,
    healthcheck::{unreachable, url},
    local_http,
    output::{self, Format},
    run::stop_on_signals,
};
use crate::http::status::{SinkStatus, Status, StreamStatus};

/// Between two looks of `--watch`.
const REFRESH: Duration = Duration::from_secs(2);

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The listener; by default the configuration's `http.listen`.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Look again every 2 seconds until interrupted.
    #[arg(long)]
    pub watch: bool,
}

/// Prints the status once, or again and again until Ctrl-C.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let url = url(args.url, context)?;
    if !args.watch {
        let status = ask(&url)?;
        return output::print(context, &status, || table(&status));
    }
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    loop {
        let url = url.clone();
        // A listener that hangs must not hold Ctrl-C up.
        let asked = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            asked = tokio::task::spawn_blocking(move || ask(&url)) => asked,
        };
        match asked.map_err(|error| Failure::new(Exit::Failed, error.to_string()))? {
            Ok(status) => output::write(&reading(&status, context)?)?,
            // A restart of the connector does not end a watch.
            Err(failure) if failure.exit == Exit::Unavailable => eprint!("{}", failure.render()),
            Err(failure) => return Err(failure),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(REFRESH) => {}
        }
    }
}

/// One of many readings: tables that follow each other, one line of JSON, one document of YAML.
fn reading(status: &Status, context: &Context) -> Result<String, Failure> {
    match context.output.unwrap_or_default() {
        Format::Table if context.color => Ok(format!("\x1b[2J\x1b[H{}", table(status))),
        Format::Table => Ok(table(status)),
        Format::Json => output::json_line(status),
        Format::Yaml => Ok(format!("---\n{}", output::yaml(status)?)),
    }
}

fn ask(url: &str) -> Result<Status, Failure> {
    let answer =
        local_http::get(url, "/api/v1/status").map_err(|error| unreachable(url, &error))?;
    if answer.status != 200 {
        let message = format!("{url} answered with HTTP {}", answer.status);
        return Err(Failure::new(Exit::Unavailable, message)
            .hint("name the connector's http.listen with --url; a proxy may answer in between"));
    }
    serde_json::from_str(&answer.body).map_err(|error| {
        Failure::new(Exit::Failed, format!("{url} did not answer with a status: {error}"))
            .hint("is that the connector's http.listen, and of the same version?")
    })
}

fn table(status: &Status) -> String {
    let mut text = format!(
        "{} · version {} · up {} · configuration {}\n",
        status.verdict,
        status.version,
        humantime::format_duration(Duration::from_secs(status.uptime_seconds)),
        status.config_hash,
    );
    if !status.shards.is_empty() {
        let shards: Vec<_> =
            status.shards.iter().map(|s| format!("{} {}", s.shard, s.state)).collect();
        text.push_str(&format!("shards: {}\n", shards.join(", ")));
    }
    if let Some(sink) = &status.sink {
        let why = sink.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        text.push_str(&format!("payment sink: {}{why}\n", sink.state));
        if sink.in_doubt + sink.waiting > 0 {
            let since = sink.oldest_in_doubt.as_deref();
            let since =
                since.map_or_else(String::new, |at| format!(" since {}", away(at, Utc::now())));
            let SinkStatus { in_doubt, waiting, .. } = sink;
            text.push_str(&format!(
                "payment commands: {in_doubt} in doubt or parked{since}, {waiting} waiting; commands \
                 list shows them\n"
            ));
        }
    }
    let now = Utc::now();
    let mut table = output::unbroken_table(&[
        "connection",
        "stream",
        "entity",
        "state",
        "success",
        "newest",
        "through",
        "next",
        "rows 24h",
    ]);
    let mut streams: Vec<_> = status.streams.iter().collect();
    streams.sort_by_key(|stream| stream.state == "healthy");
    for stream in &streams {
        table.add_row(row(stream, now));
    }
    text.push_str(&format!("\n{table}\n"));
    for stream in streams {
        if let Some(error) = &stream.last_error {
            let StreamStatus { connection, stream, entity, .. } = stream;
            text.push_str(&format!(
                "\n{connection}/{stream}/{entity} {} {}: {}\n",
                error.time, error.code, error.message
            ));
        }
    }
    text
}

fn row(stream: &StreamStatus, now: DateTime<Utc>) -> [String; 9] {
    let distance =
        |at: &Option<String>| at.as_deref().map_or_else(|| "–".to_owned(), |at| away(at, now));
    [
        stream.connection.clone(),
        stream.stream.clone(),
        stream.entity.clone(),
        stream.state.clone(),
        distance(&stream.last_success),
        distance(&stream.newest_record),
        distance(&stream.checkpoint),
        distance(&stream.next_poll),
        stream.rows_24h.to_string(),
    ]
}

/// How far an instant lies from now, in its largest unit: `12s ago`, `in 4m`; the text itself where it
/// is no instant.
fn away(at: &str, now: DateTime<Utc>) -> String {
    let Ok(at) = DateTime::parse_from_rfc3339(at) else { return at.to_owned() };
    let distance = now.signed_duration_since(at);
    let whole = Duration::from_secs(distance.num_seconds().unsigned_abs());
    let units = humantime::format_duration(whole).to_string();
    let largest = units.split(' ').next().unwrap_or_default();
    if distance.num_seconds() < 0 { format!("in {largest}") } else { format!("{largest} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::status::LastError;

    fn stream(entity: &str, state: &str, last_error: Option<LastError>) -> StreamStatus {
        StreamStatus {
            connection: "acme".to_owned(),
            stream: "bank_transactions".to_owned(),
            entity: entity.to_owned(),
            state: state.to_owned(),
            last_success: None,
            newest_record: None,
            checkpoint: None,
            next_poll: None,
            last_error,
            rows_24h: 7,
            rows_24h_since: None,
        }
    }

    #[test]
    fn an_instant_is_shown_by_its_distance() {
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        for (at, shown) in [
            ("2026-01-01T23:59:48Z", "12s ago"),
            ("2026-01-02T00:04:30Z", "in 4m"),
            ("2026-01-01T00:00:00.001Z", "23h ago"),
            ("2025-12-30T00:00:00+03:00", "3days ago"),
            ("2026-01-02T00:00:00Z", "0s ago"),
            ("soon", "soon"),
        ] {
            assert_eq!(away(at, now), shown, "{at}");
        }
    }

    fn healthy() -> Status {
        Status {
            version: "1".to_owned(),
            uptime_seconds: 60,
            config_hash: "h".to_owned(),
            verdict: "healthy".to_owned(),
            shards: Vec::new(),
            sink: None,
            streams: vec![stream("1", "healthy", None)],
        }
    }

    #[test]
    fn each_reading_of_a_watch_is_one_line_of_json_or_one_document_of_yaml() {
        let form = |output, color| Context { output, color, ..Context::for_tests() };
        let json = reading(&healthy(), &form(Some(Format::Json), true)).unwrap();
        assert_eq!(json.lines().count(), 1);
        let read: Status = serde_json::from_str(&json).unwrap();
        assert_eq!(read.verdict, "healthy");
        let yaml = reading(&healthy(), &form(Some(Format::Yaml), true)).unwrap();
        assert!(yaml.starts_with("---\nversion:"), "{yaml}");
        let table = |color| reading(&healthy(), &form(None, color)).unwrap();
        assert!(table(true).starts_with("\x1b[2J") && table(false).starts_with("healthy"));
    }

    #[test]
    fn what_fails_comes_first_and_its_error_stands_in_full() {
        let error = LastError {
            time: "2026-01-01T00:00:00Z".to_owned(),
            code: "VOM-API-023".to_owned(),
            message: "the API refused 192.0.2.1".to_owned(),
        };
        let status = Status {
            verdict: "1 stream is failing".to_owned(),
            sink: Some(SinkStatus {
                state: "halted".to_owned(),
                why: Some("ayse at noon: drill".to_owned()),
                in_doubt: 2,
                oldest_in_doubt: None,
                waiting: 3,
            }),
            streams: vec![stream("1", "healthy", None), stream("2", "failing", Some(error))],
            ..healthy()
        };
        let text = table(&status);
        assert!(text.find("failing ").unwrap() < text.find("healthy").unwrap());
        assert!(text.contains("payment sink: halted: ayse at noon: drill\n"), "{text}");
        assert!(text.contains("payment commands: 2 in doubt or parked, 3 waiting; "), "{text}");
        assert!(text.contains("VOM-API-023: the API refused 192.0.2.1"), "{text}");
    }
}
