//! A day of bank rows in parts, where its answer may hold some back.
//!
//! Bank dates carry a time of day, so a day that cannot be halved can be asked for by its hours, one
//! half and the other, down to less than a minute:
//!
//! | the parts | believed |
//! |---|---|
//! | hold rows below the day's highest id that the day lacks | both: the API limits its answers |
//! | hold the day's rows, and each part is smaller than the day's answer | the day, as a whole one |
//! | show a row twice, or are refused | the day, and nothing that it lacks: the API does not read the time |
//! | end with a minute that may be cut, or take too many calls | what came, and nothing that it lacks |
//!
//! An origin whose parts have told nothing three times in a row is not asked for parts again: the dates
//! of its rows carry no time, or the API does not read it.

use std::collections::BTreeSet;

use crate::{
    api::{Error, Hours, Purpose, RetryClass, Rows},
    domain::time::Day,
};

use super::{
    digest::id_of,
    fetch::{Fetcher, Origin, Read},
    plan::Window,
};

/// Calls for the parts of one day. A limit of a hundred rows and two thousand rows a day take as many.
const CALLS_MAX: u32 = 64;
/// Parts that told nothing so many times in a row are asked for no more.
const FRUITLESS_MAX: u32 = 3;

/// What the parts of a day told.
#[derive(Debug)]
struct Parts {
    answers: Vec<Rows>,
    /// Each part is smaller than the day's answer.
    whole: bool,
    /// Calls that may still be made.
    calls_left: u32,
}

impl Fetcher {
    /// What the parts of a day say of its answer with so many rows, which may lack some: the same
    /// again, known to be whole or not, or more. The day stands in any case: where its parts cannot be
    /// had, it is as it came.
    pub(super) async fn doubted_day(
        &mut self,
        purpose: Purpose,
        day: Day,
        rows: usize,
        read: Read,
    ) -> Result<Read, Error> {
        let is_bank = matches!(self.origin, Origin::Account { .. } | Origin::Connection { .. });
        if !is_bank || self.fruitless >= FRUITLESS_MAX {
            return Ok(read);
        }
        let mut parts = Parts { answers: Vec::new(), whole: true, calls_left: CALLS_MAX };
        let reads_the_time =
            match self.read_part(&mut parts, (purpose, day), Hours::ALL, rows).await {
                Ok(reads_the_time) => reads_the_time,
                // A time of day is not what it takes.
                Err(error) if error.retry_class() == RetryClass::Permanent => false,
                Err(error) => return Err(error),
            };
        let (known, found) = (ids(&read.answers), ids(&parts.answers));
        let whole = parts.whole && known.is_subset(&found);
        // What is above the day's highest id has come since, and comes again with the next live poll.
        let held_back = found.difference(&known).any(|id| Some(id) < known.last());
        if !reads_the_time || (!held_back && !whole) {
            self.fruitless += 1;
            return Ok(read);
        }
        self.fruitless = 0;
        if !held_back {
            self.limit.prove(rows);
            return Ok(Read { whole, ..read });
        }
        self.limited_to(rows, found.len(), "the day by its hours");
        let mut answers = without(read.answers, &found);
        answers.extend(parts.answers);
        Ok(Read { answers, whole })
    }

    /// Adds both halves of a part, and theirs where they have as many rows as `cut_at`. False where
    /// the API does not read the time: halves have no row in common.
    async fn read_part(
        &self,
        parts: &mut Parts,
        (purpose, day): (Purpose, Day),
        part: Hours,
        cut_at: usize,
    ) -> Result<bool, Error> {
        let Some((first, second)) = part.halves().filter(|_| parts.calls_left >= 2) else {
            parts.whole = false;
            return Ok(true);
        };
        parts.calls_left -= 2;
        let days = Window { from: day, to: day };
        let of_first = self.ask_hours(purpose, days, first, None).await?;
        let of_second = self.ask_hours(purpose, days, second, None).await?;
        if !ids(&of_first).is_disjoint(&ids(&of_second)) {
            return Ok(false);
        }
        for (half, answers) in [(first, of_first), (second, of_second)] {
            let may_be_cut = answers.iter().any(|rows| rows.len() >= cut_at);
            let from = parts.answers.len();
            if may_be_cut {
                let below = Box::pin(self.read_part(parts, (purpose, day), half, cut_at)).await?;
                if !below {
                    return Ok(false);
                }
            }
            let found = ids(parts.answers.get(from..).unwrap_or_default());
            let rest = without(answers, &found);
            parts.whole &= !may_be_cut || rest.is_empty();
            parts.answers.extend(rest);
        }
        Ok(true)
    }
}

/// The rows whose ids are not among those found.
fn without(answers: Vec<Rows>, found: &BTreeSet<i64>) -> Vec<Rows> {
    let is_found = |row: &&str| id_of(row).is_some_and(|id| found.contains(&id));
    let rest = answers.into_iter().map(|rows| {
        if !rows.iter().any(|row| is_found(&row)) {
            return rows;
        }
        let mut rest = Rows::from_texts(rows.iter().filter(|row| !is_found(row)), rows.fetched_at);
        rest.replaced_text = rows.replaced_text;
        rest.operation = rows.operation;
        rest
    });
    rest.filter(|rows| !rows.is_empty()).collect()
}

fn ids<'r>(answers: impl IntoIterator<Item = &'r Rows>) -> BTreeSet<i64> {
    answers.into_iter().flat_map(Rows::iter).filter_map(id_of).collect()
}
