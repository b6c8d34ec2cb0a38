//! The wall clock, which every room that acts reads here.

use chrono::Utc;

use crate::domain::time::Timestamp;

/// Now: for events, the journal, the status page and the calendar day, never for timers.
pub fn now() -> Timestamp {
    Timestamp::from_utc(Utc::now())
}
