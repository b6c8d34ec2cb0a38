//! Whether the process lives, has started, and may be given work.
//!
//! Alive means that the runtime still runs tasks and that no thread hangs, nothing else: a restart mends
//! nothing that lies outside the process. A Vomsis outage is no reason to be unready either.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Without a heartbeat for this long the runtime hangs.
const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(30);

/// What the probes are answered from; shared by everything that knows a part of it.
#[derive(Debug)]
pub struct Health {
    born: Instant,
    beat_ms: AtomicU64,
    config_valid: AtomicBool,
    state_open: AtomicBool,
    kafka_answers: AtomicBool,
    schemas_known: AtomicBool,
    topics_awaited: AtomicBool,
    /// Why missing topics cannot be created yet, where that is known.
    topics_held_up: Mutex<Option<String>>,
    joined: AtomicBool,
    /// Why the brokers keep this user out of the group, where they do.
    kept_out: Mutex<Option<String>>,
    sink_awaited: AtomicBool,
    /// Assigned shards, and where each stands.
    shards: Mutex<BTreeMap<i32, Shard>>,
    /// Why the payment sink has stopped, where it has.
    sink_stopped: Mutex<Option<String>>,
    /// Which thread hangs, where one does; it is the end of the process.
    hung: Mutex<Option<String>>,
}

/// One condition of readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// Whether nothing can be said of it yet, because one before it does not hold.
    pub pending: bool,
    /// What is waited for where it does not hold.
    pub detail: String,
}

impl Check {
    fn new(name: &'static str, ok: bool, detail: impl Into<String>) -> Self {
        Self { name, ok, pending: false, detail: detail.into() }
    }

    /// Nothing can be said of this one before `other` holds.
    fn after(self, other: &Self) -> Self {
        if other.ok {
            return self;
        }
        // What is waited for first is told, not the whole chain.
        let detail = if other.pending {
            other.detail.clone()
        } else {
            format!("pending, waits for {}", other.name)
        };
        Self { ok: false, pending: true, detail, ..self }
    }
}

impl Health {
    /// Nothing is known yet, apart from that the process has just begun.
    pub fn new() -> Self {
        Self {
            born: Instant::now(),
            beat_ms: AtomicU64::new(0),
            config_valid: AtomicBool::new(false),
            state_open: AtomicBool::new(false),
            kafka_answers: AtomicBool::new(false),
            schemas_known: AtomicBool::new(false),
            topics_awaited: AtomicBool::new(false),
            topics_held_up: Mutex::default(),
            kept_out: Mutex::default(),
            joined: AtomicBool::new(false),
            sink_awaited: AtomicBool::new(false),
            shards: Mutex::default(),
            sink_stopped: Mutex::default(),
            hung: Mutex::default(),
        }
    }

    /// The runtime has run a task at this instant.
    pub fn beat(&self, now: Instant) {
        let age = now.saturating_duration_since(self.born);
        self.beat_ms.store(u64::try_from(age.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The configuration is valid.
    pub fn set_config_valid(&self) {
        self.config_valid.store(true, Ordering::Release);
    }

    /// The local cache is open, or the process has decided to go on without it.
    pub fn set_state_open(&self) {
        self.state_open.store(true, Ordering::Release);
    }

    /// Kafka answers, or has ceased to: without it no shard can be run, nor be handed over.
    pub fn set_kafka_answers(&self, answers: bool) {
        self.kafka_answers.store(answers, Ordering::Release);
    }

    /// All schema ids are known.
    pub fn set_schemas_known(&self) {
        self.schemas_known.store(true, Ordering::Release);
    }

    /// Topics are created or verified before anything runs (`true`), and are as they must be.
    pub fn set_topics_awaited(&self, awaited: bool) {
        self.topics_awaited.store(awaited, Ordering::Release);
    }

    /// Missing topics cannot be created yet, and why, or nothing holds them up any more (`None`).
    pub fn set_topics_held_up(&self, why: Option<String>) {
        *self.topics_held_up.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// The group counts on this replica, or has lost it: then nothing is said of what it owns.
    pub fn set_joined(&self, joined: bool) {
        self.joined.store(joined, Ordering::Release);
    }

    /// The brokers keep this user out of the group, and why, or no longer (`None`).
    pub fn set_kept_out(&self, why: Option<String>) {
        *self.kept_out.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// The payment sink is on, and has not been started (`true`), or has.
    pub fn set_sink_awaited(&self, awaited: bool) {
        self.sink_awaited.store(awaited, Ordering::Release);
    }

    /// The shard was assigned and is being restored.
    pub fn shard_assigned(&self, shard: i32) {
        self.shards().insert(shard, Shard::Restoring);
    }

    /// The shard is this replica's still, and only an operator can help it.
    pub fn shard_stopped(&self, shard: i32) {
        self.shards().insert(shard, Shard::Stopped);
    }

    /// The shard is restored; one that was taken away meanwhile stays away.
    pub fn shard_restored(&self, shard: i32) {
        if let Some(stands) = self.shards().get_mut(&shard) {
            *stands = Shard::Restored;
        }
    }

    /// The shard was taken away.
    pub fn shard_revoked(&self, shard: i32) {
        self.shards().remove(&shard);
    }

    /// The payment sink has stopped and only an operator can help, or goes on again (`None`).
    pub fn set_sink_stopped(&self, why: Option<String>) {
        *self.sink_stopped.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// A thread hangs, in words; nothing takes that back.
    pub fn set_hung(&self, words: String) {
        *self.hung.lock().unwrap_or_else(PoisonError::into_inner) = Some(words);
    }

    /// What hangs, where something does: the runtime that runs no task any more, or a thread.
    pub fn why_not_live(&self, now: Instant) -> Option<String> {
        let beat = self.born + Duration::from_millis(self.beat_ms.load(Ordering::Relaxed));
        if now.saturating_duration_since(beat) > HEARTBEAT_AGE_MAX {
            return Some("the runtime hangs".to_owned());
        }
        self.hung.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether everything that happens once at start has happened.
    pub fn is_started(&self) -> bool {
        self.config_valid.load(Ordering::Acquire) && self.state_open.load(Ordering::Acquire)
    }

    /// Whether every condition of readiness holds.
    pub fn is_ready(&self) -> bool {
        self.checks().iter().all(|check| check.ok)
    }

    /// The conditions of readiness, one by one, in the order in which they come to hold: the first
    /// that does not is what is waited for.
    pub fn checks(&self) -> Vec<Check> {
        let [config, state, kafka, schemas, topics, group] = self.common_checks();
        let shards = self.shards_check(&kafka).after(&group);
        let sink = self.sink_check(&topics);
        vec![config, state, kafka, schemas, topics, group, shards, sink]
    }

    /// Those of them that the whole process waits for, whatever its shards and its sink do.
    pub fn common_checks(&self) -> [Check; 6] {
        let is_set = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        let config =
            Check::new("config", is_set(&self.config_valid), "the configuration is not valid yet");
        let state =
            Check::new("state", is_set(&self.state_open), "the local cache is being opened");
        let kafka = Check::new("kafka", is_set(&self.kafka_answers), "Kafka does not answer");
        let mut schemas = Check::new(
            "schemas",
            is_set(&self.schemas_known),
            "the schema registry has not answered yet",
        );
        if !schemas.ok {
            schemas = schemas.after(&kafka);
        }
        let held_up = self.topics_held_up.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let detail = held_up.unwrap_or_else(|| "missing topics are being created".to_owned());
        let topics = Check::new("topics", !is_set(&self.topics_awaited), detail);
        let topics = topics.after(&schemas);
        let kept_out = self.kept_out.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let detail = kept_out.unwrap_or_else(|| {
            "the consumer group has no place for this replica yet: its coordinator is waited for"
                .to_owned()
        });
        let group = Check::new("group", is_set(&self.joined), detail);
        let group = if group.ok { group } else { group.after(&kafka).after(&topics) };
        [config, state, kafka, schemas, topics, group]
    }

    /// A shard that has to be restored can only be while Kafka answers.
    fn shards_check(&self, kafka: &Check) -> Check {
        let those = |stand: Shard, what: &str| {
            let shards = self.shards();
            let those = shards.iter().filter(|(_, stands)| **stands == stand);
            let those: Vec<_> = those.map(|(shard, _)| shard.to_string()).collect();
            (!those.is_empty()).then(|| format!("{what} {}", those.join(", ")))
        };
        let stopped = those(Shard::Stopped, "the log says why and what to do, stopped");
        let restoring = those(Shard::Restoring, "restoring");
        let is_stopped = stopped.is_some();
        let detail: Vec<_> = restoring.into_iter().chain(stopped).collect();
        let check = Check::new("shards", detail.is_empty(), detail.join("; "));
        // A stopped one waits for nobody but an operator.
        if check.ok || is_stopped { check } else { check.after(kafka) }
    }

    fn sink_check(&self, topics: &Check) -> Check {
        let stopped = self.sink_stopped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match stopped {
            Some(why) => Check::new("sink", false, why),
            None if self.sink_awaited.load(Ordering::Acquire) => {
                Check::new("sink", false, "the payment sink is being started").after(topics)
            }
            None => Check::new("sink", true, ""),
        }
    }

    fn shards(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, Shard>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an assigned shard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shard {
    Restoring,
    Restored,
    Stopped,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready() -> Health {
        let health = Health::new();
        health.set_config_valid();
        health.set_state_open();
        health.set_kafka_answers(true);
        health.set_schemas_known();
        health.set_joined(true);
        health
    }

    #[test]
    fn no_shard_is_ready_and_a_restoring_one_is_not() {
        let health = ready();
        assert!(health.is_ready());
        health.shard_assigned(3);
        assert!(!health.is_ready());
        health.shard_restored(3);
        assert!(health.is_ready());
        health.shard_assigned(4);
        health.shard_revoked(4);
        health.shard_restored(4);
        assert!(health.is_ready());
    }

    #[test]
    fn shards_that_are_restored_and_those_that_stopped_are_told_apart() {
        let health = ready();
        health.shard_assigned(0);
        health.shard_assigned(1);
        health.shard_stopped(1);
        let shards = |health: &Health| {
            let checks = health.checks();
            checks.into_iter().find(|check| check.name == "shards").unwrap().detail
        };
        let stopped = "the log says why and what to do, stopped 1";
        assert_eq!(shards(&health), format!("restoring 0; {stopped}"));
        health.shard_restored(0);
        assert_eq!(shards(&health), stopped);
        assert!(!health.is_ready());
        health.shard_restored(1);
        assert!(health.is_ready());
    }

    #[test]
    fn a_kafka_that_ceases_to_answer_takes_the_readiness_away() {
        let health = ready();
        health.set_kafka_answers(false);
        assert!(!health.is_ready());
        health.set_kafka_answers(true);
        assert!(health.is_ready());
    }

    /// The conditions that do not hold, those that wait for another one with what they wait for.
    fn unmet(health: &Health) -> Vec<String> {
        let unmet = health.checks().into_iter().filter(|check| !check.ok);
        let said = |check: Check| match check.pending {
            true => format!("{}: {}", check.name, check.detail),
            false => check.name.to_owned(),
        };
        unmet.map(said).collect()
    }

    #[test]
    fn what_waits_for_another_condition_is_pending_and_says_for_which() {
        let health = Health::new();
        health.set_topics_awaited(true);
        health.set_sink_awaited(true);
        health.set_config_valid();
        health.set_state_open();
        let rest = |waits: &str| {
            let pending = |name| format!("{name}: pending, waits for {waits}");
            ["schemas", "topics", "group", "shards", "sink"].map(pending).to_vec()
        };
        assert_eq!(unmet(&health), [vec!["kafka".to_owned()], rest("kafka")].concat());
        health.set_kafka_answers(true);
        let after_schemas = rest("schemas").split_off(1);
        assert_eq!(unmet(&health), [vec!["schemas".to_owned()], after_schemas].concat());
        health.set_schemas_known();
        let after_topics = rest("topics").split_off(2);
        assert_eq!(unmet(&health), [vec!["topics".to_owned()], after_topics].concat());
        health.set_topics_awaited(false);
        assert_eq!(unmet(&health), ["group", "shards: pending, waits for group", "sink"]);
        health.set_joined(true);
        assert_eq!(unmet(&health), ["sink"]);
        health.set_sink_awaited(false);
        assert!(health.is_ready(), "{:?}", unmet(&health));
        // Later, when it ceases to answer, only what cannot go on without it waits for it.
        health.shard_assigned(3);
        assert_eq!(unmet(&health), ["shards"]);
        health.set_kafka_answers(false);
        assert_eq!(unmet(&health), ["kafka", "shards: pending, waits for kafka"]);
        health.shard_restored(3);
        assert_eq!(unmet(&health), ["kafka"]);
    }

    #[test]
    fn what_holds_the_topics_up_is_named_until_it_is_gone() {
        let health = ready();
        health.set_topics_awaited(true);
        let topics = |health: &Health| {
            health.common_checks().into_iter().find(|check| check.name == "topics").unwrap()
        };
        health.set_topics_held_up(Some("two brokers of three".to_owned()));
        let check = topics(&health);
        assert!(!check.ok && !check.pending && check.detail == "two brokers of three", "{check:?}");
        health.set_topics_held_up(None);
        assert_eq!(topics(&health).detail, "missing topics are being created");
    }

    #[test]
    fn who_is_kept_out_of_the_group_is_told_why() {
        let health = ready();
        health.set_joined(false);
        let detail = |health: &Health| {
            let checks = health.common_checks();
            let check = checks.into_iter().find(|check| check.name == "group").unwrap();
            assert!(!check.ok && !check.pending, "{check:?}");
            check.detail
        };
        assert!(detail(&health).contains("its coordinator is waited for"));
        health.set_kept_out(Some("grant it Read on group g".to_owned()));
        assert_eq!(detail(&health), "grant it Read on group g");
        health.set_kept_out(None);
        assert!(detail(&health).contains("its coordinator is waited for"));
    }

    #[test]
    fn a_runtime_that_runs_no_task_is_dead() {
        let health = Health::new();
        let later = health.born + HEARTBEAT_AGE_MAX + Duration::from_secs(1);
        assert_eq!(health.why_not_live(health.born), None);
        assert_eq!(health.why_not_live(later).as_deref(), Some("the runtime hangs"));
        health.beat(later);
        assert_eq!(health.why_not_live(later), None);
        health.set_hung("the thread x hangs".to_owned());
        assert_eq!(health.why_not_live(later).as_deref(), Some("the thread x hangs"));
    }
}
