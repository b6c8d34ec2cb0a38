//! Ids that stand in an answer more than once: one of their rows speaks for them.
//!
//! | among the contents is | counts |
//! |---|---|
//! | the one that was last published | that one: nothing has changed |
//! | else, where the last cannot be mapped, the one that is in quarantine | that one |
//! | else | the last in decision order, see [`put_in_order`](super::digest::put_in_order) |
//!
//! So an answer whose order changes from poll to poll changes nothing.

use std::collections::{HashMap, HashSet};

use crate::{
    domain::ids::{SourceId, Stream},
    mapping::{HASH_RULE, Mapped, Rejection, RowContext, content_hash, rejected_hash},
    state::{changelog::EntityState, seen::SeenRow},
};

use super::{digest::map_any, working::is_published};

/// What memory says of one of the contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is what was last published.
    Published,
    /// It is what lies in quarantine.
    Quarantined,
    /// It is another one, and can be mapped.
    Other,
    /// It is another one, and cannot.
    Bad,
}

impl Standing {
    fn of(
        known: Option<&SeenRow>,
        (stream, json): (Stream, &str),
        read: &Result<Mapped<'_>, Rejection>,
    ) -> Self {
        match (read, known) {
            (Ok(mapped), Some(row)) => {
                let mut scratch = Vec::new();
                let hash = content_hash(&mapped.record, HASH_RULE, &mut scratch);
                let same = is_published(row, &mapped.record, hash, &mut scratch);
                if same { Self::Published } else { Self::Other }
            }
            (Ok(_), None) => Self::Other,
            (Err(_), Some(row)) if row.quarantined == Some(rejected_hash(stream, json)) => {
                Self::Quarantined
            }
            (Err(_), _) => Self::Bad,
        }
    }

    /// Whether the content keeps its place before one that comes behind it.
    const fn stands_before(self, next: Self) -> bool {
        matches!((self, next), (Self::Published, _) | (Self::Quarantined, Self::Bad))
    }
}

/// Whether an id stands there twice; ids in order, the usual case, cost one look each.
pub(super) fn has_repeats(ids: &[SourceId]) -> bool {
    let mut ids: Vec<&SourceId> = ids.iter().collect();
    ids.sort_unstable();
    ids.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
}

/// Each id's row, in the order of the answer, and how many ids had rows that differ.
pub(super) fn one_of_each<'a>(
    stream: Stream,
    state: &EntityState,
    rows: &[&'a str],
    context: &RowContext<'_>,
) -> (Vec<&'a str>, u64) {
    let mut chosen: HashMap<SourceId, (usize, Standing)> = HashMap::new();
    let mut contradicted = HashSet::new();
    let mut kept = vec![true; rows.len()];
    for (place, json) in rows.iter().enumerate() {
        let read = map_any(stream, json, context);
        let id = match &read {
            Ok(mapped) => Some(&mapped.source_id),
            Err(rejection) => rejection.source_id.as_ref(),
        };
        // A row without a readable id is nobody's repeat.
        let Some(id) = id else { continue };
        let known = state.seen.get(id).map(|(row, _)| row);
        let standing = Standing::of(known.as_ref(), (stream, json), &read);
        let Some((before, its)) = chosen.get(id).copied() else {
            chosen.insert(id.clone(), (place, standing));
            continue;
        };
        if rows[before] != *json {
            contradicted.insert(id.clone());
        }
        if its.stands_before(standing) {
            kept[place] = false;
        } else {
            kept[before] = false;
            chosen.insert(id.clone(), (place, standing));
        }
    }
    let rows = rows.iter().zip(kept).filter(|(_, kept)| *kept).map(|(row, _)| *row).collect();
    (rows, contradicted.len() as u64)
}
