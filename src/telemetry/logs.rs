//! The log: pretty lines on a terminal, one JSON object a line elsewhere, always on stderr.

use std::{
    fmt,
    io::{self, IsTerminal},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    events, filter,
    limit::{Admission, Kind, Limiter},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber, field};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// Fields that tell one failing thing from another; the rest (an entity, an error's text, a pause)
/// differs from line to line of the same trouble.
const WHOSE: [&str; 6] = ["connection", "stream", "shard", "topic", "facility", "command"];

/// Told once of each thing, and of a bounded number of them: what is left out would never be told.
const TOLD_ONCE: [events::Event; 4] = [
    events::Event::UnknownFields,
    events::Event::PerhapsCut,
    events::Event::EntityUnlisted,
    events::Event::AccountUnlisted,
];

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Pretty on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl Format {
    /// Whether lines are JSON here.
    pub fn is_json(self) -> bool {
        match self {
            Self::Auto => !io::stderr().is_terminal(),
            Self::Json => true,
            Self::Pretty => false,
        }
    }
}

/// Runs its argument while no progress bar stands in the way of a line.
pub type Around = fn(&mut dyn FnMut());

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `RUST_LOG` cannot be followed.
    #[error(transparent)]
    Filter(#[from] filter::Misspelt),
    /// The log of this process was set up before.
    #[error("cannot start logging: {0}")]
    Started(String),
}

/// Sets the log up for the whole process; `verbose` counts `-v`, `RUST_LOG` wins over it. On a
/// terminal `bars` makes room for each line; where progress is `drawn`, lines that say the same are
/// left out.
///
/// # Errors
/// A `RUST_LOG` that says nothing which can be followed; a second log.
pub fn init(
    format: Format,
    verbose: u8,
    color: bool,
    bars: Option<Around>,
    drawn: bool,
) -> Result<(), Error> {
    let default = match verbose {
        // What a Kafka client says of itself is told again by the call that fails because of it.
        0 => "warn,librdkafka=off,rdkafka::client=off,vomsis_connect=info",
        1 => "info,vomsis_connect=debug",
        _ => "debug,vomsis_connect=trace",
    };
    let filter = filter::of_environment(default)?;
    let json = format.is_json();
    let lines = Lines { json, color, bars: drawn, limiter: Mutex::default(), now: Utc::now };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Stderr { bars })
        .event_format(lines)
        .finish()
        .try_init()
        .map_err(|error| Error::Started(error.to_string()))
}

/// stderr, beside bars.
struct Stderr {
    bars: Option<Around>,
}

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A line comes in one piece, so no bar is drawn into it.
        let mut written = Ok(0);
        let mut write = || written = io::stderr().write_all(bytes).map(|()| bytes.len());
        match self.bars {
            Some(around) => around(&mut write),
            None => write(),
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

struct Lines {
    json: bool,
    color: bool,
    /// Bars show the progress, so lines need not.
    bars: bool,
    limiter: Mutex<Limiter>,
    now: fn() -> DateTime<Utc>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let now = (self.now)();
        if self.bars && fields.is_progress() {
            return Ok(());
        }
        for (kind, suppressed) in self.lock().overdue(now.timestamp_millis()) {
            let mut fields = Fields { message: kind.message, ..Fields::default() };
            if !kind.code.is_empty() {
                fields.rest.insert("code".to_owned(), kind.code.into());
            }
            fields.rest.insert("suppressed".to_owned(), suppressed.into());
            fields.rest.insert("of".to_owned(), kind.whose.into());
            self.write(&mut writer, now, (kind.level, target), fields)?;
        }
        if let Some(suppressed) = self.admit(level, &fields, now) {
            if suppressed > 0 {
                fields.rest.insert("suppressed".to_owned(), suppressed.into());
            }
            self.write(&mut writer, now, (level, target), fields)?;
        }
        Ok(())
    }
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(
        &self,
        writer: &mut Writer<'_>,
        now: DateTime<Utc>,
        (level, target): (Level, &str),
        fields: Fields,
    ) -> fmt::Result {
        let line = if self.json {
            json_line(now, level, target, fields)
        } else {
            pretty_line(now, level, &fields, self.color)
        };
        writeln!(writer, "{line}")
    }

    /// How many lines like this one were left out before it; nothing where it is left out too.
    fn admit(&self, level: Level, fields: &Fields, now: DateTime<Utc>) -> Option<u64> {
        if level > Level::INFO || fields.is_one_of(&TOLD_ONCE) {
            return Some(0);
        }
        match self.lock().admit(fields.kind(level), now.timestamp_millis()) {
            Admission::Show { suppressed } => Some(suppressed),
            Admission::Count => None,
        }
    }
}

fn json_line(now: DateTime<Utc>, level: Level, target: &str, fields: Fields) -> String {
    let mut line = Map::new();
    line.insert("time".to_owned(), now.to_rfc3339_opts(SecondsFormat::Millis, true).into());
    line.insert("level".to_owned(), level.as_str().to_ascii_lowercase().into());
    line.insert("target".to_owned(), target.into());
    let Fields { message, mut rest } = fields;
    if let Some(code) = rest.shift_remove("code") {
        line.insert("code".to_owned(), code);
    }
    line.insert("message".to_owned(), message.into());
    for (key, value) in rest {
        // A field never hides what every line has.
        let key = if line.contains_key(&key) { format!("field.{key}") } else { key };
        line.insert(key, value);
    }
    Value::Object(line).to_string()
}

fn pretty_line(now: DateTime<Utc>, level: Level, fields: &Fields, color: bool) -> String {
    let (paint, dim, reset) = match (color, level) {
        (false, _) => ("", "", ""),
        (true, Level::ERROR) => ("\x1b[31m", "\x1b[2m", "\x1b[0m"),
        (true, Level::WARN) => ("\x1b[33m", "\x1b[2m", "\x1b[0m"),
        (true, _) => ("\x1b[32m", "\x1b[2m", "\x1b[0m"),
    };
    let time = now.format("%H:%M:%S%.3f");
    let mut line = format!("{dim}{time}{reset} {paint}{level:>5}{reset} {}", fields.message);
    for (key, value) in &fields.rest {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        line.push_str(&format!(" {dim}{key}={reset}{}", text.escape_debug()));
    }
    line
}

#[derive(Debug, Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Fields {
    fn is_progress(&self) -> bool {
        self.is_one_of(&[events::Event::BackfillProgress, events::Event::RestoreProgress])
    }

    fn is_one_of(&self, events: &[events::Event]) -> bool {
        let code = self.rest.get("code").and_then(Value::as_str);
        events.iter().any(|event| code == Some(event.code()))
    }

    fn kind(&self, level: Level) -> Kind {
        let text = |name: &&str| {
            let value = self.rest.get(*name)?;
            Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let whose: Vec<_> = WHOSE.iter().filter_map(text).collect();
        Kind {
            level,
            code: text(&"code").unwrap_or_default(),
            message: self.message.clone(),
            whose: whose.join("/"),
        }
    }

    fn put(&mut self, field: &field::Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => {
                self.rest.insert(name.to_owned(), value);
            }
        }
    }
}

impl field::Visit for Fields {
    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &field::Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &field::Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &field::Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &field::Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &field::Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &field::Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string().into());
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Buffer {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// What is written of the lines of this.
    pub(crate) fn written(json: bool, log: impl FnOnce()) -> String {
        let now = || DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        written_at(json, now, log)
    }

    fn written_at(json: bool, now: fn() -> DateTime<Utc>, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let lines = Lines { json, color: false, bars: false, limiter: Mutex::default(), now };
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_writer(buffer.clone())
            .event_format(lines)
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = buffer.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_json_line_has_time_level_target_code_message_and_fields() {
        let text = written(true, || {
            let event = events::Event::ApiServerError;
            crate::log_event!(event, connection = "acme", attempt = 2, "a poll failed");
        });
        assert_eq!(
            text,
            "{\"time\":\"2023-11-14T22:13:20.123Z\",\"level\":\"warn\",\"target\":\
             \"vomsis_connect::telemetry::logs::tests\",\"code\":\"VOM-API-013\",\"message\":\
             \"a poll failed\",\"connection\":\"acme\",\"attempt\":2}\n"
        );
    }

    #[test]
    fn a_pretty_line_reads_from_left_to_right() {
        let text = written(false, || tracing::info!(shard = 3, "restored"));
        assert_eq!(text, "22:13:20.123  INFO restored shard=3\n");
    }

    #[test]
    fn a_field_cannot_break_a_line_or_hide_the_level() {
        let text = written(true, || tracing::info!(level = "x", text = "a\nb", "said"));
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("\"level\":\"info\"") && text.contains("\"field.level\":\"x\""));
    }

    #[test]
    fn lines_of_one_trouble_are_left_out_whatever_else_they_say() {
        let text = written(true, || {
            for entity in 0..50 {
                tracing::warn!(connection = "a", entity, error = entity * 7, "poll failed");
            }
            tracing::warn!(connection = "b", "poll failed");
        });
        assert_eq!(text.lines().count(), 6);
    }

    #[test]
    fn what_is_told_once_is_never_left_out() {
        for event in TOLD_ONCE {
            let text = written(true, || {
                for entity in 0..50 {
                    crate::log_event!(event, connection = "a", entity, "the same words");
                }
            });
            for entity in 0..50 {
                assert!(text.contains(&format!("\"entity\":{entity}}}")), "{entity} of {event:?}");
            }
        }
    }

    #[test]
    fn what_was_left_out_is_told_even_if_no_such_line_follows() {
        use std::sync::atomic::{AtomicI64, Ordering};
        static CLOCK: AtomicI64 = AtomicI64::new(1_700_000_000_000);
        let now = || DateTime::from_timestamp_millis(CLOCK.load(Ordering::SeqCst)).unwrap();
        let text = written_at(true, now, || {
            for _ in 0..50 {
                tracing::warn!(code = "VOM-X", connection = "a", "poll failed");
            }
            CLOCK.fetch_add(61_000, Ordering::SeqCst);
            tracing::info!("something else");
        });
        let told = text.lines().nth(5).unwrap();
        assert!(told.contains("\"code\":\"VOM-X\"") && told.contains("\"suppressed\":45"));
        assert!(told.contains("\"of\":\"a\""), "{told}");
        assert_eq!(text.lines().count(), 7);
    }
}
