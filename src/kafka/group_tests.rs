//! Members of a group on librdkafka's own mock of a cluster.

use std::{collections::BTreeMap, path::Path, sync::mpsc};

use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};

use super::*;

const CONFIG: &str = "connections: [{id: a, bank_pos: {app_key_file: a, app_secret_file: b}}]\nkafka: {bootstrap_servers: \"127.0.0.1:1\"}\n";
const NAME: &str = "finance";
/// More than a mock takes to let a member in.
const BORNE: Duration = Duration::from_secs(10);
/// Statistics every 5 s, then [`BORNE`], and a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

fn kafka() -> Kafka {
    crate::config::parse("c", CONFIG, std::iter::empty()).unwrap().config.kafka
}

#[test]
fn a_right_that_is_missing_is_known_until_the_group_is_joined() {
    let mut group = Group::join(&kafka(), NAME).unwrap();
    let other = KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown);
    group.note_right(Some(&other));
    assert_eq!(group.kept_out(), None);
    let refused = KafkaError::MessageConsumption(RDKafkaErrorCode::GroupAuthorizationFailed);
    group.note_right(Some(&refused));
    assert!(group.kept_out().is_some_and(|why| why.contains("group finance")));
    group.note_right(None);
    assert!(group.kept_out().is_some(), "librdkafka says it once");
    group.seat.set_joined(true);
    group.note_right(None);
    assert_eq!(group.kept_out(), None);
}

#[test]
fn a_client_that_does_not_reach_the_coordinator_is_given_up_later_where_a_right_was_missing() {
    let mut group = Group::join(&kafka(), NAME).unwrap();
    let mut at_once = Trouble::bearable_for(Duration::ZERO);
    let mut later = Trouble::bearable_for(KEPT_OUT_MAX);
    let ended = group.bear(&mut at_once, &mut later).unwrap_err().to_string();
    assert!(ended.contains("was not reached for 0 s"), "{ended}");
    let mut in_a_while = Trouble::bearable_for(UNREACHED_MAX);
    assert!(group.bear(&mut in_a_while, &mut later).is_ok());
    group.seat.set_joined(true);
    assert!(group.bear(&mut at_once, &mut later).is_ok());
    group.seat.set_joined(false);
    assert!(group.bear(&mut at_once, &mut later).is_err());
    let refused = KafkaError::MessageConsumption(RDKafkaErrorCode::GroupAuthorizationFailed);
    group.note_right(Some(&refused));
    assert!(group.bear(&mut at_once, &mut later).is_ok(), "a new client has no other rights");
    // The right may have been granted since, to a client that reaches nobody any more.
    let mut over = Trouble::bearable_for(Duration::ZERO);
    assert!(group.bear(&mut in_a_while, &mut over).is_err());
}

#[test]
fn a_coordinator_is_waited_for_as_long_as_sessions_last() {
    let with = |set: &[(&str, &str)]| {
        let properties = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        unreached_max(&Kafka { consumer_properties: properties.collect(), ..kafka() })
    };
    assert_eq!(with(&[]), UNREACHED_MAX);
    assert_eq!(with(&[(SESSION, "45000")]), UNREACHED_MAX);
    assert_eq!(with(&[(SESSION, "300000")]), Duration::from_secs(600));
}

/// What happens to a [`Watched`] member.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// The group counts on it, and it has places or has none.
    In { has_places: bool },
    /// Its membership ended, and why.
    Lost(String),
}

struct Watched(mpsc::Sender<Told>);

impl Member for Watched {
    fn turn(&mut self, group: &Group, places: &BTreeSet<i32>) -> Result<(), KafkaError> {
        if group.is_joined() {
            drop(self.0.send(Told::In { has_places: !places.is_empty() }));
        }
        Ok(())
    }

    fn leave(&mut self, _: &Group) {}

    fn lost(&mut self, ended: &Ended) {
        drop(self.0.send(Told::Lost(ended.to_string())));
    }
}

/// A member that runs on a thread of its own until it is dropped.
struct Joined {
    told: mpsc::Receiver<Told>,
    stop: watch::Sender<bool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Joined {
    fn join(brokers: &Path) -> Self {
        let property_files = BTreeMap::from([("bootstrap.servers".to_owned(), brokers.into())]);
        let kafka = Kafka { property_files, ..kafka() };
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = watch::channel(false);
        let thread = thread::spawn(move || {
            stay_with(BORNE, &kafka, NAME, &stopped, &mut Watched(tell));
        });
        Self { told, stop, thread: Some(thread) }
    }

    /// Waits for the first news that `is_it` takes.
    #[track_caller]
    fn wait(&self, what: &str, is_it: impl Fn(&Told) -> bool) -> Told {
        let started = Instant::now();
        loop {
            let left = DEADLINE.saturating_sub(started.elapsed());
            let told = self.told.recv_timeout(left).unwrap_or_else(|_| panic!("not {what}"));
            if is_it(&told) {
                return told;
            }
        }
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn cluster(file: &Path) -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(&kafka().topic(topics::ASSIGNMENT), 1, 1).unwrap();
    std::fs::write(file, cluster.bootstrap_servers()).unwrap();
    cluster
}

/// Where the brokers are stands in a file that each client reads once: as with a certificate that was
/// replaced, the client that is there never gets to them again.
#[test]
fn members_with_and_without_places_take_over_what_the_files_of_the_settings_say_by_now() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("brokers");
    let first = cluster(&file);
    let owner = Joined::join(&file);
    let is_owner = |told: &Told| *told == Told::In { has_places: true };
    let is_idle = |told: &Told| *told == Told::In { has_places: false };
    owner.wait("the owner", is_owner);
    let idle = Joined::join(&file);
    idle.wait("in the group", is_idle);

    drop(first);
    let second = cluster(&file);
    for member in [&owner, &idle] {
        let lost = member.wait("lost", |told| matches!(told, Told::Lost(_)));
        let Told::Lost(why) = lost else { unreachable!() };
        assert!(why.contains("was not reached for 10 s"), "{why}");
        assert!(why.contains("127.0.0.1"), "{why}");
        member.wait("in the group again", |told| is_owner(told) || is_idle(told));
    }
    drop((owner, idle));
    drop(second);
}
