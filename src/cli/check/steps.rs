//! The steps themselves.

use std::{io::ErrorKind, path::Path, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    super::{
        schemas,
        topics::{State as TopicState, TOO_FEW, row, too_few},
        upstream::{exit_of_api, hint_for_api},
    },
    Exit, Failure, Step, Target, Tos,
};
use crate::{
    api::{self, Api, Client, Purpose},
    config::model::{Config, Connection, Kafka, RegistryMode},
    domain::ids::Stream,
    kafka::topics,
    state::folder,
    telemetry::{clock::now, metrics::Metrics},
};

/// The cheap read may be repeated by the client; a person does not wait longer than this.
const READ_DEADLINE: Duration = Duration::from_secs(30);
const GIB: u64 = 1024 * 1024 * 1024;
/// Below this the cache cannot hold a day of rows.
const FREE_BYTES_MIN: u64 = GIB / 16;

/// Every API of a connection: secret files, a token, one cheap read.
pub(super) async fn connection(config: &Arc<Connection>, tos: &Tos<'_>) -> Vec<Step> {
    let client = match Client::new(config, Arc::new(Metrics::new())) {
        Ok(client) => client,
        Err(error) => return vec![failed(config.id.to_string(), &error)],
    };
    let apis: Vec<Api> = client.apis().collect();
    let steps = apis.into_iter().map(|api| one_api(&client, config, api, tos));
    futures_util::future::join_all(steps).await.concat()
}

async fn one_api(client: &Client, config: &Connection, api: Api, tos: &Tos<'_>) -> Vec<Step> {
    let name = format!("{} {api}", config.id);
    let mut steps = vec![];
    for (label, file) in secret_files(config, api) {
        let step = format!("{name} {label}");
        match std::fs::read_to_string(file) {
            Ok(text) if text.trim().is_empty() => {
                let failure = Failure::new(Exit::Config, format!("{} is empty", file.display()));
                let failure = failure.hint("write the secret into the file");
                steps.push(Step::failed(Target::Vomsis, step, failure));
            }
            Ok(_) => steps.push(Step::ok(Target::Vomsis, step, file.display().to_string())),
            Err(error) => {
                let failure = unreadable(label, file, error.kind());
                steps.push(Step::failed(Target::Vomsis, step, failure));
            }
        }
    }
    if steps.iter().any(|step| step.status == super::Status::Failed) {
        return steps;
    }
    if api == Api::Tos {
        tos.prepare(client, config).await;
    }
    match client.check_access(api).await {
        // Nothing was asked, so nothing was refused either.
        Err(error @ api::Error::RefusalsNotKept { .. }) => {
            let hint = hint_for_api(&error);
            steps.push(Step::warn(
                Target::Vomsis,
                format!("{name} token"),
                error.to_string(),
                hint,
            ));
        }
        Err(error) => steps.push(failed(format!("{name} token"), &error)),
        Ok(()) => {
            steps.push(Step::ok(Target::Vomsis, format!("{name} token"), "granted"));
            let institutions = config.tos.as_ref().map_or(0, |tos| tos.institutions.len());
            if api == Api::Tos && institutions == 0 {
                // Nobody's payments can be asked for.
                let detail = "not tried: tos.institutions is empty";
                let hint =
                    "name the institutions whose payments are to be read in tos.institutions";
                steps.push(Step::warn(Target::Vomsis, format!("{name} read"), detail, hint));
            } else {
                steps.push(read(client, config, api, format!("{name} read")).await);
            }
        }
    }
    steps
}

fn secret_files(config: &Connection, api: Api) -> Vec<(&'static str, &Path)> {
    let vomsis = match api {
        Api::BankPos => config.bank_pos.as_ref(),
        Api::VirtualPos => config.virtual_pos.as_ref(),
        Api::Tos => None,
    };
    let vomsis = vomsis.map(|api| {
        [("app_key_file", &*api.app_key_file), ("app_secret_file", &*api.app_secret_file)]
    });
    let tos = config.tos.as_ref().filter(|_| api == Api::Tos).map(|tos| {
        [("client_id_file", &*tos.client_id_file), ("client_secret_file", &*tos.client_secret_file)]
    });
    vomsis.or(tos).into_iter().flatten().collect()
}

/// Why a file that holds a secret is of no use, and what to do.
pub(super) fn unreadable(key: &str, file: &Path, kind: ErrorKind) -> Failure {
    let file = file.display();
    let (message, hint) = match kind {
        ErrorKind::NotFound => (
            format!("{file} does not exist"),
            format!("write the secret there, or name the right file in {key}"),
        ),
        ErrorKind::PermissionDenied => (
            format!("{file} may not be read ({kind})"),
            "make it readable for the user of the connector".to_owned(),
        ),
        kind => (
            format!("{file} cannot be read ({kind})"),
            format!("{key} must name a file that holds the secret and nothing else"),
        ),
    };
    Failure::new(Exit::Config, message).hint(hint)
}

async fn read(client: &Client, config: &Connection, api: Api, step: String) -> Step {
    let rows = async {
        match api {
            Api::BankPos => client.reference(Purpose::Repair, Stream::Banks).await,
            Api::VirtualPos => client.reference(Purpose::Repair, Stream::Customers).await,
            Api::Tos => {
                let today = now().local_day();
                let first = config.tos.as_ref().and_then(|tos| tos.institutions.first());
                let code = first.map_or("", |institution| institution.code.as_str());
                client.tos_payments(Purpose::Repair, code, None, today).await
            }
        }
    };
    let what = match api {
        Api::BankPos => "banks",
        Api::VirtualPos => "customers",
        Api::Tos => "payments of today",
    };
    match timeout(READ_DEADLINE, rows).await {
        Ok(Ok(rows)) => Step::ok(Target::Vomsis, step, format!("{} {what}", rows.len())),
        Ok(Err(error)) => failed(step, &error),
        Err(_) => {
            let message = format!("no good answer within {} s", READ_DEADLINE.as_secs());
            let failure = Failure::new(Exit::Unavailable, message);
            Step::failed(Target::Vomsis, step, failure.hint("the API has trouble: try again later"))
        }
    }
}

fn failed(step: String, error: &api::Error) -> Step {
    let failure = Failure::new(exit_of_api(error), error.to_string()).hint(hint_for_api(error));
    Step::failed(Target::Vomsis, step, failure)
}

/// Brokers, and the topics against what they must be.
pub(super) async fn kafka(kafka: &Kafka, payments: bool) -> Vec<Step> {
    let desired = topics::desired(kafka, payments);
    let cluster = match topics::actual(kafka, &desired).await {
        Ok(cluster) => cluster,
        Err(error) => return vec![Step::failed(Target::Kafka, "reachable", error.into())],
    };
    let mut steps = vec![Step::ok(Target::Kafka, "reachable", kafka.bootstrap_servers.as_str())];
    let plan = topics::plan(&desired, &cluster.topics);
    let rows: Vec<_> = plan.iter().map(|step| row(step, cluster.brokers)).collect();
    let missing: Vec<&str> = rows
        .iter()
        .filter(|row| row.state == TopicState::Missing)
        .map(|row| row.topic.as_str())
        .collect();
    let good = rows.iter().filter(|row| row.state == TopicState::Ok).count();
    let found = format!("{good} of {} as they must be", rows.len());
    let and_missing = format!("{found}, {} missing: {}", missing.len(), missing.join(", "));
    steps.push(if good == rows.len() {
        Step::ok(Target::Kafka, "topics", found)
    } else if missing.is_empty() {
        Step::warn(Target::Kafka, "topics", found, "the next lines name what differs")
    } else if kafka.manage_topics {
        let hint = "run creates them at start; topics apply does it now";
        Step::warn(Target::Kafka, "topics", and_missing, hint)
    } else {
        let hint = "topics apply creates them (kafka.manage_topics is false)";
        let failure = Failure::new(Exit::Failed, and_missing).hint(hint);
        Step::failed(Target::Kafka, "topics", failure)
    });
    if let Some(few) = too_few(&rows) {
        let failure = Failure::new(Exit::Failed, few).hint(TOO_FEW);
        steps.push(Step::failed(Target::Kafka, "replicas", failure));
    }
    for row in &rows {
        let step = || format!("topic {}", row.topic);
        if let Some(weakness) = row.warning.as_deref() {
            let hint = "docs/operations/backup-restore.md says why";
            steps.push(Step::warn(Target::Kafka, step(), weakness, hint));
        }
        if row.state == TopicState::Mismatch {
            let reason = row.reason.clone().unwrap_or_default();
            let hint = "topics plan shows both values; bring the topic or the setting in line";
            steps.push(if row.blocks {
                Step::failed(Target::Kafka, step(), Failure::new(Exit::Failed, reason).hint(hint))
            } else {
                Step::warn(Target::Kafka, step(), reason, hint)
            });
        }
    }
    steps
}

/// The registry, and each subject.
pub(super) async fn registry(config: &Config) -> Vec<Step> {
    let checked = match schemas::ask(config).await {
        Ok(checked) => checked,
        Err(error) => return vec![Step::failed(Target::Registry, "reachable", error.into())],
    };
    let mode = config.schema_registry.mode;
    let url = config.schema_registry.url.as_str();
    let mut steps = vec![Step::ok(Target::Registry, "reachable", url)];
    let count = |state| checked.iter().filter(|row| row.state == state).count();
    let (registered, total) = (count(schemas::State::Registered), checked.len());
    let detail = format!("{registered} of {total} registered");
    let fresh = count(schemas::State::New) + count(schemas::State::Compatible);
    steps.push(if fresh > 0 && mode == RegistryMode::Register {
        let hint = "run registers the others at start; schemas register does it now";
        Step::warn(Target::Registry, "subjects", detail, hint)
    } else {
        Step::ok(Target::Registry, "subjects", detail)
    });
    for row in checked.iter().filter(|row| row.blocks(mode)) {
        let (detail, hint) = match row.state {
            schemas::State::Incompatible => {
                let first = row.differences.first().map_or("", String::as_str);
                let detail = format!("{} would be refused: {first}", row.subject);
                (detail, "schemas check names every difference")
            }
            _ => {
                let detail = format!("{} is not registered, and mode is verify", row.subject);
                (detail, "schemas register adds it")
            }
        };
        let failure = Failure::new(Exit::Failed, detail).hint(hint);
        steps.push(Step::failed(Target::Registry, "subject", failure));
    }
    steps
}

/// The folder of the local cache.
pub(super) async fn state(dir: &Path) -> Vec<Step> {
    let target = Target::State;
    let found = match folder::look(dir) {
        Ok(found) => found,
        Err((path, error)) => {
            return vec![Step::failed(target, "writable", unusable(dir, &path, error.kind()))];
        }
    };
    let shown = dir.display().to_string();
    let detail = if found.exists { shown } else { format!("{shown}, run creates it") };
    let mut steps = vec![Step::ok(target, "writable", detail)];
    steps.push(if found.locked {
        let hint = "fine while this connector runs; else give each process its own state.dir";
        Step::warn(target, "not in use", "another process holds it", hint)
    } else {
        Step::ok(target, "not in use", "free")
    });
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let detail = format!("{:.1} GiB", found.free_bytes as f64 / GIB as f64);
    let hint = "the cache of a million rows takes some 100 MB: make room";
    steps.push(match found.free_bytes {
        bytes if bytes < FREE_BYTES_MIN => {
            Step::failed(target, "free space", Failure::new(Exit::Failed, detail).hint(hint))
        }
        bytes if bytes < GIB => Step::warn(target, "free space", detail, hint),
        _ => Step::ok(target, "free space", detail),
    });
    steps
}

/// Why nothing can be written in the folder; `place` is where that was tried, the nearest folder
/// that exists.
fn unusable(dir: &Path, place: &Path, kind: ErrorKind) -> Failure {
    let shown = dir.display();
    let (message, hint) = if dir == place {
        let hint = "give the user of the connector a folder of its own in state.dir";
        (format!("{shown} cannot be written to ({kind})"), hint)
    } else {
        let place = place.display();
        let message = format!("{shown} does not exist and cannot be created in {place} ({kind})");
        (message, "create it for the user of the connector, or name another folder in state.dir")
    };
    Failure::new(Exit::Config, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_is_told_by_what_is_wrong_with_it() {
        let told = |kind| {
            let failure = unreadable("app_key_file", Path::new("/k"), kind);
            assert_eq!(failure.exit, Exit::Config);
            format!("{}; {}", failure.message, failure.hint.unwrap_or_default())
        };
        let missing = told(ErrorKind::NotFound);
        assert!(missing.starts_with("/k does not exist; "), "{missing}");
        assert!(missing.contains("the right file in app_key_file"), "{missing}");
        assert!(!missing.contains("entity"), "{missing}");
        assert!(told(ErrorKind::PermissionDenied).contains("readable for the user"));
        assert!(told(ErrorKind::IsADirectory).contains("must name a file"));
    }

    #[test]
    fn a_folder_that_is_missing_is_told_from_one_that_may_not_be_written() {
        let told = |place: &str, kind| {
            let failure = unusable(Path::new("/proc/x/state"), Path::new(place), kind);
            format!("{}; {}", failure.message, failure.hint.unwrap_or_default())
        };
        let missing = told("/proc", ErrorKind::NotFound);
        assert!(missing.starts_with("/proc/x/state does not exist"), "{missing}");
        assert!(missing.contains("cannot be created in /proc ("), "{missing}");
        assert!(missing.contains("name another folder in state.dir"), "{missing}");
        let forbidden = told("/proc/x/state", ErrorKind::PermissionDenied);
        assert!(forbidden.contains("cannot be written to (permission denied)"), "{forbidden}");
    }
}
