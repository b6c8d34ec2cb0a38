//! Machines that are broken on purpose: each must be caught.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use crate::sink::{
    journal::{Entry, Status},
    plan::expiry_of,
    queue::Queue,
    tests::{HOUR, NOON},
};

use super::world::Shared;

/// How a machine is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    None,
    SendsBeforeIntent,
    TakeoverResends,
    DoubtResends,
    NoQuiescence,
    NoDeadline,
    AnyChangeExplains,
    NoOrder,
    NoMemory,
    OffsetFirst,
    LostIsDeclined,
    FailedIsDeclined,
    NoRivals,
    DoneShowsAtOnce,
    OldLooks,
    ForgetsOldRivals,
    ExpiresDoubts,
    UnknownIsNone,
    OrderByClock,
    StampsAlone,
    HoldsNothing,
}

/// What a clock shows that nobody sets. A machine that goes by the stamps alone sees everything that it
/// allows long after everything else.
pub(super) fn instant(mutant: Mutant, shared: &Shared, status: Option<&Status>) -> Instant {
    let passed = match (mutant, status) {
        (Mutant::StampsAlone, Some(Status::Intended(_))) => 1_000_000 * HOUR,
        (Mutant::StampsAlone, _) => 0,
        _ => shared.now - NOON.0,
    };
    shared.born + Duration::from_millis(passed.unsigned_abs())
}

/// As the queue after a restart, in the order of the stamps.
pub(super) fn by_clock<'e>(turns: NonZeroUsize, open: impl Iterator<Item = &'e Entry>) -> Queue {
    let mut open: Vec<_> = open.collect();
    open.sort_by_key(|entry| (*entry.status() == Status::Received, entry.first_at()));
    let mut queue = Queue::new(turns, 1);
    for entry in open {
        queue.push(entry.key().clone(), expiry_of(entry));
    }
    queue
}
