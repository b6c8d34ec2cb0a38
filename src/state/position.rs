//! How far one entity has been read.

use std::ops::Not;

use serde::{Deserialize, Serialize};

use crate::domain::time::{Day, Timestamp};

/// Up to here an id is what it says: every program that reads JSON knows such whole numbers exactly.
const PLAIN_IDS_MAX: i64 = 1 << 53;

/// The highest of `ids` that a cursor may rise to, `known` being where it stands.
///
/// A cursor at an absurd id would never see another row. So an id beyond 2^53 counts only where
/// another one, or the cursor, is at least half of it: sources that number like this do so in all
/// rows. A row of an id that does not count is published as any other, and asked for again.
pub fn believable_top(ids: impl Iterator<Item = i64> + Clone, known: Option<i64>) -> Option<i64> {
    let highest = ids.clone().max()?;
    if highest <= PLAIN_IDS_MAX {
        return Some(highest);
    }
    let mut huge: Vec<i64> = ids.clone().filter(|id| *id > PLAIN_IDS_MAX).collect();
    huge.sort_unstable();
    huge.dedup();
    let plain = ids.filter(|id| *id <= PLAIN_IDS_MAX).max();
    while let Some(id) = huge.pop() {
        if huge.last().copied().max(known).is_some_and(|beside| beside >= id / 2) {
            return Some(id);
        }
    }
    plain
}

/// The checkpoint of one entity's stream: cursor, window position and backfill position.
///
/// | field | moves when |
/// |---|---|
/// | `cursor` | a committed answer held a higher id; never back |
/// | `backfill_next` | a backfill window was read whole; `None` once it reached today |
/// | `seen_from` | seen rows of older days were dropped; never back, or old rows would look new |
/// | `gap` | days that nobody read are being read behind the first backfill; the cursor waits meanwhile |
/// | `behind` | an answer above the cursor was not taken; until the entity's own poll was good |
/// | `ended` | the last look at a closed entity was good; until it is open again |
/// | `covered_at` | a poll that committed something proved everything before it was read; a live poll does while look-backs reach up to it |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The highest id read: what `lastId` asks above.
    pub cursor: Option<i64>,
    /// First day of the first backfill, fixed when the entity is first met.
    pub start: Day,
    /// First day not yet backfilled; `None` when the backfill is done.
    pub backfill_next: Option<Day>,
    /// First day whose seen rows are all remembered; of older days those above the cursor are.
    pub seen_from: Day,
    /// Business time of the newest row seen.
    pub newest_at: Option<Timestamp>,
    /// When the rows that this checkpoint covers were fetched.
    pub covered_at: Timestamp,
    /// What `backfill_next` reads is a gap in what was read before.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub gap: bool,
    /// Rows above the cursor were shown, and not taken, by the connection-wide feed: what it shows
    /// later must not raise the cursor over them.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub behind: bool,
    /// The source has closed it, and it was read to its end since.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub ended: bool,
}

impl Checkpoint {
    /// The position of an entity that was never read.
    pub const fn initial(start: Day, now: Timestamp) -> Self {
        Self {
            cursor: None,
            start,
            backfill_next: Some(start),
            seen_from: start,
            newest_at: None,
            covered_at: now,
            gap: false,
            behind: false,
            ended: false,
        }
    }

    /// The last day of which it says that a backfill or a look-back has read it: live polls take
    /// `covered_at` to the next day before anybody looks back at that one.
    pub fn read_through(&self) -> Day {
        self.covered_at.local_day().plus(-1)
    }

    /// Whether it says what programs that know the first format alone would not understand.
    pub const fn is_marked(&self) -> bool {
        self.gap || self.behind || self.ended
    }

    /// Whether each live poll shows this id until the cursor has risen to it; `None` where there is no
    /// cursor yet. Also one that the cursor may never rise to: it is remembered for as long.
    pub fn is_below(&self, id: i64) -> Option<bool> {
        Some(self.cursor? < id)
    }

    /// Raises the cursor to `id`; a lower id changes nothing.
    pub fn raise_cursor(&mut self, id: i64) {
        self.cursor = self.cursor.max(Some(id));
    }

    /// Raises the newest business time; an older one changes nothing.
    pub fn raise_newest(&mut self, at: Timestamp) {
        self.newest_at = self.newest_at.max(Some(at));
    }

    /// Share of the backfill that is done, from 0 to 1.
    pub fn backfill_ratio(&self, today: Day) -> f64 {
        let Some(next) = self.backfill_next else { return 1.0 };
        let total = f64::from((today.0 - self.start.0).max(1));
        (f64::from(next.0 - self.start.0) / total).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_never_goes_back_whatever_the_order_of_ids() {
        for ids in [[9, 7, 5, 1], [1, 5, 7, 9], [5, 9, 1, 7]] {
            let mut checkpoint = Checkpoint::initial(Day(0), Timestamp(0));
            ids.into_iter().for_each(|id| checkpoint.raise_cursor(id));
            assert_eq!(checkpoint.cursor, Some(9));
        }
    }

    #[test]
    fn an_absurd_id_raises_no_cursor_unless_the_source_numbers_like_that() {
        let top = |ids: &[i64], known| believable_top(ids.iter().copied(), known);
        let huge = 1_700_000_000_000_000_000;
        assert_eq!(top(&[], Some(7)), None);
        assert_eq!(top(&[5, 9, 1 << 53], None), Some(1 << 53));
        assert_eq!(top(&[5, i64::MAX, 9], Some(4)), Some(9));
        assert_eq!(top(&[i64::MAX], Some(4)), None);
        assert_eq!(top(&[i64::MAX, i64::MAX], None), None, "one row twice is no other");
        assert_eq!(top(&[i64::MAX, huge, huge + 1], None), Some(huge + 1));
        assert_eq!(top(&[huge], Some(huge - 5)), Some(huge));
        assert_eq!(top(&[-3, i64::MIN], None), Some(-3));
    }

    #[test]
    fn backfill_ratio_is_one_when_done_and_grows_on_the_way() {
        let mut checkpoint = Checkpoint::initial(Day(100), Timestamp(0));
        assert!(checkpoint.backfill_ratio(Day(130)) < 0.01);
        checkpoint.backfill_next = Some(Day(115));
        assert!((checkpoint.backfill_ratio(Day(130)) - 0.5).abs() < 0.01);
        checkpoint.backfill_next = None;
        assert!((checkpoint.backfill_ratio(Day(130)) - 1.0).abs() < f64::EPSILON);
    }
}
