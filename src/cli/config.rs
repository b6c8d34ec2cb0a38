//! `config`: write, check, show and explain configurations.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde::Serialize;

use super::{Context, Exit, Failure, frame, output, output::Format};
use crate::{
    app::check_privacy,
    config::{model::Privacy, redact, schema},
    domain::words::counted,
    kafka::properties,
};

/// The file that `config init` writes.
const MINIMAL: &str = include_str!("../../config/minimal.yaml");
/// The same with every key.
const FULL: &str = include_str!("../../config/full.yaml");

/// Sections whose keys are librdkafka's.
const PROPERTIES: [&str; 3] =
    ["kafka.properties.", "kafka.consumer_properties.", "kafka.producer_properties."];
/// Keys that one hint names.
const KEYS_MAX: usize = 8;

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done with configurations.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented configuration to begin with.
    Init {
        /// With every key and its default.
        #[arg(long)]
        full: bool,
        /// Where to; it must not exist yet. By default stdout.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Check a configuration: keys, types, values, warnings. Touches nothing else.
    Validate {
        /// The file; by default that of --config.
        file: Option<PathBuf>,
        /// Warnings fail too.
        #[arg(long)]
        deny_warnings: bool,
    },
    /// The JSON Schema, for editors and charts; JSON where no form is named.
    Schema,
    /// The settings in force: defaults, file and environment together; YAML where no form is named.
    Show {
        /// Hide account numbers and consents; always on, secrets are never read.
        #[arg(long)]
        redacted: bool,
    },
    /// What a key does, what it may hold and what its default is.
    Explain {
        /// A dotted key, `kafka.shards`, or its environment variable, `VOMSIS__KAFKA__SHARDS`;
        /// without one, the top.
        #[arg(default_value = "")]
        key: String,
    },
}

/// Runs one of them.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args.command {
        Command::Init { full, to } => init(if full { FULL } else { MINIMAL }, to),
        Command::Validate { file, deny_warnings } => validate(file, deny_warnings, context),
        Command::Schema => print_schema(context),
        Command::Show { redacted: _ } => show(context),
        Command::Explain { key } => explain(&key, context),
    }
}

fn init(text: &str, to: Option<PathBuf>) -> Result<(), Failure> {
    let Some(path) = to else { return output::write(text) };
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
            .hint(hint_for_writing(&path, &error))
    })
}

fn hint_for_writing(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists => "name a file that does not exist yet".to_owned(),
        io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(path).display();
            format!("there is no folder {folder}: make it, or name a file in one that is there")
        }
        io::ErrorKind::NotADirectory => "a file stands where a folder is named".to_owned(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "name a file in a folder that this user may write to".to_owned()
        }
        _ => {
            "check the path and the space that is free there; leave --to away for stdout".to_owned()
        }
    }
}

fn print_schema(context: &Context) -> Result<(), Failure> {
    match context.output {
        None | Some(Format::Json) => output::write(&schema::text()),
        Some(Format::Yaml) => output::write(&output::yaml(&schema::value())?),
        Some(Format::Table) => {
            let message = "config schema prints a JSON Schema, which is no table";
            Err(Failure::new(Exit::Usage, message).hint("leave -o away, or write -o yaml"))
        }
    }
}

#[derive(Serialize)]
struct Verdict {
    valid: bool,
    hash: String,
    connections: usize,
    warnings: Vec<String>,
}

fn validate(file: Option<PathBuf>, deny_warnings: bool, context: &Context) -> Result<(), Failure> {
    let path = file.unwrap_or_else(|| context.config_path.clone());
    let loaded = frame::load(&path)?;
    known_to_the_schemas(&loaded.config.privacy)?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    if deny_warnings && !loaded.warnings.is_empty() {
        let warnings = counted(loaded.warnings.len(), "warning");
        let message = format!("{} has {warnings}", path.display());
        return Err(Failure::new(Exit::Config, message).hint("mend them or leave --deny-warnings"));
    }
    let verdict = Verdict {
        valid: true,
        hash: loaded.hash,
        connections: loaded.config.connections.len(),
        warnings: loaded.warnings,
    };
    output::print(context, &verdict, || {
        format!("{} is valid; configuration {}", path.display(), verdict.hash)
    })
}

fn known_to_the_schemas(privacy: &Privacy) -> Result<(), Failure> {
    check_privacy(privacy).map_err(|error| Failure::new(Exit::Config, error.to_string()))
}

fn show(context: &Context) -> Result<(), Failure> {
    let shown = redact::redacted(&context.load()?.effective);
    let yaml = output::yaml(&shown)?;
    output::print(context, &shown, || yaml)
}

fn explain(key: &str, context: &Context) -> Result<(), Failure> {
    let found = schema::explain(key).map_err(|error| {
        let near = match error.near.as_slice() {
            [] if properties::known(key).is_ok() => &[format!("kafka.properties.{key}")],
            near => near,
        };
        let failure = Failure::new(Exit::Usage, error.to_string());
        if near.is_empty() { failure } else { failure.hint(did_you_mean(near)) }
    })?;
    let setting = PROPERTIES.iter().find_map(|section| found.key.strip_prefix(section));
    if let Some(setting) = setting {
        let bare = setting.strip_suffix("_file").unwrap_or(setting);
        properties::known(bare).map_err(|wrong| {
            Failure::new(Exit::Usage, format!("there is no key {:?}: {wrong}", found.key))
        })?;
    }
    output::print(context, &found, || explanation(&found))
}

fn did_you_mean(keys: &[String]) -> String {
    let shown = keys.len().min(KEYS_MAX);
    let names = keys.iter().take(shown).cloned().collect::<Vec<_>>().join(", ");
    match keys.len() - shown {
        0 => format!("did you mean {names}?"),
        more => format!("did you mean {names}, or one of {more} more?"),
    }
}

fn explanation(found: &schema::Explanation) -> String {
    let mut text = String::new();
    if !found.key.is_empty() {
        text.push_str(&format!("{}\n", found.key));
    }
    text.push_str(&format!("  {}\n  type: {}\n", found.doc, found.kind));
    match &found.default {
        Some(serde_json::Value::String(default)) => {
            text.push_str(&format!("  default: {default}\n"))
        }
        Some(default) if found.keys.is_empty() => text.push_str(&format!("  default: {default}\n")),
        Some(_) | None => {}
    }
    if found.keys.is_empty() {
        text.push_str(&format!("  environment: {}\n", found.env));
    } else {
        text.push_str(&format!("  keys: {}\n", found.keys.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn every_example_validates() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                config::load(&path, std::iter::empty()).unwrap_or_else(|error| panic!("{error}"));
                seen += 1;
            }
        }
        assert!(seen >= 4);
    }

    #[test]
    fn the_full_example_says_the_defaults() {
        let loaded = config::parse("full", FULL, std::iter::empty()).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let text = "connections: [{id: acme, bank_pos: {app_key_file: a, app_secret_file: b}, tos: {base_url: 'https://h', token_url: 'https://h/t', client_id_file: a, client_secret_file: b, consent_id: '1', institutions: [{code: '1'}]}, virtual_pos: {}}]";
        let bare = config::parse("bare", text, std::iter::empty()).unwrap();
        let (full, bare) = (&loaded.config.connections[0], &bare.config.connections[0]);
        assert_eq!(full.streams, bare.streams);
        assert_eq!((full.quota, full.timeouts), (bare.quota, bare.timeouts));
    }

    #[test]
    fn a_privacy_rule_for_a_field_that_no_record_has_is_not_valid() {
        let rules = |field: &str| Privacy {
            fields: [(field.to_owned(), config::model::Treatment::Hmac)].into(),
            hmac_key_file: Some("never/read".into()),
            ..Privacy::default()
        };
        assert_eq!(known_to_the_schemas(&rules("BankTransaction.description")), Ok(()));
        let failure = known_to_the_schemas(&rules("BankTransaction.descripton")).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        assert!(failure.message.contains("BankTransaction.descripton"), "{failure:?}");
    }

    #[test]
    fn a_setting_that_librdkafka_does_not_know_is_not_valid() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        let text = "connections: [{id: a, bank_pos: {app_key_file: a, app_secret_file: b}}]\nkafka:\n  properties:\n    sasl.pasword_file: /run/p\n    security.protocol: TLS\n";
        std::fs::write(&path, text).unwrap();
        let failure = frame::load(&path).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        let (first, second) = failure.message.split_once('\n').unwrap();
        assert!(first.contains("c.yaml:4:"), "{first}");
        assert!(first.contains("did you mean \"sasl.password_file\"?"), "{first}");
        assert!(second.contains("security.protocol") && second.contains("TLS"), "{second}");
    }

    #[test]
    fn init_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        init(MINIMAL, Some(path.clone())).unwrap();
        let failure = init(MINIMAL, Some(path)).unwrap_err();
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.hint.is_some_and(|hint| hint.contains("does not exist yet")));
    }

    #[test]
    fn init_says_which_folder_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let failure = init(MINIMAL, Some(folder.path().join("none/c.yaml"))).unwrap_err();
        let hint = failure.hint.unwrap();
        assert!(hint.contains(&folder.path().join("none").display().to_string()), "{hint}");
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let failure = init(MINIMAL, Some(file.join("c.yaml"))).unwrap_err();
        assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("a file stands where")));
    }

    #[test]
    fn the_schema_is_no_table() {
        let context = Context { output: Some(Format::Table), ..Context::for_tests() };
        let failure = print_schema(&context).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn a_setting_that_librdkafka_does_not_know_is_not_explained() {
        let context = Context::for_tests();
        explain("kafka.properties.sasl.username", &context).unwrap();
        explain("kafka.properties.sasl.password_file", &context).unwrap();
        let failure = explain("kafka.properties.sasl.usrname", &context).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("did you mean \"sasl.username\"?"), "{failure:?}");
        let failure = explain("security.protocol", &context).unwrap_err();
        let hint = failure.hint.unwrap();
        assert_eq!(hint, "did you mean kafka.properties.security.protocol?");
        let failure = explain("poll_interval", &context).unwrap_err();
        assert!(failure.hint.unwrap().contains("streams.bank_transactions.poll_interval, "));
    }

    #[test]
    fn an_explanation_names_type_default_and_variable() {
        let text = explanation(&schema::explain("kafka.shards").unwrap());
        assert!(text.contains("default: 8") && text.contains("VOMSIS__KAFKA__SHARDS"), "{text}");
    }
}
