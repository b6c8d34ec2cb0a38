//! Seen rows as the bytes of their chunks, read without a heap of their own.

use crate::domain::ids::SourceId;

use super::{
    codec::{Error, KIND_CHUNK},
    seen::{Chunk, Published, SeenRow},
};

/// The first format. Programs that know no other read every chunk but those of [`BOTH_HASHES`].
const FIRST: u8 = 1;
/// A row may have the hash of its published content and, behind it, that of its raw text in
/// quarantine. A chunk is written so only where it has such a row: an older program, in a rollout or
/// after it, goes on reading all others.
const BOTH_HASHES: u8 = 2;
/// What this program reads.
pub(super) const NEWEST: u8 = BOTH_HASHES;

const FLAG_TEXT_ID: u8 = 1;
const FLAG_DELETED: u8 = 2;
const FLAG_SOURCE_KEY: u8 = 4;
const FLAG_QUARANTINED: u8 = 8;
const FLAG_KEY: u8 = 16;
/// Where no published content is known. Rules count from 1.
const NO_RULE: u8 = 0;
/// Since version 2, beside `FLAG_QUARANTINED`: the first hash is of the published content.
const FLAG_BOTH: u8 = 32;
/// Older programs pass over it: such a row then counts as whole.
const FLAG_PARTIAL: u8 = 64;
/// Older programs pass over it too: to them the row's day is sure.
const FLAG_UNSURE_DAY: u8 = 128;

/// A chunk as bytes: a count, then per row flags, hash rule, version, id, hash or hashes, source key.
pub fn encode_chunk(chunk: &Chunk) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + chunk.rows.len() * 32);
    let both = |row: &SeenRow| row.published.is_some() && row.quarantined.is_some();
    let version = if chunk.rows.iter().any(both) { BOTH_HASHES } else { FIRST };
    out.extend([KIND_CHUNK, version]);
    put_varint(&mut out, chunk.rows.len() as u64);
    for row in &chunk.rows {
        let mut flags = 0;
        if matches!(row.id, SourceId::Text(_)) {
            flags |= FLAG_TEXT_ID;
        }
        if row.deleted {
            flags |= FLAG_DELETED;
        }
        if row.source_key.is_some() {
            flags |= FLAG_SOURCE_KEY;
        }
        if row.quarantined.is_some() {
            flags |= FLAG_QUARANTINED;
        }
        if both(row) {
            flags |= FLAG_BOTH;
        }
        if row.partial {
            flags |= FLAG_PARTIAL;
        }
        if row.unsure_day {
            flags |= FLAG_UNSURE_DAY;
        }
        if row.key.is_some() {
            flags |= FLAG_KEY;
        }
        let rule = row.published.map_or(NO_RULE, |published| published.rule);
        out.extend([flags, rule]);
        put_varint(&mut out, u64::from(row.version));
        match &row.id {
            SourceId::Number(id) => put_varint(&mut out, zigzag(*id)),
            SourceId::Text(text) => put_text(&mut out, text),
        }
        let published = row.published.map(|published| published.hash);
        let first = published.or(row.quarantined).unwrap_or_default();
        out.extend_from_slice(&first.to_be_bytes());
        if let (true, Some(raw)) = (both(row), row.quarantined) {
            out.extend_from_slice(&raw.to_be_bytes());
        }
        if let Some(key) = row.source_key {
            out.extend_from_slice(&key.to_be_bytes());
        }
        if let Some(key) = &row.key {
            put_text(&mut out, key);
        }
    }
    out
}

/// Reads what follows the header of a chunk.
pub(super) fn decode_chunk(bytes: &[u8]) -> Result<Chunk, Error> {
    let mut reader = Reader { bytes };
    let count = reader.count()?;
    let mut rows = Vec::with_capacity(count);
    for _ in 0..count {
        rows.push(reader.row()?.to_owned());
    }
    if reader.bytes.is_empty() {
        Ok(Chunk { rows })
    } else {
        Err(Error::Damaged("bytes left over"))
    }
}

/// A row as it stands in the bytes of its chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeenRowRef<'a> {
    flags: u8,
    version: u32,
    id: IdRef<'a>,
    published: Option<Published>,
    quarantined: Option<u128>,
    source_key: Option<u64>,
    key: Option<&'a str>,
}

#[derive(Debug, Clone, Copy)]
enum IdRef<'a> {
    Number(i64),
    Text(&'a str),
}

impl SeenRowRef<'_> {
    /// Whether it is the row with this id.
    pub(super) fn is(&self, id: &SourceId) -> bool {
        match (self.id, id) {
            (IdRef::Number(this), SourceId::Number(other)) => this == *other,
            (IdRef::Text(this), SourceId::Text(other)) => *this == **other,
            (IdRef::Number(_), SourceId::Text(_)) | (IdRef::Text(_), SourceId::Number(_)) => false,
        }
    }

    /// Its id, where that is a number.
    pub(super) const fn number(&self) -> Option<i64> {
        match self.id {
            IdRef::Number(id) => Some(id),
            IdRef::Text(_) => None,
        }
    }

    /// The row as a value of its own.
    pub(super) fn to_owned(self) -> SeenRow {
        SeenRow {
            id: match self.id {
                IdRef::Number(id) => SourceId::Number(id),
                IdRef::Text(id) => SourceId::Text(id.into()),
            },
            version: self.version,
            published: self.published,
            deleted: self.flags & FLAG_DELETED != 0,
            quarantined: self.quarantined,
            partial: self.flags & FLAG_PARTIAL != 0,
            unsure_day: self.flags & FLAG_UNSURE_DAY != 0,
            source_key: self.source_key,
            key: self.key.map(Into::into),
        }
    }
}

/// The rows in the bytes that [`encode_chunk`] made, one after the other.
pub(super) fn rows(chunk: &[u8]) -> Rows<'_> {
    let mut reader = Reader { bytes: chunk.get(2..).unwrap_or_default() };
    let left = reader.count().unwrap_or(0);
    Rows { reader, left }
}

/// See [`rows`].
pub(super) struct Rows<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Iterator for Rows<'a> {
    type Item = SeenRowRef<'a>;

    fn next(&mut self) -> Option<SeenRowRef<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.reader.row().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Rows<'_> {}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) =
            self.bytes.split_at_checked(length).ok_or(Error::Damaged("ends early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        self.take(N)?.try_into().map_err(|_| Error::Damaged("ends early"))
    }

    fn text(&mut self) -> Result<&'a str, Error> {
        let length = usize::try_from(self.varint()?).map_err(|_| Error::Damaged("length"))?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Error::Damaged("not text"))
    }

    fn count(&mut self) -> Result<usize, Error> {
        match self.varint()? {
            count @ 0..=255 => Ok(count as usize),
            _ => Err(Error::Damaged("a chunk holds at most 255 rows")),
        }
    }

    fn row(&mut self) -> Result<SeenRowRef<'a>, Error> {
        let flags = self.byte()?;
        let rule = self.byte()?;
        let version = u32::try_from(self.varint()?).map_err(|_| Error::Damaged("version"))?;
        let id = if flags & FLAG_TEXT_ID == 0 {
            IdRef::Number(unzigzag(self.varint()?))
        } else {
            IdRef::Text(self.text()?)
        };
        let hash = u128::from_be_bytes(self.array()?);
        let (published, quarantined) = match flags & (FLAG_QUARANTINED | FLAG_BOTH) {
            0 if rule == NO_RULE => (None, None),
            0 => (Some(Published { hash, rule }), None),
            FLAG_QUARANTINED => (None, Some(hash)),
            _ => (Some(Published { hash, rule }), Some(u128::from_be_bytes(self.array()?))),
        };
        let source_key = if flags & FLAG_SOURCE_KEY == 0 {
            None
        } else {
            Some(u64::from_be_bytes(self.array()?))
        };
        let key = if flags & FLAG_KEY == 0 { None } else { Some(self.text()?) };
        Ok(SeenRowRef { flags, version, id, published, quarantined, source_key, key })
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::Damaged("number too long"))
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

const fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::codec::{StateValue, decode};

    fn seen_row() -> impl Strategy<Value = SeenRow> {
        let id = prop_oneof![
            any::<i64>().prop_map(SourceId::Number),
            "[a-z0-9/ğü-]{0,40}".prop_map(|t| SourceId::Text(t.into())),
        ];
        let key = prop::option::of("[a-z0-9]{0,20}".prop_map(Into::into));
        let numbers = (any::<u32>(), any::<Option<u64>>(), any::<Option<u128>>());
        let published = prop::option::of((any::<u128>(), 1_u8..));
        let flags = any::<(bool, bool, bool)>();
        (id, numbers, published, flags, key).prop_map(|(id, numbers, published, flags, key)| {
            let (version, source_key, quarantined) = numbers;
            let published = published.map(|(hash, rule)| Published { hash, rule });
            let (deleted, partial, unsure_day) = flags;
            SeenRow {
                id,
                version,
                published,
                deleted,
                quarantined,
                partial,
                unsure_day,
                source_key,
                key,
            }
        })
    }

    /// Written by the first release: row 7 as it was published, row 9 never mapped, row 10 published
    /// and then unreadable, whose published hash nobody kept.
    #[test]
    fn chunks_of_version_1_still_load() {
        let mut bytes = vec![KIND_CHUNK, 1, 3];
        for (flags, version, id, hash) in [(0, 2, 14, 0xaa), (8, 0, 18, 0xbb), (8, 3, 20, 0xcc)] {
            bytes.extend([flags, 1, version, id]);
            bytes.extend_from_slice(&u128::to_be_bytes(hash));
        }
        let row = |id, version, published: Option<u128>, quarantined| SeenRow {
            id: SourceId::Number(id),
            version,
            published: published.map(|hash| Published { hash, rule: 1 }),
            deleted: false,
            quarantined,
            partial: false,
            unsure_day: false,
            source_key: None,
            key: None,
        };
        let rows = vec![
            row(7, 2, Some(0xaa), None),
            row(9, 0, None, Some(0xbb)),
            row(10, 3, None, Some(0xcc)),
        ];
        assert_eq!(decode(&bytes), Ok(StateValue::Chunk(Chunk { rows })));
    }

    #[test]
    fn chunks_of_version_2_are_these_bytes() {
        let row = SeenRow {
            id: SourceId::Number(10),
            version: 3,
            published: Some(Published { hash: 0xcc, rule: 1 }),
            deleted: false,
            quarantined: Some(0xdd),
            partial: false,
            unsure_day: false,
            source_key: None,
            key: None,
        };
        let mut bytes = vec![KIND_CHUNK, 2, 1, 8 | 32, 1, 3, 20];
        bytes.extend_from_slice(&u128::to_be_bytes(0xcc));
        bytes.extend_from_slice(&u128::to_be_bytes(0xdd));
        let chunk = Chunk { rows: vec![row] };
        assert_eq!(encode_chunk(&chunk), bytes);
        assert_eq!(decode(&bytes), Ok(StateValue::Chunk(chunk)));
    }

    proptest! {
        #[test]
        fn chunks_round_trip(rows in prop::collection::vec(seen_row(), 0..65)) {
            let chunk = Chunk { rows };
            prop_assert_eq!(decode(&encode_chunk(&chunk)), Ok(StateValue::Chunk(chunk)));
        }

        /// An older program must not take the second hash for something else.
        #[test]
        fn a_chunk_is_of_version_2_only_where_a_row_has_both_hashes(rows in prop::collection::vec(seen_row(), 0..5)) {
            let both = rows.iter().any(|row| row.published.is_some() && row.quarantined.is_some());
            prop_assert_eq!(encode_chunk(&Chunk { rows })[1], if both { 2 } else { 1 });
        }

        #[test]
        fn a_cut_chunk_is_never_taken_for_a_whole_one(rows in prop::collection::vec(seen_row(), 1..10), cut in 1_usize..8) {
            let bytes = encode_chunk(&Chunk { rows });
            prop_assert!(decode(&bytes[..bytes.len() - cut]).is_err());
        }
    }
}
