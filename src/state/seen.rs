//! Seen rows: which contents of which rows have been published, kept in chunks.
//!
//! A chunk holds up to [`CHUNK_ROWS`] rows of one booking day and is one record of the changelog,
//! so a thousand new rows cost some twenty state records. Nothing here is changed in place before
//! a commit: a [`Staging`] collects the chunks as they would be, the transaction carries them, and
//! [`SeenRows::apply`] takes them over once the commit is confirmed.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{ids::SourceId, time::Day};

use super::{
    chunk::{self, SeenRowRef},
    places::{Places, SourceKeys},
};

/// Rows a chunk holds at most.
pub const CHUNK_ROWS: usize = 64;
/// A full chunk of the longest ids and keys stays far below what a broker takes (1 MiB), else its
/// shard could never commit again.
const _: () = assert!(CHUNK_ROWS * (2 * SourceId::BYTES_MAX + 128) < 256 * 1024);

/// Names a chunk within an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId {
    /// Booking day of its rows.
    pub day: Day,
    /// Counts the chunks of the day from 0.
    pub index: u16,
}

/// What is remembered of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRow {
    /// The source's id.
    pub id: SourceId,
    /// How many contents were published so far.
    pub version: u32,
    /// The last published content. `None` where none ever was, and for a row whose content went to
    /// quarantine after one was published and before chunks of version 2 kept both.
    pub published: Option<Published>,
    /// Whether a deletion was the last thing published.
    pub deleted: bool,
    /// Hash of the raw text that last went to quarantine since something was published of the row;
    /// `version` counts published contents only.
    pub quarantined: Option<u128>,
    /// Whether its published content is a customer's as a payment mentions it, of which the list of
    /// customers may know more.
    pub partial: bool,
    /// Whether no day says which reads must show it: it has no readable date, or several far apart.
    pub unsure_day: bool,
    /// Hash of the source's own `key` field, where it has one.
    pub source_key: Option<u64>,
    /// The row's part of the Kafka key, where it is not the entity itself.
    pub key: Option<Box<str>>,
}

/// A content that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its hash.
    pub hash: u128,
    /// The rule by which the hash was made, from 1.
    pub rule: u8,
}

/// One chunk: rows of one day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chunk {
    /// In no particular order.
    pub rows: Vec<SeenRow>,
}

/// The seen rows of one entity.
///
/// Chunks are kept as the bytes that the changelog has: some thirty bytes a row, and no heap of
/// its own for any.
#[derive(Debug, Clone, Default)]
pub struct SeenRows {
    chunks: BTreeMap<ChunkId, Box<[u8]>>,
    places: Places,
    source_keys: SourceKeys,
}

impl SeenRows {
    /// Looks a row up.
    pub fn get(&self, id: &SourceId) -> Option<(SeenRow, Day)> {
        let chunk = self.places.get(id)?;
        let row = chunk::rows(self.chunks.get(&chunk)?).find(|row| row.is(id))?;
        Some((row.to_owned(), chunk.day))
    }

    /// Whether some row has this source key; rows are only found by it, never compared.
    pub fn has_source_key(&self, key: u64) -> bool {
        self.source_keys.contains(&key)
    }

    /// How many rows are remembered.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows with their days, oldest day first, of the days `from..=to`; none where `to` is earlier.
    pub fn rows_between(&self, from: Day, to: Day) -> impl Iterator<Item = (SeenRow, Day)> {
        let (first, last) = (ChunkId { day: from, index: 0 }, ChunkId { day: to, index: u16::MAX });
        // A look-back shorter than the days that rows may move by has no day to compare.
        let chunks = (first <= last).then(|| self.chunks.range(first..=last));
        chunks
            .into_iter()
            .flatten()
            .flat_map(|(id, bytes)| chunk::rows(bytes).map(|row| (row.to_owned(), id.day)))
    }

    /// The newest day that rows are remembered of, none after `through`.
    pub fn newest_day(&self, through: Day) -> Option<Day> {
        let last = ChunkId { day: through, index: u16::MAX };
        self.chunks.range(..=last).next_back().map(|(id, _)| id.day)
    }

    /// Its chunks, as they stand in the changelog.
    pub fn chunks(&self) -> impl Iterator<Item = (ChunkId, &[u8])> {
        self.chunks.iter().map(|(id, bytes)| (*id, &**bytes))
    }

    /// Takes a chunk over as it was read from the changelog or as it was committed.
    pub fn put_chunk(&mut self, id: ChunkId, chunk: &Chunk) {
        self.forget_chunk(id);
        for row in &chunk.rows {
            self.places.insert(&row.id, id);
            self.source_keys.extend(row.source_key);
        }
        if !chunk.rows.is_empty() {
            self.chunks.insert(id, chunk::encode_chunk(chunk).into_boxed_slice());
        }
    }

    /// Drops a chunk, as a tombstone says.
    pub fn forget_chunk(&mut self, id: ChunkId) {
        let Some(old) = self.chunks.remove(&id) else { return };
        for row in chunk::rows(&old).map(SeenRowRef::to_owned) {
            // A row that moved to another chunk in the same commit keeps its new place.
            if self.places.get(&row.id) == Some(id) {
                self.places.remove(&row.id);
                if let Some(key) = row.source_key {
                    self.source_keys.remove(&key);
                }
            }
        }
    }

    /// Takes over what a committed transaction carried.
    pub fn apply(&mut self, staging: Staging) {
        for (id, chunk) in &staging.chunks {
            self.put_chunk(*id, chunk);
        }
        for id in staging.dropped {
            self.forget_chunk(id);
        }
    }

    fn chunk(&self, id: ChunkId) -> Chunk {
        let rows = self.chunks.get(&id).map(|bytes| chunk::rows(bytes));
        Chunk { rows: rows.into_iter().flatten().map(SeenRowRef::to_owned).collect() }
    }
}

/// Changes of seen rows that no transaction has committed yet.
#[derive(Debug, Clone, Default)]
pub struct Staging {
    chunks: BTreeMap<ChunkId, Chunk>,
    unwritten: BTreeSet<ChunkId>,
    dropped: Vec<ChunkId>,
    places: Places,
    source_keys: SourceKeys,
}

impl Staging {
    /// Looks a row up as it would be after the commit.
    pub fn get(&self, base: &SeenRows, id: &SourceId) -> Option<(SeenRow, Day)> {
        match self.places.get(id) {
            Some(place) => {
                let row = self.chunks.get(&place)?.rows.iter().find(|row| row.id == *id)?;
                Some((row.clone(), place.day))
            }
            None => base.get(id),
        }
    }

    /// Whether another row has this source key, counting the rows of this staging.
    pub fn has_source_key(&self, base: &SeenRows, key: u64) -> bool {
        self.source_keys.contains(&key) || base.has_source_key(key)
    }

    /// Remembers a row under a booking day; a row that was there moves if its day changed.
    pub fn put(&mut self, base: &SeenRows, day: Day, row: SeenRow) {
        let old = self.places.get(&row.id).or_else(|| base.places.get(&row.id));
        self.source_keys.extend(row.source_key);
        match old {
            Some(place) if place.day == day => {
                self.places.insert(&row.id, place);
                let chunk = self.chunk_mut(base, place);
                if let Some(known) = chunk.rows.iter_mut().find(|known| known.id == row.id) {
                    *known = row;
                }
            }
            Some(place) => {
                // It moves to another day; the last row of its chunk takes its place.
                let chunk = self.chunk_mut(base, place);
                if let Some(at) = chunk.rows.iter().position(|known| known.id == row.id) {
                    chunk.rows.swap_remove(at);
                }
                self.append(base, day, row);
            }
            None => self.append(base, day, row),
        }
    }

    /// Drops every chunk of days before `first_kept`, but those with a row whose id `is_needed`; each
    /// is one tombstone. Whether there was any chunk of those days.
    pub fn drop_before(
        &mut self,
        base: &SeenRows,
        first_kept: Day,
        is_needed: impl Fn(i64) -> bool,
    ) -> bool {
        let end = ChunkId { day: first_kept, index: 0 };
        let mut dropped: BTreeSet<ChunkId> = base.chunks.range(..end).map(|(id, _)| *id).collect();
        // Chunks of this very staging that lie before may have been written in an earlier part.
        dropped.extend(self.chunks.range(..end).map(|(id, _)| *id));
        let any = !dropped.is_empty();
        dropped.retain(|id| !self.has_number(base, *id, &is_needed));
        self.unwritten.extend(dropped.iter().copied());
        self.chunks.retain(|id, _| !dropped.contains(id));
        self.places.retain(|place| !dropped.contains(&place));
        self.dropped.extend(dropped);
        any
    }

    /// Whether the chunk, as it would be after the commit, has a row with such an id.
    fn has_number(&self, base: &SeenRows, id: ChunkId, is_such: impl Fn(i64) -> bool) -> bool {
        match self.chunks.get(&id) {
            Some(staged) => staged.rows.iter().filter_map(|row| row.id.number()).any(is_such),
            None => {
                let rows = base.chunks.get(&id).into_iter().flat_map(|bytes| chunk::rows(bytes));
                rows.filter_map(|row| row.number()).any(is_such)
            }
        }
    }

    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.dropped.is_empty()
    }

    /// Chunks that changed since the last call, oldest first; an empty one is a tombstone.
    pub fn take_unwritten(&mut self) -> Vec<(ChunkId, Option<&Chunk>)> {
        let unwritten = std::mem::take(&mut self.unwritten);
        unwritten
            .into_iter()
            .map(|id| (id, self.chunks.get(&id).filter(|chunk| !chunk.rows.is_empty())))
            .collect()
    }

    fn chunk_mut(&mut self, base: &SeenRows, id: ChunkId) -> &mut Chunk {
        self.unwritten.insert(id);
        self.chunks.entry(id).or_insert_with(|| base.chunk(id))
    }

    fn append(&mut self, base: &SeenRows, day: Day, row: SeenRow) {
        let id = self.open_chunk(base, day);
        self.places.insert(&row.id, id);
        self.chunk_mut(base, id).rows.push(row);
    }

    /// The last chunk of the day while it has room, else the next one.
    fn open_chunk(&self, base: &SeenRows, day: Day) -> ChunkId {
        let whole_day = ChunkId { day, index: 0 }..=ChunkId { day, index: u16::MAX };
        let staged = self.chunks.range(whole_day.clone()).next_back();
        let staged = staged.map(|(id, chunk)| (*id, chunk.rows.len()));
        let stored = base.chunks.range(whole_day).next_back();
        let stored = stored.map(|(id, bytes)| (*id, chunk::rows(bytes).len()));
        let last = match (staged, stored) {
            (Some(a), Some(b)) if a.0 >= b.0 => Some(a),
            (Some(_), Some(b)) | (None, Some(b)) => Some(b),
            (a, None) => a,
        };
        match last {
            None => ChunkId { day, index: 0 },
            Some((id, rows)) if rows < CHUNK_ROWS => id,
            Some((id, _)) => ChunkId { day, index: id.index.saturating_add(1) },
        }
    }
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
