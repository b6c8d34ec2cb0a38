//! In which chunk each row of an entity stands: the only part of its memory that is looked up.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

use crate::domain::ids::SourceId;

use super::seen::ChunkId;

/// Numbers as keys; see [`NumberHasher`].
type Numbers<T> = HashMap<i64, T, BuildHasherDefault<NumberHasher>>;
/// Hashes as members; see [`NumberHasher`].
pub(super) type SourceKeys = HashSet<u64, BuildHasherDefault<NumberHasher>>;

/// Row id → chunk; ids that are numbers, which nearly all are, take no heap of their own.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    numbers: Numbers<ChunkId>,
    texts: HashMap<Box<str>, ChunkId>,
}

impl Places {
    pub(super) fn get(&self, id: &SourceId) -> Option<ChunkId> {
        match id {
            SourceId::Number(id) => self.numbers.get(id).copied(),
            SourceId::Text(id) => self.texts.get(id).copied(),
        }
    }

    pub(super) fn insert(&mut self, id: &SourceId, chunk: ChunkId) {
        match id {
            SourceId::Number(id) => {
                self.numbers.insert(*id, chunk);
            }
            SourceId::Text(id) => {
                self.texts.insert(id.clone(), chunk);
            }
        }
    }

    pub(super) fn remove(&mut self, id: &SourceId) {
        match id {
            SourceId::Number(id) => {
                self.numbers.remove(id);
            }
            SourceId::Text(id) => {
                self.texts.remove(id);
            }
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(ChunkId) -> bool) {
        self.numbers.retain(|_, chunk| keep(*chunk));
        self.texts.retain(|_, chunk| keep(*chunk));
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len() + self.texts.len()
    }
}

/// One multiplication instead of SipHash: ids come from the bank, not from its customers, and a
/// row is looked up several times.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NumberHasher(u64);

impl NumberHasher {
    /// 2^64 divided by the golden ratio, odd.
    const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;
}

impl Hasher for NumberHasher {
    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number ^ 0x5851_f42d_4c95_7f2d) * Self::FACTOR;
        // Both halves count: the table takes its bits from either end.
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::*;
    use crate::domain::time::Day;

    #[test]
    fn numbers_and_texts_are_different_ids() {
        let mut places = Places::default();
        let chunk = |index| ChunkId { day: Day(1), index };
        places.insert(&SourceId::Number(7), chunk(0));
        places.insert(&SourceId::Text("7".into()), chunk(1));
        assert_eq!(places.get(&SourceId::Number(7)), Some(chunk(0)));
        assert_eq!(places.get(&SourceId::Text("7".into())), Some(chunk(1)));
        assert_eq!(places.len(), 2);
        places.retain(|found| found == chunk(1));
        assert_eq!(places.get(&SourceId::Number(7)), None);
        places.remove(&SourceId::Text("7".into()));
        assert_eq!(places.len(), 0);
    }

    #[test]
    fn ids_in_a_row_spread_over_the_table() {
        let build = BuildHasherDefault::<NumberHasher>::default();
        for step in [1, 2, 64, 1 << 20, 1 << 40] {
            let low: HashSet<u64> =
                (0..1024_i64).map(|n| build.hash_one(n * step) & 1023).collect();
            let high: HashSet<u64> =
                (0..1024_i64).map(|n| build.hash_one(n * step) >> 57).collect();
            assert!(low.len() > 512, "step {step}: {} of 1024 places", low.len());
            assert!(high.len() > 100, "step {step}: {} of 128 tags", high.len());
        }
    }
}
