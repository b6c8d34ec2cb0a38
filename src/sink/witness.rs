//! Whether a reader of committed records has seen what was committed.
//!
//! Kafka confirms a commit before its end stands in the partitions, and can lose it there (see `held`).
//! Until it stands there, the records are only as good as the next transaction of the same producer: one
//! that is aborted takes them with it. A permission that nobody reads any more would be given again, and a
//! command that nobody reads any more, and whose offset is behind, would never be executed.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::ledger::JournalRecord;

/// Completes when a record is seen, and fails when nobody reads any more.
pub type Seen = oneshot::Receiver<()>;

/// Told of every record that is read, by whoever follows the journal.
#[derive(Debug, Default)]
pub struct Witness(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What is waited for, by its key.
    awaited: HashMap<String, Vec<Awaited>>,
    /// Nobody reads any more.
    is_gone: bool,
}

#[derive(Debug)]
struct Awaited {
    value: Option<Vec<u8>>,
    told: oneshot::Sender<()>,
}

impl Witness {
    /// Waits for exactly this record; to be asked for before it is written.
    pub fn expect(&self, record: &JournalRecord) -> Seen {
        let (told, seen) = oneshot::channel();
        let mut state = self.state();
        state.awaited.retain(|_, awaited| {
            awaited.retain(|one| !one.told.is_closed());
            !awaited.is_empty()
        });
        if !state.is_gone {
            let awaited = Awaited { value: record.value.clone(), told };
            state.awaited.entry(record.key.clone()).or_default().push(awaited);
        }
        seen
    }

    /// A committed record was read.
    pub fn saw(&self, key: &[u8], value: Option<&[u8]>) {
        let Ok(key) = std::str::from_utf8(key) else { return };
        let mut state = self.state();
        let Some(awaited) = state.awaited.get_mut(key) else { return };
        for Awaited { told, .. } in awaited.extract_if(.., |one| one.value.as_deref() == value) {
            // Whoever waited may have given up.
            told.send(()).unwrap_or_default();
        }
        if awaited.is_empty() {
            state.awaited.remove(key);
        }
    }

    /// Nobody reads any more: what was not seen by now never is.
    pub fn leave(&self) {
        let mut state = self.state();
        state.is_gone = true;
        state.awaited.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before the guard is dropped.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests::{intended, not_sent, story};
    use tokio::sync::oneshot::error::TryRecvError::{Closed, Empty};

    #[test]
    fn the_very_record_must_be_seen_and_not_another_one_of_its_command() {
        let witness = Witness::default();
        let [first, second] =
            [story([intended(1, 2)]), story([intended(1, 2), not_sent(), intended(2, 2)])]
                .map(|entry| JournalRecord::story(&entry, 0));
        let saw = |record: &JournalRecord| {
            witness.saw(record.key.as_bytes(), record.value.as_deref());
        };
        saw(&second);
        let mut seen = witness.expect(&second);
        saw(&first);
        witness.saw(second.key.as_bytes(), None);
        witness.saw(b"another/key", second.value.as_deref());
        witness.saw(b"\xff", second.value.as_deref());
        let mut other = witness.expect(&first);
        assert_eq!(seen.try_recv(), Err(Empty), "two of one command are waited for");
        saw(&first);
        assert_eq!(other.try_recv(), Ok(()));
        assert_eq!(seen.try_recv(), Err(Empty), "nor is one seen that was read before");
        saw(&second);
        assert_eq!(seen.try_recv(), Ok(()));
        // One that is waited for no more, and one that nobody can see.
        drop(witness.expect(&first));
        saw(&first);
        let mut late = witness.expect(&first);
        witness.leave();
        assert_eq!(late.try_recv(), Err(Closed));
        let mut later = witness.expect(&first);
        saw(&first);
        assert_eq!(later.try_recv(), Err(Closed));
    }
}
