//! Giving commands their turns: one of a reference at a time, each connection beside the others.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::sleep,
};

use crate::{domain::ids::ConnectionId, log_event, telemetry::events::Event};

use super::{
    command::CommandKey,
    desk::{Desk, Failure, now},
    journal::Entry,
    operator::SwitchSeen,
    plan::{Failures, Pause, between},
    queue::Queue,
    turn::{self, Ended},
};

/// Commands of one connection that are carried at a time; the quota decides how fast they go.
const TURNS_MAX: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// The wall clock may be set: waits are measured again this often.
const WAIT_MAX: Duration = Duration::from_secs(30);
const WAIT_MIN: Duration = Duration::from_millis(1);

type Turn = (CommandKey, Result<(Ended, Failures), Failure>);

/// Who has a turn, and who waits for one.
#[derive(Debug)]
pub struct Dispatcher {
    desk: Arc<Desk>,
    queues: BTreeMap<ConnectionId, Queue>,
    failures: HashMap<CommandKey, Failures>,
    turns: JoinSet<Turn>,
    /// Whether a brake holds any lane.
    is_braked: bool,
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
            .map(|(connection, entries)| (connection, Queue::restored(TURNS_MAX, entries)))
            .collect();
        let (failures, turns) = (HashMap::new(), JoinSet::new());
        Self { desk, queues, failures, turns, is_braked: false }
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
            self.hand_out();
            let wait = self.wait();
            tokio::select! {
                () = stop.cancelled() => {}
                Some(joined) = self.turns.join_next(), if !self.turns.is_empty() => {
                    self.end_turn(joined)?;
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
        Ok(())
    }

    fn push(&mut self, key: CommandKey) {
        let queue = self.queues.entry(key.connection.clone());
        queue.or_insert_with(|| Queue::new(TURNS_MAX)).push(key);
    }

    fn hand_out(&mut self) {
        let now = now();
        for queue in self.queues.values_mut() {
            queue.wake(now);
            while let Some(key) = queue.take() {
                let desk = Arc::clone(&self.desk);
                let failures = self.failures.remove(&key).unwrap_or(Failures::NONE);
                self.turns.spawn(async move {
                    let ended = turn::carry(&desk, &key, failures).await;
                    (key, ended)
                });
            }
        }
    }

    fn end_turn(&mut self, joined: Result<Turn, JoinError>) -> Result<(), Failure> {
        let (key, ended) = match joined {
            Ok((key, ended)) => (key, ended?),
            Err(error) => {
                log_event!(Event::SinkBroke, %error, "a command's turn broke off");
                return Err(Failure::Broke);
            }
        };
        let Some(queue) = self.queues.get_mut(&key.connection) else { return Ok(()) };
        match ended {
            (Ended::Finished | Ended::Stopped, _) => {
                queue.finish(&key);
            }
            (Ended::Paused { until, why }, failures) => {
                self.is_braked |= matches!(why, Pause::Braked(_));
                queue.pause(&key, until, &why);
                if failures != Failures::NONE {
                    self.failures.insert(key, failures);
                }
            }
        }
        Ok(())
    }

    /// Until the next lane's time comes.
    fn wait(&self) -> Duration {
        let next = self.queues.values().filter_map(Queue::next_wake).min();
        next.map_or(WAIT_MAX, |next| between(now(), next).clamp(WAIT_MIN, WAIT_MAX))
    }
}
