//! A real Prometheus that scrapes a connector and evaluates the shipped rules, a minute as a second.

use std::{fs, net::SocketAddr, process::Command, time::Duration};

use serde_json::Value;
use tempfile::TempDir;

use super::shipped::rules_text;
use crate::harness::{
    components::component,
    http,
    ports::free_port,
    wait::{GENEROUS, wait_for, wait_until},
    watched::Watched,
};

const GRACE: Duration = Duration::from_secs(5);

/// Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Prometheus {
    pub(crate) address: SocketAddr,
    server: Watched,
    _folder: TempDir,
}

/// The rules with each minute a second and each hour a minute; nothing else of them changes.
pub(super) fn hurried(rules: &str) -> String {
    let words = |line: &str| line.trim_start().starts_with('#') || line.contains("description:");
    rules
        .lines()
        .map(|line| if words(line) { line.to_owned() } else { hurry(line) } + "\n")
        .collect()
}

/// `40m` → `40s`, `4h` → `240s`, `3600` → `60`, `15 * 60` → `15 * 1`, wherever they stand by themselves.
fn hurry(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        let digits = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
        let (number, after) = from.split_at(digits);
        let alone = !before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
        let ends = |unit: char| {
            after.strip_prefix(unit).filter(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        };
        let value: u64 = number.parse().unwrap();
        out += before;
        rest = match (alone, ends('m'), ends('h')) {
            (true, Some(rest), _) => {
                out += &format!("{value}s");
                rest
            }
            (true, _, Some(rest)) => {
                out += &format!("{}s", value * 60);
                rest
            }
            (true, ..) if value == 3600 => {
                out += "60";
                after
            }
            (true, ..) if value == 60 && before.ends_with("* ") => {
                out += "1";
                after
            }
            _ => {
                out += number;
                after
            }
        };
    }
    out + rest
}

impl Prometheus {
    /// Scrapes the connector as job `vomsis`, and the page of a kubelet, every second.
    pub(crate) fn start(connector: SocketAddr, kubelet: SocketAddr) -> Self {
        let folder = tempfile::Builder::new().prefix("vomsis-prometheus-").tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        write("rules.yaml", &hurried(&rules_text()));
        let config = write(
            "prometheus.yaml",
            &format!(
                "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
                 rule_files: [rules.yaml]\n\
                 scrape_configs:\n\
                 - {{job_name: vomsis, static_configs: [{{targets: ['{connector}']}}]}}\n\
                 - {{job_name: kubelet, static_configs: [{{targets: ['{kubelet}']}}]}}\n"
            ),
        );
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(component("tools/prometheus-2.42.0").join("prometheus"));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"));
        let server = Watched::start(&command, folder.path(), "prometheus", GRACE);
        let mut prometheus = Self { address, server, _folder: folder };
        wait_until("Prometheus is ready", GENEROUS, || {
            assert!(prometheus.server.is_running(), "{}", prometheus.server.stderr());
            http::get(address, "/-/ready").is_ok_and(|answer| answer.status == 200)
        });
        prometheus
    }

    /// `http://<address>`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The labels of each alert of this name that fires now.
    pub(crate) fn firing(&self, name: &str) -> Vec<Value> {
        let answer = http::get(self.address, "/api/v1/alerts").unwrap().json();
        let alerts = answer["data"]["alerts"].as_array().unwrap().iter();
        let fires =
            |alert: &&Value| alert["labels"]["alertname"] == name && alert["state"] == "firing";
        alerts.filter(fires).map(|alert| alert["labels"].clone()).collect()
    }

    /// What a query answers now; it holds no character that a form would have to escape.
    pub(crate) fn query(&self, query: &str) -> Vec<Value> {
        let body = format!("query={query}");
        let form = Some(("application/x-www-form-urlencoded", body.as_str()));
        let answer = http::request(self.address, "POST", "/api/v1/query", form).unwrap().json();
        answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{query}: {answer}")).clone()
    }

    /// Waits until an alert of this name fires whose labels include these.
    #[track_caller]
    pub(crate) fn wait_until_fires(&self, name: &str, labels: &[(&str, &str)], deadline: Duration) {
        wait_for(&format!("{name}{labels:?} fires"), deadline, || {
            let fits = |alert: &Value| labels.iter().all(|(label, value)| alert[*label] == *value);
            self.firing(name).into_iter().find(fits)
        });
    }

    /// Waits until no alert of this name fires.
    #[track_caller]
    pub(crate) fn wait_until_resolved(&self, name: &str, deadline: Duration) {
        wait_until(&format!("{name} is resolved"), deadline, || self.firing(name).is_empty());
    }
}

#[test]
fn a_minute_of_the_rules_becomes_a_second_and_nothing_else_changes() {
    for (line, wanted) in [
        ("for: 5m", "for: 5s"),
        ("for: 4h", "for: 240s"),
        ("rate(a_total{code=\"5xx\"}[30m]) > 0.25", "rate(a_total{code=\"5xx\"}[30s]) > 0.25"),
        ("(time() - b) > 3600", "(time() - b) > 60"),
        ("(time() - b < 60 * 60) > 60", "(time() - b < 60 * 1) > 60"),
        ("histogram_quantile(0.95, c) > 10", "histogram_quantile(0.95, c) > 10"),
        ("a > 2 * b", "a > 2 * b"),
    ] {
        assert_eq!(hurry(line), wanted);
    }
    let hurried = hurried(&rules_text());
    let expressions = hurried
        .lines()
        .filter(|line| !line.trim_start().starts_with('#') && !line.contains("description"));
    assert!(expressions.clone().count() > 150);
    for line in expressions {
        assert!(!line.contains("m]") && !line.contains("h]"), "{line}");
    }
}
