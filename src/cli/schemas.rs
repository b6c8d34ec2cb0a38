//! `schemas`: the schemas of the events and what the registry knows of them.

use clap::Subcommand;
use futures_util::future::join_all;
use serde::Serialize;

use super::{Context, Exit, Failure, output, progress};
use crate::{
    config::model::{Config, RegistryMode},
    domain::schemas::{self, RecordSchema},
    publish::{
        differences::differences,
        encode,
        registry::{self, Registry, subject},
    },
};

/// Arguments of `schemas`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done with schemas.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the schemas of this version, and their ids where the registry answers.
    List,
    /// Ask the registry whether it knows them or would take them; adds nothing.
    Check,
    /// Register what is missing.
    Register {
        /// Without asking.
        #[arg(long)]
        yes: bool,
    },
}

/// Runs one of them.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let config = context.load()?.config;
    match args.command {
        Command::List => list(&config, context).await,
        Command::Check => check(&config, context).await,
        Command::Register { yes } => register(&config, yes, context).await,
    }
}

/// The schemas that this configuration needs, with their subjects.
pub(super) fn needed(config: &Config) -> Vec<(RecordSchema, String)> {
    schemas::needed(config.sink.enabled)
        .map(|schema| (schema, subject(&config.kafka.topic(schema.topic_suffix))))
        .collect()
}

#[derive(Debug, Serialize)]
struct Listed {
    record: &'static str,
    subject: String,
    fields: usize,
    fingerprint: String,
    /// Of exactly this schema under the subject; null where it is not there or nobody answered.
    id: Option<u32>,
}

async fn list(config: &Config, context: &Context) -> Result<(), Failure> {
    let registry = Registry::new(&config.schema_registry);
    let needed = needed(config);
    let waiting = progress::spinner("asking the registry");
    let ids = needed.iter().map(|(schema, subject)| registry.verify(subject, schema.json));
    let ids = join_all(ids).await;
    drop(waiting);
    let (mut rows, mut unanswered) = (Vec::new(), None);
    for ((schema, subject), id) in needed.into_iter().zip(ids) {
        let fingerprint = encode::fingerprint(&schema)
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        let fields = encode::field_count(&schema);
        rows.push(Listed {
            record: schema.name,
            subject,
            fields,
            fingerprint,
            id: id.as_ref().ok().copied(),
        });
        // A schema that is not there is an answer.
        unanswered = unanswered.or_else(|| id.err().filter(|error| error.is_retriable()));
    }
    output::print(context, &rows, || {
        let mut table =
            output::unbroken_table(&["record", "subject", "fields", "fingerprint", "id"]);
        for row in &rows {
            let id = row.id.map_or_else(|| "–".to_owned(), |id| id.to_string());
            let fields = row.fields.to_string();
            table.add_row([row.record, &row.subject, &fields, &row.fingerprint, &id]);
        }
        table.to_string()
    })?;
    match unanswered {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// What the registry says of one schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Exactly this schema is there.
    Registered,
    /// The subject is not there yet.
    New,
    /// Another version is there, and this one would be let in.
    Compatible,
    /// Another version is there, and this one would not be let in.
    Incompatible,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::New => "new",
            Self::Compatible => "compatible",
            Self::Incompatible => "INCOMPATIBLE",
        }
    }
}

/// One schema against the registry.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    record: &'static str,
    pub(super) subject: String,
    pub(super) state: State,
    id: Option<u32>,
    /// How the newest registered version differs.
    pub(super) differences: Vec<String>,
}

impl Checked {
    /// Whether the connector could not start with it.
    pub(super) const fn blocks(&self, mode: RegistryMode) -> bool {
        match self.state {
            State::Registered => false,
            State::New | State::Compatible => matches!(mode, RegistryMode::Verify),
            State::Incompatible => true,
        }
    }
}

/// Asks the registry about every schema.
pub(super) async fn ask(config: &Config) -> Result<Vec<Checked>, registry::Error> {
    let registry = Registry::new(&config.schema_registry);
    let needed = needed(config);
    let asked = needed.iter().map(|(schema, subject)| ask_one(&registry, schema, subject));
    join_all(asked).await.into_iter().collect()
}

async fn ask_one(
    registry: &Registry,
    schema: &RecordSchema,
    subject: &str,
) -> Result<Checked, registry::Error> {
    let checked = |state, id, differences| Checked {
        record: schema.name,
        subject: subject.to_owned(),
        state,
        id,
        differences,
    };
    match registry.verify(subject, schema.json).await {
        Ok(id) => return Ok(checked(State::Registered, Some(id), Vec::new())),
        Err(registry::Error::Missing { .. }) => {}
        Err(error) => return Err(error),
    }
    let Some(latest) = registry.latest(subject).await? else {
        return Ok(checked(State::New, None, Vec::new()));
    };
    let fits = registry.is_compatible(subject, schema.json).await?;
    let state = if fits { State::Compatible } else { State::Incompatible };
    Ok(checked(state, None, differences(&latest, schema.json)))
}

async fn check(config: &Config, context: &Context) -> Result<(), Failure> {
    let waiting = progress::spinner("asking the registry");
    let asked = ask(config).await;
    drop(waiting);
    let rows = asked?;
    output::print(context, &rows, || table(&rows))?;
    let mode = config.schema_registry.mode;
    let blocking: Vec<&Checked> = rows.iter().filter(|row| row.blocks(mode)).collect();
    if blocking.is_empty() {
        return Ok(());
    }
    let incompatible = blocking.iter().any(|row| row.state == State::Incompatible);
    let names: Vec<_> = blocking.iter().map(|row| row.subject.as_str()).collect();
    Err(if incompatible {
        let message = format!("the registry would refuse: {}", names.join(", "));
        Failure::new(Exit::Failed, message).hint(
            "somebody registered another schema under the subject: use another \
             kafka.topic_prefix, or delete the subject once nobody needs it",
        )
    } else {
        let message = format!("not registered, and mode is verify: {}", names.join(", "));
        Failure::new(Exit::Failed, message).hint("schemas register adds them")
    })
}

fn table(rows: &[Checked]) -> String {
    let mut table = output::unbroken_table(&["record", "subject", "state", "id"]);
    for row in rows {
        let id = row.id.map_or_else(|| "–".to_owned(), |id| id.to_string());
        table.add_row([row.record, &row.subject, row.state.as_str(), &id]);
    }
    let mut text = format!("{table}\n");
    for row in rows.iter().filter(|row| !row.differences.is_empty()) {
        text.push_str(&format!("\n{}:\n", row.subject));
        row.differences.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

#[derive(Debug, Serialize)]
struct Registered {
    record: &'static str,
    subject: String,
    id: u32,
}

async fn register(config: &Config, yes: bool, context: &Context) -> Result<(), Failure> {
    let needed = needed(config);
    let url = &config.schema_registry.url;
    let question = format!("register {} schemas with {url}, where they are missing", needed.len());
    if !yes && !output::confirmed(&question)? {
        return Err(Failure::new(Exit::Failed, "nothing was registered"));
    }
    let registry = Registry::new(&config.schema_registry);
    let mut rows = Vec::new();
    let waiting = progress::spinner("registering");
    // One after the other: some registries answer parallel writes with conflicts.
    for (schema, subject) in needed {
        let id = registry.register(&subject, schema.json).await.map_err(|error| {
            let done = rows.len();
            let mut failure = Failure::from(error);
            failure.message = format!("{}\n{done} were registered before it", failure.message);
            failure.hint.get_or_insert_with(|| "schemas check names the differences".to_owned());
            failure
        })?;
        rows.push(Registered { record: schema.name, subject, id });
    }
    drop(waiting);
    output::print(context, &rows, || {
        let mut table = output::unbroken_table(&["record", "subject", "id"]);
        for row in &rows {
            table.add_row([row.record, &row.subject, &row.id.to_string()]);
        }
        table.to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(state: State) -> Checked {
        let differences = vec!["amount: registered as \"int\", here \"long\"".to_owned()];
        Checked { record: "R", subject: "t-value".to_owned(), state, id: None, differences }
    }

    #[test]
    fn what_is_missing_blocks_only_where_nothing_may_be_added() {
        for (state, register, verify) in [
            (State::Registered, false, false),
            (State::New, false, true),
            (State::Compatible, false, true),
            (State::Incompatible, true, true),
        ] {
            let row = checked(state);
            assert_eq!(row.blocks(RegistryMode::Register), register, "{state:?}");
            assert_eq!(row.blocks(RegistryMode::Verify), verify, "{state:?}");
        }
    }

    #[test]
    fn differences_stand_below_the_table() {
        let text = table(&[checked(State::Incompatible)]);
        assert!(text.contains("t-value:\n  amount: registered as"), "{text}");
    }
}
