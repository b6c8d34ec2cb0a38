//! Restores against the embedded broker, whose partitions hold what each test puts into them.

use super::*;
use crate::{
    domain::{
        ids::{EntityKey, Stream},
        time::Day,
    },
    sandbox::broker::Broker,
    shards::placement::shard_of,
    state::{position::Checkpoint, reset::Reset},
};

const WAIT: Duration = Duration::from_secs(10);
const OURS: &str = "test.vomsis.vomsis-connect";

/// A broker with the topics of so many shards.
fn stage(shards: i32) -> (Broker, Kafka) {
    let text = format!(
        "env: test\nconnections: [{{id: a, bank_pos: {{app_key_file: k, app_secret_file: s}}}}]\n\
         kafka: {{shards: {shards}}}\n"
    );
    let mut kafka = crate::config::parse("c", &text, std::iter::empty()).unwrap().config.kafka;
    let broker = Broker::start().unwrap();
    kafka.bootstrap_servers = broker.bootstrap_servers();
    broker.create_topics(&kafka).unwrap();
    assert_eq!(deployment("test", &kafka), OURS);
    (broker, kafka)
}

/// Those that tests write of.
fn configured() -> impl Iterator<Item = ConnectionId> {
    ["a".to_owned(), mover()].into_iter().map(|id| ConnectionId::try_new(&id).unwrap())
}

fn request(kafka: &Kafka, shard: i32) -> Request {
    Request {
        env: "test".to_owned(),
        kafka: kafka.clone(),
        shard,
        note: None,
        store: None,
        believes_cache: true,
        connections: Arc::new(configured().collect()),
        progress: Arc::default(),
        stop: CancellationToken::new(),
    }
}

fn record(key: &str, value: Vec<u8>) -> StateRecord {
    StateRecord { key: key.to_owned(), value: Some(value) }
}

fn position(connection: &str) -> StateRecord {
    let connection = ConnectionId::try_new(connection).unwrap();
    let entity = EntityKey { connection, stream: Stream::BankTransactions, entity: "38".into() };
    let checkpoint = Checkpoint::initial(Day(0), Timestamp(0));
    record(&codec::checkpoint_key(&entity), codec::encode_checkpoint(&checkpoint))
}

fn identity(uuid: &str) -> StateRecord {
    record(codec::IDENTITY_KEY, codec::encode_identity(uuid))
}

/// Puts records into a partition of the state topic; its end.
fn put(kafka: &Kafka, shard: i32, state: Vec<StateRecord>) -> i64 {
    let mut writer = Writer::lock(kafka, format!("put-{shard}"), shard).unwrap();
    writer.commit(&[&Batch { events: Vec::new(), state }]).unwrap()
}

fn end_of(kafka: &Kafka, shard: i32) -> i64 {
    let writer = Writer::lock(kafka, format!("end-{shard}"), shard).unwrap();
    writer.state_watermarks(METADATA_TIMEOUT).unwrap().1
}

/// A connection of shard 0 that belongs elsewhere, in a partition that is new, where there are three.
fn mover() -> String {
    let id = |n: &i32| ConnectionId::try_new(&format!("c{n}")).unwrap();
    let moves = |n: &i32| shard_of(&id(n), 2) == 0 && shard_of(&id(n), 3) == 2;
    let n = (0..).find(moves).unwrap();
    format!("c{n}")
}

#[test]
fn shards_that_were_raised_with_their_topics_stop_before_any_connection_begins_anew() {
    let (_broker, kafka) = stage(3);
    let two = Kafka { shards: 2, ..kafka.clone() };
    let mover = mover();
    put(&kafka, 0, vec![identity("u0"), signature(OURS), position(&mover)]);
    put(&kafka, 1, vec![identity("u1"), signature(OURS)]);
    assert!(lock_and_restore(&request(&two, 0)).is_ok(), "with the number that there was");
    for shard in 0..3 {
        let stopped = lock_and_restore(&request(&kafka, shard)).unwrap_err();
        assert!(stopped.needs_operator(), "{stopped}");
        assert_eq!(stopped.event(), Event::ConnectionsMoved);
        let (said, state) = (stopped.to_string(), kafka.topic(topics::STATE));
        let expected = format!("connection {mover} lie in {state}[0]");
        assert!(said.contains(&expected) && said.contains("set kafka.shards back"), "{said}");
        assert!(said.contains("partition 2, which has none of it"), "{said}");
    }
    assert_eq!(end_of(&kafka, 2), 0, "what was added stays empty");
    // It has begun anew, in earlier days: what it left behind stops nothing any more.
    put(&kafka, 2, vec![identity("u2"), signature(OURS), position(&mover)]);
    for shard in 0..3 {
        assert!(lock_and_restore(&request(&kafka, shard)).is_ok(), "{shard}");
    }
}

#[test]
fn what_a_connection_left_that_is_configured_no_more_stops_nothing() {
    let (_broker, kafka) = stage(3);
    put(&kafka, 0, vec![identity("u0"), signature(OURS), position(&mover())]);
    for shard in 0..3 {
        let request = Request { connections: Arc::default(), ..request(&kafka, shard) };
        assert!(lock_and_restore(&request).is_ok(), "{shard}");
    }
}

#[test]
fn a_first_start_signs_one_shard_after_the_other() {
    let (_broker, kafka) = stage(3);
    let own = ConnectionId::try_new("a").unwrap();
    let home = shard_of(&own, 3);
    for shard in [home, (home + 1) % 3, (home + 2) % 3] {
        let locked = lock_and_restore(&request(&kafka, shard)).unwrap();
        assert!(!locked.note.identity.is_empty() && locked.note.end == 2, "{:?}", locked.note);
        if shard == home {
            put(&kafka, shard, vec![position("a")]);
        }
    }
}

/// A cache that says it is of this life of the partition, up to before this offset.
fn cache(store: &Store, cluster: &str, uuid: &str, records: &[StateRecord], next: i64) {
    let keeper = Keeper::open(store, 0).unwrap();
    keeper.reset(cluster.to_owned(), uuid.to_owned(), now()).unwrap();
    let entries = records.iter().map(|one| (one.key.clone(), one.value.clone())).collect();
    keeper.write(entries, next, now()).unwrap();
    keeper.flush().unwrap();
}

fn accepted(noted: &str) -> StateRecord {
    let reset = Reset {
        by: "ops".to_owned(),
        why: "lost".to_owned(),
        at: Timestamp(0),
        noted_identity: Some(noted.to_owned()),
        noted_end: 6,
        start: 0,
    };
    record(codec::RESET_KEY, codec::encode_reset(&reset))
}

/// A partition that lost what was behind its third record, `a`'s position; that was accepted, and it
/// went on as `b` from the sixth. Its end, and the request of who has a cache up to there.
fn after_a_loss(kafka: &Kafka, folder: &tempfile::TempDir, cached: &str) -> (i64, Request) {
    let before = |uuid| vec![identity(uuid), signature(OURS), position("a")];
    put(kafka, 0, before("a"));
    put(kafka, 0, vec![identity("b"), accepted("a"), signature(OURS)]);
    let end = put(kafka, 0, vec![position("a"), position("b")]);
    let cluster = Writer::lock(kafka, "c".to_owned(), 0).unwrap().cluster_id(WAIT).unwrap();
    let store = Store::open(folder.path(), WAIT, || ()).unwrap();
    cache(&store, &cluster, "a", &before(cached), 6);
    (end, Request { store: Some(store), ..request(kafka, 0) })
}

#[test]
fn a_cache_of_a_lost_end_is_not_believed_after_the_loss_was_accepted() {
    let (_broker, kafka) = stage(1);
    let folder = tempfile::tempdir().unwrap();
    let (end, request) = after_a_loss(&kafka, &folder, "a");
    let note = Some(Note { identity: "b".to_owned(), end });
    let request = Request { note, ..request };
    let locked = lock_and_restore(&request).unwrap();
    assert_eq!((locked.from_cache, locked.note.identity.as_str()), (false, "b"));
    assert_eq!(locked.state.entities().count(), 2);
    drop(locked);
    assert!(lock_and_restore(&request).is_ok(), "with the cache that was filled anew");
}

#[test]
fn a_loss_that_only_the_cache_speaks_of_stops_nothing() {
    let (_broker, kafka) = stage(1);
    let folder = tempfile::tempdir().unwrap();
    let (_, request) = after_a_loss(&kafka, &folder, "c");
    let note = Some(Note { identity: "a".to_owned(), end: 3 });
    let locked = lock_and_restore(&Request { note, ..request }).unwrap();
    assert_eq!((locked.from_cache, locked.note.identity.as_str()), (false, "b"));
}

#[test]
fn a_cache_that_comes_upon_another_identity_holds_what_was_lost() {
    let (_broker, kafka) = stage(1);
    let folder = tempfile::tempdir().unwrap();
    let (_, request) = after_a_loss(&kafka, &folder, "a");
    let cluster = Writer::lock(&kafka, "c".to_owned(), 0).unwrap().cluster_id(WAIT).unwrap();
    // It ends where the new identity stands, which the note of the old one does not tell.
    let lost = [identity("a"), signature(OURS), position("a"), position(&mover())];
    cache(request.store.as_ref().unwrap(), &cluster, "a", &lost, 3);
    let note = Some(Note { identity: "a".to_owned(), end: 3 });
    let locked = lock_and_restore(&Request { note, ..request }).unwrap();
    assert_eq!((locked.from_cache, locked.note.identity.as_str()), (false, "b"));
    assert_eq!(locked.state.entities().count(), 2, "none that the cache alone knows");
}

#[test]
fn a_lost_end_stops_the_shard_however_long_it_has_become_and_whatever_is_cached() {
    let (_broker, kafka) = stage(1);
    let folder = tempfile::tempdir().unwrap();
    let before = vec![identity("a"), signature(OURS), position("a")];
    let end = put(&kafka, 0, before.clone());
    let cluster = Writer::lock(&kafka, "c".to_owned(), 0).unwrap().cluster_id(WAIT).unwrap();
    let store = Store::open(folder.path(), WAIT, || ()).unwrap();
    cache(&store, &cluster, "a", &before, end);
    let note = Note { identity: "a".to_owned(), end };
    let cached = Request { store: Some(store), note: Some(note.clone()), ..request(&kafka, 0) };
    assert!(lock_and_restore(&cached).unwrap().from_cache);
    let doubted = Request { believes_cache: false, ..cached.clone() };
    assert!(!lock_and_restore(&doubted).unwrap().from_cache, "whoever met a loss reads all");
    let stopped = lock_and_restore(&Request { note: Some(note.lost()), ..cached }).unwrap_err();
    assert_eq!((stopped.event(), stopped.needs_operator()), (Event::StateRegressed, true));
    assert!(stopped.to_string().contains("it had lost its end"), "{stopped}");
}

#[test]
fn a_record_of_a_newer_program_stops_the_shard_and_says_what_to_run() {
    let (_broker, kafka) = stage(2);
    put(&kafka, 0, vec![identity("u"), record("_pauses", vec![3, 1, b'u'])]);
    put(&kafka, 1, vec![identity("u"), record("a/bank_transactions/38", vec![77, 1, 0])]);
    for shard in 0..2 {
        let stopped = lock_and_restore(&request(&kafka, shard)).unwrap_err();
        assert!(stopped.needs_operator(), "{stopped}");
        assert_eq!(stopped.event(), Event::StateUnreadable);
        assert!(stopped.to_string().ends_with("run the newer program"), "{stopped}");
    }
}

#[test]
fn nothing_is_locked_nor_written_for_a_shard_that_was_given_back() {
    let (_broker, kafka) = stage(1);
    let request = request(&kafka, 0);
    let writer = Writer::lock(&kafka, "t".to_owned(), 0).unwrap();
    request.stop.cancel();
    // Given back when the lock was just taken.
    let refused = restore(&request, writer, OURS, Instant::now()).unwrap_err();
    assert!(matches!(refused, Error::GivenBack), "{refused}");
    assert_eq!(end_of(&kafka, 0), 0, "it is not signed");
    let nowhere = Kafka { bootstrap_servers: "127.0.0.1:1".to_owned(), ..kafka };
    let refused = lock_and_restore(&Request { kafka: nowhere, ..request }).unwrap_err();
    assert!(matches!(refused, Error::GivenBack) && !refused.needs_operator(), "{refused}");
}
