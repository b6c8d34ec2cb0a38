//! Members on librdkafka's own mock of a cluster, whose coordinator refuses, hangs and comes back.

use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use tokio::{runtime::Runtime, time::timeout};

use super::*;

const SHARDS: i32 = 2;
const DEADLINE: Duration = Duration::from_secs(60);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn kafka(cluster: &Cluster, session_ms: u32) -> Kafka {
    let text = "connections: [{id: a, bank_pos: {app_key_file: k, app_secret_file: s}}]\n";
    let mut kafka = crate::config::parse("c", text, std::iter::empty()).unwrap().config.kafka;
    kafka.bootstrap_servers = cluster.bootstrap_servers();
    kafka.shards = SHARDS;
    let session = ("session.timeout.ms".to_owned(), session_ms.to_string());
    kafka.consumer_properties = [session].into();
    kafka
}

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("vomsis.internal.assignment", SHARDS, 1).unwrap();
    cluster
}

/// A replica that runs until it leaves.
struct Replica {
    runtime: Runtime,
    member: Member,
    stop: watch::Sender<bool>,
    thread: thread::JoinHandle<()>,
}

impl Replica {
    fn join(kafka: Kafka) -> Self {
        let runtime = Runtime::new().unwrap();
        let (stop, stopped) = watch::channel(false);
        let (member, thread) = join(kafka, stopped).unwrap();
        Self { runtime, member, stop, thread }
    }

    /// What is told up to the change that `is_last` takes.
    #[track_caller]
    fn changes_until(
        &mut self,
        within: Duration,
        mut is_last: impl FnMut(&Change) -> bool,
    ) -> Vec<Change> {
        let changes = &mut self.member.changes;
        let mut told = Vec::new();
        let waiting = async {
            while let Some(change) = changes.recv().await {
                let ends = is_last(&change);
                told.push(change);
                if ends {
                    break;
                }
            }
        };
        let is_late = self.runtime.block_on(async { timeout(within, waiting).await.is_err() });
        assert!(!is_late, "only {told:?}");
        told
    }

    /// Waits for all shards; what was told till then.
    #[track_caller]
    fn wait_for_shards(&mut self) -> Vec<Change> {
        let mut granted = BTreeSet::new();
        self.changes_until(DEADLINE, |change| {
            if let Change::Granted(Granted { shard, .. }) = change {
                granted.insert(*shard);
            }
            granted.len() == 2
        })
    }

    fn note(&self, shard: i32, end: i64) {
        self.member.notes.send(NoteUpdate { shard, note: note(end) }).unwrap();
    }

    fn leave(self) {
        self.stop.send_replace(true);
        self.thread.join().unwrap();
    }
}

fn note(end: i64) -> Note {
    Note { identity: "i".to_owned(), end }
}

/// Waits until the group has noted exactly these ends of shards.
#[track_caller]
fn wait_for_notes(kafka: &Kafka, ends: &[(i32, i64)]) {
    let expected: BTreeMap<i32, Note> =
        ends.iter().map(|(shard, end)| (*shard, note(*end))).collect();
    let started = Instant::now();
    loop {
        let found = notes(kafka).unwrap();
        if found == expected {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "{found:?}");
    }
}

#[test]
fn a_coordinator_that_has_just_moved_costs_no_membership() {
    let cluster = cluster();
    // The client asks for itself too, and less often.
    let moved = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_COORDINATOR; 12];
    cluster.request_errors(RDKafkaApiKey::OffsetFetch, &moved);
    let mut replica = Replica::join(kafka(&cluster, 10_000));
    let told = replica.wait_for_shards();
    let granted = |shard| Change::Granted(Granted { shard, note: None });
    assert_eq!(told, [Change::Joined(true), granted(0), granted(1)]);
    replica.leave();
}

#[test]
fn notes_reach_the_group_though_one_is_refused_and_though_the_replica_leaves_at_once() {
    let cluster = cluster();
    let kafka = kafka(&cluster, 10_000);
    let mut replica = Replica::join(kafka.clone());
    replica.wait_for_shards();
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE];
    cluster.request_errors(RDKafkaApiKey::OffsetCommit, &refused);
    replica.note(0, 10);
    replica.note(1, 20);
    wait_for_notes(&kafka, &[(0, 10), (1, 20)]);
    replica.note(1, 21);
    replica.leave();
    wait_for_notes(&kafka, &[(0, 10), (1, 21)]);
    let mut successor = Replica::join(kafka);
    let told = successor.wait_for_shards();
    assert!(
        told.contains(&Change::Granted(Granted { shard: 1, note: Some(note(21)) })),
        "{told:?}"
    );
    successor.leave();
}

#[test]
fn a_coordinator_that_hangs_while_a_note_is_on_its_way_holds_up_nothing() {
    let cluster = cluster();
    // Longer than the test: nothing but the answers that are missing tells.
    let mut replica = Replica::join(kafka(&cluster, 120_000));
    replica.wait_for_shards();
    cluster.broker_round_trip_time(1, Duration::from_secs(300)).unwrap();
    replica.note(0, 10);
    // Two questions of 3 s, 5 s apart, and what it reads back of the note in between.
    let told =
        replica.changes_until(Duration::from_secs(40), |change| *change == Change::Kafka(false));
    assert_eq!(told, [Change::Kafka(false)]);
    // Its thread ends once its requests have timed out; nobody waits for it.
    replica.stop.send_replace(true);
}
