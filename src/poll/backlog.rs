//! A live answer that is larger than an answer may be: its rows are read by days instead, and each
//! part is taken in as it comes.
//!
//! | part | then |
//! |---|---|
//! | too large, or of a count that hints at a row limit | its halves |
//! | a single day of such a count | the day again above its highest id |
//! | a single day that is too large | whoever reads the backlog finds a way, or fails |
//!
//! The parts come in the order of their days, not of their ids: no cursor moves before the last one
//! is taken in, or a lower id of a later day would be taken for known.

use crate::{
    api::{Error, Purpose, Rows},
    domain::time::Day,
};

use super::{
    digest::Reason,
    entity::{Advance, Failure, Reading},
    fetch::{Fetcher, highest_id},
    plan::{Schedule, Window},
    task::{Follow, published},
};

/// What is still to be read.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Windows and the ids above which they are asked for; the next one stands last.
    todo: Vec<(Window, Option<i64>)>,
    purpose: Purpose,
}

/// What came next.
#[derive(Debug)]
pub(super) enum Part {
    /// The rows of a window.
    Read(Window, Vec<Rows>),
    /// A single day whose answer is too large.
    TooLarge(Window, Error),
}

impl Backlog {
    /// The rows above `cursor`. They may be booked on any day: the days reach as far back as the
    /// look-back, and as the history that the operator asked for. Without a cursor the history was
    /// read a moment ago, and only the `recent` days are left.
    pub(super) fn new(
        schedule: &Schedule,
        purpose: Purpose,
        cursor: Option<i64>,
        recent: Window,
        today: Day,
    ) -> Self {
        let wanted = schedule.lookback_from(today).min(today.plus(-schedule.start_days));
        let from = if cursor.is_some() { wanted.min(recent.from) } else { recent.from };
        let mut next = Some(from);
        let mut todo = Vec::new();
        while let Some(from) = next {
            let window = schedule.window_at(from, today);
            next = schedule.after(window, today);
            todo.push((window, cursor));
        }
        todo.reverse();
        Self { todo, purpose }
    }

    /// Asks for the next part; `None` after the last one.
    pub(super) async fn next(&mut self, fetcher: &Fetcher) -> Result<Option<Part>, Error> {
        while let Some((window, above)) = self.todo.pop() {
            let answers = match fetcher.ask(self.purpose, window, above).await {
                Ok(answers) => answers,
                Err(error @ Error::TooLarge { .. }) => {
                    if !self.halve(window, above) {
                        return Ok(Some(Part::TooLarge(window, error)));
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            if fetcher.may_be_cut(&answers) {
                if self.halve(window, above) {
                    continue;
                }
                let highest = highest_id(&answers, above);
                self.todo.extend((highest > above).then_some((window, highest)));
            }
            return Ok(Some(Part::Read(window, answers)));
        }
        Ok(None)
    }

    /// False where it is a single day.
    fn halve(&mut self, window: Window, above: Option<i64>) -> bool {
        let Some((first, second)) = window.halves() else { return false };
        self.todo.extend([(second, above), (first, above)]);
        true
    }
}

impl Follow {
    /// Reads the backlog of one entity; its cursor rises after the last part.
    pub(super) async fn read_backlog(
        &mut self,
        mut backlog: Backlog,
        start: Day,
    ) -> Result<u64, Failure> {
        self.entity.tell_backlog();
        let (mut rows, mut highest) = (0, None);
        loop {
            let part = tokio::select! {
                () = self.stop.cancelled() => return Ok(rows),
                part = backlog.next(&self.fetcher) => part?,
            };
            let (window, answers) = match part {
                Some(Part::Read(window, answers)) => (window, answers),
                Some(Part::TooLarge(_, error)) => return Err(error.into()),
                None => break,
            };
            let reading = Reading {
                answers: &answers,
                reason: Reason::Live,
                window: Some(window),
                advance: Advance::Nothing,
                first_kept: None,
                start,
            };
            let digest = Box::pin(self.entity.take_in(&reading)).await?;
            rows += published(&digest);
            highest = highest.max(digest.highest_id);
        }
        self.entity.raise_cursor(highest, start).await?;
        Ok(rows)
    }
}
