//! The arguments that every command has, and the way from them to the command.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{ArgAction, FromArgMatches as _, Parser, Subcommand};

use super::{
    Exit, Failure, check, checkpoint, commands, completions, config, forms, healthcheck, output,
    preview, progress, run, sandbox, schemas, status, tail, topics, version,
};
use crate::{
    config::{DEFAULT_PATH, Loaded},
    kafka::properties,
    telemetry::logs,
};

/// Streams Vomsis and VakıfBank transactions into Kafka exactly once, and executes refunds from
/// Kafka never twice.
#[derive(Debug, Parser)]
#[command(name = "vomsis-connect", version, max_term_width = 100)]
#[command(after_help = "exit codes: 0 ok, 1 failed, 2 usage, 69 upstream unavailable, 75 try \
                        later, 77 refused, 78 configuration")]
pub struct Cli {
    /// The configuration file.
    #[arg(long, global = true, env = "VOMSIS_CONFIG", value_name = "FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,
    /// The form of what is printed; each verb names those that it has.
    #[arg(short, long, global = true, value_enum)]
    pub output: Option<output::Format>,
    /// The form of the log on stderr.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub log_format: logs::Format,
    /// No colours; the environment variable NO_COLOR does the same.
    #[arg(long, global = true)]
    pub no_color: bool,
    /// More log lines; twice for all of them. RUST_LOG wins over it.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the connector.
    Run(run::Args),
    /// See it work: simulator, broker, registry and connector in one process.
    Sandbox(sandbox::Args),
    /// Rows of a source as the events that they would become; touches neither Kafka nor state.
    Preview(preview::Args),
    /// Whether every API, credential, broker, registry, folder and file can be used.
    Check(check::Args),
    /// Decoded events of a topic as JSON lines.
    Tail(tail::Args),
    /// Write, check and explain configurations.
    Config(config::Args),
    /// Topics as they must be, and what would make them so.
    Topics(topics::Args),
    /// Schemas of the events, and what the registry knows of them.
    Schemas(schemas::Args),
    /// How far each account, terminal and list has been read.
    Checkpoint(checkpoint::Args),
    /// Payment commands: list, show, decide, submit, halt.
    Commands(commands::Args),
    /// How the running connector stands.
    Status(status::Args),
    /// Whether the running connector is ready; for container health checks.
    Healthcheck(healthcheck::Args),
    /// Completions for a shell, on stdout.
    Completions(completions::Args),
    /// What this binary was built from.
    Version(version::Args),
}

/// What every command may want to know.
#[derive(Debug, Clone)]
pub struct Context {
    /// The configuration file.
    pub config_path: PathBuf,
    /// The form of the output, where one was asked for.
    pub output: Option<output::Format>,
    /// Whether stdout takes colours.
    pub color: bool,
    /// How many `-v`.
    pub verbose: u8,
    /// Whether `run` draws its progress: on a terminal, for people.
    pub bars: bool,
}

impl Context {
    /// Reads the configuration with the environment over it.
    pub fn load(&self) -> Result<Loaded, Failure> {
        load(&self.config_path)
    }

    /// The same for who asks the running connector alone: librdkafka is not asked about its settings,
    /// as nothing that it could say changes where the connector listens. A probe runs every few
    /// seconds.
    pub(super) fn load_unasked(&self) -> Result<Loaded, Failure> {
        Ok(crate::config::load(&self.config_path, crate::config::environment())?)
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        let config_path = PathBuf::from("/nowhere.yaml");
        Self { config_path, output: None, color: false, verbose: 0, bars: false }
    }
}

/// Reads a configuration with the environment over it, and asks librdkafka about its settings.
pub(super) fn load(path: &Path) -> Result<Loaded, Failure> {
    let loaded = crate::config::load(path, crate::config::environment())?;
    let mut wrong = properties::check(&loaded.properties);
    if wrong.is_empty() {
        wrong = properties::check_together(&loaded.config.kafka, &loaded.properties);
    }
    if wrong.is_empty() { Ok(loaded) } else { Err(crate::config::Error::Invalid(wrong).into()) }
}

/// Runs the command that the arguments ask for.
pub fn main() -> ExitCode {
    let parsed = forms::command().try_get_matches();
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors: clap knows which stream and code each has.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    let wanted = !cli.no_color && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let log_color = wanted && io::stderr().is_terminal();
    let context = Context {
        config_path: cli.config,
        output: cli.output,
        color: wanted && io::stdout().is_terminal(),
        verbose: cli.verbose,
        bars: io::stderr().is_terminal() && !cli.log_format.is_json(),
    };
    // Only `run` draws its progress; the sandbox prints events between its log lines, and says it.
    let drawn = context.bars && matches!(cli.command, Command::Run(_));
    let done = logs::init(cli.log_format, cli.verbose, log_color, progress::beside_bars(), drawn)
        .map_err(no_log)
        .and_then(|()| runtime())
        .and_then(|runtime| {
            let done = runtime.block_on(dispatch(cli.command, &context));
            // A call into a broker that hangs may still hold a thread, and dropping the runtime
            // would wait for it: the grace period ends whatever the brokers do.
            runtime.shutdown_background();
            done
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{}", failure.render());
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// `RUST_LOG` is a part of the command line, as `-v` is.
fn no_log(error: logs::Error) -> Failure {
    let message = error.to_string();
    match error {
        logs::Error::Filter(_) => Failure::new(Exit::Usage, message)
            .hint("write off, error, warn, info, debug or trace, or target=level, with commas; or unset it"),
        logs::Error::Started(_) => Failure::new(Exit::Failed, message),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot start the runtime: {error}")))
}

async fn dispatch(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Run(args) => run::run(args, context).await,
        Command::Sandbox(args) => sandbox::run(args, context).await,
        Command::Preview(args) => preview::run(args, context).await,
        Command::Check(args) => check::run(args, context).await,
        Command::Topics(args) => topics::run(args, context).await,
        Command::Schemas(args) => schemas::run(args, context).await,
        Command::Checkpoint(args) => checkpoint::run(args, context).await,
        Command::Commands(args) => commands::run(args, context).await,
        Command::Tail(args) => tail::run(args, context).await,
        Command::Config(args) => config::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Healthcheck(args) => healthcheck::run(args, context).await,
        Command::Completions(args) => completions::run(args, context).await,
        Command::Version(args) => version::run(args, context).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_arguments_may_stand_behind_the_command() {
        let cli = Cli::try_parse_from(["vomsis-connect", "status", "-o", "json", "--config", "/c"]);
        let cli = cli.unwrap();
        assert_eq!(cli.output, Some(output::Format::Json));
        assert_eq!(cli.config, PathBuf::from("/c"));
    }

    #[test]
    fn a_wrong_command_line_exits_with_2() {
        let error = Cli::try_parse_from(["vomsis-connect", "nonsense"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
