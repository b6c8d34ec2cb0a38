//! Rows that come behind the feed's cursor: with an id above the cursor of their account and below
//! that of all accounts together, because the source showed a newer row of another account first.
//!
//! The look-back finds them by their date; those whose date is older than it reaches are found here.
//! The live poll asks above the cursor as it stood [`NEAR`] ago, and once after each look-back above
//! where it stood [`FAR`] ago, so that no call is spent on it: an account takes what it has for known,
//! and what is above its own cursor for new, however old its date. What comes later still, or comes
//! over a restart, is found by the account's own look, which asks above its own cursor.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::api::{Error, Purpose, Rows};

use super::{fetch::Fetcher, plan::Window};

/// How long a row may take to show without being missed by the next poll: a transaction of the
/// source's database that is committed after a later one.
const NEAR: Duration = Duration::from_secs(15 * 60);
/// The same for the first poll after a look-back.
const FAR: Duration = Duration::from_secs(86_400);

/// Where the cursor of the feed has been; it begins with the process.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// When a poll had read up to which id, oldest first.
    marks: VecDeque<(Instant, i64)>,
    /// The next poll reaches far.
    far: bool,
}

impl Trail {
    /// A poll has read up to this id.
    pub(super) fn note(&mut self, cursor: Option<i64>) {
        let at = Instant::now();
        self.marks.extend(cursor.map(|cursor| (at, cursor)));
        // One that is older than the reach stays: it is the floor.
        while self.marks.get(1).is_some_and(|(noted, _)| at.duration_since(*noted) >= FAR) {
            self.marks.pop_front();
        }
        self.far = false;
    }

    /// The next poll reaches a day back.
    pub(super) const fn reach_far(&mut self) {
        self.far = true;
    }

    /// The cursor as it stood that long ago, or at the first poll.
    fn floor(&self, reach: Duration) -> Option<i64> {
        let now = Instant::now();
        let old = |(noted, _): &&(Instant, i64)| now.duration_since(*noted) >= reach;
        let mark = self.marks.iter().rev().find(old).or_else(|| self.marks.front());
        mark.map(|(_, cursor)| *cursor)
    }

    /// Rows above where the cursor was. Where they are so many that the API may hold some back, or
    /// does not send them, only those above where it is are asked for.
    pub(super) async fn fetch(
        &mut self,
        fetcher: &mut Fetcher,
        cursor: Option<i64>,
        recent: Window,
    ) -> Result<(Vec<Rows>, Option<Window>), Error> {
        let floor = self.floor(if self.far { FAR } else { NEAR });
        if let Some(floor) = floor.filter(|floor| Some(*floor) < cursor) {
            match fetcher.above(Purpose::Live, Some(floor), recent).await {
                Ok((answers, window)) => {
                    if !fetcher.may_be_cut(&answers) {
                        return Ok((answers, window));
                    }
                }
                Err(Error::TooLarge { .. }) => {}
                Err(error) => return Err(error),
            }
            self.marks.clear();
        }
        fetcher.above(Purpose::Live, cursor, recent).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_floor_is_where_the_cursor_was_and_never_above_it() {
        let mut trail = Trail::default();
        assert_eq!(trail.floor(NEAR), None);
        trail.note(None);
        assert_eq!(trail.floor(FAR), None, "nothing was read");
        for cursor in [10, 20, 30] {
            trail.note(Some(cursor));
            tokio::time::advance(NEAR / 2).await;
        }
        assert_eq!((trail.floor(NEAR), trail.floor(FAR)), (Some(20), Some(10)));
        // The first one is kept until another is old enough.
        tokio::time::advance(FAR - NEAR).await;
        trail.note(Some(40));
        assert_eq!((trail.floor(NEAR), trail.floor(FAR)), (Some(30), Some(20)));
        assert_eq!(trail.marks.len(), 3);
        tokio::time::advance(FAR * 2).await;
        trail.note(Some(50));
        assert_eq!(trail.marks.len(), 2, "they do not pile up");
        assert_eq!((trail.floor(NEAR), trail.floor(FAR)), (Some(40), Some(40)));
    }
}
