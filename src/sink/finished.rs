//! Which commands are finished, and where in the journal their stories lie.
//!
//! Millions of finished commands need not be in memory: 24 bytes for each tell that a command that
//! comes again is known, and from where its entry is read. Two keys with one hash would be taken
//! for each other, so the reader of the entry compares its key: at 128 bits of SHA-256 that is a
//! precaution, not a case.

use super::{command::CommandKey, payload::short_sha256};

/// A power of two; a million commands are some 250 rows a shard, which are looked through.
const SHARDS: usize = 4096;
/// Rows that a shard grows by. Pages are all of one size and never move: vectors that grow would
/// leave as many holes behind as they hold.
const PAGE_ROWS: usize = 32;
const PARTITION_BITS: u32 = 16;
const OFFSET_BITS: u32 = 48;

/// Where a record lies in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of the journal.
    pub partition: i32,
    /// Of the record.
    pub offset: i64,
}

/// A place that no Kafka cluster has: a partition from 65,536 on or an offset from 2^48 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("partition {} offset {} cannot be indexed", .0.partition, .0.offset)]
pub struct OutOfRange(pub Place);

/// Of a command's key, in two words.
pub(super) type Hash = [u64; 2];

/// Two words of hash and one of place: as one 128-bit word it would take 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    hash: Hash,
    place: u64,
}

/// An index from a command's key to its place.
#[derive(Debug, Clone)]
pub struct Finished {
    /// By the first bits of the hash.
    shards: Vec<Shard>,
    count: usize,
}

/// Rows in no order; every page is full but the last one, which is never empty.
#[derive(Debug, Clone, Default)]
struct Shard(Vec<Vec<Row>>);

impl Shard {
    fn find(&mut self, hash: Hash) -> Option<&mut Row> {
        self.0.iter_mut().flatten().find(|row| row.hash == hash)
    }

    fn push(&mut self, row: Row) {
        match self.0.last_mut() {
            Some(page) if page.len() < PAGE_ROWS => page.push(row),
            Some(_) | None => {
                let mut page = Vec::with_capacity(PAGE_ROWS);
                page.push(row);
                self.0.push(page);
            }
        }
    }

    fn pop(&mut self) -> Option<Row> {
        let page = self.0.last_mut()?;
        let row = page.pop();
        if page.is_empty() {
            self.0.pop();
        }
        row
    }

    /// The last row takes the place of the one that goes.
    fn remove(&mut self, hash: Hash) -> bool {
        if self.find(hash).is_none() {
            return false;
        }
        if let Some(last) = self.pop()
            && let Some(row) = self.find(hash)
        {
            *row = last;
        }
        true
    }
}

impl Default for Finished {
    fn default() -> Self {
        Self { shards: vec![Shard::default(); SHARDS], count: 0 }
    }
}

impl Finished {
    /// Remembers where a finished command's story lies; a newer place takes the older one's. Says
    /// whether the command was not known yet.
    ///
    /// # Errors
    /// Where the place is beyond what is packed.
    pub fn insert(&mut self, key: &CommandKey, place: Place) -> Result<bool, OutOfRange> {
        let row = Row { hash: hash_of(key), place: pack(place)? };
        let shard = &mut self.shards[shard_of(row.hash)];
        if let Some(known) = shard.find(row.hash) {
            *known = row;
            return Ok(false);
        }
        shard.push(row);
        self.count += 1;
        Ok(true)
    }

    /// Where a command's story lies, if it is finished.
    pub fn get(&self, key: &CommandKey) -> Option<Place> {
        let hash = hash_of(key);
        let mut rows = self.shards[shard_of(hash)].0.iter().flatten();
        rows.find(|row| row.hash == hash).map(|row| unpack(row.place))
    }

    /// Forgets a command, with its entry; says whether it was known.
    pub fn remove(&mut self, key: &CommandKey) -> bool {
        let hash = hash_of(key);
        let is_known = self.shards[shard_of(hash)].remove(hash);
        self.count -= usize::from(is_known);
        is_known
    }

    /// Commands that are known.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether none is.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the index takes, unused room included.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        let pages = self.shards.iter().map(|shard| {
            let rows: usize = shard.0.iter().map(Vec::capacity).sum();
            rows * size_of::<Row>() + shard.0.capacity() * size_of::<Vec<Row>>()
        });
        let shards = self.shards.capacity() * size_of::<Shard>();
        pages.sum::<usize>() + shards + size_of::<Self>()
    }
}

pub(super) fn hash_of(key: &CommandKey) -> Hash {
    let hash = short_sha256(key.to_string().as_bytes());
    [(hash >> 64) as u64, hash as u64]
}

const fn shard_of(hash: Hash) -> usize {
    (hash[0] >> (u64::BITS - SHARDS.trailing_zeros())) as usize
}

fn pack(place: Place) -> Result<u64, OutOfRange> {
    let partition = u64::try_from(place.partition).ok().filter(|p| *p < 1 << PARTITION_BITS);
    let offset = u64::try_from(place.offset).ok().filter(|o| *o < 1 << OFFSET_BITS);
    match (partition, offset) {
        (Some(partition), Some(offset)) => Ok(partition << OFFSET_BITS | offset),
        (None, Some(_) | None) | (Some(_), None) => Err(OutOfRange(place)),
    }
}

/// Packed places are in range, so neither conversion loses anything.
const fn unpack(packed: u64) -> Place {
    let offset = packed & ((1 << OFFSET_BITS) - 1);
    Place { partition: (packed >> OFFSET_BITS) as i32, offset: offset as i64 }
}

#[cfg(test)]
#[path = "finished_tests.rs"]
mod tests;
