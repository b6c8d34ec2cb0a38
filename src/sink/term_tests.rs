//! The tasks of a term beside a journal and a group that say nothing.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::*;
use crate::sink::{desk::tests::kafka, tests::NOON};

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
        let work = Work::new(tasks, writer_ended, reporter(), &ended);
        let term = work.run(&mut member, &stop, &ended).await;
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
    let work = Work::new(tasks, writer_ended, reporter(), &ended);
    let running = timeout(Duration::from_secs(60), work.run(&mut member, &stop, &ended));
    assert!(
        matches!(running.await.unwrap(), Term::Again(reason) if reason.contains("ended early"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_reporter_whose_timer_breaks_off_begins_the_term_anew() {
    let (_changes, mut member) = quiet();
    let stop = CancellationToken::new();
    let (_told, writer_ended) = oneshot::channel();
    // Its token alone says that the term is over: it ends, as no task may by itself.
    let over = CancellationToken::new();
    over.cancel();
    let work = Work::new(JoinSet::new(), writer_ended, reporter(), &over);
    let ended = stop.child_token();
    let running = timeout(Duration::from_secs(60), work.run(&mut member, &stop, &ended));
    let term = running.await.expect("it is noticed");
    assert!(matches!(term, Term::Again(reason) if reason.contains("ended early")));
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
