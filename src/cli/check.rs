//! `check`: whether every API, credential, broker, registry, folder and file can be used.
//!
//! All targets are looked at side by side, and one that fails stops no other. Nothing is changed:
//! no topic, no schema, no lock. TOS is asked for one token at most, and for none after two refusals,
//! whoever met them: five lock the key. A refusal is written down in `state.dir`, and nothing else.

mod files;
mod steps;
mod tos;

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use comfy_table::{Cell, Color};
use futures_util::future::join_all;
use serde::Serialize;

use self::tos::Tos;
use super::{Context, Exit, Failure, output, piped, progress};
use crate::config::model::Config;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these, with commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Target>,
    /// Ask TOS for one token although two were refused, or where refusals cannot be counted; the
    /// fifth refusal locks the bank's key, so four on record are the end.
    #[arg(long)]
    pub tos_again: bool,
}

/// What can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The APIs and their credentials.
    Vomsis,
    /// Brokers and topics.
    Kafka,
    /// The schema registry.
    Registry,
    /// The folder of the local cache.
    State,
    /// The privacy rules with their key, and the token of the admin listener.
    Config,
}

impl Args {
    /// Whether a target is wanted: all are, where none is named.
    pub fn wants(&self, target: Target) -> bool {
        self.only.is_empty() || self.only.contains(&target)
    }
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Failed,
}

/// One step.
#[derive(Debug, Clone, Serialize)]
struct Step {
    target: Target,
    step: String,
    status: Status,
    /// What was found.
    detail: String,
    /// What to do about it.
    hint: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

impl Step {
    fn ok(target: Target, step: impl Into<String>, detail: impl Into<String>) -> Self {
        let (step, detail) = (step.into(), detail.into());
        Self { target, step, status: Status::Ok, detail, hint: None, exit: Exit::Ok }
    }

    fn warn(
        target: Target,
        step: impl Into<String>,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let hint = Some(hint.into());
        Self { status: Status::Warn, hint, ..Self::ok(target, step, detail) }
    }

    fn failed(target: Target, step: impl Into<String>, failure: Failure) -> Self {
        let Failure { exit, message, hint } = failure;
        debug_assert!(hint.is_some(), "a failed step says what to do: {message}");
        Self { status: Status::Failed, hint, exit, ..Self::ok(target, step, message) }
    }
}

/// Looks at everything, prints the table, and exits with the worst that was found.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let loaded = context.load()?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    let waiting = progress::spinner("checking");
    let steps = all(&args, &loaded.config).await;
    drop(waiting);
    output::print(context, &steps, || table(&steps, context.color))?;
    verdict(&steps).map_or(Ok(()), Err)
}

async fn all(args: &Args, config: &Config) -> Vec<Step> {
    let vomsis = async {
        if !args.wants(Target::Vomsis) {
            return Vec::new();
        }
        let tos = Tos::new(config, args.tos_again);
        join_all(config.connections.iter().map(|c| steps::connection(c, &tos))).await.concat()
    };
    let kafka = async {
        if args.wants(Target::Kafka) {
            steps::kafka(&config.kafka, config.sink.enabled).await
        } else {
            Vec::new()
        }
    };
    let registry = async {
        if args.wants(Target::Registry) { steps::registry(config).await } else { Vec::new() }
    };
    let state = async {
        if args.wants(Target::State) { steps::state(&config.state_dir).await } else { Vec::new() }
    };
    let files =
        async { if args.wants(Target::Config) { files::files(config).await } else { Vec::new() } };
    let (vomsis, kafka, registry, state, files) =
        tokio::join!(vomsis, kafka, registry, state, files);
    [vomsis, kafka, registry, state, files].concat()
}

/// The exit code of the worst failure: refusals before outages before mistakes of the
/// configuration; a limit that passes by itself comes last of those with a code.
fn verdict(steps: &[Step]) -> Option<Failure> {
    let failed: Vec<&Step> = steps.iter().filter(|step| step.status == Status::Failed).collect();
    let order = [Exit::Refused, Exit::Unavailable, Exit::Config, Exit::TryLater];
    let is = |exit: &Exit| failed.iter().any(|step| step.exit == *exit);
    let exit = order.into_iter().find(is).unwrap_or(Exit::Failed);
    let message = format!("{} of {} steps failed", failed.len(), steps.len());
    (!failed.is_empty()).then(|| Failure::new(exit, message))
}

fn table(steps: &[Step], color: bool) -> String {
    let columns = ["status", "target", "step", "detail", "what to do"];
    let rows: Vec<_> = steps.iter().map(row).collect();
    if !io::stdout().is_terminal() {
        return piped::lines(columns, &rows);
    }
    let mut table = output::table(&columns);
    for (step, row) in steps.iter().zip(rows) {
        let paint = match step.status {
            Status::Ok => Color::Green,
            Status::Warn => Color::Yellow,
            Status::Failed => Color::Red,
        };
        let mut cells = row.map(Cell::new);
        if color {
            let [status, ..] = &mut cells;
            *status = status.clone().fg(paint);
        }
        table.add_row(cells);
    }
    table.to_string()
}

fn row(step: &Step) -> [String; 5] {
    let status = match step.status {
        Status::Ok => "ok",
        Status::Warn => "warn",
        Status::Failed => "FAILED",
    };
    let target = step.target.to_possible_value();
    let target = target.as_ref().map_or("", |value| value.get_name());
    let hint = step.hint.clone().unwrap_or_default();
    [status.to_owned(), target.to_owned(), step.step.clone(), step.detail.clone(), hint]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(exit: Exit) -> Step {
        Step::failed(Target::Kafka, "reachable", Failure::new(exit, "no").hint("do"))
    }

    #[test]
    fn refusals_come_before_outages_and_outages_before_settings() {
        let ok = Step::ok(Target::State, "writable", "yes");
        assert!(verdict(std::slice::from_ref(&ok)).is_none());
        let cases: [(&[Exit], Exit); 6] = [
            (&[Exit::TryLater, Exit::Unavailable], Exit::Unavailable),
            (&[Exit::Failed, Exit::TryLater], Exit::TryLater),
            (&[Exit::Failed, Exit::Config], Exit::Config),
            (&[Exit::Config, Exit::Unavailable], Exit::Unavailable),
            (&[Exit::Unavailable, Exit::Refused, Exit::Config], Exit::Refused),
            (&[Exit::Failed], Exit::Failed),
        ];
        for (exits, expected) in cases {
            let steps: Vec<_> =
                exits.iter().map(|exit| failed(*exit)).chain([ok.clone()]).collect();
            assert_eq!(verdict(&steps).unwrap().exit, expected);
        }
        let warned = Step::warn(Target::State, "free space", "little", "make room");
        assert!(verdict(&[warned]).is_none());
    }

    #[test]
    fn colours_stand_only_where_they_are_asked_for() {
        let steps = [failed(Exit::Failed)];
        assert!(!table(&steps, false).contains('\u{1b}'));
        let json = serde_json::to_value(&steps).unwrap();
        assert_eq!(json[0]["status"], "failed");
        assert_eq!(json[0]["hint"], "do");
    }
}
