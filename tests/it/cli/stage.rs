//! A simulator, a folder with a configuration, and the commands that run in it.

use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;
use vomsis_connect::sandbox::{
    Simulator, SimulatorOptions,
    simulator::{APP_KEY, APP_SECRET},
};

use crate::harness::{
    kafka::shared_broker,
    process::{Home, Process},
    registry::shared_registry,
    topics::unique_prefix,
};

/// A port that nothing ever listens on.
pub(super) const NOWHERE: &str = "127.0.0.1:9";
pub(super) const DEADLINE: Duration = Duration::from_secs(120);

/// How a command ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Outcome {
    /// stdout as one JSON value: nothing else may stand there.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    /// The one step of `check -o json` of that name; a second one would say something else about
    /// the same thing.
    #[track_caller]
    pub(super) fn step(&self, name: &str) -> Value {
        let steps = self.json();
        let mut found = steps.as_array().unwrap().iter().filter(|step| step["step"] == name);
        let step = found.next().unwrap_or_else(|| panic!("no step {name}: {self:?}")).clone();
        assert!(found.next().is_none(), "{name} stands twice: {self:?}");
        step
    }

    /// stdout as JSON lines.
    #[track_caller]
    pub(super) fn lines(&self) -> Vec<Value> {
        let parsed = |line: &str| serde_json::from_str(line);
        self.stdout.lines().map(parsed).collect::<Result<_, _>>().unwrap_or_else(|e| panic!("{e}"))
    }
}

/// What a test runs against.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) prefix: String,
    pub(super) simulator: Simulator,
    pub(super) home: Home,
    // the simulator's tasks end with it
    _runtime: Runtime,
}

impl Stage {
    /// The simulator with some days of history, a real broker and a real registry.
    pub(super) fn new(test: &str) -> Self {
        Self::with(test, shared_broker().bootstrap(), shared_registry().url(), "")
    }

    /// The simulator alone: broker and registry do not answer.
    pub(super) fn offline(test: &str) -> Self {
        Self::with(test, NOWHERE, &format!("http://{NOWHERE}"), "")
    }

    /// Any broker and registry; `registry_more` are further keys of `schema_registry`.
    pub(super) fn with(test: &str, brokers: &str, registry: &str, registry_more: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let options = SimulatorOptions { history_days: 4, ..SimulatorOptions::default() };
        let simulator = runtime.block_on(Simulator::start(options)).unwrap();
        let (prefix, api) = (unique_prefix(test), simulator.base_url());
        let home = Home::new(&format!(
            r#"env: test
connections:
  - id: acme
    bank_pos: {{base_url: "{api}/api/v2", app_key_file: "{{home}}/key", app_secret_file: "{{home}}/secret"}}
    virtual_pos: {{base_url: "{api}/api/vpos/v3"}}
    tos:
      base_url: "{api}"
      token_url: "{api}/auth/oauth/v2/token"
      client_id_file: "{{home}}/key"
      client_secret_file: "{{home}}/secret"
      consent_id: c
      resource: sandbox
      institutions: [{{code: "0006624"}}]
    quota: {{requests_per_minute: 600000, concurrency: 8, reserved_for_payments: 0}}
    streams:
      bank_transactions: {{poll_interval: 1s, start: 5d, lookback: 5d}}
      pos_transactions: {{poll_interval: 1s, start: 5d, lookback: 5d}}
kafka: {{bootstrap_servers: "{brokers}", group: "{prefix}", topic_prefix: "{prefix}", shards: 2, replication_factor: 1}}
schema_registry: {{url: "{registry}"{registry_more}}}
state: {{dir: "{{home}}/state"}}
http: {{listen: "127.0.0.1:0"}}
"#
        ));
        home.write("key", APP_KEY);
        home.write("secret", APP_SECRET);
        // A volume, in a deployment: without it nobody could count refused TOS tokens.
        std::fs::create_dir(home.path().join("state")).unwrap();
        Self { prefix, simulator, home, _runtime: runtime }
    }

    /// Starts a command with this configuration.
    pub(super) fn start(&self, arguments: &[&str]) -> Process {
        self.home.connector(&[arguments, &["--config", "config.yaml"]].concat())
    }

    /// Runs a command to its end. No secret may stand in what it says.
    #[track_caller]
    pub(super) fn run(&self, arguments: &[&str]) -> Outcome {
        let mut process = self.start(arguments);
        let code = process.wait(DEADLINE);
        let outcome = Outcome { code, stdout: process.stdout(), stderr: process.stderr() };
        for secret in [APP_KEY, APP_SECRET, "wrong-secret"] {
            for text in [&outcome.stdout, &outcome.stderr] {
                assert!(!text.contains(secret), "{arguments:?} shows {secret}: {text}");
            }
        }
        outcome
    }

    /// Runs a command that must end with this code.
    #[track_caller]
    pub(super) fn expect(&self, code: i32, arguments: &[&str]) -> Outcome {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, code, "{arguments:?}: {outcome:?}");
        outcome
    }
}
