//! One window of one entity from the API, and a second look where the count is suspicious.
//!
//! Which counts are suspicious: see [`super::row_limit`].
//!
//! | window | second look | believed |
//! |---|---|---|
//! | several days | its halves | the halves where they hold more, else the whole |
//! | one day | the day above its highest id, page by page | all pages |
//! | one day that shows no more | bank: its hours ([`super::day_parts`]) | the hours where they hold more |
//! | one day of others | none is possible | the rows, and nothing that they lack |

use std::fmt;

use crate::{
    api::{BankQuery, Client, Error, Hours, Purpose, Rows},
    config::model::DateType,
    log_event,
    state::position::believable_top,
    telemetry::events::Event,
};

use super::{digest::id_of, plan::Window, row_limit::RowLimit};

/// What to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A bank account.
    Account {
        /// Its id.
        id: i64,
        /// Which date the windows are about.
        date_type: DateType,
    },
    /// All bank accounts of the connection at once.
    Connection {
        /// Which date the windows are about.
        date_type: DateType,
    },
    /// A POS terminal.
    Station {
        /// Its id.
        id: i64,
    },
    /// A TOS institution.
    Institution {
        /// Its code.
        code: String,
        /// Sender accounts to ask for one by one; empty asks for all at once.
        sender_accounts: Vec<String>,
    },
}

/// As log lines name it; the accounts of an institution are nobody's business there.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account { id, .. } => write!(f, "account {id}"),
            Self::Connection { .. } => f.write_str("all accounts"),
            Self::Station { id } => write!(f, "terminal {id}"),
            Self::Institution { code, .. } => write!(f, "institution {code}"),
        }
    }
}

/// The answers for a window.
#[derive(Debug)]
pub struct Read {
    /// One a call.
    pub answers: Vec<Rows>,
    /// Whether nothing hints at rows that the API held back: what else the answers lack is not there.
    pub whole: bool,
}

/// Asks for windows of one origin, and remembers what their counts said of a row limit.
#[derive(Debug)]
pub struct Fetcher {
    pub(super) api: Client,
    pub(super) origin: Origin,
    /// What is known of a row limit.
    pub(super) limit: RowLimit,
    /// How often in a row the parts of a day have told nothing.
    pub(super) fruitless: u32,
    /// It was told that an answer may be cut.
    told: bool,
    /// The API refused `lastId` alone.
    dates_required: bool,
}

impl Fetcher {
    /// A fetcher that has seen nothing yet.
    pub fn new(api: Client, origin: Origin) -> Self {
        Self {
            api,
            origin,
            limit: RowLimit::default(),
            fruitless: 0,
            told: false,
            dates_required: false,
        }
    }

    /// Whether one of the answers may be cut, of those that are for no window as a whole.
    pub(super) fn may_be_cut(&self, answers: &[Rows]) -> bool {
        answers.iter().any(|rows| self.limit.may_cut_at_random(rows.len()))
    }

    /// The rows of a window, read again where their count is suspicious, as the table at the top
    /// says. A window whose answer is too large is read in halves too.
    pub async fn window(&mut self, purpose: Purpose, window: Window) -> Result<Read, Error> {
        let answers = match self.ask(purpose, window, None).await {
            Err(error @ Error::TooLarge { .. }) => {
                let halves = window.halves().ok_or(error)?;
                return self.halves(purpose, halves).await;
            }
            answered => answered?,
        };
        let lengths = answers.iter().map(Rows::len);
        let Some(longest) = lengths.filter(|rows| self.limit.may_cut(window, *rows)).max() else {
            return Ok(Read { answers, whole: true });
        };
        let Some(halves) = window.halves() else {
            return self.doubtful_day(purpose, window, answers, longest).await;
        };
        let halves = self.halves(purpose, halves).await?;
        let (rows, rows_of_halves) = (count(&answers), count(&halves.answers));
        if rows_of_halves > rows {
            self.limited_to(longest, rows_of_halves, "smaller windows");
            return Ok(halves);
        }
        // Where one half has all the rows, it is the same answer again.
        if halves.whole && halves.answers.iter().all(|half| half.len() < longest) {
            self.limit.prove(longest);
        }
        Ok(Read { answers, whole: halves.whole })
    }

    async fn halves(
        &mut self,
        purpose: Purpose,
        (first, second): (Window, Window),
    ) -> Result<Read, Error> {
        let mut read = Box::pin(self.window(purpose, first)).await?;
        let second = Box::pin(self.window(purpose, second)).await?;
        read.answers.extend(second.answers);
        read.whole &= second.whole;
        Ok(read)
    }

    /// A day cannot be halved, but asked for above its highest id, and bank rows by the hour.
    async fn doubtful_day(
        &mut self,
        purpose: Purpose,
        day: Window,
        answers: Vec<Rows>,
        rows: usize,
    ) -> Result<Read, Error> {
        let mut read = self.rest_of_day(purpose, day, answers, rows).await?;
        if !read.whole {
            read = self.doubted_day(purpose, day.from, rows, read).await?;
        }
        if !read.whole && !std::mem::replace(&mut self.told, true) {
            log_event!(
                Event::PerhapsCut,
                connection = %self.api.connection(),
                origin = %self.origin,
                day = %day.from.to_date(),
                rows,
                "the answer for a single day may be cut: it has as many rows as a page may have, and no larger one was seen; nothing that it lacks is taken for deleted"
            );
        }
        Ok(read)
    }

    /// What stands above the highest id of a day's answer, where the API has a cursor. Nothing tells
    /// whether it holds back lower ids instead.
    async fn rest_of_day(
        &mut self,
        purpose: Purpose,
        day: Window,
        mut answers: Vec<Rows>,
        rows: usize,
    ) -> Result<Read, Error> {
        let has_cursor = !matches!(self.origin, Origin::Institution { .. });
        let mut limited = false;
        let mut above = highest_id(&answers, None);
        while let (true, Some(highest)) = (has_cursor, above) {
            let page = self.ask(purpose, day, Some(highest)).await?;
            above = highest_id(&page, Some(highest));
            if above <= Some(highest) {
                break;
            }
            limited = true;
            let last = page.iter().all(|page| page.len() < rows);
            answers.extend(page);
            if last {
                break;
            }
        }
        if limited {
            self.limited_to(rows, count(&answers), "the day on by lastId");
            // Pages in another order may have left ids out between them.
            return Ok(Read { whole: answers.iter().all(ids_ascend), answers });
        }
        Ok(Read { answers, whole: self.limit.is_whole_day(rows) })
    }

    /// Notes that an answer holds so many rows at most, and tells it: `found` is what reading it in parts
    /// brought instead.
    pub(super) fn limited_to(&mut self, rows: usize, found: usize, parts: &'static str) {
        self.limit.find(rows);
        log_event!(
            Event::RowsLimited,
            connection = %self.api.connection(),
            origin = %self.origin,
            rows,
            rows_of_parts = found,
            parts,
            "the api limits the rows of an answer, which is read in parts"
        );
    }

    /// Rows above the cursor. `recent` are the days to send where dates are needed: always for
    /// POS, for bank rows where there is no cursor or the API insists, and TOS knows days only.
    pub async fn above(
        &mut self,
        purpose: Purpose,
        cursor: Option<i64>,
        recent: Window,
    ) -> Result<(Vec<Rows>, Option<Window>), Error> {
        let with_dates = match self.origin {
            Origin::Account { .. } | Origin::Connection { .. } => {
                cursor.is_none() || self.dates_required
            }
            Origin::Station { .. } | Origin::Institution { .. } => true,
        };
        if with_dates {
            let answers = self.ask(purpose, recent, cursor).await?;
            return Ok((answers, Some(recent)));
        }
        let query =
            |date_type| BankQuery { window: None, hours: Hours::ALL, last_id: cursor, date_type };
        let rows = match self.origin {
            Origin::Account { id, date_type } => {
                self.api.account_transactions(purpose, id, &query(date_type)).await?
            }
            Origin::Connection { date_type } => {
                self.api.connection_transactions(purpose, &query(date_type)).await?
            }
            Origin::Station { .. } | Origin::Institution { .. } => return Ok((Vec::new(), None)),
        };
        Ok((vec![rows], None))
    }

    /// From now on dates are sent with every cursor.
    pub const fn require_dates(&mut self) {
        self.dates_required = true;
    }

    /// One window, as the API answers it.
    pub(super) async fn ask(
        &self,
        purpose: Purpose,
        window: Window,
        last_id: Option<i64>,
    ) -> Result<Vec<Rows>, Error> {
        self.ask_hours(purpose, window, Hours::ALL, last_id).await
    }

    /// The same, of bank rows from and to a time of day; the dates of other rows carry none.
    pub(super) async fn ask_hours(
        &self,
        purpose: Purpose,
        window: Window,
        hours: Hours,
        last_id: Option<i64>,
    ) -> Result<Vec<Rows>, Error> {
        let days = (window.from, window.to);
        match &self.origin {
            Origin::Account { id, date_type } => {
                let query = BankQuery { window: Some(days), hours, last_id, date_type: *date_type };
                Ok(vec![self.api.account_transactions(purpose, *id, &query).await?])
            }
            Origin::Connection { date_type } => {
                let query = BankQuery { window: Some(days), hours, last_id, date_type: *date_type };
                Ok(vec![self.api.connection_transactions(purpose, &query).await?])
            }
            Origin::Station { id } => {
                Ok(vec![self.api.station_transactions(purpose, *id, days, last_id).await?])
            }
            Origin::Institution { code, sender_accounts } => {
                let mut answers = Vec::new();
                let mut day = window.from;
                while day <= window.to {
                    if sender_accounts.is_empty() {
                        answers.push(self.api.tos_payments(purpose, code, None, day).await?);
                    }
                    for account in sender_accounts {
                        let sender = Some(account.as_str());
                        answers.push(self.api.tos_payments(purpose, code, sender, day).await?);
                    }
                    day = day.plus(1);
                }
                Ok(answers)
            }
        }
    }
}

/// The highest id of the answers that a cursor may rise to, from where it stands.
pub(super) fn highest_id(answers: &[Rows], cursor: Option<i64>) -> Option<i64> {
    let ids: Vec<i64> = answers.iter().flat_map(Rows::iter).filter_map(id_of).collect();
    believable_top(ids.into_iter(), cursor)
}

fn count(answers: &[Rows]) -> usize {
    answers.iter().map(Rows::len).sum()
}

fn ids_ascend(rows: &Rows) -> bool {
    rows.iter().map(id_of).is_sorted()
}
