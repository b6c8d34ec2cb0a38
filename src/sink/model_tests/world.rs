//! What owners share, and what can happen to them.

use std::{collections::BTreeMap, time::Instant};

use uuid::Uuid;

use crate::{
    domain::{content::Content, time::Timestamp, vocabulary::Outcome},
    sink::{
        command::{Command, CommandKey, Kind, Order},
        journal::{Entry, Status, codec},
        payload::Digest,
        result::latest_result,
        tests::{NOON, key_of, money, refund},
    },
};

use super::{
    api::Api,
    mutant::Mutant,
    owner::{Alive, Owner},
};

/// A command that will be sent.
#[derive(Debug, Clone)]
pub(super) struct Submission {
    pub(super) reference: u8,
    pub(super) cancel: bool,
    pub(super) tens: i64,
    pub(super) expires: bool,
}

/// How the API behaves for one request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reply {
    Whole,
    /// As `Whole`, but the payment shows it only after so many percent of the time that the machine
    /// allows for.
    ShownLater(i64),
    /// The API refuses, though the payment would allow it.
    Refused,
    NotConnected,
    AppliedAndLost,
    NotAppliedAndLost,
    /// The API says that it failed, whatever became of it.
    Failed {
        applied: bool,
    },
    /// After so many percent of the time that the machine allows for.
    AppliedLate(i64),
}

/// What goes wrong in one step, if the step meets it.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) look_fails: bool,
    /// The list does not show the payment.
    pub(super) unlisted: bool,
    pub(super) reply: Reply,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Step {
        pick: u8,
        fault: Fault,
    },
    ZombieStep {
        pick: u8,
        fault: Fault,
    },
    /// The owner dies; its successor, whose clock is so much ahead, reads the commands again from the
    /// start, or goes on.
    Crash {
        rewind: bool,
        clock: i64,
    },
    /// As `Crash`, but the owner is only stopped, and may go on without knowing.
    Pause {
        rewind: bool,
        clock: i64,
    },
    Wait(i64),
    /// The owner's clock is so much ahead from now on, or behind.
    SetClock(i64),
    Submit,
    /// The sender sends its first command again.
    SubmitAgain,
    ByHand(u8),
    Switch(bool),
}

/// A result as consumers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: Uuid,
    pub(super) sequence: i32,
    pub(super) outcome: Outcome,
    pub(super) is_final: bool,
}

/// Kafka, the API and the time.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    /// As it is, whatever the clocks of the owners show.
    pub(super) now: i64,
    /// When it began, by a clock that nobody sets.
    pub(super) born: Instant,
    /// Whether an owner's clock was ever wrong: it may have asked before everything was quiet, and have
    /// given up what still moves. Nothing worse may come of it.
    is_off: bool,
    pub(super) epoch: u64,
    pub(super) stopped: bool,
    pub(super) commands: Vec<Command>,
    pub(super) committed: usize,
    /// The newest bytes of each story.
    pub(super) journal: BTreeMap<CommandKey, Vec<u8>>,
    /// Every record in the order in which it was written.
    pub(super) log: Vec<CommandKey>,
    pub(super) statuses: BTreeMap<CommandKey, Status>,
    pub(super) results: BTreeMap<CommandKey, Vec<Seen>>,
    pub(super) api: Api,
    /// Money that moved for a command whose story was over.
    pub(super) too_late: Vec<CommandKey>,
}

impl Shared {
    /// A transaction: only the newest owner's is committed.
    pub(super) fn write(&mut self, epoch: u64, entry: &Entry) -> bool {
        if epoch != self.epoch {
            return false;
        }
        self.journal.insert(entry.key().clone(), codec::encode_entry(entry));
        // Compacted at once: what an owner reads is the last record of each story, by its place.
        self.log.retain(|key| key != entry.key());
        self.log.push(entry.key().clone());
        self.statuses.insert(entry.key().clone(), entry.status().clone());
        true
    }

    pub(super) fn publish(&mut self, entry: &Entry) {
        let Some(publication) = latest_result(entry, None) else { return };
        let Content::PaymentResult(record) = &publication.content else { return };
        let seen = Seen {
            id: publication.headers.id,
            sequence: record.sequence,
            outcome: record.outcome,
            is_final: record.r#final,
        };
        self.results.entry(entry.key().clone()).or_default().push(seen);
    }

    /// Acts on a request now.
    pub(super) fn apply(&mut self, key: &CommandKey, kind: Kind) -> bool {
        let applied = self.api.apply(key, kind, self.now);
        if applied {
            self.note_move(key.clone(), false);
        }
        applied
    }

    fn note_move(&mut self, key: CommandKey, may_be_parked: bool) {
        let is_over = |status: &Status| match status {
            Status::Parked => !may_be_parked && !self.is_off,
            other => !other.is_open(),
        };
        if self.statuses.get(&key).is_none_or(is_over) {
            self.too_late.push(key);
        }
    }

    fn pass(&mut self, ms: i64) {
        self.now += ms;
        for (key, may_be_parked) in self.api.tick(self.now) {
            self.note_move(key, may_be_parked);
        }
    }

    /// No other command of the reference may be on its way while this one is.
    pub(super) fn check_alone(&self, entry: &Entry) -> Result<(), String> {
        let is_on_its_way =
            |status: &Status| matches!(status, Status::Intended(_) | Status::InDoubt { .. });
        let reference = entry.key().reference();
        let others = self.statuses.iter().filter(|(key, status)| {
            *key != entry.key() && key.reference() == reference && is_on_its_way(status)
        });
        if is_on_its_way(entry.status()) && others.count() > 0 {
            return Err(format!("two commands of {reference} are on their way"));
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct World {
    mutant: Mutant,
    waiting: Vec<Command>,
    pub(super) shared: Shared,
    pub(super) owner: Owner,
    zombie: Option<Owner>,
}

impl World {
    pub(super) fn new(mutant: Mutant, submissions: Vec<Submission>) -> Self {
        let mut shared = Shared {
            now: NOON.0,
            born: Instant::now(),
            is_off: false,
            epoch: 0,
            stopped: false,
            commands: Vec::new(),
            committed: 0,
            journal: BTreeMap::new(),
            log: Vec::new(),
            statuses: BTreeMap::new(),
            results: BTreeMap::new(),
            api: Api::new(),
            too_late: Vec::new(),
        };
        let owner = Owner::take_over(mutant, &mut shared, 0, 0);
        let mut waiting: Vec<_> = (1..).zip(submissions).map(|(n, s)| command(n, &s)).collect();
        waiting.reverse();
        let mut world = Self { mutant, waiting, shared, owner, zombie: None };
        world.submit();
        world
    }

    fn submit(&mut self) {
        self.shared.commands.extend(self.waiting.pop());
    }

    pub(super) fn act(&mut self, act: Act) -> Result<(), String> {
        match act {
            Act::Step { pick, fault } => self.step(pick, &fault)?,
            Act::ZombieStep { pick, fault } => {
                if let Some(zombie) = &mut self.zombie
                    && zombie.step(&mut self.shared, pick, &fault)? == Alive::Fenced
                {
                    self.zombie = None;
                }
            }
            Act::Crash { rewind, clock } => drop(self.take_over(rewind, clock)),
            Act::Pause { rewind, clock } => self.zombie = Some(self.take_over(rewind, clock)),
            Act::Wait(ms) => self.shared.pass(ms),
            Act::SetClock(clock) => {
                self.shared.is_off |= clock != 0;
                self.owner.clock = clock;
            }
            Act::Submit => self.submit(),
            Act::SubmitAgain => {
                let again = self.shared.commands.first().cloned();
                self.shared.commands.extend(again);
            }
            Act::ByHand(place) => self.shared.api.refund_by_hand(usize::from(place)),
            Act::Switch(stopped) => {
                self.shared.stopped = stopped;
                self.owner.switch(stopped);
            }
        }
        Ok(())
    }

    fn step(&mut self, pick: u8, fault: &Fault) -> Result<(), String> {
        match self.owner.step(&mut self.shared, pick, fault)? {
            Alive::Yes => Ok(()),
            Alive::Fenced => Err("the newest owner was fenced".into()),
        }
    }

    /// A new owner in the place of the one that is returned.
    fn take_over(&mut self, rewind: bool, clock: i64) -> Owner {
        self.shared.is_off |= clock != 0;
        let from = if rewind { 0 } else { self.shared.committed };
        let next = Owner::take_over(self.mutant, &mut self.shared, from, clock);
        std::mem::replace(&mut self.owner, next)
    }

    /// No more faults: within a bounded number of steps and waits everything must end.
    pub(super) fn drain(&mut self) -> Result<(), String> {
        while !self.waiting.is_empty() {
            self.submit();
        }
        self.act(Act::Switch(false))?;
        let fault = Fault { look_fails: false, unlisted: false, reply: Reply::Whole };
        for pick in 0..600_u32 {
            if let Some(zombie) = &mut self.zombie
                && zombie.step(&mut self.shared, 0, &fault)? == Alive::Fenced
            {
                self.zombie = None;
            }
            if self.owner.is_done(&self.shared) {
                // Whatever is still on its way arrives.
                self.shared.pass(10_000_000);
                return Ok(());
            }
            if self.owner.has_work(&self.shared) {
                self.step((pick % 251) as u8, &fault)?;
            } else {
                let now = self.owner.now(&self.shared);
                let wake = self.owner.queue.next_wake().map_or(1000, |at| at.0 - now.0);
                self.shared.pass(wake.max(1));
            }
        }
        Err("a command does not come to its end".into())
    }
}

fn command(n: u128, submission: &Submission) -> Command {
    let reference = if submission.reference == 0 { "A" } else { "B" };
    let amount = money(&format!("{}0.00", submission.tens));
    let order = Order {
        kind: if submission.cancel { Kind::Cancel } else { Kind::Refund { amount } },
        expires_at: submission.expires.then_some(Timestamp(NOON.0 + 60_000)),
        digest: Digest(n),
        ..refund("1.00")
    };
    Command { key: key_of(reference, n), order }
}
