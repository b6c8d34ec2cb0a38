//! What the group is told to remember: how far commands are taken, and how far the journal is written.
//!
//! The second is told with the first, and on a timer while turns write the journal without a new
//! command: a journal whose tail is lost later is then noticed. A turn costs no commit of its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    ledger::Index,
    ownership::{Progress, Taken},
};

/// How much of the journal's tail may be unknown to the group.
const INTERVAL: Duration = Duration::from_secs(5);

/// One partition, as the group was told last.
#[derive(Debug, Clone, Copy)]
struct Told {
    /// The first command that is not in the journal.
    next: i64,
    /// How far the journal was written.
    end: i64,
}

/// Tells the group's thread.
#[derive(Debug)]
pub struct Reporter {
    index: Arc<Index>,
    progress: mpsc::UnboundedSender<Progress>,
    told: Mutex<BTreeMap<i32, Told>>,
}

impl Reporter {
    /// Begins with what the group remembers.
    pub fn new(
        index: Arc<Index>,
        progress: mpsc::UnboundedSender<Progress>,
        taken: &[Taken],
    ) -> Self {
        let told = taken.iter().filter_map(|taken| {
            let end = taken.note.as_ref().map_or(0, |note| note.end);
            Some((taken.partition, Told { next: taken.next?, end }))
        });
        Self { index, progress, told: Mutex::new(told.collect()) }
    }

    /// Commands of a partition are in the journal up to here.
    pub fn taken(&self, partition: i32, next: i64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let end = self.tell(partition, next);
        told.extend(end.map(|end| (partition, Told { next, end })));
    }

    /// Tells of the partitions in which the journal went on since.
    pub fn written(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, told) in told.iter_mut() {
            if self.index.note(*partition).is_some_and(|note| note.end > told.end) {
                told.end = self.tell(*partition, told.next).unwrap_or(told.end);
            }
        }
    }

    /// Tells of it on a timer until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(INTERVAL) => self.written(),
            }
        }
    }

    fn tell(&self, partition: i32, next: i64) -> Option<i64> {
        let note = self.index.note(partition)?;
        let end = note.end;
        // The group member is gone only when the process is ending anyway.
        drop(self.progress.send(Progress { partition, next, note }));
        Some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        sink::{
            ledger::{JournalRecord, Stories},
            tests::story,
        },
        state::note::Note,
    };

    fn note(end: i64) -> Note {
        Note { identity: "i".into(), end }
    }

    fn taken(partition: i32, next: Option<i64>) -> Taken {
        Taken { partition, next, note: next.map(|_| note(3)) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_told_later_and_what_did_not_go_on_is_not() {
        let notes = [(0, note(3)), (1, note(3)), (2, note(3))].into();
        let index = Arc::new(Index::new(Stories::default(), notes));
        let (progress, mut told) = mpsc::unbounded_channel();
        let before = [taken(0, Some(7)), taken(1, Some(8)), taken(2, None)];
        let reporter = Arc::new(Reporter::new(Arc::clone(&index), progress, &before));
        let stop = CancellationToken::new();
        let running = tokio::spawn(Arc::clone(&reporter).run(stop.clone()));
        let write = |partition, offset| {
            index.learn(&[&JournalRecord::story(&story([]), partition)], &[(partition, offset)]);
        };
        let said = |partition, next, end| Progress { partition, next, note: note(end) };
        // A turn of partition 1; the group has no offset of partition 2 that could be kept.
        write(1, 4);
        write(2, 4);
        assert_eq!(told.recv().await, Some(said(1, 8, 5)));
        // A command, with what its batch wrote; it is not told once more.
        write(0, 9);
        reporter.taken(0, 8);
        assert_eq!(told.recv().await, Some(said(0, 8, 10)));
        sleep(INTERVAL * 3).await;
        assert!(told.try_recv().is_err(), "nothing went on");
        write(0, 10);
        stop.cancel();
        running.await.unwrap();
        // At the end, without the timer.
        reporter.written();
        assert_eq!(told.try_recv(), Ok(said(0, 8, 11)));
    }
}
