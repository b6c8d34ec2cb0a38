//! Seen rows: which contents of which rows have been published, kept in chunks.
//!
//! A chunk holds up to [`CHUNK_ROWS`] rows of one booking day and is one record of the changelog,
//! so a thousand new rows cost some twenty state records. Nothing here is changed in place before
//! a commit: a [`Staging`] collects the chunks as they would be, the transaction carries them, and
//! [`SeenRows::apply`] takes them over once the commit is confirmed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::domain::{ids::SourceId, time::Day};

/// Rows a chunk holds at most.
pub const CHUNK_ROWS: usize = 64;

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
    /// Hash of the last published content.
    pub hash: u128,
    /// The rule by which `hash` was made.
    pub hash_rule: u8,
    /// Whether a deletion was the last thing published.
    pub deleted: bool,
    /// Whether its last content went to quarantine; `hash` is then of the raw row, and `version`
    /// still counts published contents only.
    pub quarantined: bool,
    /// Hash of the source's own `key` field, where it has one.
    pub source_key: Option<u64>,
    /// The row's part of the Kafka key, where it is not the entity itself.
    pub key: Option<Box<str>>,
}

/// One chunk: rows of one day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chunk {
    /// In no particular order.
    pub rows: Vec<SeenRow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    chunk: ChunkId,
    row: u8,
}

/// The seen rows of one entity.
#[derive(Debug, Clone, Default)]
pub struct SeenRows {
    chunks: BTreeMap<ChunkId, Chunk>,
    slots: HashMap<SourceId, Slot>,
    source_keys: HashSet<u64>,
}

impl SeenRows {
    /// Looks a row up.
    pub fn get(&self, id: &SourceId) -> Option<(&SeenRow, Day)> {
        let slot = self.slots.get(id)?;
        let row = self.chunks.get(&slot.chunk)?.rows.get(usize::from(slot.row))?;
        Some((row, slot.chunk.day))
    }

    /// Whether some row has this source key; rows are only found by it, never compared.
    pub fn has_source_key(&self, key: u64) -> bool {
        self.source_keys.contains(&key)
    }

    /// How many rows are remembered.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Rows with their days, oldest day first, of the days `from..=to`.
    pub fn rows_between(&self, from: Day, to: Day) -> impl Iterator<Item = (&SeenRow, Day)> {
        let (first, last) = (ChunkId { day: from, index: 0 }, ChunkId { day: to, index: u16::MAX });
        self.chunks
            .range(first..=last)
            .flat_map(|(id, chunk)| chunk.rows.iter().map(|row| (row, id.day)))
    }

    /// Takes a chunk over as it was read from the changelog or as it was committed.
    pub fn put_chunk(&mut self, id: ChunkId, chunk: Chunk) {
        self.forget_chunk(id);
        for (row, seen) in chunk.rows.iter().enumerate() {
            let row = u8::try_from(row).unwrap_or(u8::MAX);
            self.slots.insert(seen.id.clone(), Slot { chunk: id, row });
            self.source_keys.extend(seen.source_key);
        }
        if !chunk.rows.is_empty() {
            self.chunks.insert(id, chunk);
        }
    }

    /// Drops a chunk, as a tombstone says.
    pub fn forget_chunk(&mut self, id: ChunkId) {
        let Some(old) = self.chunks.remove(&id) else { return };
        for row in &old.rows {
            // A row that moved to another chunk in the same commit keeps its new place.
            if self.slots.get(&row.id).is_some_and(|slot| slot.chunk == id) {
                self.slots.remove(&row.id);
                if let Some(key) = row.source_key {
                    self.source_keys.remove(&key);
                }
            }
        }
    }

    /// Takes over what a committed transaction carried.
    pub fn apply(&mut self, staging: Staging) {
        for (id, chunk) in staging.chunks {
            self.put_chunk(id, chunk);
        }
        for id in staging.dropped {
            self.forget_chunk(id);
        }
    }
}

/// Changes of seen rows that no transaction has committed yet.
#[derive(Debug, Clone, Default)]
pub struct Staging {
    chunks: BTreeMap<ChunkId, Chunk>,
    unwritten: BTreeSet<ChunkId>,
    dropped: Vec<ChunkId>,
    slots: HashMap<SourceId, Slot>,
    source_keys: HashSet<u64>,
}

impl Staging {
    /// Looks a row up as it would be after the commit.
    pub fn get<'a>(&'a self, base: &'a SeenRows, id: &SourceId) -> Option<(&'a SeenRow, Day)> {
        match self.slots.get(id) {
            Some(slot) => {
                let row = self.chunks.get(&slot.chunk)?.rows.get(usize::from(slot.row))?;
                Some((row, slot.chunk.day))
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
        let old = self.slots.get(&row.id).or_else(|| base.slots.get(&row.id)).copied();
        self.source_keys.extend(row.source_key);
        match old {
            Some(slot) if slot.chunk.day == day => {
                self.slots.insert(row.id.clone(), slot);
                let chunk = self.chunk_mut(base, slot.chunk);
                if let Some(place) = chunk.rows.get_mut(usize::from(slot.row)) {
                    *place = row;
                }
            }
            Some(slot) => {
                self.take_out(base, slot);
                self.append(base, day, row);
            }
            None => self.append(base, day, row),
        }
    }

    /// Drops every chunk of days before `first_kept`; each is one tombstone.
    pub fn drop_before(&mut self, base: &SeenRows, first_kept: Day) {
        let end = ChunkId { day: first_kept, index: 0 };
        self.dropped.extend(base.chunks.range(..end).map(|(id, _)| *id));
        // Chunks of this very staging that lie before may have been written in an earlier part.
        self.dropped.extend(self.chunks.range(..end).map(|(id, _)| *id));
        self.dropped.sort_unstable();
        self.dropped.dedup();
        self.unwritten.extend(self.dropped.iter().copied());
        self.chunks.retain(|id, _| *id >= end);
        self.slots.retain(|_, slot| slot.chunk >= end);
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
        self.chunks.entry(id).or_insert_with(|| base.chunks.get(&id).cloned().unwrap_or_default())
    }

    fn append(&mut self, base: &SeenRows, day: Day, row: SeenRow) {
        let id = self.open_chunk(base, day);
        let chunk = self.chunk_mut(base, id);
        let slot = Slot { chunk: id, row: u8::try_from(chunk.rows.len()).unwrap_or(u8::MAX) };
        let source_id = row.id.clone();
        chunk.rows.push(row);
        self.slots.insert(source_id, slot);
    }

    /// The last chunk of the day while it has room, else the next one.
    fn open_chunk(&self, base: &SeenRows, day: Day) -> ChunkId {
        let whole_day = ChunkId { day, index: 0 }..=ChunkId { day, index: u16::MAX };
        let staged = self.chunks.range(whole_day.clone()).next_back();
        let stored = base.chunks.range(whole_day).next_back();
        let last = match (staged, stored) {
            (Some(a), Some(b)) if a.0 >= b.0 => Some(a),
            (Some(_), Some(b)) | (None, Some(b)) => Some(b),
            (a, None) => a,
        };
        match last {
            None => ChunkId { day, index: 0 },
            Some((id, chunk)) if chunk.rows.len() < CHUNK_ROWS => *id,
            Some((id, _)) => ChunkId { day, index: id.index.saturating_add(1) },
        }
    }

    /// Removes a row that moves to another day; the last row of its chunk takes its place.
    fn take_out(&mut self, base: &SeenRows, slot: Slot) {
        let chunk = self.chunk_mut(base, slot.chunk);
        let place = usize::from(slot.row);
        if place >= chunk.rows.len() {
            return;
        }
        chunk.rows.swap_remove(place);
        if let Some(moved) = chunk.rows.get(place) {
            let id = moved.id.clone();
            self.slots.insert(id, slot);
        }
    }
}

#[cfg(test)]
#[path = "seen_tests.rs"]
mod tests;
