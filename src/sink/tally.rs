//! Counts and gauges of payment commands, and how the sink stands on this replica.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    config::model::Kafka,
    domain::{
        time::Timestamp,
        vocabulary::{CommandType, Outcome},
    },
    kafka::topics,
    telemetry::metrics::Metrics,
};

use super::{
    admission::RejectedBecause,
    journal::{Entry, JournalEvent},
    result::STREAM,
    waiting::Waiting,
};

/// The kinds that metrics tell apart; a command of another kind is invalid and counts as a refund's
/// neighbour under its own word.
const KINDS: [CommandType; 3] = [CommandType::Cancel, CommandType::Refund, CommandType::Unknown];

/// How the sink stands on this replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Another replica executes commands, or none does yet.
    Standby,
    /// This one takes the lock and reads the journal.
    Restoring,
    /// It executes commands.
    Owned,
    /// It executes commands, but those of some partitions cannot be read yet.
    Waiting,
    /// It would, and the kill switch is on.
    Halted,
    /// It has lost its lock, or something broke: it begins anew by itself.
    Retrying,
    /// Only an operator can help.
    Stopped,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 7] = [
        Self::Standby,
        Self::Restoring,
        Self::Owned,
        Self::Waiting,
        Self::Halted,
        Self::Retrying,
        Self::Stopped,
    ];

    /// As metrics and `status` name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::Restoring => "restoring",
            Self::Owned => "owned",
            Self::Waiting => "waiting",
            Self::Halted => "halted",
            Self::Retrying => "retrying",
            Self::Stopped => "stopped",
        }
    }
}

/// A phase and the reason for it, where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub phase: Phase,
    /// Why, in words for people.
    pub why: Option<String>,
}

/// How the sink stands, from both sides that tell it.
#[derive(Debug)]
struct Shown {
    phase: Phase,
    why: Option<String>,
    /// Partitions whose next command cannot be read before the registry tells this schema.
    unread: BTreeMap<i32, u32>,
}

impl Shown {
    /// As one phase, with the reason for it.
    fn standing(&self) -> Standing {
        let waits = || {
            let each = |(partition, schema): (&i32, &u32)| {
                format!("schema id {schema}, partition {partition}")
            };
            let each: Vec<_> = self.unread.iter().map(each).collect();
            format!("waits for the registry ({})", each.join("; "))
        };
        let why = self.why.clone();
        match self.phase {
            Phase::Owned if !self.unread.is_empty() => {
                Standing { phase: Phase::Waiting, why: Some(waits()) }
            }
            Phase::Halted if !self.unread.is_empty() => {
                let why = why.map_or_else(waits, |why| format!("{why}; {}", waits()));
                Standing { phase: Phase::Halted, why: Some(why) }
            }
            phase => Standing { phase, why },
        }
    }

    /// Whether a phase counts as the one the sink is in: one that waits goes on with what it has.
    fn is_in(&self, phase: Phase) -> bool {
        phase == self.phase || (phase == Phase::Waiting && !self.unread.is_empty())
    }
}

/// How many commands are not over; of the replica that executes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Commands {
    /// In doubt or parked.
    pub in_doubt: u64,
    /// Since when the oldest of those is.
    pub oldest_in_doubt: Option<Timestamp>,
    /// Taken in, without an answer yet.
    pub waiting: u64,
}

/// Where commands are counted; cheap to clone.
#[derive(Debug, Clone)]
pub struct Tally {
    metrics: Arc<Metrics>,
    shown: Arc<Mutex<Shown>>,
    commands: Arc<Mutex<Commands>>,
}

impl Tally {
    /// Makes every series exist, so that a rate never misses its first step.
    pub fn new(metrics: Arc<Metrics>, kafka: &Kafka) -> Self {
        for kind in KINDS {
            let kind = label(kind);
            for outcome in Outcome::ALL.iter().filter(|o| **o != Outcome::Unknown) {
                let outcome = outcome.as_str().to_lowercase();
                metrics.command_outcomes.with_label_values(&[kind, &outcome]);
            }
            metrics.command_duration.with_label_values(&[kind]);
            metrics.commands_in_doubt.with_label_values(&[kind]).set(0);
            metrics.commands_waiting.with_label_values(&[kind]).set(0);
        }
        metrics.commands_oldest_in_doubt.set(0.0);
        metrics.commands_oldest_waiting.set(0.0);
        for phase in Phase::ALL {
            metrics.sink_state.with_label_values(&[phase.as_str()]).set(0);
        }
        let commands = kafka.topic(topics::COMMANDS);
        metrics.command_consumer_lag.with_label_values(&[commands.as_str(), "0"]).set(0);
        let rejected = kafka.topic(topics::REJECTED_COMMANDS);
        for reason in RejectedBecause::ALL {
            let labels = ["", STREAM, rejected.as_str(), reason.as_str()];
            metrics.dlq_records.with_label_values(&labels);
        }
        let shown = Shown { phase: Phase::Standby, why: None, unread: BTreeMap::new() };
        Self { metrics, shown: Arc::new(Mutex::new(shown)), commands: Arc::default() }
    }

    /// The metrics themselves.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The sink stands like this from now on.
    pub fn enter(&self, phase: Phase, why: Option<String>) {
        self.change(|shown| {
            // Who is not the owner reads no commands.
            if !matches!(phase, Phase::Owned | Phase::Halted) {
                shown.unread.clear();
            }
            (shown.phase, shown.why) = (phase, why);
        });
    }

    /// Partitions of the command topic whose next command cannot be read before the registry tells
    /// this schema; the others go on.
    pub fn waits_for_registry(&self, unread: BTreeMap<i32, u32>) {
        self.change(|shown| shown.unread = unread);
    }

    fn change(&self, change: impl FnOnce(&mut Shown)) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut shown);
        for phase in Phase::ALL {
            let gauge = self.metrics.sink_state.with_label_values(&[phase.as_str()]);
            gauge.set(i64::from(shown.is_in(phase)));
        }
    }

    /// How the sink stands.
    pub fn standing(&self) -> Standing {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).standing()
    }

    /// How many commands are not over.
    pub fn commands(&self) -> Commands {
        *self.counted()
    }

    fn counted(&self) -> MutexGuard<'_, Commands> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A command moved to where it is now.
    pub fn moved(&self, entry: &Entry) {
        let Some(outcome) = entry.events().last().and_then(outcome_of) else { return };
        let kind = label(entry.outline().kind);
        let word = outcome.as_str().to_lowercase();
        self.metrics.command_outcomes.with_label_values(&[kind, &word]).inc();
        if entry.status().is_finished() {
            let seconds = entry.last_at().seconds() - entry.first_at().seconds();
            self.metrics.command_duration.with_label_values(&[kind]).observe(seconds.max(0.0));
        }
    }

    /// A command was answered DUPLICATE.
    pub fn duplicate(&self, kind: CommandType) {
        let word = Outcome::Duplicate.as_str().to_lowercase();
        self.metrics.command_outcomes.with_label_values(&[label(kind), &word]).inc();
    }

    /// Commands in doubt or parked, each with since when.
    pub fn doubts(&self, doubts: &[(CommandType, Timestamp)]) {
        let mut by_kind: BTreeMap<CommandType, i64> = KINDS.map(|kind| (kind, 0)).into();
        for (kind, _) in doubts {
            *by_kind.entry(*kind).or_default() += 1;
        }
        for (kind, count) in by_kind {
            self.metrics.commands_in_doubt.with_label_values(&[label(kind)]).set(count);
        }
        let oldest = doubts.iter().map(|(_, since)| *since).min();
        self.metrics.commands_oldest_in_doubt.set(oldest.map_or(0.0, Timestamp::seconds));
        let mut commands = self.counted();
        (commands.in_doubt, commands.oldest_in_doubt) = (doubts.len() as u64, oldest);
    }

    /// Commands that wait for their turn or for an answer.
    pub fn waiting(&self, waiting: &Waiting) {
        for kind in KINDS {
            let gauge = self.metrics.commands_waiting.with_label_values(&[label(kind)]);
            gauge.set(waiting.count(kind));
        }
        let count: i64 = KINDS.iter().map(|kind| waiting.count(*kind)).sum();
        self.counted().waiting = u64::try_from(count).unwrap_or(0);
        let oldest = waiting.oldest().map_or(0.0, Timestamp::seconds);
        self.metrics.commands_oldest_waiting.set(oldest);
    }

    /// This replica knows of no command: whoever runs the sink does.
    pub fn forget_commands(&self) {
        self.doubts(&[]);
        self.waiting(&Waiting::default());
    }
}

const fn label(kind: CommandType) -> &'static str {
    match kind {
        CommandType::Cancel => "cancel",
        CommandType::Refund => "refund",
        CommandType::Unknown => "unknown",
    }
}

/// The outcome that an event publishes.
const fn outcome_of(event: &JournalEvent) -> Option<Outcome> {
    match event {
        JournalEvent::Received { .. }
        | JournalEvent::Intended { .. }
        | JournalEvent::NotSent { .. } => None,
        JournalEvent::Refused { .. } | JournalEvent::Rejected { .. } => Some(Outcome::Rejected),
        JournalEvent::Expired { .. } => Some(Outcome::Expired),
        JournalEvent::Approved { .. } | JournalEvent::Inferred { .. } => Some(Outcome::Succeeded),
        JournalEvent::Declined { .. } => Some(Outcome::Declined),
        JournalEvent::Doubted { .. } => Some(Outcome::InDoubt),
        JournalEvent::Parked { .. } => Some(Outcome::Parked),
        JournalEvent::Resolved { executed, .. } => {
            Some(if *executed { Outcome::Succeeded } else { Outcome::Declined })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::desk::tests::kafka;

    #[test]
    fn a_partition_that_waits_for_the_registry_is_told_and_the_owner_stays_one() {
        let metrics = Arc::new(Metrics::new());
        let tally = Tally::new(Arc::clone(&metrics), &kafka());
        let gauge = |phase: &str| metrics.sink_state.with_label_values(&[phase]).get();
        let gauges = || [gauge("owned"), gauge("waiting"), gauge("halted")];
        let standing = |phase, why: Option<&str>| Standing { phase, why: why.map(str::to_owned) };
        tally.enter(Phase::Owned, None);
        assert_eq!(gauges(), [1, 0, 0]);
        tally.waits_for_registry([(0, 7), (3, 9)].into());
        let waits = "waits for the registry (schema id 7, partition 0; schema id 9, partition 3)";
        assert_eq!(tally.standing(), standing(Phase::Waiting, Some(waits)));
        assert_eq!(gauges(), [1, 1, 0], "it still executes what it has");
        tally.enter(Phase::Halted, Some("drill".into()));
        let both = format!("drill; {waits}");
        assert_eq!(tally.standing(), standing(Phase::Halted, Some(&both)));
        assert_eq!(gauges(), [0, 1, 1]);
        tally.enter(Phase::Owned, None);
        tally.waits_for_registry(BTreeMap::new());
        assert_eq!((tally.standing(), gauges()), (standing(Phase::Owned, None), [1, 0, 0]));
        tally.waits_for_registry([(0, 7)].into());
        tally.enter(Phase::Standby, None);
        assert_eq!((tally.standing(), gauges()), (standing(Phase::Standby, None), [0, 0, 0]));
    }
}
