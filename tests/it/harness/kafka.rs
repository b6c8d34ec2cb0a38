//! A real single-node broker (KRaft), from the jars of `make components`.

use std::{fs, net::TcpStream, path::Path, process::Command, sync::OnceLock, time::Duration};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use tempfile::TempDir;

use super::{
    components::{component, environment},
    ports::free_port,
    proxy::{Protocol, Proxy},
    wait::wait_until,
    watched::{Watched, tail},
};

const JARS: &str = "kafka-4.3.1";
pub(super) const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";
const NODE_ID: i32 = 1;
/// A cold Java on a machine that is busy with builds.
pub(super) const START: Duration = Duration::from_secs(180);
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// What a broker is started with beyond the defaults.
#[derive(Debug, Default)]
pub(crate) struct BrokerOptions {
    /// Put a [`Proxy`] in front of the client listener.
    pub(crate) proxied: bool,
    /// Lines of `server.properties` over the defaults.
    pub(crate) properties: Vec<(String, String)>,
}

/// A broker with its own data, which survive `stop`, `kill9` and `restart`.
#[derive(Debug)]
pub(crate) struct Broker {
    process: Option<Watched>,
    proxy: Option<Proxy>,
    direct_port: u16,
    client_port: u16,
    runs: u32,
    // removed after the process has ended: fields are dropped in this order
    folder: TempDir,
}

impl Broker {
    /// Formats the storage, starts the broker and waits until Metadata answers.
    pub(crate) fn start(options: BrokerOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("vomsis-kafka-").tempdir().unwrap();
        let (client, direct, controller) = (free_port(), free_port(), free_port());
        let proxy = options.proxied.then(|| Proxy::start(Protocol::Kafka, client));
        let client_port = proxy.as_ref().map_or(client, Proxy::port);
        let mut text = properties(folder.path(), [client, direct, controller], client_port);
        for (key, value) in &options.properties {
            text += &format!("{key}={value}\n");
        }
        fs::write(folder.path().join("server.properties"), text).unwrap();
        fs::write(folder.path().join("log4j2.yaml"), LOGGING).unwrap();
        let mut broker =
            Self { process: None, proxy, direct_port: direct, client_port, runs: 0, folder };
        let mut format =
            broker.java("kafka.tools.StorageTool", &["format", "-t", CLUSTER_ID, "-c"]);
        let output = format.output().expect("java runs");
        assert!(output.status.success(), "kafka format: {output:?}");
        broker.launch();
        broker
    }

    /// Bootstrap servers of the listener that no proxy stands in front of: for tests and tools.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.direct_port)
    }

    /// Bootstrap servers for the system under test: behind the proxy where there is one.
    pub(crate) fn client_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    /// The proxy in front of the client listener; fails the test where none was asked for.
    #[track_caller]
    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("start the broker with `proxied: true`")
    }

    /// Stops it with SIGTERM, after 10 s with SIGKILL; the data and the ports stay.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// Kills it with SIGKILL; the data and the ports stay.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    /// Starts it again on the same data and ports (stopping it first if need be).
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.launch();
    }

    fn launch(&mut self) {
        self.runs += 1;
        let command = self.java("kafka.Kafka", &[]);
        let name = format!("broker-{}", self.runs);
        let mut process = Watched::start(&command, self.folder.path(), &name, GRACE);
        let direct = self.direct_port;
        let mut is_up = |port: u16| {
            assert!(process.is_running(), "the broker ended: {}", tail(&process.stdout()));
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        };
        wait_until("the broker's port opens", START, || is_up(direct));
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("reconnect.backoff.max.ms", "200")
            .create()
            .unwrap();
        wait_until("the broker answers Metadata", START, || {
            is_up(direct)
                && client
                    .fetch_metadata(None, Duration::from_secs(1))
                    .is_ok_and(|metadata| metadata.brokers().iter().any(|b| b.id() == NODE_ID))
        });
        self.process = Some(process);
    }

    /// Runs one of Kafka's own tools against it.
    pub(crate) fn tool(&self, class: &str, arguments: &[&str]) {
        let direct = self.bootstrap();
        let all = [&["--bootstrap-server", &direct], arguments].concat();
        let output = self.java(class, &all).output().expect("java runs");
        assert!(output.status.success(), "{class} {arguments:?}: {output:?}");
    }

    fn java(&self, class: &str, arguments: &[&str]) -> Command {
        java(self.folder.path(), "512m", class, arguments)
    }
}

/// A Java program of the broker's that reads the folder's `server.properties`.
pub(super) fn java(folder: &Path, heap: &str, class: &str, arguments: &[&str]) -> Command {
    let file = |name| folder.join(name).display().to_string();
    let mut command = Command::new(component("java-broker").join("bin/java"));
    command
        .args([&format!("-Xmx{heap}"), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg(format!("-Dlog4j2.configurationFile={}", file("log4j2.yaml")))
        .args(["-cp", &format!("{}/*", component(JARS).display()), class])
        .args(arguments)
        .arg(file("server.properties"))
        .current_dir(folder);
    command
}

/// Its `log4j2.yaml`: what goes wrong, on stdout.
pub(super) const LOGGING: &str = "\
Configuration:
  Appenders:
    Console:
      name: OUT
      PatternLayout: {pattern: '%d %p %m (%c)%n'}
  Loggers:
    Root:
      level: WARN
      AppenderRef: {ref: OUT}
";

fn properties(folder: &Path, [client, direct, controller]: [u16; 3], advertised: u16) -> String {
    let data = folder.join("data");
    format!(
        "process.roles=broker,controller
node.id={NODE_ID}
controller.quorum.voters={NODE_ID}@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=DIRECT
listeners=CLIENT://127.0.0.1:{client},DIRECT://127.0.0.1:{direct},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{advertised},DIRECT://127.0.0.1:{direct}
listener.security.protocol.map=CLIENT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=16777216
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
",
        data.display()
    )
}

/// The broker that most tests share.
#[derive(Debug)]
pub(crate) struct SharedBroker {
    bootstrap: String,
    _own: Option<Broker>,
}

impl SharedBroker {
    /// Its bootstrap servers.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }
}

/// One broker for the whole binary: that of `KAFKA_BOOTSTRAP`, else one that the first caller
/// starts and that ends with the process.
pub(crate) fn shared_broker() -> &'static SharedBroker {
    static SHARED: OnceLock<SharedBroker> = OnceLock::new();
    SHARED.get_or_init(|| match environment("KAFKA_BOOTSTRAP") {
        Some(bootstrap) => SharedBroker { bootstrap, _own: None },
        None => {
            let own = Broker::start(BrokerOptions::default());
            SharedBroker { bootstrap: own.bootstrap(), _own: Some(own) }
        }
    })
}
