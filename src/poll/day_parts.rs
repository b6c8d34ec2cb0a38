//! A day of bank rows in parts, where its answer may hold some back.
//!
//! Bank dates carry a time of day, so a day that cannot be halved can be asked for by its hours, one
//! half and the other, down to less than a minute:
//!
//! | the parts | believed |
//! |---|---|
//! | hold rows that the day lacks | both: the API limits its answers |
//! | hold the day's rows, and each part is smaller than the day's answer | the day, as a whole one |
//! | are the same rows twice | the day, and nothing that it lacks: the API does not read the time |
//! | end with a minute that may be cut | what came, and nothing that it lacks |
//!
//! An origin whose parts have told nothing three times in a row is not asked for parts again: the dates
//! of its rows carry no time, or the API does not read it.

use std::collections::BTreeSet;

use crate::{
    api::{Error, Hours, Purpose, Rows},
    domain::time::Day,
    log_event,
    telemetry::events::Event,
};

use super::{
    digest::id_of,
    fetch::{Fetcher, Origin, Read},
    plan::Window,
};

/// Parts that told nothing so many times in a row are asked for no more.
const FRUITLESS_MAX: u32 = 3;

impl Fetcher {
    /// What the parts of a day say of its answer with so many rows, which may lack some: the same
    /// again, known to be whole or not, or more.
    pub(super) async fn doubted_day(
        &mut self,
        purpose: Purpose,
        day: Day,
        rows: usize,
        read: Read,
    ) -> Result<Read, Error> {
        let is_bank = matches!(self.origin, Origin::Account { .. } | Origin::Connection { .. });
        let Some(halves) = Hours::ALL.halves().filter(|_| is_bank) else { return Ok(read) };
        if self.fruitless >= FRUITLESS_MAX {
            return Ok(read);
        }
        let parts = self.in_halves(purpose, day, halves, rows).await?;
        let (known, found) = (ids(&read.answers), ids(&parts.answers));
        let whole = parts.whole && known.is_subset(&found);
        if found.is_subset(&known) && !whole {
            self.fruitless += 1;
            return Ok(read);
        }
        self.fruitless = 0;
        if found.len() == known.len() {
            self.limit.prove(rows);
            return Ok(Read { whole, ..read });
        }
        self.limit.find(rows);
        log_event!(
            Event::RowsLimited,
            connection = %self.api.connection(),
            origin = %self.origin,
            rows,
            rows_of_parts = found.len(),
            "the api limits the rows of an answer, reading the day in parts"
        );
        // Where both show a row, the later answer counts.
        let mut answers = read.answers;
        answers.extend(parts.answers);
        Ok(Read { answers, whole })
    }

    async fn in_halves(
        &self,
        purpose: Purpose,
        day: Day,
        (first, second): (Hours, Hours),
        cut_at: usize,
    ) -> Result<Read, Error> {
        let days = Window { from: day, to: day };
        let of_first = self.ask_hours(purpose, days, first, None).await?;
        let of_second = self.ask_hours(purpose, days, second, None).await?;
        let ids_of_first = ids(&of_first);
        if !ids_of_first.is_empty() && ids_of_first == ids(&of_second) {
            return Ok(Read { answers: of_second, whole: false });
        }
        let mut read = self.within(purpose, day, first, of_first, cut_at).await?;
        let rest = self.within(purpose, day, second, of_second, cut_at).await?;
        read.answers.extend(rest.answers);
        read.whole &= rest.whole;
        Ok(read)
    }

    /// The rows of a part, from its halves where it has so many that it may be cut too.
    async fn within(
        &self,
        purpose: Purpose,
        day: Day,
        part: Hours,
        answers: Vec<Rows>,
        cut_at: usize,
    ) -> Result<Read, Error> {
        if answers.iter().all(|rows| rows.len() < cut_at) {
            return Ok(Read { answers, whole: true });
        }
        let Some(halves) = part.halves() else { return Ok(Read { answers, whole: false }) };
        let mut read = Box::pin(self.in_halves(purpose, day, halves, cut_at)).await?;
        if !ids(&answers).is_subset(&ids(&read.answers)) {
            read.answers.splice(0..0, answers);
            read.whole = false;
        }
        Ok(read)
    }
}

fn ids<'r>(answers: impl IntoIterator<Item = &'r Rows>) -> BTreeSet<i64> {
    answers.into_iter().flat_map(Rows::iter).filter_map(id_of).collect()
}
