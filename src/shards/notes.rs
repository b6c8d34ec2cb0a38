//! Notes on their way to the group, and back.
//!
//! A commit that waits for its answer waits as long as the coordinator likes, and the group's thread
//! with it. One that does not wait is told to nobody: rdkafka 0.39 has no callback for it. So notes
//! are sent without waiting, and count as written once the group is seen to have them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
};

use crate::state::note::Note;

/// What the group has noted of these shards. Blocks for `timeout` at the most.
///
/// # Errors
/// Whatever the brokers say, of a single shard too: no answer is not an empty note.
pub(super) fn read<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    shards: impl IntoIterator<Item = i32>,
    timeout: Duration,
) -> Result<BTreeMap<i32, Option<Note>>, KafkaError> {
    let mut asked = TopicPartitionList::new();
    for shard in shards {
        asked.add_partition(topic, shard);
    }
    noted(&consumer.committed_offsets(asked, timeout)?)
}

fn noted(committed: &TopicPartitionList) -> Result<BTreeMap<i32, Option<Note>>, KafkaError> {
    let of_each = committed.elements().into_iter().map(|element| {
        element.error()?;
        Ok((element.partition(), Note::from_metadata(element.metadata())))
    });
    of_each.collect()
}

/// The newest note of each shard that the group is not known to have.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pending: BTreeMap<i32, Note>,
    /// Shards whose pending note was sent.
    sent: BTreeSet<i32>,
}

impl Notes {
    /// A newer one. A lost end is hidden by no word of whoever has not heard of it.
    pub(super) fn put(&mut self, shard: i32, note: Note) {
        let pending = self.pending.get(&shard);
        if pending.is_some_and(|lost| lost.is_lost() && lost.identity == note.identity) {
            return;
        }
        self.pending.insert(shard, note);
        self.sent.remove(&shard);
    }

    /// Forgets other shards than these: one that moves is noted by its next owner, who does not see, though,
    /// that it has lost something.
    pub(super) fn keep(&mut self, owned: &BTreeSet<i32>) {
        self.pending.retain(|shard, note| owned.contains(shard) || note.is_lost());
        self.sent.retain(|shard| self.pending.contains_key(shard));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Shards whose note was sent, and nobody knows whether it arrived.
    pub(super) fn unsure(&self) -> Vec<i32> {
        self.sent.iter().copied().collect()
    }

    /// What the group has by now: that much is done, the rest is to be sent again.
    pub(super) fn settle(&mut self, found: &BTreeMap<i32, Option<Note>>) {
        for (shard, note) in found {
            if self.sent.remove(shard) && self.pending.get(shard) == note.as_ref() {
                self.pending.remove(shard);
            }
        }
    }

    /// What to commit.
    pub(super) fn offsets(&self, topic: &str) -> TopicPartitionList {
        let mut offsets = TopicPartitionList::new();
        for (shard, note) in &self.pending {
            let mut element = offsets.add_partition(topic, *shard);
            element.set_metadata(note.to_metadata());
            if let Err(error) = element.set_offset(Offset::Offset(0)) {
                tracing::debug!(%error, shard, "noting the end of the state");
            }
        }
        offsets
    }

    /// All of it was sent.
    pub(super) fn mark_sent(&mut self) {
        self.sent = self.pending.keys().copied().collect();
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;

    use super::*;

    fn note(end: i64) -> Note {
        Note { identity: "i".to_owned(), end }
    }

    fn pending(notes: &Notes) -> Vec<(i32, i64)> {
        notes.pending.iter().map(|(shard, note)| (*shard, note.end)).collect()
    }

    #[test]
    fn a_note_is_sent_until_the_group_has_it_and_a_newer_one_waits_for_no_answer() {
        let mut notes = Notes::default();
        for (shard, end) in [(1, 10), (2, 20), (3, 30)] {
            notes.put(shard, note(end));
        }
        assert_eq!(notes.unsure(), Vec::<i32>::new());
        notes.mark_sent();
        notes.put(2, note(21));
        assert_eq!(notes.unsure(), [1, 3]);
        notes.settle(&BTreeMap::from([(1, Some(note(10))), (3, Some(note(29)))]));
        assert_eq!((pending(&notes), notes.unsure()), (vec![(2, 21), (3, 30)], vec![]));
        notes.mark_sent();
        notes.settle(&BTreeMap::from([(2, Some(note(21))), (3, None)]));
        assert_eq!(pending(&notes), [(3, 30)]);
        notes.mark_sent();
        notes.keep(&BTreeSet::from([1, 2]));
        assert!(notes.is_empty() && notes.unsure().is_empty());
    }

    #[test]
    fn a_shard_whose_note_cannot_be_read_is_not_one_without_a_note() {
        let consumer: BaseConsumer = ClientConfig::new().set("group.id", "g").create().unwrap();
        let mut committed = TopicPartitionList::new();
        let mut element = committed.add_partition("t", 0);
        element.set_metadata(note(7).to_metadata());
        committed.add_partition("t", 1);
        let expected = BTreeMap::from([(0, Some(note(7))), (1, None)]);
        assert_eq!(noted(&committed), Ok(expected));
        // Marks partitions that the client does not know with an error of their own.
        consumer.pause(&committed).unwrap();
        assert!(noted(&committed).is_err(), "{committed:?}");
    }

    #[test]
    fn a_lost_end_is_kept_until_the_group_has_it() {
        let mut notes = Notes::default();
        notes.put(1, note(10).lost());
        notes.put(2, note(20));
        notes.put(1, note(30));
        notes.keep(&BTreeSet::new());
        assert_eq!(pending(&notes), [(1, Note::LOST)], "whoever has it next does not see it");
        notes.mark_sent();
        notes.settle(&BTreeMap::from([(1, Some(note(10).lost()))]));
        assert!(notes.is_empty());
        // Another life of the partition.
        notes.put(3, note(5).lost());
        notes.put(3, Note { identity: "b".to_owned(), end: 2 });
        assert_eq!(pending(&notes), [(3, 2)]);
    }
}
