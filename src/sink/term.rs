//! One term of ownership: lock, read, work, give back.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    failpoints::{self, Point},
    kafka::settings::sink_transactional_id,
    log_event,
    publish::{
        group::{self, Publisher},
        registry::Registry,
        transaction::{Lost, Transactions},
    },
    telemetry::{events::Event, metrics::Metrics, pulse},
};

use super::{
    absence::Absence,
    archive::Archive,
    brakes::Limits,
    clerk::Clerk,
    desk::{Desk, Failure, Fixed, now},
    dispatch::Dispatcher,
    intake,
    journal::Entry,
    ledger::{self, Index, Topics, Write},
    lock::{self, Locked, lock_and_restore},
    operator::{self, Operator},
    owner::Parts,
    ownership::{Change, Member, Taken},
    plan::Policy,
    reporter::Reporter,
    schemas::Schemas,
};

/// How long requests that have left may take to be answered and recorded; with the two below it
/// ends within Kubernetes' 60 s.
const DRAIN: Duration = Duration::from_secs(35);
/// How long the journal's thread may take for what is queued.
const WRITER_GRACE: Duration = Duration::from_secs(6);
/// How long a restore that is not wanted any more may take to notice it.
const RESTORE_GRACE: Duration = Duration::from_secs(5);

/// How a term of ownership ended.
#[derive(Debug)]
pub enum Term {
    /// The group or the program's end says so.
    GivenBack,
    /// The journal was lost, or something broke: from the lock on anew.
    Again(String),
    /// Only an operator can help.
    Stopped(String),
}

/// One term: lock, read, work, drain.
pub async fn term(
    parts: &Parts,
    taken: Vec<Taken>,
    member: &mut Member,
    absence: &mut Absence,
    stop: &CancellationToken,
) -> Term {
    let given_back = stop.child_token();
    let request = lock::Request {
        env: parts.env.clone(),
        kafka: parts.kafka.clone(),
        taken: taken.clone(),
        now: now(),
        stop: given_back.clone(),
    };
    let mut restoring = tokio::task::spawn_blocking(move || {
        let _followed = pulse::follow("sink-restore", None);
        lock_and_restore(&request)
    });
    let locked = tokio::select! {
        joined = &mut restoring => joined,
        ended = ended(member, stop) => {
            // It must not mark the journal as its own any more, nor fence who owns it by then.
            given_back.cancel();
            drop(timeout(RESTORE_GRACE, restoring).await);
            return ended;
        }
    };
    let locked = match locked {
        Ok(Ok(locked)) => {
            absence.end();
            locked
        }
        Ok(Err(lock::Error::GivenBack)) => return Term::GivenBack,
        Ok(Err(error)) if absence.needs_operator(&error, Instant::now()) => {
            return Term::Stopped(error.to_string());
        }
        Ok(Err(error)) => {
            log_event!(Event::SinkRestoreFailed, %error, "the journal is not ready");
            return Term::Again(error.to_string());
        }
        Err(error) => return Term::Again(format!("reading the journal broke off: {error}")),
    };
    failpoints::reach(Point::SinkRestored);
    let ended = stop.child_token();
    // It asks for the ends of the command topic, which may take seconds for each partition.
    let start = || {
        let _followed = pulse::follow("sink-start", None);
        Work::start(parts, &taken, locked, member, &ended)
    };
    match tokio::task::block_in_place(start) {
        Ok(work) => work.run(member, stop, &ended).await,
        Err(Refusal { reason, needs_operator }) => {
            // Threads that have begun must not go on beside those of the next term.
            ended.cancel();
            if needs_operator { Term::Stopped(reason) } else { Term::Again(reason) }
        }
    }
}

/// Completes when the group has given the sink to another replica, when there are partitions of which
/// this term knows nothing, or the program ends.
async fn ended(member: &mut Member, stop: &CancellationToken) -> Term {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Term::GivenBack,
            change = member.changes.recv() => match change {
                Some(Change::Lost) | None => return Term::GivenBack,
                Some(Change::Widened) => {
                    return Term::Again("the command topic was given more partitions".to_owned());
                }
                Some(Change::Gained(_)) => {}
            },
        }
    }
}

/// Why a term cannot begin.
struct Refusal {
    reason: String,
    needs_operator: bool,
}

impl Refusal {
    fn passing(error: &dyn std::fmt::Display) -> Self {
        Self { reason: error.to_string(), needs_operator: false }
    }
}

/// What everything of one term knows.
fn fixed(parts: &Parts, epoch: u64, index: &Arc<Index>, ended: &CancellationToken) -> Fixed {
    Fixed {
        epoch,
        policy: Policy::from(&parts.sink),
        clients: parts.clients.clone(),
        connections: parts.connections.clone(),
        encoder: Arc::clone(&parts.encoder),
        privacy: Arc::clone(&parts.privacy),
        tally: parts.tally.clone(),
        index: Arc::clone(index),
        witness: Arc::default(),
        stop: ended.clone(),
    }
}

/// How the journal's thread ended, once it has.
type WriterEnd = oneshot::Receiver<Result<(), Lost>>;

/// The journal's thread, the way to it, and its end.
fn start_writer(
    transactions: Transactions,
    topics: Topics,
    index: &Arc<Index>,
    metrics: &Arc<Metrics>,
) -> Result<(Publisher<Write>, WriterEnd), Refusal> {
    let (publisher, inbox) = group::channel();
    let (told, ended) = oneshot::channel();
    let (index, metrics) = (Arc::clone(index), Arc::clone(metrics));
    let run = move || {
        let _followed = pulse::follow("sink-journal", None);
        let outcome = ledger::run(transactions, inbox, &topics, &index, &metrics);
        // Nobody waits any more once the grace period is over.
        drop(told.send(outcome));
    };
    let named = thread::Builder::new().name("sink-journal".into());
    named.spawn(run).map_err(|error| Refusal::passing(&error))?;
    Ok((publisher, ended))
}

/// The tasks of one term.
struct Work {
    tasks: JoinSet<Result<(), Failure>>,
    writer_ended: WriterEnd,
    reporter: Arc<Reporter>,
}

impl Work {
    fn start(
        parts: &Parts,
        taken: &[Taken],
        locked: Locked,
        member: &Member,
        ended: &CancellationToken,
    ) -> Result<Self, Refusal> {
        let Locked { transactions, topics, epoch, journal, notes, read_to, untold } = locked;
        log_event!(
            Event::SinkOwned,
            epoch,
            records = journal.records,
            open = journal.open.len(),
            finished = journal.stories.len(),
            "this replica executes payment commands"
        );
        let index = Arc::new(Index::new(journal.stories, notes));
        let metrics = parts.tally.metrics();
        let (publisher, writer_ended) = start_writer(transactions, topics, &index, metrics)?;
        let mut brakes = journal.finished.under(Limits::from(&parts.sink));
        journal.open.values().for_each(|entry| brakes.add(entry));
        let open: Vec<_> = journal.open.into_values().collect();
        let fixed = fixed(parts, epoch, &index, ended);
        let (desk, arrived) =
            Desk::new(fixed, publisher, open.iter().cloned(), brakes, journal.rivals);
        let desk = Arc::new(desk);
        let operator = Arc::new(Operator {
            desk: Arc::clone(&desk),
            deployment: sink_transactional_id(&parts.env, &parts.kafka),
        });
        let seen = operator.look_at_switch(journal.stop.as_ref(), &parts.state_dir);
        let witness = Arc::clone(&desk.fixed.witness);
        let records = operator::follow(&parts.kafka, read_to, witness, ended.clone())
            .map_err(|error| Refusal::passing(&error))?;
        let source = intake::start(
            &parts.kafka,
            taken,
            &journal.arrived,
            Arc::clone(metrics),
            ended.clone(),
        )
        .map_err(|e| Refusal { reason: e.to_string(), needs_operator: e.needs_operator() })?;
        let archive = Archive::open(&parts.kafka).map_err(|error| Refusal::passing(&error))?;
        let reporter = Arc::new(Reporter::new(index, member.progress.clone(), taken));
        let clerk = Clerk::new(
            Arc::clone(&desk),
            Schemas::new(Registry::new(&parts.schema_registry)),
            archive,
            Arc::clone(&reporter),
            source,
            |suffix| parts.kafka.topic(suffix),
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(tell_again(Arc::clone(&desk), untold, ended.clone()));
        let dispatcher = Dispatcher::new(desk, &open, &seen);
        let (watcher, folder) = (Arc::clone(&operator), parts.state_dir.clone());
        let decisions = journal.decisions;
        tasks.spawn(async move {
            watcher.watch_file(folder, seen).await;
            Ok(())
        });
        tasks.spawn(async move { operator.run(decisions, records).await });
        tasks.spawn(dispatcher.run(arrived));
        tasks.spawn(clerk.run());
        Ok(Self::new(tasks, writer_ended, reporter, ended))
    }

    /// With the reporter's timer among the tasks: whichever of them breaks off ends the term.
    fn new(
        mut tasks: JoinSet<Result<(), Failure>>,
        writer_ended: WriterEnd,
        reporter: Arc<Reporter>,
        ended: &CancellationToken,
    ) -> Self {
        let timer = Arc::clone(&reporter).run(ended.clone());
        tasks.spawn(async move {
            timer.await;
            Ok(())
        });
        Self { tasks, writer_ended, reporter }
    }

    /// Until the sink is given back, the program ends, or a task or the journal fails; then what
    /// has begun comes to its end.
    async fn run(
        mut self,
        member: &mut Member,
        stop: &CancellationToken,
        ended: &CancellationToken,
    ) -> Term {
        let mut writer = None;
        // The end of the program ends the tasks too: that they end is no mistake then.
        let mut term = tokio::select! {
            biased;
            term = self::ended(member, stop) => term,
            outcome = &mut self.writer_ended => {
                writer = outcome.ok();
                Term::Again("the journal's producer ended".to_owned())
            }
            Some(joined) = self.tasks.join_next() => Term::Again(reason_of(joined)),
        };
        ended.cancel();
        let tasks = &mut self.tasks;
        let drained = async { while tasks.join_next().await.is_some() {} };
        if timeout(DRAIN, drained).await.is_err() {
            log_event!(
                Event::DrainTimedOut,
                "a payment is still on its way, ending without its answer: it is in doubt"
            );
            self.tasks.abort_all();
        }
        // The desk and with it the last publisher are gone: the journal's thread ends.
        if writer.is_none() {
            writer = timeout(WRITER_GRACE, &mut self.writer_ended).await.ok().and_then(Result::ok);
        }
        // What the last turns wrote; where the group has the sink still, it is kept as this one leaves.
        self.reporter.written();
        if let (Some(Err(lost)), Term::Again(reason)) = (writer, &mut term) {
            *reason = lost.to_string();
        }
        term
    }
}

/// Publishes the newest results of these commands, whether or not they are visible already: they
/// have the same event ids. Then it waits for the end of the term, as a task that ends is a mistake.
async fn tell_again(
    desk: Arc<Desk>,
    untold: Vec<Entry>,
    ended: CancellationToken,
) -> Result<(), Failure> {
    let mut write = Write::default();
    for entry in &untold {
        write.results.extend(desk.result(entry)?);
    }
    if !write.results.is_empty() {
        desk.write(write).await?;
    }
    // The last publisher must be gone for the journal's thread to end.
    drop(desk);
    ended.cancelled().await;
    Ok(())
}

fn reason_of(joined: Result<Result<(), Failure>, JoinError>) -> String {
    match joined {
        Ok(Ok(())) => "a task of the sink ended early".to_owned(),
        Ok(Err(failure)) => failure.to_string(),
        Err(error) => {
            log_event!(Event::SinkBroke, %error, "a task of the payment sink broke off");
            error.to_string()
        }
    }
}

#[cfg(test)]
#[path = "term_tests.rs"]
mod tests;
