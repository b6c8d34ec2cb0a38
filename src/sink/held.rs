//! The journal to its true end, also where a transaction that nobody ends holds it back.
//!
//! Kafka can lose the end of a transaction in a partition all of whose replicas are killed at once
//! (KAFKA-20734, seen with 4.3.1): its coordinator takes the transaction for ended, the partition
//! keeps it open for good. It may be one whose commit was confirmed, so its records must not be
//! dropped: an intent that is forgotten is a second request. Whatever the sink once handed over is
//! either a fact or a permission that may have been used, so all of it is taken as said.

use std::{ops::ControlFlow, time::Duration};

use crate::{
    config::model::Kafka,
    kafka::reading::{self, Reached, Stretch, Terms, read_while},
    log_event,
    telemetry::events::Event,
};

use super::{
    journal::codec::{self, Line},
    unread::{Unread, UnreadKeys},
};

/// Longer than the longest transaction that can hold the end back, plus the broker's sweep.
const READ_DEADLINE: Duration = Duration::from_secs(120);
/// Longer than any transaction of a sink can be open (`transaction.timeout.ms` is 10 s) before the
/// broker's sweep, every 10 s, ends it.
const HELD_MAX: Duration = Duration::from_secs(30);

/// Whether a record is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is.
    Committed,
    /// It lies behind the beginning of a transaction that nobody ends.
    Held,
}

/// Reads a stretch of the journal, for as long as it `is_wanted`, and tells what each record says. Says from
/// which offset on it is held back, where it is. Blocks.
///
/// What cannot be understood is passed over, and a failure only where nothing takes its place before the
/// end: else a tombstone over it would help nobody until compaction has been there.
///
/// # Errors
/// Where it cannot be read to its end, or the newest record of a key cannot be understood: see
/// [`codec::Error`].
pub fn read(
    kafka: &Kafka,
    stretch: &Stretch,
    is_wanted: impl Fn() -> bool,
    mut each: impl FnMut(Standing, i64, Line),
) -> Result<Option<i64>, reading::Error> {
    let mut unread = UnreadKeys::default();
    let take =
        |standing, offset, key: &[u8], value: Option<&[u8]>| match codec::read_line(key, value) {
            Ok(line) => {
                unread.replaced(key);
                each(standing, offset, line);
                Ok(())
            }
            Err(error) => unread.add(key, offset, error),
        };
    let held = read_all(kafka, stretch, &is_wanted, take)?;
    match unread.first() {
        // Nobody knows what would have come.
        Some(Unread { offset, why: reason }) if is_wanted() => Err(reading::Error::Record {
            topic: stretch.topic.clone(),
            partition: stretch.partition,
            offset,
            reason,
        }),
        Some(_) | None => Ok(held),
    }
}

fn read_all(
    kafka: &Kafka,
    stretch: &Stretch,
    is_wanted: impl Fn() -> bool,
    mut each: impl FnMut(Standing, i64, &[u8], Option<&[u8]>) -> Result<(), String>,
) -> Result<Option<i64>, reading::Error> {
    let committed = Terms { uncommitted: false, deadline: READ_DEADLINE, held_max: Some(HELD_MAX) };
    let reached = read_while(kafka, stretch, committed, &is_wanted, |offset, key, value| {
        each(Standing::Committed, offset, key, value).map(ControlFlow::Continue)
    })?;
    let Reached::Held(from) = reached else { return Ok(None) };
    log_event!(
        Event::JournalHeld,
        topic = stretch.topic,
        partition = stretch.partition,
        offset = from,
        "a transaction of the payment journal has no end, its records are taken as said"
    );
    let rest = Stretch { from, ..stretch.clone() };
    let all = Terms { uncommitted: true, held_max: None, ..committed };
    read_while(kafka, &rest, all, &is_wanted, |offset, key, value| {
        each(Standing::Held, offset, key, value).map(ControlFlow::Continue)
    })?;
    Ok(Some(from))
}
