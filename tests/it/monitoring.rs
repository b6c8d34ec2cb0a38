//! What an operator is given to watch the connector with: alerts, dashboards, runbooks. They name
//! each other and what exists; a live Prometheus shows that they tell the truth.

mod live;
mod prometheus;
mod provisioned;
pub(crate) mod shipped;

use std::{collections::BTreeSet, fs};

use clap::Parser;
use vomsis_connect::cli::Cli;

use self::shipped::{Alert, alerts, dashboards, in_repository, panels};
use crate::metrics::documented;

const SECTIONS: [&str; 5] =
    ["\n## Meaning\n", "\n## Impact\n", "\n## Check\n", "\n## Fix\n", "\n## Escalate\n"];
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];
/// Of other exporters: Prometheus itself and the kubelet.
const FOREIGN: [&str; 4] =
    ["up", "ALERTS", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"];

fn runbooks() -> Vec<(String, String)> {
    let folder = in_repository("docs/runbooks");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut found: Vec<_> = files
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&file).unwrap())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn every_alert_says_what_it_means_and_every_runbook_has_its_alert() {
    let alerts = alerts();
    assert!(alerts.len() >= 20, "{}", alerts.len());
    let uids: BTreeSet<_> = dashboards()
        .into_iter()
        .map(|(_, board)| board["uid"].as_str().unwrap().to_owned())
        .collect();
    for Alert { name, rule } in &alerts {
        let annotation = |key: &str| rule["annotations"][key].as_str().unwrap_or_default();
        assert_eq!(annotation("runbook_url"), format!("docs/runbooks/{name}.md"));
        assert!(annotation("summary").len() > 10 && annotation("description").len() > 20, "{name}");
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(SEVERITIES.contains(&severity), "{name}: {severity:?}");
        let link = annotation("dashboard").strip_prefix("/d/").unwrap_or_default();
        let uid = link.split('?').next().unwrap();
        assert!(uids.contains(uid), "{name} links to {link:?}, there are {uids:?}");
    }
    let names: BTreeSet<_> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(names.len(), alerts.len(), "an alert is there twice");
    let runbooks = runbooks();
    let pages: BTreeSet<_> =
        runbooks.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "README").collect();
    assert_eq!(names, pages);
    let (_, index) = runbooks.iter().find(|(name, _)| name == "README").expect("an index");
    for (name, text) in runbooks.iter().filter(|(name, _)| name != "README") {
        let places: Vec<_> = SECTIONS.iter().map(|section| text.find(section)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{name}: {places:?}");
        assert!(index.contains(&format!("[{name}]({name}.md)")), "{name} is not in the index");
    }
}

#[test]
fn runbooks_name_codes_commands_and_pages_that_exist() {
    let codes = fs::read_to_string(in_repository("docs/errors.md")).unwrap();
    let (mut commands, mut links) = (0, 0);
    for (name, text) in runbooks() {
        for (at, _) in text.match_indices("VOM-") {
            let code: String = text.get(at..).unwrap().chars().take("VOM-SRC-001".len()).collect();
            assert!(codes.contains(&format!("| {code} |")), "{name}: {code} is not in errors.md");
        }
        for command in text.split('`').skip(1).step_by(2) {
            if let Some(words) = command.strip_prefix("vomsis-connect ") {
                assert_parses(&name, words);
                commands += 1;
            }
        }
        for (at, opening) in text.match_indices("](") {
            let target = text.get(at + opening.len()..).unwrap().split([')', '#']).next().unwrap();
            assert!(in_repository("docs/runbooks").join(target).exists(), "{name}: {target}");
            links += 1;
        }
    }
    assert!(commands > 20 && links > 20, "{commands} commands, {links} links");
}

/// The command line takes it; words in capitals stand for something.
fn assert_parses(page: &str, words: &str) {
    let meant = words.split(' ').map(|word| match word {
        "ID" => "00000000-0000-4000-8000-000000000000",
        "STREAM" => "bank_transactions",
        other => other,
    });
    let parsed = Cli::try_parse_from(std::iter::once("vomsis-connect").chain(meant));
    assert!(parsed.is_ok(), "{page}: {words}\n{}", parsed.unwrap_err());
}

/// Names of metrics in a query: what is no keyword, function, label or variable.
fn metrics_of(query: &str) -> BTreeSet<String> {
    let known = ["vomsis_", "process_", "kubelet_"];
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named = |word: &&str| known.iter().any(|prefix| word.starts_with(prefix));
    let mut found: BTreeSet<_> = words.filter(named).map(str::to_owned).collect();
    found.extend(
        FOREIGN.iter().filter(|name| query.contains(&format!("{name}{{"))).map(|n| (*n).to_owned()),
    );
    found
}

#[test]
fn alerts_and_dashboards_ask_for_documented_metrics_only() {
    let mut known: BTreeSet<String> = FOREIGN.iter().map(|name| (*name).to_owned()).collect();
    let process = ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "start_time_seconds"];
    known.extend(process.iter().map(|name| format!("process_{name}")));
    for metric in documented() {
        let suffixes: &[&str] =
            if metric.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        known.extend(suffixes.iter().map(|suffix| format!("{}{suffix}", metric.name)));
    }
    let queries = shipped::queries();
    assert!(queries.len() > 70, "{}", queries.len());
    for (place, query) in &queries {
        let asked = metrics_of(query);
        assert!(!asked.is_empty(), "{place} asks for no metric: {query}");
        let unknown: Vec<_> = asked.difference(&known).collect();
        assert!(unknown.is_empty(), "{place}: {unknown:?} in {query}");
    }
    let used: BTreeSet<_> = queries.iter().flat_map(|(_, query)| metrics_of(query)).collect();
    let unused = documented().into_iter().map(|metric| metric.name).filter(|name| {
        !used.iter().any(|used| {
            used.strip_prefix(name.as_str()).is_some_and(|rest| ["", "_bucket"].contains(&rest))
        })
    });
    // The reload's time is asked for by nobody: it is for a look by hand.
    assert_eq!(unused.collect::<Vec<_>>(), ["vomsis_config_reload_success_timestamp_seconds"]);
}

#[test]
fn dashboards_can_be_provisioned_and_each_panel_names_its_runbook() {
    let boards = dashboards();
    let names: Vec<_> = boards.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["api-kafka", "commands", "overview", "runtime", "source"]);
    for (name, board) in &boards {
        let size = board.to_string().len();
        assert!(size < 300_000, "{name}: {size} bytes");
        assert_eq!(board["uid"], format!("vomsis-{name}"));
        // `__inputs` and ${DS_PROMETHEUS} come from an export, and fail where files are provisioned.
        assert!(
            board["__inputs"].is_null() && !board.to_string().contains("DS_PROMETHEUS"),
            "{name}"
        );
        assert_eq!(board["templating"]["list"][0]["name"], "datasource");
        for panel in panels(board) {
            let title = panel["title"].as_str().unwrap();
            let description = panel["description"].as_str().unwrap_or_default();
            let (_, page) = description.split_once("Runbook: ").unwrap_or_default();
            assert!(
                page.ends_with(".md") && in_repository(page).exists(),
                "{name} / {title}: {page:?}"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name} / {title}");
        }
    }
}
