//! How far one entity has been read.

use serde::{Deserialize, Serialize};

use crate::domain::time::{Day, Timestamp};

/// The checkpoint of one entity's stream: cursor, window position and backfill position.
///
/// | field | moves when |
/// |---|---|
/// | `cursor` | a committed answer held a higher id; never back |
/// | `backfill_next` | a backfill window was read whole; `None` once it reached today |
/// | `seen_from` | seen rows of older days were dropped; never back, or old rows would look new |
/// | `covered_at` | a poll that committed something proved everything before it was read |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The highest id read: what `lastId` asks above.
    pub cursor: Option<i64>,
    /// First day of the first backfill, fixed when the entity is first met.
    pub start: Day,
    /// First day not yet backfilled; `None` when the backfill is done.
    pub backfill_next: Option<Day>,
    /// First day whose seen rows are all remembered.
    pub seen_from: Day,
    /// Business time of the newest row seen.
    pub newest_at: Option<Timestamp>,
    /// When the rows that this checkpoint covers were fetched.
    pub covered_at: Timestamp,
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
        }
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
    fn backfill_ratio_is_one_when_done_and_grows_on_the_way() {
        let mut checkpoint = Checkpoint::initial(Day(100), Timestamp(0));
        assert!(checkpoint.backfill_ratio(Day(130)) < 0.01);
        checkpoint.backfill_next = Some(Day(115));
        assert!((checkpoint.backfill_ratio(Day(130)) - 0.5).abs() < 0.01);
        checkpoint.backfill_next = None;
        assert!((checkpoint.backfill_ratio(Day(130)) - 1.0).abs() < f64::EPSILON);
    }
}
