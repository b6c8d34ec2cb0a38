//! What the long-lived threads are doing, so that one that hangs is seen.
//!
//! A thread that is followed says before each call that may block what it does ([`step`]), and that
//! it waits for work where that may last ([`idle`]). A step must end: whatever it calls has a
//! deadline of its own. Whoever waits longer (for a broker, for a restore of minutes) waits in steps.

use std::{
    cell::RefCell,
    marker::PhantomData,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

/// Every pulse of the process; of those that are gone, until somebody looks.
static ALL: Mutex<Vec<Weak<Pulse>>> = Mutex::new(Vec::new());

thread_local! {
    static CURRENT: RefCell<Option<Arc<Pulse>>> = const { RefCell::new(None) };
}

/// A thread, or a loop of tasks, that must not stand still.
#[derive(Debug)]
pub struct Pulse {
    id: u64,
    name: &'static str,
    shard: Option<i32>,
    now: Mutex<Now>,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// How many steps it has begun or ended; the same number twice is the same step.
    pub steps: u64,
    /// The step that it is in; nothing where it waits for work.
    pub doing: Option<&'static str>,
}

impl Pulse {
    /// Follows something from now on, until it is dropped; idle at first.
    pub fn new(name: &'static str, shard: Option<i32>) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let pulse = Arc::new(Self { id, name, shard, now: Mutex::default() });
        lock(&ALL).push(Arc::downgrade(&pulse));
        pulse
    }

    /// Its number in this process; no other has it.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// What it is called.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The shard that it serves.
    pub const fn shard(&self) -> Option<i32> {
        self.shard
    }

    /// Where it stands.
    pub fn now(&self) -> Now {
        *lock(&self.now)
    }

    /// A step begins.
    pub fn step(&self, doing: &'static str) {
        self.enter(Some(doing));
    }

    fn enter(&self, doing: Option<&'static str>) {
        let mut now = lock(&self.now);
        now.steps += 1;
        now.doing = doing;
    }
}

/// Follows this thread until the guard is dropped, on this thread.
#[derive(Debug)]
#[must_use = "a thread is followed as long as this lives"]
pub struct Followed {
    before: Option<Arc<Pulse>>,
    /// It is about the thread that it was made on.
    here: PhantomData<*const ()>,
}

/// Follows this thread from now on.
pub fn follow(name: &'static str, shard: Option<i32>) -> Followed {
    let pulse = Pulse::new(name, shard);
    let before = CURRENT.with_borrow_mut(|current| current.replace(pulse));
    Followed { before, here: PhantomData }
}

impl Drop for Followed {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| *current = self.before.take());
    }
}

/// This thread begins a step, where it is followed.
pub fn step(doing: &'static str) {
    enter(Some(doing));
}

/// This thread waits for work, for as long as there is none.
pub fn idle() {
    enter(None);
}

fn enter(doing: Option<&'static str>) {
    CURRENT.with_borrow(|current| {
        if let Some(pulse) = current {
            pulse.enter(doing);
        }
    });
}

/// All that are followed now.
pub fn all() -> Vec<Arc<Pulse>> {
    let mut all = lock(&ALL);
    all.retain(|pulse| pulse.strong_count() > 0);
    all.iter().filter_map(Weak::upgrade).collect()
}

/// Held for a moment only, and whatever is in it is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_name(name: &str) -> Option<Arc<Pulse>> {
        all().into_iter().find(|pulse| pulse.name() == name)
    }

    #[test]
    fn a_thread_is_followed_until_its_guard_goes_and_says_what_it_does() {
        step("nobody listens");
        let guard = follow("outer", Some(3));
        let pulse = of_name("outer").unwrap();
        assert_eq!((pulse.now(), pulse.shard()), (Now::default(), Some(3)));
        step("writing");
        let writing = pulse.now();
        assert_eq!(writing.doing, Some("writing"));
        step("writing");
        assert_ne!(pulse.now(), writing, "the same again is another step");
        {
            let _inner = follow("inner", None);
            idle();
            assert_eq!(of_name("inner").unwrap().now().doing, None);
            assert_eq!(pulse.now().doing, Some("writing"));
        }
        assert!(of_name("inner").is_none());
        idle();
        assert_eq!(pulse.now().doing, None);
        drop((guard, pulse));
        assert!(of_name("outer").is_none());
    }
}
