//! The rules and the dashboards as they are shipped.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::harness::yaml;

const RULES: &str = "helm/vomsis-connect/files/rules/vomsis.rules.yaml";
const DASHBOARDS: &str = "helm/vomsis-connect/files/dashboards";

/// An alert with everything that stands in its rule.
#[derive(Debug)]
pub(crate) struct Alert {
    pub(crate) name: String,
    pub(crate) rule: Value,
}

/// A path from the repository's root.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The file of the alerts.
pub(crate) fn rules_text() -> String {
    fs::read_to_string(in_repository(RULES)).unwrap()
}

/// Every alert, in the file's order.
pub(crate) fn alerts() -> Vec<Alert> {
    let rules = yaml::read(&rules_text());
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules
        .map(|rule| Alert { name: rule["alert"].as_str().unwrap().to_owned(), rule: rule.clone() })
        .collect()
}

/// Every dashboard with the name of its file, by name.
pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let files = fs::read_dir(in_repository(DASHBOARDS)).unwrap().map(|file| file.unwrap().path());
    let mut found: Vec<_> = files
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap())
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// The panels that show something.
pub(crate) fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|panel| panel["type"] != "row").collect()
}

/// Every query of alerts and dashboards, with where it stands.
pub(crate) fn queries() -> Vec<(String, String)> {
    let mut found: Vec<_> = alerts()
        .into_iter()
        .map(|alert| (alert.name, alert.rule["expr"].as_str().unwrap().to_owned()))
        .collect();
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let place = format!("{name} / {}", panel["title"].as_str().unwrap());
            let targets = panel["targets"].as_array().unwrap().iter();
            found.extend(
                targets.map(|target| (place.clone(), target["expr"].as_str().unwrap().to_owned())),
            );
        }
    }
    found
}
