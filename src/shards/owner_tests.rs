//! The life of a shard with brokers that are not there, or do not take what it sends.

use std::{net::TcpListener, sync::atomic::AtomicU32};

use super::*;
use crate::{
    publish::{
        batch::{Batch, StateRecord},
        group::Gone,
    },
    sandbox::broker::Broker,
};

/// Nothing runs on it.
struct Idle;

impl Work for Idle {
    async fn run(&self, _: i32, _: ShardState, _: Publisher, stop: CancellationToken) {
        stop.cancelled().await;
    }
}

/// Its first run sends what no broker takes, and the others wait.
struct Refused(mpsc::UnboundedSender<u32>, AtomicU32);

impl Work for Refused {
    async fn run(&self, _: i32, _: ShardState, publisher: Publisher, stop: CancellationToken) {
        let before = self.1.fetch_add(1, Ordering::Relaxed);
        if before == 0 {
            let value = Some(vec![0; 2_000_000]);
            let state = vec![StateRecord { key: "k".to_owned(), value }];
            assert_eq!(publisher.publish(Batch { events: Vec::new(), state }).await, Err(Gone));
        } else {
            self.0.send(before).unwrap();
            stop.cancelled().await;
        }
    }
}

/// A shard that no other test has, so that its restore's pulse is known.
const SHARD: i32 = 977;

fn is_restoring() -> bool {
    pulse::all().iter().any(|one| (one.name(), one.shard()) == ("restore", Some(SHARD)))
}

fn context<W>(
    kafka: Kafka,
    work: W,
) -> (Context<W>, mpsc::UnboundedReceiver<NoteUpdate>, mpsc::UnboundedReceiver<(i32, Phase)>) {
    let (notes, noted) = mpsc::unbounded_channel();
    let (phases, told) = mpsc::unbounded_channel();
    let context = Context {
        env: "test".to_owned(),
        kafka,
        store: None,
        connections: Arc::default(),
        metrics: Arc::default(),
        restores: Arc::default(),
        work: Arc::new(work),
        notes,
        phases,
        trial: TRIAL,
    };
    (context, noted, told)
}

fn kafka() -> Kafka {
    let text = "connections: [{id: a, bank_pos: {app_key_file: k, app_secret_file: s}}]\n";
    crate::config::parse("c", text, std::iter::empty()).unwrap().config.kafka
}

#[test]
fn a_lost_end_is_noted_for_whoever_has_the_shard_next() {
    let (context, mut noted, _told) = context(kafka(), Idle);
    let confirmed = Note { identity: "a".to_owned(), end: 7 };
    let lost = |is_regression| Lost {
        step: "delivering",
        transactional_id: "t".to_owned(),
        verdict: Verdict::Failed,
        is_refused: false,
        is_regression,
        reason: "told".to_owned(),
    };
    for ended in [None, Some(lost(false))] {
        let note = context.note_after(3, confirmed.clone(), ended.as_ref());
        assert!(note == confirmed && noted.try_recv().is_err(), "{note:?}");
    }
    let note = context.note_after(3, confirmed, Some(&lost(true)));
    assert_eq!((note.identity.as_str(), note.is_lost()), ("a", true));
    assert_eq!(noted.try_recv(), Ok(NoteUpdate { shard: 3, note }));
}

/// The phases that are shown until the second run of a shard whose first one was lost has begun; and
/// what is shown once two hours have gone by.
async fn shown_until_it_runs_again(trial: Duration) -> (Vec<Phase>, Option<Phase>) {
    let (broker, mut kafka) = (Broker::start().unwrap(), kafka());
    kafka.bootstrap_servers = broker.bootstrap_servers();
    broker.create_topics(&kafka).unwrap();
    let (runs, mut ran) = mpsc::unbounded_channel();
    let (context, _noted, mut told) = context(kafka, Refused(runs, AtomicU32::new(0)));
    let (context, stop) = (Arc::new(Context { trial, ..context }), CancellationToken::new());
    let owned = tokio::spawn(context.own(Granted { shard: 1, note: None }, stop.clone()));
    assert_eq!(ran.recv().await, Some(1));
    let shown = std::iter::from_fn(|| told.try_recv().ok()).map(|(_, phase)| phase).collect();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(7_200)).await;
    tokio::time::resume();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let later = told.try_recv().ok().map(|(_, phase)| phase);
    stop.cancel();
    owned.await.unwrap();
    (shown, later)
}

#[tokio::test]
async fn a_shard_that_was_lost_too_soon_is_shown_as_owned_once_it_has_held() {
    use Phase::{Owned, Restoring};
    let lost = [Restoring, Owned, Restoring, Restoring];
    let day = Duration::from_secs(24 * 3_600);
    assert_eq!(shown_until_it_runs_again(day).await, (lost.to_vec(), None), "it has not held");
    let hour = Duration::from_secs(3_600);
    assert_eq!(shown_until_it_runs_again(hour).await, (lost.to_vec(), Some(Owned)));
    let at_once = [&lost[..], &[Owned]].concat();
    assert_eq!(shown_until_it_runs_again(Duration::ZERO).await, (at_once, None));
}

#[tokio::test]
async fn a_shard_that_is_given_back_while_its_lock_is_asked_for_ends_with_its_restore() {
    let mut kafka = kafka();
    // A broker that takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    kafka.bootstrap_servers = silent.local_addr().unwrap().to_string();
    let (context, _noted, mut told) = context(kafka, Idle);
    let context = Arc::new(context);
    let stop = CancellationToken::new();
    let owned = tokio::spawn(context.own(Granted { shard: SHARD, note: None }, stop.clone()));
    assert_eq!(told.recv().await, Some((SHARD, Phase::Restoring)));
    timeout(RESTORE_GRACE, async {
        while !is_restoring() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("its restore begins");
    stop.cancel();
    timeout(2 * RESTORE_GRACE, owned).await.expect("it ends").unwrap();
    assert!(!is_restoring(), "it would take the lock from whoever has it by then");
    assert_eq!(told.recv().await, Some((SHARD, Phase::Released)));
}

#[tokio::test]
async fn a_restore_that_panics_is_a_failure_that_is_tried_again() {
    let broken = tokio::task::spawn_blocking(|| -> Result<(), restore::Error> {
        std::panic::resume_unwind(Box::new("broken"))
    });
    let error = outcome(3, broken.await).unwrap_err();
    assert!(matches!(error, restore::Error::Broke(_)) && !error.needs_operator(), "{error}");
    assert!(outcome(3, tokio::task::spawn_blocking(|| Ok(())).await).is_ok());
}
