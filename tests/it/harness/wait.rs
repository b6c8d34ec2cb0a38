//! Waiting for a fact instead of for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Longer than anything that a test waits for takes on a busy machine.
pub(crate) const GENEROUS: Duration = Duration::from_secs(60);
/// Between two looks.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// Waits until `condition` holds; fails the test with `what` at the deadline.
#[track_caller]
pub(crate) fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, deadline, || condition().then_some(()));
}

/// Waits until `probe` finds something and returns it; fails the test with `what` at the deadline.
#[track_caller]
pub(crate) fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < deadline, "waited {deadline:?} in vain: {what}");
        thread::sleep(PAUSE);
    }
}
