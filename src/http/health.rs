//! Whether the process lives, has started, and may be given work.
//!
//! Alive means that the runtime still runs tasks, nothing else: a restart mends nothing that lies
//! outside the process. A Vomsis outage is no reason to be unready either.

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
    /// Assigned shards, and whether each is restored.
    shards: Mutex<BTreeMap<i32, bool>>,
    /// Why the payment sink has stopped, where it has.
    sink_stopped: Mutex<Option<String>>,
}

/// One condition of readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Whether it holds.
    pub ok: bool,
    /// What is waited for where it does not.
    pub detail: String,
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
            shards: Mutex::default(),
            sink_stopped: Mutex::default(),
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

    /// The shard was assigned and is being restored.
    pub fn shard_assigned(&self, shard: i32) {
        self.shards().insert(shard, false);
    }

    /// The shard is restored; one that was taken away meanwhile stays away.
    pub fn shard_restored(&self, shard: i32) {
        if let Some(restored) = self.shards().get_mut(&shard) {
            *restored = true;
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

    /// Whether the runtime still runs tasks.
    pub fn is_live(&self, now: Instant) -> bool {
        let beat = self.born + Duration::from_millis(self.beat_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(beat) <= HEARTBEAT_AGE_MAX
    }

    /// Whether everything that happens once at start has happened.
    pub fn is_started(&self) -> bool {
        self.config_valid.load(Ordering::Acquire) && self.state_open.load(Ordering::Acquire)
    }

    /// Whether every condition of readiness holds.
    pub fn is_ready(&self) -> bool {
        self.checks().iter().all(|check| check.ok)
    }

    /// The conditions of readiness, one by one.
    pub fn checks(&self) -> Vec<Check> {
        let mut checks = self.start_checks();
        let waiting: Vec<_> = {
            let shards = self.shards();
            let open = shards.iter().filter(|(_, restored)| !**restored);
            open.map(|(shard, _)| shard.to_string()).collect()
        };
        checks.push(Check {
            name: "shards",
            ok: waiting.is_empty(),
            detail: format!("restoring {}", waiting.join(", ")),
        });
        let stopped = self.sink_stopped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ok = stopped.is_none();
        checks.push(Check { name: "sink", ok, detail: stopped.unwrap_or_default() });
        checks
    }

    /// Those of them that the whole process waits for, whatever its shards and its sink do.
    pub fn start_checks(&self) -> Vec<Check> {
        let flag = |name, flag: &AtomicBool, detail: &str| Check {
            name,
            ok: flag.load(Ordering::Acquire),
            detail: detail.to_owned(),
        };
        vec![
            flag("config", &self.config_valid, "the configuration is not valid yet"),
            flag("state", &self.state_open, "the local cache is being opened"),
            flag("kafka", &self.kafka_answers, "Kafka does not answer"),
            flag("schemas", &self.schemas_known, "the schema registry has not answered yet"),
        ]
    }

    fn shards(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, bool>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    fn a_kafka_that_ceases_to_answer_takes_the_readiness_away() {
        let health = ready();
        health.set_kafka_answers(false);
        assert!(!health.is_ready());
        health.set_kafka_answers(true);
        assert!(health.is_ready());
    }

    #[test]
    fn every_condition_counts() {
        assert!(!Health::new().is_ready());
        assert_eq!(Health::new().checks().iter().filter(|check| check.ok).count(), 2);
    }

    #[test]
    fn a_runtime_that_runs_no_task_is_dead() {
        let health = Health::new();
        let later = health.born + HEARTBEAT_AGE_MAX + Duration::from_secs(1);
        assert!(health.is_live(health.born) && !health.is_live(later));
        health.beat(later);
        assert!(health.is_live(later));
    }
}
