//! The journal as it was written: each command's stories, one after another.

use std::collections::BTreeMap;

use vomsis_connect::sink::journal::{
    Entry, JournalEvent,
    codec::{self, Record as Known},
};

use super::stage::Stage;

/// Everything that was ever committed to the journal and not compacted away.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// By command id, oldest first.
    pub(super) stories: BTreeMap<String, Vec<Entry>>,
    /// Epochs in the order in which they began.
    pub(super) epochs: Vec<u64>,
}

impl Journal {
    /// Reads it, and checks what must be true of any journal.
    #[track_caller]
    pub(super) fn of(stage: &Stage) -> Self {
        let mut journal = Self::default();
        for record in stage.records("internal.payment-journal") {
            let key = record.key.expect("each record of the journal has a key");
            let Some(value) = record.value else { panic!("{key} was forgotten within a test") };
            match codec::decode(&key, &value).unwrap_or_else(|error| panic!("{error}")) {
                Known::Command(entry) => {
                    let id = entry.key().command_id.to_string();
                    let partition = entry.arrival().map_or(record.partition, |a| a.partition);
                    assert_eq!(partition, record.partition, "{key} lies beside its command");
                    journal.stories.entry(id).or_default().push(*entry);
                }
                Known::Owner(owner) => journal.epochs.push(owner.epoch),
                Known::Identity(_) | Known::Stop(_) | Known::Resolve(..) => {}
            }
        }
        assert!(journal.epochs.is_sorted_by(|a, b| a < b), "epochs rise: {:?}", journal.epochs);
        for stories in journal.stories.values() {
            assert_grows(stories);
        }
        journal
    }

    /// How a command's story ends.
    pub(super) fn last(&self, id: &str) -> Option<&Entry> {
        self.stories.get(id)?.last()
    }

    /// How many stories hold such an event.
    pub(super) fn count(&self, is_meant: impl Fn(&JournalEvent) -> bool) -> usize {
        let lasts = self.stories.values().filter_map(|stories| stories.last());
        lasts.filter(|entry| entry.events().iter().any(&is_meant)).count()
    }
}

/// A story only ever grows: nothing that was committed is taken back or told otherwise.
#[track_caller]
fn assert_grows(stories: &[Entry]) {
    for pair in stories.windows(2) {
        let [before, after] = pair else { continue };
        assert!(
            after.events().len() > before.events().len()
                && after.events().starts_with(before.events()),
            "{}: {:?} does not go on from {:?}",
            after.key(),
            after.events(),
            before.events()
        );
    }
}
