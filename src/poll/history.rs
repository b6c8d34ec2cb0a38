//! How far the reading of history is, for log lines and progress bars.

use std::time::Duration;

use crate::domain::{ids::EntityKey, time::Timestamp};

use super::board::{Phase, Standing, starts_with_history};

/// A backfill that is under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct History {
    /// Accounts, terminals or institutions that take part.
    pub entities: usize,
    /// Of them, those that have read their history.
    pub done: usize,
    /// The share of all of it, from 0 to 1.
    pub ratio: f64,
    /// Rows published lately.
    pub rows: u64,
}

impl History {
    /// Sums up; `None` where nobody reads history. Lists and the connection-wide feed have none, and
    /// count for nothing.
    pub fn of<'a>(
        standings: impl IntoIterator<Item = (&'a EntityKey, &'a Standing)>,
        now: Timestamp,
    ) -> Option<Self> {
        let mut history = Self { entities: 0, done: 0, ratio: 0.0, rows: 0 };
        let mut reading = false;
        let own = standings.into_iter().filter(|(key, _)| starts_with_history(key));
        for (_, standing) in own {
            reading |= standing.phase == Phase::Backfilling;
            history.entities += 1;
            history.done += usize::from(standing.backfill_ratio >= 1.0);
            history.ratio += standing.backfill_ratio;
            history.rows += standing.rows.total(now);
        }
        #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
        let count = history.entities.max(1) as f64;
        history.ratio /= count;
        reading.then_some(history)
    }

    /// Whole percents.
    pub fn percent(&self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 100, cut to whole percents"
        )]
        let percent = (self.ratio * 100.0).clamp(0.0, 100.0) as u64;
        percent
    }
}

/// Where a backfill was first seen; what it takes from there to here tells what is left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Begun {
    /// When.
    pub at: Timestamp,
    /// How far it was.
    pub ratio: f64,
}

impl Begun {
    /// How long the rest takes at the pace so far; `None` before anything has moved.
    pub fn eta(self, now: Timestamp, ratio: f64) -> Option<Duration> {
        let moved = ratio - self.ratio;
        let seconds = Duration::from_millis(u64::try_from(now.0 - self.at.0).ok()?).as_secs_f64();
        let left = seconds * (1.0 - ratio).max(0.0) / moved;
        (moved > 0.0 && left.is_finite()).then(|| Duration::from_secs_f64(left.round()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        domain::ids::{ConnectionId, EntityKey, Stream},
        poll::board::Board,
    };

    fn standings(ratios: &[f64]) -> BTreeMap<EntityKey, Standing> {
        let board = Board::default();
        for (index, ratio) in ratios.iter().enumerate() {
            let key = EntityKey {
                connection: ConnectionId::try_new("a").unwrap(),
                stream: Stream::BankTransactions,
                entity: index.to_string().into(),
            };
            board.update(&key, |standing| {
                standing.backfill_ratio = *ratio;
                standing.phase = if *ratio < 1.0 { Phase::Backfilling } else { Phase::Running };
                standing.rows.add(Timestamp(0), 10);
            });
        }
        let others = [
            (Stream::BankTransactions, EntityKey::WHOLE, 0.0),
            (Stream::Banks, EntityKey::WHOLE, 1.0),
        ];
        for (stream, entity, ratio) in others {
            let connection = ConnectionId::try_new("a").unwrap();
            let key = EntityKey { connection, stream, entity: entity.into() };
            board.update(&key, |standing| standing.backfill_ratio = ratio);
        }
        board.snapshot()
    }

    #[test]
    fn entities_count_alike_and_a_finished_backfill_is_none() {
        let history = History::of(&standings(&[1.0, 0.5, 0.0, 0.5]), Timestamp(0)).unwrap();
        assert_eq!((history.entities, history.done, history.rows), (4, 1, 40));
        assert_eq!(history.percent(), 50);
        assert_eq!(History::of(&standings(&[1.0, 1.0]), Timestamp(0)), None);
    }

    #[test]
    fn the_rest_takes_as_long_as_the_pace_says() {
        let begun = Begun { at: Timestamp(0), ratio: 0.2 };
        assert_eq!(begun.eta(Timestamp(10_000), 0.6), Some(Duration::from_secs(10)));
        assert_eq!(begun.eta(Timestamp(10_000), 0.2), None, "nothing has moved");
        assert_eq!(begun.eta(Timestamp(-1), 0.6), None, "the clock went back");
    }
}
