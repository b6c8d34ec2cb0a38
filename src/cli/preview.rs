//! `preview`: rows of the API as events on stdout; touches neither Kafka nor state, but for the count
//! of refused TOS tokens in `state.dir`.

use std::{
    io::{self, IsTerminal},
    num::NonZeroUsize,
    sync::Arc,
};

use comfy_table::CellAlignment;
use serde_json::{Value, json};

use super::{
    Context, Exit, Failure,
    glance::{Glance, plain},
    output, progress,
};
use crate::{
    api::{Asker, Client},
    app::privacy_rules,
    config::{
        duration::Span,
        model::{Config, Connection},
    },
    domain::{ids::Stream, quarantine::QuarantinedRow, words::counted},
    poll::preview::{self, Preview, Shown, Wanted},
    publish::{
        batch::EventRecord,
        decode::Decoder,
        encode::{Encoder, local_ids},
    },
    telemetry::metrics::Metrics,
};

/// Arguments of `preview`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which stream, such as `bank_transactions`.
    #[arg(value_parser = super::stream)]
    pub stream: Stream,
    /// How far back, in whole days; lists have no dates and are shown whole.
    #[arg(long, default_value = "7d", value_parser = super::duration)]
    pub since: Span,
    /// No more events than this.
    #[arg(long, default_value = "20")]
    pub limit: NonZeroUsize,
    /// Only this connection.
    #[arg(long, value_name = "ID")]
    pub connection: Option<String>,
    /// Only this account, terminal or institution.
    #[arg(long, value_name = "ID")]
    pub entity: Option<String>,
    /// Ask TOS for one token although two were refused, or where refusals cannot be counted; the
    /// fifth refusal locks the bank's key, so four on record are the end.
    #[arg(long)]
    pub tos_again: bool,
}

const NAME_ONE: &str = "name one of these";
/// With less room than this a text says nothing.
const TEXT_MIN: usize = 8;

/// Prints the events: a table on a terminal, one a line elsewhere; `-o` makes them one value.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let config = context.load()?.config;
    let days = args.since.whole_days().filter(|days| (1..=3650).contains(days));
    let Some(days) = days.and_then(|days| i32::try_from(days).ok()) else {
        return Err(Failure::new(Exit::Usage, "--since is not 1d to 3650d, in whole days")
            .hint("days are the smallest unit here, and 3650d the longest; write 7d"));
    };
    let (stream, limit) = (args.stream, args.limit.get());
    if args.entity.is_some() && !Preview::has_entities(stream) {
        let message =
            format!("{stream} is one list: it has no accounts, terminals or institutions");
        return Err(Failure::new(Exit::Usage, message).hint("leave --entity away"));
    }
    let wanted = Wanted { stream, days, limit, entity: args.entity.clone() };
    let shown = show(&config, &args, &wanted).await?;
    let mut events = Vec::with_capacity(shown.events.len());
    let mut decoder = Decoder::local().map_err(wrong)?;
    for event in &shown.events {
        events.push(as_json(event, &mut decoder).await?);
    }
    print(&events, context)?;
    let bad = events.iter().filter(|event| is_quarantined(event)).count();
    for refusal in &shown.refusals {
        eprintln!("warning: run would publish none of these: {refusal}");
    }
    if shown.cut {
        eprintln!("there are more: raise --limit, or name one with --entity");
    }
    let shown = counted(events.len(), "event");
    eprintln!("{shown}, {bad} of them for quarantine; nothing was written");
    Ok(())
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

async fn show(config: &Config, args: &Args, wanted: &Wanted) -> Result<Shown, Failure> {
    let stream = args.stream;
    let encoder = Encoder::new(&local_ids(), |suffix| config.kafka.topic(suffix)).map_err(wrong)?;
    let privacy = privacy_rules(config)
        .await
        .map_err(|error| Failure::new(Exit::Config, error.to_string()))?;
    let (encoder, privacy) = (Arc::new(encoder), Arc::new(privacy));
    let metrics = Arc::new(Metrics::new());
    let waiting = progress::spinner(format!("reading {stream}"));
    let (mut shown, mut asked) = (Shown::default(), false);
    let (mut off, mut without) = (None, Vec::new());
    for connection in chosen(config, args.connection.as_deref())? {
        let api = Client::new(connection, Arc::clone(&metrics)).map_err(|e| Failure::from(&e))?;
        api.share_tos_refusals(&config.state_dir, Asker::Person { again: args.tos_again });
        let preview = Preview {
            api,
            config: Arc::clone(connection),
            encoder: Arc::clone(&encoder),
            privacy: Arc::clone(&privacy),
        };
        if preview.has(stream) && !shown.cut {
            match preview.show(wanted, &mut shown).await {
                Ok(()) => asked = true,
                // Another connection may follow it.
                Err(error @ preview::Error::Off { .. }) => off = Some(error),
                Err(error @ preview::Error::NoEntity { .. }) => without.push(error),
                Err(error) => return Err(error.into()),
            }
        }
    }
    drop(waiting);
    if asked {
        return Ok(shown);
    }
    if let Some(nobody) = without.iter().map(ToString::to_string).reduce(|a, b| a + "\n" + &b) {
        return Err(Failure::new(Exit::Usage, nobody).hint(NAME_ONE));
    }
    if let Some(off) = off {
        return Err(off.into());
    }
    Err(Failure::new(Exit::Config, format!("no connection has the API of {stream}"))
        .hint("add its section (bank_pos, virtual_pos or tos), or name another stream"))
}

pub(super) fn chosen<'a>(
    config: &'a Config,
    wanted: Option<&str>,
) -> Result<Vec<&'a Arc<Connection>>, Failure> {
    let all = config.connections.iter();
    let found: Vec<_> = all.filter(|c| wanted.is_none_or(|id| c.id.as_str() == id)).collect();
    if found.is_empty() {
        let ids: Vec<_> = config.connections.iter().map(|c| c.id.as_str()).collect();
        let message = format!("no connection {}", wanted.unwrap_or_default());
        return Err(Failure::new(Exit::Usage, message)
            .hint(format!("the configuration has {}", ids.join(", "))));
    }
    Ok(found)
}

impl From<preview::Error> for Failure {
    fn from(error: preview::Error) -> Self {
        match &error {
            preview::Error::Api(error) => error.into(),
            preview::Error::Refused(_) => wrong(error),
            preview::Error::NoEntity { .. } => {
                Self::new(Exit::Usage, error.to_string()).hint(NAME_ONE)
            }
            preview::Error::Off { stream, .. } => Self::new(Exit::Config, error.to_string())
                .hint(format!("give streams.{stream} settings; {{}} has the defaults")),
        }
    }
}

async fn as_json(event: &EventRecord, decoder: &mut Decoder) -> Result<Value, Failure> {
    let value = match &event.value {
        Some(bytes) => decoder.decode(bytes).await.map_err(wrong)?,
        None => Value::Null,
    };
    let kind = event.headers.as_ref().map_or("", |headers| &*headers.kind);
    let mut shown = json!({ "topic": &*event.topic, "key": event.key, "type": kind });
    if kind.contains(QuarantinedRow::NAME) {
        shown["quarantined"] = json!(true);
    }
    shown["value"] = value;
    Ok(shown)
}

fn is_quarantined(event: &Value) -> bool {
    event.get("quarantined").is_some()
}

/// A table for people; a program that names no form gets one event a line.
fn print(events: &[Value], context: &Context) -> Result<(), Failure> {
    if context.output.is_some() || io::stdout().is_terminal() {
        return output::print(context, &events, || table(events));
    }
    events.iter().try_for_each(|event| output::write(&format!("{event}\n")))
}

/// Rows of one kind need not say it each; of a long text the terminal has as much as fits.
fn table(events: &[Value]) -> String {
    let rows: Vec<(&Value, Glance)> = events
        .iter()
        .map(|event| (event, Glance::of(event.get("value").unwrap_or(&Value::Null))))
        .collect();
    let is_mixed = events.windows(2).any(|pair| record(&pair[0]) != record(&pair[1]));
    let kinds = if is_mixed { &["record"][..] } else { &[] };
    let columns = [&["when", "amount", "direction", "key", "id"], kinds].concat();
    let mut table = output::unbroken_table(&columns);
    for (event, Glance { when, amount, way, id, .. }) in &rows {
        let key = plain(text(event, "key"));
        let record = is_mixed.then(|| record(event).to_owned());
        let cells = [when.clone(), amount.clone(), way.clone(), key, id.clone()];
        table.add_row(cells.into_iter().chain(record));
    }
    if let Some(amount) = table.column_mut(1) {
        amount.set_cell_alignment(CellAlignment::Right);
    }
    let width = output::widest(&table);
    let room = output::terminal().map_or(usize::MAX, |terminal| terminal.saturating_sub(width + 2));
    if room < TEXT_MIN {
        return table.to_string();
    }
    let texts = rows.iter().map(|(_, glance)| output::cut(&glance.words, room));
    let texts = std::iter::once("TEXT".to_owned()).chain(texts);
    let text = table.to_string();
    let lines = text.lines().zip(texts).map(|(line, text)| {
        let filled = line.chars().count();
        format!("{line}{}  {text}", " ".repeat(width.saturating_sub(filled))).trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn record(event: &Value) -> &str {
    text(event, "type").trim_start_matches("io.vomsis.v1.").trim_end_matches(".created")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarantined_row_is_marked_and_a_table_shows_what_people_look_for() {
        let event = json!({
            "topic": "t", "key": "acme/38", "type": "io.vomsis.v1.BankTransaction.created",
            "value": {"meta": {"source_id": "7"}, "amount": "10.50", "currency": "TRY",
                "booked_at": "2026-01-01T00:00:00Z", "description": "coffee"},
        });
        assert!(!is_quarantined(&event));
        let bad = json!({"topic": "q", "key": "acme/38", "type": "io.vomsis.v1.QuarantinedRow.created",
            "value": {"meta": {"source_id": "8"}, "detail": "no date"}});
        let text = table(std::slice::from_ref(&event));
        for part in ["acme/38", "10.50 TRY", "2026-01-01 03:00", "  7   coffee"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("BankTransaction"), "all are of one kind: {text}");
        let text = table(&[event, bad]);
        for part in ["  BankTransaction  coffee", "  QuarantinedRow   no date"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(text.lines().all(|line| line.trim_end() == line), "{text}");
    }

    #[test]
    fn an_unknown_connection_is_answered_with_those_that_exist() {
        let text = "connections: [{id: acme, bank_pos: {app_key_file: k, app_secret_file: s}}]";
        let config = crate::config::parse("c", text, std::iter::empty()).unwrap().config;
        let failure = chosen(&config, Some("other")).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.hint.unwrap().contains("acme"));
        assert_eq!(chosen(&config, None).unwrap().len(), 1);
    }
}
