//! A real schema registry (Apicurio, Confluent API), from the archive of `make components`.

use std::{net::SocketAddr, process::Command, sync::OnceLock, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    components::{component, environment},
    http::{self, Answer},
    ports::free_port,
    wait::{GENEROUS, wait_for, wait_until},
    watched::{Watched, tail},
};

const FOLDER: &str = "apicurio-3.3.3";
const API: &str = "/apis/ccompat/v7";
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
const START: Duration = Duration::from_secs(240);
const GRACE: Duration = Duration::from_secs(10);

/// A registry with its own database, which survives `stop`, `kill9` and `restart`.
#[derive(Debug)]
pub(crate) struct Registry {
    process: Option<Watched>,
    port: u16,
    management_port: u16,
    runs: u32,
    // removed after the process has ended: fields are dropped in this order
    folder: TempDir,
}

impl Registry {
    /// Starts it and waits until it answers.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("vomsis-registry-").tempdir().unwrap();
        let mut registry = Self {
            process: None,
            port: free_port(),
            management_port: free_port(),
            runs: 0,
            folder,
        };
        registry.launch();
        registry
    }

    /// The base URL of its Confluent API.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}{API}", self.port)
    }

    /// The port it listens on, for a proxy.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Stops it with SIGTERM, after 10 s with SIGKILL; the database and the port stay.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// Kills it with SIGKILL; the database and the port stay.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    /// Starts it again on the same database and port (stopping it first if need be).
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.launch();
    }

    fn launch(&mut self) {
        self.runs += 1;
        let home = component(FOLDER);
        let mut command = Command::new(component("java-registry").join("bin/java"));
        command
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
            .args(["-Dquarkus.http.host=127.0.0.1", "-Dquarkus.management.host=127.0.0.1"])
            .arg(format!("-Dquarkus.http.port={}", self.port))
            .arg(format!("-Dquarkus.management.port={}", self.management_port))
            .arg("-Dquarkus.log.level=WARN")
            .arg(format!(
                "-Dapicurio.datasource.url=jdbc:h2:file:{}",
                self.folder.path().join("db").display()
            ))
            .arg("-jar")
            .arg(home.join("quarkus-run.jar"))
            .current_dir(self.folder.path());
        let name = format!("registry-{}", self.runs);
        let mut process = Watched::start(&command, self.folder.path(), &name, GRACE);
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        wait_until("the registry answers", START, || {
            assert!(process.is_running(), "the registry ended: {}", tail(&process.stdout()));
            http::get(address, &format!("{API}/subjects")).is_ok_and(|a| a.status == 200)
        });
        self.process = Some(process);
    }
}

/// The registry that most tests share.
#[derive(Debug)]
pub(crate) struct SharedRegistry {
    url: String,
    _own: Option<Registry>,
}

impl SharedRegistry {
    /// The base URL of its Confluent API.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// One registry for the whole binary: that of `SCHEMA_REGISTRY_URL`, else one that the first
/// caller starts and that ends with the process.
pub(crate) fn shared_registry() -> &'static SharedRegistry {
    static SHARED: OnceLock<SharedRegistry> = OnceLock::new();
    SHARED.get_or_init(|| match environment("SCHEMA_REGISTRY_URL") {
        Some(url) => SharedRegistry { url, _own: None },
        None => {
            let own = Registry::start();
            SharedRegistry { url: own.url(), _own: Some(own) }
        }
    })
}

/// `GET` below a registry's base URL.
#[track_caller]
pub(crate) fn ask(url: &str, path: &str) -> Answer {
    let (address, base) = split(url);
    // A busy registry may drop a connection; reading again changes nothing.
    wait_for("the registry answers", GENEROUS, || http::get(address, &format!("{base}{path}")).ok())
}

/// Registers an Avro schema under a subject and returns its id.
#[track_caller]
pub(crate) fn register(url: &str, subject: &str, schema: &str) -> u32 {
    let (address, base) = split(url);
    let body = json!({ "schema": schema }).to_string();
    let path = format!("{base}/subjects/{subject}/versions");
    // As above: the same schema under the same subject keeps its id.
    let answer = wait_for("the registry answers", GENEROUS, || {
        http::request(address, "POST", &path, Some((CONTENT_TYPE, &body))).ok()
    });
    let id = answer.json().get("id").and_then(Value::as_u64);
    id.and_then(|id| id.try_into().ok()).unwrap_or_else(|| panic!("not registered: {answer:?}"))
}

/// Sets which changes of the subject's schema the registry accepts.
#[track_caller]
pub(crate) fn set_compatibility(url: &str, subject: &str, level: &str) {
    let (address, base) = split(url);
    let body = json!({ "compatibility": level }).to_string();
    let path = format!("{base}/config/{subject}");
    // As above.
    let answer = wait_for("the registry answers", GENEROUS, || {
        http::request(address, "PUT", &path, Some((CONTENT_TYPE, &body))).ok()
    });
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// A plain `http://ADDRESS:PORT/BASE` as address and base.
#[track_caller]
fn split(url: &str) -> (SocketAddr, &str) {
    let rest = url.strip_prefix("http://").expect("the tests speak plain http to the registry");
    let (host, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address = std::net::ToSocketAddrs::to_socket_addrs(host).ok().and_then(|mut a| a.next());
    (address.unwrap_or_else(|| panic!("no host:port in {url}")), base.trim_end_matches('/'))
}
