//! One window of one entity from the API, and a second look where the count is suspicious.

use crate::{
    api::{BankQuery, Client, Error, Purpose, Rows},
    config::model::DateType,
    log_event,
    telemetry::events::Event,
};

use super::plan::{Window, is_suspicious_count};

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

/// Asks for windows of one origin, and remembers which counts were proven to be whole.
#[derive(Debug)]
pub struct Fetcher {
    api: Client,
    origin: Origin,
    /// Counts up to this one were compared with their halves and found whole.
    proven_rows: usize,
    /// The API refused `lastId` alone.
    dates_required: bool,
}

impl Fetcher {
    /// A fetcher that has proven nothing yet.
    pub const fn new(api: Client, origin: Origin) -> Self {
        Self { api, origin, proven_rows: 0, dates_required: false }
    }

    /// The rows of a window. An undocumented row limit shows as a round count: such a window is
    /// read again in halves, and the halves are believed where they hold more. A window whose
    /// answer is too large is read in halves too.
    pub async fn window(&mut self, purpose: Purpose, window: Window) -> Result<Vec<Rows>, Error> {
        let whole = match self.ask(purpose, window, None).await {
            Err(error @ Error::TooLarge { .. }) => {
                let halves = window.halves().ok_or(error)?;
                return self.halves(purpose, halves).await;
            }
            answered => answered?,
        };
        let count: usize = whole.iter().map(Rows::len).sum();
        let suspicious = is_suspicious_count(count) && count > self.proven_rows;
        let Some(halves) = window.halves().filter(|_| suspicious) else {
            return Ok(whole);
        };
        let halves = self.halves(purpose, halves).await?;
        let count_of_halves: usize = halves.iter().map(Rows::len).sum();
        if count_of_halves > count {
            log_event!(
                Event::RowsLimited,
                origin = ?self.origin,
                rows = count,
                rows_of_halves = count_of_halves,
                "the api limits the rows of an answer, reading smaller windows"
            );
            return Ok(halves);
        }
        self.proven_rows = self.proven_rows.max(count);
        Ok(whole)
    }

    async fn halves(
        &mut self,
        purpose: Purpose,
        (first, second): (Window, Window),
    ) -> Result<Vec<Rows>, Error> {
        let mut rows = Box::pin(self.window(purpose, first)).await?;
        rows.extend(Box::pin(self.window(purpose, second)).await?);
        Ok(rows)
    }

    /// Rows above the cursor. `recent` are the days to send where dates are needed: always for
    /// POS, for bank rows where there is no cursor or the API insists, and TOS knows days only.
    pub async fn above(
        &mut self,
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
            let rows = self.ask(Purpose::Live, recent, cursor).await?;
            return Ok((rows, Some(recent)));
        }
        let query = |date_type| BankQuery { window: None, last_id: cursor, date_type };
        let rows = match self.origin {
            Origin::Account { id, date_type } => {
                self.api.account_transactions(Purpose::Live, id, &query(date_type)).await?
            }
            Origin::Connection { date_type } => {
                self.api.connection_transactions(Purpose::Live, &query(date_type)).await?
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
        let days = (window.from, window.to);
        match &self.origin {
            Origin::Account { id, date_type } => {
                let query = BankQuery { window: Some(days), last_id, date_type: *date_type };
                Ok(vec![self.api.account_transactions(purpose, *id, &query).await?])
            }
            Origin::Connection { date_type } => {
                let query = BankQuery { window: Some(days), last_id, date_type: *date_type };
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
