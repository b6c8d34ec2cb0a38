//! Giving commands their turns: one of a reference at a time, each connection beside the others. Those
//! whose time is over end without one.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::sleep,
};

use crate::{
    domain::{ids::ConnectionId, time::Timestamp},
    log_event,
    telemetry::events::Event,
};

use super::{
    command::CommandKey,
    desk::{Desk, Failure, now},
    journal::Entry,
    operator::SwitchSeen,
    plan::{Failures, Pause, between, expire, expiry_of},
    queue::Queue,
    set_back::SetBack,
    turn::{self, Ended},
};

/// Commands of one connection that are carried at a time; the quota decides how fast they go.
const TURNS_MAX: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// Of those, for doubts alone: the others may all be held by an API that does not answer.
const DOUBTS_MAX: usize = 16;
/// Commands whose end by time is written at a time; they share commits.
const EXPIRING_MAX: usize = 1000;
/// The wall clock may be set: waits are measured again this often.
const WAIT_MAX: Duration = Duration::from_secs(30);
const WAIT_MIN: Duration = Duration::from_millis(1);

type Turn = (CommandKey, Result<(Ended, Failures), Failure>);

/// Who has a turn, and who waits for one.
#[derive(Debug)]
pub struct Dispatcher {
    desk: Arc<Desk>,
    queues: BTreeMap<ConnectionId, Queue>,
    /// Of those that wait since a look failed, and since when.
    failures: HashMap<CommandKey, (Failures, Instant)>,
    turns: JoinSet<Turn>,
    /// Commands whose time is over, being written.
    expiring: JoinSet<Result<(), Failure>>,
    /// Whether a brake holds any lane.
    is_braked: bool,
    set_back: SetBack,
}

impl Dispatcher {
    /// With every command that was open when the journal was read; only once the kill switch was
    /// looked at.
    pub fn new(desk: Arc<Desk>, open: &[Entry], _: &SwitchSeen) -> Self {
        let mut by_connection: BTreeMap<ConnectionId, Vec<&Entry>> = BTreeMap::new();
        for entry in open {
            by_connection.entry(entry.key().connection.clone()).or_default().push(entry);
        }
        let queues = by_connection
            .into_iter()
            .map(|(connection, entries)| {
                (connection, Queue::restored(TURNS_MAX, DOUBTS_MAX, entries))
            })
            .collect();
        let (failures, turns, expiring) = (HashMap::new(), JoinSet::new(), JoinSet::new());
        let set_back = SetBack::begin(now());
        Self { desk, queues, failures, turns, expiring, is_braked: false, set_back }
    }

    /// Runs until the ownership ends; then the turns that have begun come to their end.
    ///
    /// # Errors
    /// The first turn that failed: the ownership must end.
    pub async fn run(
        mut self,
        mut arrived: mpsc::UnboundedReceiver<CommandKey>,
    ) -> Result<(), Failure> {
        let mut brakes = self.desk.brakes();
        let stop = self.desk.fixed.stop.clone();
        while !stop.is_cancelled() {
            self.desk.forget_old_days(now());
            self.expire(now());
            if self.set_back.is_seen(now()) {
                // What they wait for is later now than it should be; each says anew until when it waits.
                self.queues.values_mut().for_each(|queue| queue.wake(Timestamp(i64::MAX)));
            }
            self.hand_out();
            let wait = self.wait();
            tokio::select! {
                () = stop.cancelled() => {}
                Some(joined) = self.turns.join_next(), if !self.turns.is_empty() => {
                    self.end_turn(joined)?;
                }
                Some(joined) = self.expiring.join_next(), if !self.expiring.is_empty() => {
                    ended(joined)?;
                }
                Some(key) = arrived.recv() => {
                    self.push(key);
                    while let Ok(key) = arrived.try_recv() {
                        self.push(key);
                    }
                }
                Ok(()) = brakes.changed(), if self.is_braked => {
                    self.is_braked = false;
                    self.queues.values_mut().for_each(Queue::wake_braked);
                }
                () = sleep(wait) => {}
            }
        }
        while let Some(joined) = self.turns.join_next().await {
            self.end_turn(joined)?;
        }
        while let Some(joined) = self.expiring.join_next().await {
            ended(joined)?;
        }
        Ok(())
    }

    fn push(&mut self, key: CommandKey) {
        let expiry = self.desk.entry(&key).as_ref().and_then(expiry_of);
        let queue = self.queues.entry(key.connection.clone());
        queue.or_insert_with(|| Queue::new(TURNS_MAX, DOUBTS_MAX)).push(key, expiry);
    }

    /// Those whose time is over, however many wait before them for a turn. What is handed out ends by
    /// its turn, and what is in doubt has no time any more.
    fn expire(&mut self, now: Timestamp) {
        for queue in self.queues.values_mut() {
            while self.expiring.len() < EXPIRING_MAX
                && let Some(key) = queue.next_due(now)
            {
                let Some(entry) = self.desk.entry(&key) else { continue };
                let Some(event) = expire(&entry, now) else { continue };
                if !queue.withdraw(&key) {
                    continue;
                }
                self.failures.remove(&key);
                let desk = Arc::clone(&self.desk);
                self.expiring.spawn(async move { turn::expire(&desk, &entry, event).await });
            }
        }
    }

    fn hand_out(&mut self) {
        let now = now();
        for queue in self.queues.values_mut() {
            queue.wake(now);
            while let Some(key) = queue.take() {
                let desk = Arc::clone(&self.desk);
                let failures = self.failures.remove(&key);
                let failures =
                    failures.map_or(Failures::NONE, |(failed, at)| failed.after(at.elapsed()));
                self.turns.spawn(async move {
                    let ended = turn::carry(&desk, &key, failures).await;
                    (key, ended)
                });
            }
        }
    }

    fn end_turn(&mut self, joined: Result<Turn, JoinError>) -> Result<(), Failure> {
        let (key, ended) = joined.map_err(|error| broke(&error))?;
        let ended = ended?;
        let Some(queue) = self.queues.get_mut(&key.connection) else { return Ok(()) };
        match ended {
            (Ended::Finished | Ended::Stopped, _) => {
                queue.finish(&key);
            }
            (Ended::Paused { until, why }, failures) => {
                self.is_braked |= matches!(why, Pause::Braked(_));
                queue.pause(&key, until, &why);
                if failures != Failures::NONE {
                    self.failures.insert(key, (failures, Instant::now()));
                }
            }
        }
        Ok(())
    }

    /// Until the next lane's time comes, or the time of a command is over.
    fn wait(&self) -> Duration {
        let queues = || self.queues.values();
        let lane = queues().filter_map(Queue::next_wake).min();
        // Where as many are being written as may be, the first of them to end goes on.
        let expiry = queues().filter_map(Queue::next_expiry).min();
        let expiry = expiry.filter(|_| self.expiring.len() < EXPIRING_MAX);
        let next = [lane, expiry].into_iter().flatten().min();
        next.map_or(WAIT_MAX, |next| between(now(), next).clamp(WAIT_MIN, WAIT_MAX))
    }
}

fn ended(joined: Result<Result<(), Failure>, JoinError>) -> Result<(), Failure> {
    joined.map_err(|error| broke(&error))?
}

fn broke(error: &JoinError) -> Failure {
    log_event!(Event::SinkBroke, %error, "a command's turn broke off");
    Failure::Broke
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
