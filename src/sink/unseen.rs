//! Offsets that the group is not told yet: what lies before them was written into the journal, and no reader
//! of committed records has seen it there.
//!
//! Until then an abort can take it back (see [`witness`](super::witness)): a command that the journal has
//! lost must be read again, not passed over.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::mpsc;

use super::{reporter::Reporter, witness::Seen};

/// What is to be told of a partition, and what must be seen before.
type Step = (i64, Option<Seen>);

/// Tells the group of each partition in its order.
#[derive(Debug)]
pub struct Unseen {
    reporter: Arc<Reporter>,
    lanes: HashMap<i32, mpsc::UnboundedSender<Step>>,
}

impl Unseen {
    /// Nothing waits yet.
    pub fn new(reporter: Arc<Reporter>) -> Self {
        Self { reporter, lanes: HashMap::new() }
    }

    /// Commands of a partition are in the journal up to here, once `seen` and all before it are seen.
    pub fn taken(&mut self, partition: i32, next: i64, seen: Option<Seen>) {
        let reporter = &self.reporter;
        let lane = self.lanes.entry(partition).or_insert_with(|| {
            let (lane, steps) = mpsc::unbounded_channel();
            tokio::spawn(walk(Arc::clone(reporter), partition, steps));
            lane
        });
        // A lane ends by itself where nobody reads the journal any more: the term is over.
        lane.send((next, seen)).unwrap_or_default();
    }
}

/// Ends with the term: then nobody reads any more, or nothing more is taken in.
async fn walk(reporter: Arc<Reporter>, partition: i32, mut steps: mpsc::UnboundedReceiver<Step>) {
    while let Some((next, seen)) = steps.recv().await {
        if let Some(seen) = seen
            && seen.await.is_err()
        {
            return;
        }
        reporter.taken(partition, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sink::{
            ledger::{Index, JournalRecord, Stories},
            tests::{intended, story},
            witness::Witness,
        },
        state::note::Note,
    };

    #[tokio::test]
    async fn no_offset_passes_what_was_not_seen_and_no_partition_waits_for_another() {
        let note = Note { identity: "i".into(), end: 3 };
        let notes = [(0, note.clone()), (1, note)].into();
        let index = Arc::new(Index::new(Stories::default(), notes));
        let (progress, mut told) = mpsc::unbounded_channel();
        let mut unseen = Unseen::new(Arc::new(Reporter::new(index, progress, &[])));
        let witness = Witness::default();
        let record = JournalRecord::story(&story([]), 0);
        unseen.taken(0, 5, Some(witness.expect(&record)));
        unseen.taken(0, 6, None);
        unseen.taken(1, 9, None);
        let said = told.recv().await.unwrap();
        assert_eq!((said.partition, said.next), (1, 9), "the other one waits for nothing");
        assert!(told.try_recv().is_err());
        witness.saw(record.key.as_bytes(), record.value.as_deref());
        for next in [5, 6] {
            let said = told.recv().await.unwrap();
            assert_eq!((said.partition, said.next), (0, next));
        }
        // Nobody reads any more: whoever comes next reads the command again.
        let later = JournalRecord::story(&story([intended(1, 2)]), 0);
        unseen.taken(0, 7, Some(witness.expect(&later)));
        unseen.taken(0, 8, None);
        witness.leave();
        drop(unseen);
        assert_eq!(told.recv().await, None);
    }
}
