//! The shards that this replica is given: one owner task each, until they are taken away.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
};

use tokio::{
    sync::mpsc,
    task::{Id, JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{App, DRAIN, pollers::connections_of};
use crate::{
    log_event,
    poll::board::LastError,
    shards::{
        assignment::{Change, Granted},
        owner::Phase,
    },
    telemetry::{clock::now, events::Event},
};

/// An owner's task broke off. Its shard is held by a process that does nothing for it, so the
/// process ends: whoever takes the shard next reads all that is committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the task that owns shard {0} broke off, a mistake of this program: its last words stand \
     above; nothing is lost, the next owner of the shard restores it"
)]
pub(super) struct Broke(i32);

/// The owners of this replica's shards.
struct Owners<'a, F> {
    app: &'a App,
    stop: &'a CancellationToken,
    /// Makes the owner of a shard.
    own: F,
    tasks: JoinSet<()>,
    /// Whose task it is; a task that ends is taken out.
    shards: HashMap<Id, i32>,
    tokens: HashMap<i32, CancellationToken>,
    /// The end of each shard's last owner.
    ends: HashMap<i32, CancellationToken>,
    /// Whether the group counts on this replica.
    joined: bool,
    /// Shards that went with the membership: the group gave them to nobody.
    lost: HashSet<i32>,
    broke: Option<Broke>,
}

impl App {
    /// Follows what is granted and taken away until `stop`, then drains. `own` runs a shard until
    /// its token is cancelled.
    ///
    /// # Errors
    /// [`Broke`], after `stop` is set and the other shards have drained.
    pub(super) async fn own_shards<F, O>(
        &self,
        mut changes: mpsc::UnboundedReceiver<Change>,
        mut phases: mpsc::UnboundedReceiver<(i32, Phase)>,
        own: F,
        stop: &CancellationToken,
    ) -> Result<(), Broke>
    where
        F: Fn(Granted, CancellationToken) -> O,
        O: Future<Output = ()> + Send + 'static,
    {
        let mut owners = Owners::new(self, own, stop);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some((shard, phase)) = phases.recv() => owners.show(shard, phase),
                Some(ended) = owners.tasks.join_next_with_id() => owners.note_end(ended),
                change = changes.recv() => match change {
                    Some(change) => owners.take(change),
                    // The thread is gone, and nobody would say any more what is taken away: all
                    // that runs here ends, and `run` says why.
                    None => stop.cancel(),
                },
            }
        }
        log_event!(Event::Stopping, "stopping: pollers end, queued batches are committed");
        if timeout(DRAIN, owners.drain(&mut phases)).await.is_err() {
            log_event!(
                Event::DrainTimedOut,
                "draining takes too long, ending: what is not committed is read again"
            );
        }
        owners.broke.map_or(Ok(()), Err)
    }

    /// Shows where a shard stands, on the status page and in readiness.
    fn show(&self, shard: i32, phase: Phase) {
        self.phases.send_modify(|phases| {
            if phase == Phase::Released {
                phases.remove(&shard);
            } else {
                phases.insert(shard, phase);
            }
        });
        match phase {
            Phase::Owned => self.health.shard_restored(shard),
            Phase::Released => self.health.shard_revoked(shard),
            Phase::Restoring | Phase::Fenced => self.health.shard_assigned(shard),
            // An operator's matter: taking the Pod out helps nobody, but it must not look ready either.
            Phase::Stopped => self.health.shard_stopped(shard),
        }
    }
}

impl<'a, F, O> Owners<'a, F>
where
    F: Fn(Granted, CancellationToken) -> O,
    O: Future<Output = ()> + Send + 'static,
{
    fn new(app: &'a App, own: F, stop: &'a CancellationToken) -> Self {
        let (tasks, shards) = (JoinSet::new(), HashMap::new());
        let (tokens, ends) = (HashMap::new(), HashMap::new());
        let (joined, lost) = (false, HashSet::new());
        Self { app, stop, own, tasks, shards, tokens, ends, joined, lost, broke: None }
    }

    fn take(&mut self, change: Change) {
        match change {
            Change::Granted(granted) => self.start(granted),
            Change::Kafka(answers) => self.app.health.set_kafka_answers(answers),
            Change::Joined(joined) => {
                self.joined = joined;
                if !joined {
                    self.app.board.unsettle();
                }
                self.app.health.set_joined(joined);
            }
            Change::KeptOut(why) => self.app.health.set_kept_out(why),
            Change::Revoked(shard) => {
                log_event!(Event::ShardRevoked, shard, "shard revoked");
                if let Some(token) = self.tokens.remove(&shard) {
                    token.cancel();
                }
                // The membership's end is said before what it costs.
                if !self.joined {
                    self.lost.insert(shard);
                }
            }
        }
    }

    fn start(&mut self, granted: Granted) {
        let shard = granted.shard;
        log_event!(Event::ShardAssigned, shard, "shard granted");
        self.app.board.note_grant(now());
        for connection in connections_of(&self.app.config, shard) {
            self.app.board.answer_for(&connection.id, now());
        }
        self.lost.remove(&shard);
        let token = self.stop.child_token();
        if let Some(old) = self.tokens.insert(shard, token.clone()) {
            old.cancel();
        }
        let end = CancellationToken::new();
        let before = self.ends.insert(shard, end.clone());
        let owned = (self.own)(granted, token);
        // One after the other: what the one before says at its end would be taken for this one's, and
        // its pollers would ask and tell beside these.
        let task = self.tasks.spawn(async move {
            let _ended = end.drop_guard();
            if let Some(before) = before {
                before.cancelled().await;
            }
            owned.await;
        });
        self.shards.insert(task.id(), shard);
    }

    fn show(&self, shard: i32, phase: Phase) {
        self.app.show(shard, phase);
        // A shard that is already granted anew is still answered for.
        if phase != Phase::Released || self.tokens.contains_key(&shard) {
            return;
        }
        let why = self.lost.contains(&shard).then(|| LastError {
            at: now(),
            code: Event::GroupLost.code(),
            message: "the group has lost this replica, and its shards with it".into(),
        });
        for connection in connections_of(&self.app.config, shard) {
            match &why {
                Some(why) => self.app.board.lose(&connection.id, why),
                None => self.app.board.forget(&connection.id),
            }
        }
    }

    /// An owner ends when its shard is taken away. One that broke off leaves a shard that looks
    /// owned and is polled by nobody: everything here ends.
    fn note_end(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let shard = self.shards.remove(&id);
        if let (Err(error), Some(shard)) = (ended, shard) {
            log_event!(Event::OwnerBroke, shard, %error, "the shard's owner broke off, ending");
            self.broke.get_or_insert(Broke(shard));
            self.stop.cancel();
        }
    }

    async fn drain(&mut self, phases: &mut mpsc::UnboundedReceiver<(i32, Phase)>) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.note_end(ended);
            self.show_all(phases);
        }
        // What the last ones said before they ended, where their ends were heard first.
        self.show_all(phases);
    }

    fn show_all(&self, phases: &mut mpsc::UnboundedReceiver<(i32, Phase)>) {
        while let Ok((shard, phase)) = phases.try_recv() {
            self.app.show(shard, phase);
        }
    }
}
