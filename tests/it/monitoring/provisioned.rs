//! What Compose gives to Grafana. Grafana itself is in no package, and it passes over a key that it
//! does not know in silence: keys, paths and addresses are compared here with what it reads.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use super::shipped::{dashboards, in_repository};
use crate::harness::yaml;

/// The keys of Grafana's provisioning files, version 1 of their format.
const DATASOURCES: [&str; 4] = ["apiVersion", "datasources", "deleteDatasources", "prune"];
const DATASOURCE: [&str; 18] = [
    "orgId",
    "orgName",
    "version",
    "name",
    "type",
    "access",
    "url",
    "user",
    "database",
    "basicAuth",
    "basicAuthUser",
    "withCredentials",
    "isDefault",
    "correlations",
    "jsonData",
    "secureJsonData",
    "editable",
    "uid",
];
const PROVIDERS: [&str; 2] = ["apiVersion", "providers"];
const PROVIDER: [&str; 10] = [
    "name",
    "type",
    "orgId",
    "folder",
    "folderUid",
    "editable",
    "options",
    "disableDeletion",
    "updateIntervalSeconds",
    "allowUiUpdates",
];

fn read(name: &str) -> Value {
    let path = in_repository(&format!("config/compose/grafana/{name}.yaml"));
    yaml::read(&fs::read_to_string(path).unwrap())
}

/// The only entry of a list, after its file's and its own keys were looked at.
#[track_caller]
fn only<'a>(file: &'a Value, list: &str, of_file: &[&str], of_entry: &[&str]) -> &'a Value {
    let assert_known = |value: &Value, known: &[&str]| {
        let keys = value.as_object().unwrap().keys().map(String::as_str);
        let unknown: Vec<_> = keys.filter(|key| !known.contains(key)).collect();
        assert!(unknown.is_empty(), "{list}: Grafana passes over {unknown:?}");
    };
    assert_known(file, of_file);
    // Anything else is read by the rules of the oldest format.
    assert_eq!(file["apiVersion"], "1");
    let entries = file[list].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_known(&entries[0], of_entry);
    &entries[0]
}

#[test]
fn grafana_finds_the_prometheus_that_compose_starts() {
    let file = read("datasources");
    let source = only(&file, "datasources", &DATASOURCES, &DATASOURCE);
    // `proxy`: Grafana asks. A browser does not know the names of containers.
    for (key, value) in [("type", "prometheus"), ("access", "proxy"), ("isDefault", "true")] {
        assert_eq!(source[key], value, "{key}");
    }
    assert_eq!(source["url"], "http://prometheus:9090");
    let compose = fs::read_to_string(in_repository("docker-compose.yml")).unwrap();
    assert!(compose.contains("\n  prometheus:\n") && compose.contains(":9090\"]"));
    let scraped = fs::read_to_string(in_repository("config/compose/prometheus.yaml")).unwrap();
    let interval = source["jsonData"]["timeInterval"].as_str().unwrap();
    let set = format!("scrape_interval: {interval},");
    assert!(scraped.contains(&set), "$__rate_interval is made of {interval}");
}

#[test]
fn grafana_finds_the_dashboards_that_compose_mounts() {
    let file = read("dashboards");
    let provider = only(&file, "providers", &PROVIDERS, &PROVIDER);
    assert_eq!(provider["type"], "file");
    let path = provider["options"]["path"].as_str().unwrap();
    let mount = format!("./helm/vomsis-connect/files/dashboards:{path}:ro");
    let compose = fs::read_to_string(in_repository("docker-compose.yml")).unwrap();
    assert!(compose.contains(&mount), "{mount}");
    let uids: BTreeSet<_> =
        dashboards().iter().map(|(_, board)| board["uid"].to_string()).collect();
    assert_eq!(uids.len(), dashboards().len(), "two dashboards would take turns under one uid");
    for (name, board) in dashboards() {
        // A file with an id is taken for a dashboard of another Grafana.
        assert!(board["id"].is_null() && board["title"].is_string(), "{name}");
    }
}
