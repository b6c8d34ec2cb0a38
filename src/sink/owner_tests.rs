//! The life of the sink beside a group that says nothing any more.

use tokio::sync::mpsc;

use super::*;
use crate::{
    config::model::Privacy,
    domain::vocabulary::CommandType,
    publish::encode::local_ids,
    sink::{
        desk::tests::kafka,
        tests::{NOON, entry, refund},
        waiting::Waiting,
    },
    telemetry::metrics::Metrics,
};

struct NoProbe;

impl Standing for NoProbe {
    fn stopped(&self, _: Option<String>) {}
}

fn parts() -> Parts {
    Parts {
        env: "test".into(),
        kafka: kafka(),
        schema_registry: SchemaRegistry {
            url: String::new(),
            mode: model::RegistryMode::Verify,
            auth: None,
        },
        sink: model::Sink {
            enabled: true,
            acknowledge_real_money: true,
            max_amount: None,
            max_daily_amount: None,
            max_in_doubt: 3,
            post_timeout: Duration::from_secs(30),
            quiescence: Duration::from_secs(900),
        },
        state_dir: PathBuf::new(),
        connections: BTreeMap::new(),
        clients: HashMap::new(),
        encoder: Arc::new(Encoder::new(&local_ids(), str::to_owned).unwrap()),
        privacy: Arc::new(PrivacyRules::new(&Privacy::default(), None).unwrap()),
        tally: Tally::new(Arc::new(Metrics::new()), &kafka()),
        standing: Arc::new(NoProbe),
    }
}

#[test]
fn what_waits_or_is_in_doubt_is_shown_until_another_replica_may_show_it() {
    let parts = parts();
    let metrics = Arc::clone(parts.tally.metrics());
    let shown = || {
        let doubts = metrics.commands_in_doubt.with_label_values(&["refund"]).get();
        let waiting = metrics.commands_waiting.with_label_values(&["refund"]).get();
        (doubts, waiting, metrics.commands_oldest_waiting.get() > 0.0)
    };
    for (phase, expected) in [
        (Phase::Retrying, (1, 1, true)),
        (Phase::Restoring, (1, 1, true)),
        (Phase::Stopped, (1, 1, true)),
        (Phase::Standby, (0, 0, false)),
    ] {
        parts.tally.doubts(&[(CommandType::Refund, NOON)]);
        parts.tally.waiting(&Waiting::of([&entry(refund("10.00"))]));
        parts.enter(phase, None);
        assert_eq!(shown(), expected, "{phase:?}");
    }
}

#[tokio::test]
async fn a_group_whose_thread_ended_is_an_error_and_the_end_of_the_program_is_none() {
    for is_ending in [false, true] {
        let (changes, changed) = mpsc::unbounded_channel();
        let (progress, _progressed) = mpsc::unbounded_channel();
        let (renew, _renewals) = mpsc::unbounded_channel();
        let mut member = Member { changes: changed, progress, renew };
        let stop = CancellationToken::new();
        drop(changes);
        if is_ending {
            stop.cancel();
        }
        let outcome = serve(&parts(), &mut member, &stop).await;
        assert_eq!(outcome.is_err(), !is_ending, "{outcome:?}");
    }
}

/// A member that nobody tells anything.
fn quiet() -> (mpsc::UnboundedSender<Change>, Member) {
    let (changes, changed) = mpsc::unbounded_channel();
    let (progress, _) = mpsc::unbounded_channel();
    let (renew, _) = mpsc::unbounded_channel();
    (changes, Member { changes: changed, progress, renew })
}

fn reporter() -> Arc<Reporter> {
    let index = Arc::new(Index::new(ledger::Stories::default(), BTreeMap::new()));
    Arc::new(Reporter::new(index, mpsc::unbounded_channel().0, &[]))
}

#[tokio::test]
async fn tasks_that_end_with_the_program_are_no_mistake() {
    // Whichever is looked at first: a hundred times, as the choice would be random.
    for _ in 0..100 {
        let (_changes, mut member) = quiet();
        let stop = CancellationToken::new();
        let ended = stop.child_token();
        let (told, writer_ended) = oneshot::channel();
        let mut tasks = JoinSet::new();
        let until = ended.clone();
        tasks.spawn(async move {
            until.cancelled().await;
            Ok(())
        });
        stop.cancel();
        tokio::task::yield_now().await;
        told.send(Ok(())).unwrap();
        let term = Work { tasks, writer_ended, reporter: reporter() }
            .run(&mut member, &stop, &ended)
            .await;
        assert!(matches!(term, Term::GivenBack));
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_by_itself_begins_the_term_anew() {
    let (_changes, mut member) = quiet();
    let stop = CancellationToken::new();
    let (_told, writer_ended) = oneshot::channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async { Ok(()) });
    let ended = stop.child_token();
    let work = Work { tasks, writer_ended, reporter: reporter() };
    let running = timeout(Duration::from_secs(60), work.run(&mut member, &stop, &ended));
    assert!(
        matches!(running.await.unwrap(), Term::Again(reason) if reason.contains("ended early"))
    );
}

#[test]
fn nothing_is_locked_for_a_sink_that_was_given_back() {
    let stop = CancellationToken::new();
    stop.cancel();
    let request =
        lock::Request { env: "test".into(), kafka: kafka(), taken: Vec::new(), now: NOON, stop };
    let refused = lock_and_restore(&request).unwrap_err();
    assert!(matches!(refused, lock::Error::GivenBack), "{refused}");
}
