//! Partitions that stand still before a record that cannot be read yet, and what of each is next.
//!
//! Whoever reads the topic is ahead: records behind the one that waits are on their way when their
//! partition is gone back in. They come once more after it, so they are not taken the first time.

use std::collections::{BTreeMap, HashMap};

use super::{
    desk::Failure,
    intake::{Again, Raw},
};

/// Where a partition stands still.
#[derive(Debug, Clone, Copy)]
struct Still {
    /// Of the record that cannot be read yet.
    offset: i64,
    /// The schema that it needs.
    schema: u32,
}

/// What stands still, and what comes after it.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    /// Partitions that stand still, and before which record.
    standing: BTreeMap<i32, Still>,
    /// How often each partition was gone back in; what was read before the last time is old.
    rounds: HashMap<i32, u32>,
    /// What must be the next record of a partition that was gone back in.
    awaited: HashMap<i32, i64>,
}

impl Standstill {
    /// Whether a record comes after those that were taken: its partition does not stand still, nor
    /// was it read before its partition was gone back in.
    ///
    /// # Errors
    /// Where another record comes than the one that was gone back to: one would be left unread.
    pub(super) fn is_next(&mut self, raw: &Raw) -> Result<bool, Failure> {
        let round = self.rounds.get(&raw.partition).copied().unwrap_or_default();
        if raw.round != round || self.standing.contains_key(&raw.partition) {
            return Ok(false);
        }
        match self.awaited.remove(&raw.partition) {
            Some(offset) if offset != raw.offset => Err(Failure::IntakeEnded),
            _ => Ok(true),
        }
    }

    /// Nothing more of this record's partition is next until its schema is told.
    pub(super) fn begin(&mut self, raw: &Raw, schema: u32) {
        self.standing.insert(raw.partition, Still { offset: raw.offset, schema });
    }

    /// A schema is told: where to read again the partitions that waited for it.
    pub(super) fn end(&mut self, schema: u32) -> Vec<Again> {
        let mut again = Vec::new();
        for (&partition, still) in self.standing.iter().filter(|(_, still)| still.schema == schema)
        {
            let round = self.rounds.entry(partition).or_default();
            *round += 1;
            again.push(Again { partition, offset: still.offset, round: *round });
            self.awaited.insert(partition, still.offset);
        }
        self.standing.retain(|_, still| still.schema != schema);
        again
    }

    /// Partitions that stand still, and the schema that each waits for.
    pub(super) fn waits(&self) -> BTreeMap<i32, u32> {
        self.standing.iter().map(|(partition, still)| (*partition, still.schema)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(partition: i32, offset: i64, round: u32) -> Raw {
        Raw { partition, offset, round, key: None, value: None }
    }

    fn is_next(still: &mut Standstill, partition: i32, offset: i64, round: u32) -> bool {
        still.is_next(&record(partition, offset, round)).unwrap()
    }

    #[test]
    fn what_was_read_before_its_partition_was_gone_back_in_is_not_taken() {
        let mut still = Standstill::default();
        assert!(is_next(&mut still, 0, 4, 0));
        still.begin(&record(0, 5, 0), 7);
        assert!(!is_next(&mut still, 0, 6, 0) && is_next(&mut still, 1, 9, 0));
        assert_eq!(still.waits(), BTreeMap::from([(0, 7)]));
        assert_eq!(still.end(8), []);
        assert_eq!(still.end(7), [Again { partition: 0, offset: 5, round: 1 }]);
        assert!(still.waits().is_empty());
        // These were on their way, the awaited one among them: they come again.
        for offset in [5, 6, 7] {
            assert!(!is_next(&mut still, 0, offset, 0), "{offset}");
        }
        assert!(is_next(&mut still, 1, 10, 0), "another partition was not gone back in");
        for offset in [5, 6, 7] {
            assert!(is_next(&mut still, 0, offset, 1), "{offset}");
        }
        // And once more.
        still.begin(&record(0, 8, 1), 7);
        assert_eq!(still.end(7), [Again { partition: 0, offset: 8, round: 2 }]);
        assert!(!is_next(&mut still, 0, 8, 0) && !is_next(&mut still, 0, 8, 1));
        assert!(is_next(&mut still, 0, 8, 2));
    }

    #[test]
    fn another_record_than_the_one_gone_back_to_is_a_failure() {
        for other in [4, 6] {
            let mut still = Standstill::default();
            still.begin(&record(0, 5, 0), 7);
            assert_eq!(still.end(7).len(), 1);
            let failed = still.is_next(&record(0, other, 1));
            assert!(matches!(failed, Err(Failure::IntakeEnded)), "{other}: {failed:?}");
        }
    }
}
