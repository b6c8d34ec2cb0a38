//! Three real brokers that hold each other's records, each a controller too.

use std::{fs, time::Duration};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
    metadata::Metadata,
};
use tempfile::TempDir;

use super::{
    kafka::{CLUSTER_ID, GRACE, LOGGING, START, java},
    ports::free_port,
    wait::{wait_for, wait_until},
    watched::{Watched, tail},
};

const CALL: Duration = Duration::from_secs(2);
const HEAP: &str = "256m";
/// Brokers, and replicas of all that the brokers keep for themselves.
pub(crate) const BROKERS: usize = 3;
/// Whose only partition's leader is the coordinator of all transactions.
pub(crate) const TRANSACTIONS: &str = "__transaction_state";
/// Whose only partition's leader is the coordinator of all groups.
pub(crate) const GROUPS: &str = "__consumer_offsets";

/// The brokers, by place; each has its data, which survive [`Cluster::stop`] and
/// [`Cluster::kill9`].
#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    id: i32,
    port: u16,
    process: Option<Watched>,
    runs: u32,
    // removed after the process has ended
    folder: TempDir,
}

impl Cluster {
    /// Formats the storage of all of them; none runs.
    pub(crate) fn new() -> Self {
        let ports: Vec<[u16; 2]> = (0..BROKERS).map(|_| [free_port(), free_port()]).collect();
        let voters: Vec<String> = (1..)
            .zip(&ports)
            .map(|(id, [_, controller])| format!("{id}@127.0.0.1:{controller}"))
            .collect();
        let nodes: Vec<Node> =
            (1..).zip(&ports).map(|(id, ports)| Node::new(id, *ports, &voters.join(","))).collect();
        std::thread::scope(|scope| {
            for node in &nodes {
                scope.spawn(|| node.format());
            }
        });
        Self { nodes }
    }

    /// Bootstrap servers: all of them.
    pub(crate) fn bootstrap(&self) -> String {
        let all: Vec<_> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        all.join(",")
    }

    /// Starts these side by side and waits until all that run know of each other.
    #[track_caller]
    pub(crate) fn start(&mut self, places: &[usize]) {
        for place in places {
            self.nodes[*place].launch();
        }
        self.wait_for_members();
    }

    /// Kills them with SIGKILL.
    pub(crate) fn kill9(&mut self, places: &[usize]) {
        for place in places {
            if let Some(mut process) = self.nodes[*place].process.take() {
                process.kill9();
            }
        }
    }

    /// Stops one with SIGTERM, so that it hands its partitions over first.
    pub(crate) fn stop(&mut self, place: usize) {
        self.nodes[place].process = None;
    }

    /// One that is down loses everything that it held.
    pub(crate) fn replace(&mut self, place: usize) {
        let node = &self.nodes[place];
        assert!(node.process.is_none(), "a running broker cannot be replaced");
        fs::remove_dir_all(node.folder.path().join("data")).unwrap();
        node.format();
    }

    /// The place of a partition's leader.
    #[track_caller]
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> usize {
        wait_for(&format!("{topic}-{partition} has a leader that runs"), START, || {
            let metadata = self.metadata(Some(topic))?;
            let partitions = metadata.topics().first()?.partitions();
            let leader = partitions.iter().find(|p| p.id() == partition)?.leader();
            self.nodes.iter().position(|node| node.id == leader && node.process.is_some())
        })
    }

    /// Waits until every partition of every topic is held by all brokers.
    #[track_caller]
    pub(crate) fn wait_for_replicas(&self) {
        wait_until("all replicas of all partitions are in sync", START, || {
            self.metadata(None).is_some_and(|metadata| {
                let mut all = metadata.topics().iter().flat_map(|topic| topic.partitions());
                all.all(|partition| partition.isr().len() == BROKERS)
            })
        });
    }

    fn wait_for_members(&mut self) {
        let wanted: Vec<i32> =
            self.nodes.iter().filter(|node| node.process.is_some()).map(|node| node.id).collect();
        wait_until(&format!("the brokers {wanted:?} know of each other"), START, || {
            for node in &mut self.nodes {
                node.assert_runs();
            }
            self.metadata(None).is_some_and(|metadata| {
                let mut found: Vec<_> = metadata.brokers().iter().map(|b| b.id()).collect();
                found.sort_unstable();
                found == wanted
            })
        });
    }

    /// What a broker that runs says of the cluster.
    fn metadata(&self, topic: Option<&str>) -> Option<Metadata> {
        let running: Vec<_> = self
            .nodes
            .iter()
            .filter(|node| node.process.is_some())
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", running.join(",")).create().unwrap();
        client.fetch_metadata(topic, CALL).ok()
    }
}

impl Drop for Cluster {
    /// Stopped one after another, the last would wait in vain for the others.
    fn drop(&mut self) {
        self.kill9(&(0..BROKERS).collect::<Vec<_>>());
    }
}

impl Node {
    fn new(id: i32, [port, controller]: [u16; 2], voters: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("vomsis-cluster-").tempdir().unwrap();
        let data = folder.path().join("data");
        let text = format!(
            "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
listeners=CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{port}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor={BROKERS}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={BROKERS}
transaction.state.log.min.isr=2
min.insync.replicas=2
default.replication.factor={BROKERS}
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.dedupe.buffer.size=16777216
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
",
            data.display()
        );
        fs::write(folder.path().join("server.properties"), text).unwrap();
        fs::write(folder.path().join("log4j2.yaml"), LOGGING).unwrap();
        Self { id, port, process: None, runs: 0, folder }
    }

    fn format(&self) {
        let arguments = ["format", "-t", CLUSTER_ID, "-c"];
        let mut command = java(self.folder.path(), HEAP, "kafka.tools.StorageTool", &arguments);
        let output = command.output().expect("java runs");
        assert!(output.status.success(), "kafka format: {output:?}");
    }

    fn launch(&mut self) {
        self.runs += 1;
        let command = java(self.folder.path(), HEAP, "kafka.Kafka", &[]);
        let name = format!("broker-{}-{}", self.id, self.runs);
        self.process = Some(Watched::start(&command, self.folder.path(), &name, GRACE));
    }

    #[track_caller]
    fn assert_runs(&mut self) {
        let Some(process) = &mut self.process else { return };
        assert!(process.is_running(), "broker {} ended: {}", self.id, tail(&process.stdout()));
    }
}
