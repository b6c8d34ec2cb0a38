//! One owner: it drives the pure functions, one effect a step, and can be dropped between any two.

use std::{collections::BTreeMap, num::NonZeroUsize, time::Duration};

use crate::{
    domain::time::Timestamp,
    sink::{
        admission::{Known, recall},
        brakes::{Brakes, Limits, StopSource},
        command::{Command, CommandKey, Kind},
        finished::Place,
        journal::{Arrival, Entry, Intent, JournalEvent, Status, codec},
        look::{Decision, Look, answer_doubt, asked_at, intend},
        memory::Journal,
        plan::{Failures, Policy, Situation, Step, expire, expiry_of, later, next_step},
        queue::Queue,
        rivals::{Rival, Rivals},
        tests::{HOUR, NO_LIMITS, POLICY},
    },
};

use super::{
    mutant::{Mutant, by_clock, instant},
    request::{Deadline, send},
    world::{Fault, Shared},
};

/// How far a command that is handed out has come.
#[derive(Debug, Clone)]
enum Phase {
    Plan,
    LookFirst,
    LookAgain,
    /// What was seen, when by the owner's clock, and when it was.
    Looked(Look, Timestamp, i64),
    LookedAgain(Look),
    /// The intent is committed, or is kept back by a broken machine.
    Cleared {
        deadline: Deadline,
        unwritten: Option<JournalEvent>,
    },
    Ended {
        event: JournalEvent,
        unwritten: Option<JournalEvent>,
    },
}

/// Whether an owner goes on after a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Alive {
    Yes,
    /// It found that it is not the owner any more.
    Fenced,
}

#[derive(Debug, Clone)]
pub(super) struct Owner {
    mutant: Mutant,
    epoch: u64,
    /// By how much its machine's clock is ahead: milliseconds.
    pub(super) clock: i64,
    pub(super) entries: BTreeMap<CommandKey, Entry>,
    pub(super) queue: Queue,
    brakes: Brakes,
    rivals: Rivals,
    /// With when the last of them was, by a clock that nobody sets.
    failures: BTreeMap<CommandKey, (Failures, i64)>,
    /// Since when it knows that each command stands as it does, by a clock that nobody sets.
    known: BTreeMap<CommandKey, i64>,
    out: BTreeMap<CommandKey, Phase>,
    next_offset: usize,
    /// Read and journaled, or the other way round, but not both yet.
    half_read: bool,
}

impl Owner {
    /// Fences the former owner and reads the journal to its end, by a clock that is so much ahead.
    pub(super) fn take_over(
        mutant: Mutant,
        shared: &mut Shared,
        from_offset: usize,
        clock: i64,
    ) -> Self {
        shared.epoch += 1;
        let now = Timestamp(shared.now + clock);
        let (mut entries, mut journal) = (BTreeMap::new(), Journal::default());
        for (offset, key) in (0..).zip(&shared.log) {
            let (name, bytes) = (key.to_string(), &shared.journal[key]);
            let place = Place { partition: 0, offset };
            journal.take(codec::read_line(name.as_bytes(), Some(bytes)).unwrap(), place, now);
            let codec::Record::Command(entry) = codec::decode(&name, bytes).unwrap() else {
                panic!("{key} is a command")
            };
            if mutant == Mutant::ForgetsOldRivals && later(entry.last_at(), 2 * 24 * HOUR) < now {
                journal.rivals.forget(key);
            }
            entries.insert(key.clone(), *entry);
        }
        let known = entries.keys().map(|key| (key.clone(), shared.now)).collect();
        let limits = Limits { max_in_doubt: 99, ..NO_LIMITS };
        let (mut brakes, mut rivals) = (journal.finished.under(limits), journal.rivals);
        rivals.begin(instant(mutant, shared, None));
        for entry in journal.open.values() {
            brakes.add(entry);
            rivals.restore(entry);
        }
        let turns = NonZeroUsize::new(3).unwrap();
        let queue = match mutant {
            Mutant::OrderByClock => by_clock(turns, journal.open.values()),
            _ => Queue::restored(turns, 1, journal.open.values()),
        };
        let mut owner = Self {
            mutant,
            epoch: shared.epoch,
            clock,
            entries,
            queue,
            brakes,
            rivals,
            failures: BTreeMap::new(),
            known,
            out: BTreeMap::new(),
            next_offset: from_offset,
            half_read: false,
        };
        owner.switch(shared.stopped);
        owner
    }

    /// What its machine's clock shows.
    pub(super) const fn now(&self, shared: &Shared) -> Timestamp {
        Timestamp(shared.now + self.clock)
    }

    pub(super) fn switch(&mut self, stopped: bool) {
        if stopped {
            self.brakes.stop(StopSource::Record, "model".into());
        } else {
            self.brakes.release_stop(StopSource::Record);
            self.queue.wake_braked();
        }
    }

    /// Whether everything it knows of is finished or parked.
    pub(super) fn is_done(&self, shared: &Shared) -> bool {
        self.next_offset >= shared.commands.len() && self.queue.is_empty() && self.out.is_empty()
    }

    pub(super) fn has_work(&mut self, shared: &Shared) -> bool {
        self.fill(self.now(shared));
        !self.out.is_empty() || self.next_offset < shared.commands.len()
    }

    fn fill(&mut self, now: Timestamp) {
        // Without a turn, and beside the one that the reference's first command may have.
        while let Some(key) = self.queue.next_due(now) {
            let due = match self.mutant {
                Mutant::ExpiresDoubts => Some(JournalEvent::Expired { at: now }),
                _ => expire(&self.entries[&key], now),
            };
            if let Some(event) = due
                && self.queue.withdraw(&key)
            {
                self.failures.remove(&key);
                self.out.insert(key, Phase::Ended { event, unwritten: None });
            }
        }
        self.queue.wake(now);
        while let Some(key) = self.queue.take() {
            self.out.insert(key, Phase::Plan);
        }
        if self.mutant == Mutant::NoOrder {
            for (key, entry) in &self.entries {
                if entry.status().is_open() && !self.out.contains_key(key) {
                    self.out.insert(key.clone(), Phase::Plan);
                }
            }
        }
    }

    /// One effect, of one of the things that could happen now.
    pub(super) fn step(
        &mut self,
        shared: &mut Shared,
        pick: u8,
        fault: &Fault,
    ) -> Result<Alive, String> {
        self.fill(self.now(shared));
        let reads = usize::from(self.next_offset < shared.commands.len());
        let choices = self.out.len() + reads;
        if choices == 0 {
            return Ok(Alive::Yes);
        }
        let pick = usize::from(pick) % choices;
        match self.out.keys().nth(pick).cloned() {
            Some(key) => self.advance(shared, &key, fault),
            None => self.read(shared),
        }
    }

    /// Journal first, offset second; each is an effect of its own.
    fn read(&mut self, shared: &mut Shared) -> Result<Alive, String> {
        let journal_now = self.half_read == (self.mutant == Mutant::OffsetFirst);
        self.half_read = !self.half_read;
        let offset = self.next_offset;
        if !journal_now {
            shared.committed = offset + 1;
            self.next_offset += usize::from(!self.half_read);
            return Ok(Alive::Yes);
        }
        let command = shared.commands[offset].clone();
        let alive = self.admit(shared, command, offset)?;
        self.next_offset += usize::from(!self.half_read);
        Ok(alive)
    }

    fn admit(
        &mut self,
        shared: &mut Shared,
        command: Command,
        offset: usize,
    ) -> Result<Alive, String> {
        let existing = self.entries.get(&command.key).filter(|_| self.mutant != Mutant::NoMemory);
        let arrival = Arrival { partition: 0, offset: i64::try_from(offset).unwrap_or(0) };
        match recall(existing, command.order.digest, arrival) {
            Known::New => {}
            Known::Read => return Ok(Alive::Yes),
            Known::Again => {
                if let Some(entry) = existing {
                    shared.publish(entry);
                }
                return Ok(Alive::Yes);
            }
            Known::Duplicate => return Ok(Alive::Yes),
        }
        let entry = Entry::received(command, arrival, self.now(shared));
        if !shared.write(self.epoch, &entry) {
            return Ok(Alive::Fenced);
        }
        self.brakes.add(&entry);
        self.queue.push(entry.key().clone(), expiry_of(&entry));
        self.known.insert(entry.key().clone(), shared.now);
        self.entries.insert(entry.key().clone(), entry);
        Ok(Alive::Yes)
    }

    fn policy(&self) -> Policy {
        match self.mutant {
            Mutant::NoQuiescence => Policy { quiescence_ms: 0, post_timeout_ms: 0, ..POLICY },
            _ => POLICY,
        }
    }

    fn advance(
        &mut self,
        shared: &mut Shared,
        key: &CommandKey,
        fault: &Fault,
    ) -> Result<Alive, String> {
        let Some(phase) = self.out.get(key).cloned() else { return Ok(Alive::Yes) };
        match phase {
            Phase::Plan => self.plan(shared, key),
            Phase::LookFirst | Phase::LookAgain if fault.look_fails => {
                let now = self.now(shared);
                let (failures, at) =
                    self.failures.entry(key.clone()).or_insert((Failures::NONE, 0));
                (*failures, *at) = (failures.and_at(now), shared.now);
                self.brakes.release(key);
                self.to(key, Phase::Plan)
            }
            Phase::LookFirst => {
                let look = self.look(shared, key, fault);
                let looked = Phase::Looked(look, self.now(shared), shared.now);
                self.to(key, looked)
            }
            Phase::LookAgain => self.to(key, Phase::LookedAgain(self.look(shared, key, fault))),
            Phase::Looked(look, stamp, at) => self.decide(shared, key, (&look, stamp, at)),
            Phase::LookedAgain(look) => self.clear_doubt(shared, key, &look),
            Phase::Cleared { deadline, unwritten } => {
                let (kind, now) = (self.kind(key), self.now(shared));
                let event = send(self.mutant, shared, (key, kind), (now, deadline), fault);
                self.to(key, Phase::Ended { event, unwritten })
            }
            Phase::Ended { event, unwritten } => {
                if let Some(intent) = unwritten
                    && self.commit(shared, key, intent)? == Alive::Fenced
                {
                    return Ok(Alive::Fenced);
                }
                self.commit(shared, key, event)
            }
        }
    }

    /// What the API tells, without the list where that does not show the payment.
    fn look(&self, shared: &Shared, key: &CommandKey, fault: &Fault) -> Look {
        let mut state = shared.api.look(key);
        if fault.unlisted {
            state.refunded = None;
            state.refunded_unknown = self.mutant != Mutant::UnknownIsNone;
        }
        Look::Found(state)
    }

    fn to(&mut self, key: &CommandKey, phase: Phase) -> Result<Alive, String> {
        self.out.insert(key.clone(), phase);
        Ok(Alive::Yes)
    }

    fn situation(&self, shared: &Shared, key: &CommandKey) -> Situation<'_> {
        let since = |at: i64| Duration::from_millis((shared.now - at).unsigned_abs());
        let failures = self.failures.get(key);
        let failures = failures.map_or(Failures::NONE, |(failures, at)| failures.after(since(*at)));
        let held = self.held(shared, key);
        Situation { epoch: self.epoch, brakes: &self.brakes, failures, held }
    }

    fn held(&self, shared: &Shared, key: &CommandKey) -> Duration {
        let known_at = self.known.get(key).copied().unwrap_or(shared.now);
        match self.mutant {
            Mutant::HoldsNothing => Duration::MAX,
            _ => Duration::from_millis((shared.now - known_at).unsigned_abs()),
        }
    }

    fn plan(&mut self, shared: &mut Shared, key: &CommandKey) -> Result<Alive, String> {
        let entry = &self.entries[key];
        let now = self.now(shared);
        let mut step = next_step(entry, now, &self.situation(shared, key), &self.policy());
        if self.mutant == Mutant::TakeoverResends && matches!(entry.status(), Status::Intended(_)) {
            let detail = "nobody answered".to_owned();
            step = Step::Record(JournalEvent::NotSent { at: now, detail });
        }
        if self.mutant == Mutant::DoubtResends && step == Step::Ask {
            let begun = entry.events()[..1].to_vec();
            let again = Entry::from_events(key.clone(), begun).map_err(|e| e.to_string())?;
            self.entries.insert(key.clone(), again);
            step = Step::Execute;
        }
        self.perform(shared, key, step)
    }

    fn perform(
        &mut self,
        shared: &mut Shared,
        key: &CommandKey,
        step: Step,
    ) -> Result<Alive, String> {
        match step {
            Step::Execute => {
                self.brakes.reserve(key, self.kind(key));
                self.to(key, Phase::LookFirst)
            }
            Step::Ask => self.to(key, Phase::LookAgain),
            Step::Record(event) => self.commit(shared, key, event),
            Step::Wait { until, why } => {
                if until.is_some_and(|until| until <= self.now(shared)) {
                    return Err(format!("{key} waits for a time that has passed"));
                }
                self.brakes.release(key);
                self.out.remove(key);
                self.queue.pause(key, until, &why);
                Ok(Alive::Yes)
            }
            Step::Sending => Err(format!("{key} is being sent, but not by its owner")),
            Step::Nothing => {
                self.out.remove(key);
                self.queue.finish(key);
                Ok(Alive::Yes)
            }
        }
    }

    fn kind(&self, key: &CommandKey) -> Kind {
        self.entries[key].order().map(|order| order.kind).expect("only valid commands are here")
    }

    fn decide(
        &mut self,
        shared: &mut Shared,
        key: &CommandKey,
        (look, stamp, at): (&Look, Timestamp, i64),
    ) -> Result<Alive, String> {
        let now = self.now(shared);
        self.failures.remove(key);
        let policy = self.policy();
        let passed = Duration::from_millis((shared.now - at).unsigned_abs());
        let at = if self.mutant == Mutant::OldLooks { now } else { asked_at(now, stamp, passed) };
        let look = (look, at);
        match intend(&self.entries[key], now, look, &self.situation(shared, key), &policy) {
            Decision::Instead(step) => self.perform(shared, key, step),
            Decision::Send { intent, send_not_after: wall } => {
                let deadline = Deadline { wall, real: shared.now + wall.0 - now.0 };
                if self.mutant == Mutant::SendsBeforeIntent {
                    return self.to(key, Phase::Cleared { deadline, unwritten: Some(intent) });
                }
                if self.commit(shared, key, intent)? == Alive::Fenced {
                    return Ok(Alive::Fenced);
                }
                self.to(key, Phase::Cleared { deadline, unwritten: None })
            }
        }
    }

    fn clear_doubt(
        &mut self,
        shared: &mut Shared,
        key: &CommandKey,
        look: &Look,
    ) -> Result<Alive, String> {
        let now = self.now(shared);
        self.failures.remove(key);
        let entry = &self.entries[key];
        let rivals = self.rivals_of(entry);
        let at = (now, self.held(shared, key));
        let mut answer = answer_doubt(entry, at, look, &rivals, &self.policy());
        if self.mutant == Mutant::AnyChangeExplains
            && let (Some(intent), Look::Found(after)) = (entry.intent(), look)
            && intent.before != *after
        {
            answer = Some(JournalEvent::Inferred { at: now, after: after.clone() });
        }
        match answer {
            Some(event) => self.commit(shared, key, event),
            None => self.to(key, Phase::Plan),
        }
    }

    /// The payment's other commands.
    fn rivals_of(&self, asked: &Entry) -> Vec<Rival> {
        let mut rivals = self.rivals.clone();
        for entry in self.entries.values() {
            match (self.mutant, entry.status()) {
                (Mutant::NoRivals, _) | (Mutant::DoneShowsAtOnce, Status::Done { .. }) => {
                    rivals.forget(entry.key());
                }
                _ => {}
            }
        }
        rivals.of(asked)
    }

    /// Journal and result in one transaction, which fails when somebody else is the owner.
    fn commit(
        &mut self,
        shared: &mut Shared,
        key: &CommandKey,
        event: JournalEvent,
    ) -> Result<Alive, String> {
        let before = &self.entries[key];
        let publishes = event.publishes();
        let after = before.with(event).map_err(|illegal| format!("{key}: {illegal}"))?;
        if !shared.write(self.epoch, &after) {
            return Ok(Alive::Fenced);
        }
        if publishes {
            shared.publish(&after);
        }
        shared.check_alone(&after)?;
        self.check_in_order(&after)?;
        self.brakes.moved(before, &after);
        self.rivals.moved_at(&after, instant(self.mutant, shared, Some(after.status())));
        self.entries.insert(key.clone(), after);
        self.known.insert(key.clone(), shared.now);
        self.to(key, Phase::Plan)
    }
    /// Those of one reference are allowed in the order in which they lie in their topic. One that had its
    /// first turn may have had it while another one, whose time was over, was being ended.
    fn check_in_order(&self, allowed: &Entry) -> Result<(), String> {
        let Status::Intended(Intent { attempt: 1, .. }) = allowed.status() else { return Ok(()) };
        let is_passed = |other: &&Entry| {
            let waits = matches!(other.status(), Status::Received | Status::NotSent { .. });
            let is_ending = matches!(self.out.get(other.key()), Some(Phase::Ended { .. }));
            waits && !is_ending && other.arrival() < allowed.arrival()
        };
        let reference = allowed.key().reference();
        let mut others = self.entries.values().filter(|other| other.key().reference() == reference);
        match others.find(is_passed) {
            Some(other) => Err(format!("{} was allowed before {}", allowed.key(), other.key())),
            None => Ok(()),
        }
    }
}
