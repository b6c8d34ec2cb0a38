//! Ends the process when one of its threads hangs.
//!
//! A thread that hangs in a library (a disk that does not answer, a lock that is never let go) keeps
//! what it holds: its shard looks owned and is polled by nobody, its group never hears that a place
//! was taken away. Nothing inside the process mends that; another replica, or the next start, takes
//! everything over from Kafka. So the process says which thread it is, and ends.
//!
//! The thread here touches nothing that others may hold while they hang, not even the log: its last
//! words are said by another thread, for a moment.

use std::{
    collections::HashMap,
    process,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use crate::{
    failpoints,
    http::Health,
    log_event,
    telemetry::{
        events::Event,
        pulse::{self, Pulse},
    },
};

/// How long one step of a thread may take. Every call that blocks gives up before: reading a
/// partition's ends after 120 s at the most, a lock after 30 s, a commit after 15 s, an offset
/// commit of the group after its session and one request, some 70 s. And it is shorter than
/// `max.poll.interval.ms` (300 s), after which the group gives this replica's places to another one
/// and a group's thread that hangs could not say so.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Time that counts for one look, however long ago the last one was: a process that was stopped, or
/// a machine that slept or was busy elsewhere, did not hang.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A thread that hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hung {
    thread: &'static str,
    shard: Option<i32>,
    doing: &'static str,
    /// How long it has been seen in this step.
    since: Duration,
}

impl Hung {
    /// For whoever asks whether the process lives.
    fn words(&self) -> String {
        let shard = self.shard.map_or_else(String::new, |shard| format!(" of shard {shard}"));
        let Self { thread, doing, since, .. } = self;
        format!("the thread {thread}{shard} hangs, {doing} for {} s", since.as_secs())
    }
}

/// What was seen of one thread when it was looked at last.
#[derive(Debug)]
struct Seen {
    steps: u64,
    since: Duration,
}

/// Knows how long each thread has been in its step.
#[derive(Debug)]
struct Watch {
    patience: Duration,
    seen: HashMap<u64, Seen>,
}

impl Watch {
    fn new(patience: Duration) -> Self {
        Self { patience, seen: HashMap::new() }
    }

    /// Looks at all threads, `passed` after the last look; the one that has hung longest.
    fn look(&mut self, all: &[Arc<Pulse>], passed: Duration) -> Option<Hung> {
        self.seen.retain(|known, _| all.iter().any(|pulse| pulse.id() == *known));
        let hung = all.iter().filter_map(|pulse| self.look_at(pulse, passed));
        hung.max_by_key(|hung| hung.since)
    }

    fn look_at(&mut self, pulse: &Arc<Pulse>, passed: Duration) -> Option<Hung> {
        let now = pulse.now();
        let before = self.seen.remove(&pulse.id()).filter(|seen| seen.steps == now.steps);
        let since = before.map_or(Duration::ZERO, |seen| seen.since + passed);
        self.seen.insert(pulse.id(), Seen { steps: now.steps, since });
        let (thread, shard, doing) = (pulse.name(), pulse.shard(), now.doing?);
        (since > self.patience).then_some(Hung { thread, shard, doing, since })
    }
}

/// Watches until the process ends, which it does where a thread hangs.
///
/// # Errors
/// Where the thread cannot be started.
pub(super) fn start(health: Arc<Health>) -> std::io::Result<()> {
    let patience = failpoints::patience(PATIENCE);
    let named = thread::Builder::new().name("watchdog".into());
    named.spawn(move || watch(patience, &health)).map(drop)
}

fn watch(patience: Duration, health: &Arc<Health>) {
    let mut watch = Watch::new(patience);
    let mut looked = Instant::now();
    loop {
        thread::sleep(LOOK);
        let passed = looked.elapsed().min(LOOK_MAX);
        looked = Instant::now();
        if let Some(hung) = watch.look(&pulse::all(), passed) {
            end(hung, health);
        }
    }
}

/// Says what hangs and ends the process, which runs nothing more: what is run at an orderly end may
/// hang as well. No core is left behind, it would hold rows and secrets.
fn end(hung: Hung, health: &Arc<Health>) -> ! {
    let (said, heard) = mpsc::sync_channel(1);
    let health = Arc::clone(health);
    let words = move || {
        health.set_hung(hung.words());
        say(hung);
        said.send(()).unwrap_or_default();
    };
    if thread::Builder::new().name("last-words".into()).spawn(words).is_ok() {
        heard.recv_timeout(LAST_WORDS).unwrap_or_default();
    }
    leave_no_core();
    process::abort()
}

#[cfg(target_os = "linux")]
fn leave_no_core() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // Where it is refused the process ends all the same.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).unwrap_or_default();
}

#[cfg(not(target_os = "linux"))]
const fn leave_no_core() {}

fn say(hung: Hung) {
    let Hung { thread, shard, doing, since } = hung;
    log_event!(
        Event::ThreadHangs,
        thread,
        shard,
        doing,
        for_s = since.as_secs(),
        "a thread hangs, the process ends: another replica or the next start takes over from Kafka"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(7);

    #[test]
    fn only_a_step_that_does_not_end_is_a_hang_and_it_is_named() {
        let mut watch = Watch::new(Duration::from_secs(20));
        let [idle, busy, stuck] = ["idle", "busy", "stuck"].map(|name| Pulse::new(name, Some(4)));
        let all = [idle, Arc::clone(&busy), Arc::clone(&stuck)];
        stuck.step("writing to the cache");
        assert_eq!(watch.look(&all, STEP), None);
        for _ in 0..2 {
            busy.step("committing");
            assert_eq!(watch.look(&all, STEP), None, "14 s");
        }
        busy.step("committing");
        let hung = watch.look(&all, STEP).unwrap();
        let said = "the thread stuck of shard 4 hangs, writing to the cache for 21 s";
        assert_eq!(hung.words(), said);
        stuck.step("writing to the cache");
        assert_eq!(watch.look(&all, STEP), None, "it goes on");
    }

    #[test]
    fn a_thread_is_not_blamed_for_one_that_is_gone() {
        let mut watch = Watch::new(Duration::from_secs(20));
        let gone = Pulse::new("gone", None);
        gone.step("ending");
        for _ in 0..3 {
            assert_eq!(watch.look(&[Arc::clone(&gone)], STEP), None);
        }
        assert_eq!(watch.look(&[], STEP), None);
        assert!(watch.seen.is_empty());
        assert_eq!(watch.look(&[gone], STEP), None, "its time begins anew");
    }
}
