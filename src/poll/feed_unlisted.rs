//! Rows of accounts that nobody follows, in an answer for all accounts: the list of accounts does not
//! have them, or has them closed.
//!
//! Nobody publishes them: the account's own history brings them once it is listed. That they are left
//! out is told once an account, where all accounts are meant; whoever names accounts leaves out the
//! others on purpose.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use crate::{domain::ids::ConnectionId, log_event, telemetry::events::Event};

/// More accounts than these are not told one by one.
const TOLD_MAX: usize = 100;

/// What was told so far.
#[derive(Debug)]
pub struct Unlisted {
    follows_all: bool,
    told: Mutex<BTreeSet<i64>>,
}

impl Unlisted {
    /// Nothing yet; `follows_all` unless the configuration names the accounts.
    pub fn new(follows_all: bool) -> Self {
        Self { follows_all, told: Mutex::default() }
    }

    /// Tells of a row's account that is not followed; true where it is told for the first time.
    pub(super) fn tell(&self, connection: &ConnectionId, account: i64) -> bool {
        if !self.follows_all {
            return false;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = told.len() < TOLD_MAX && told.insert(account);
        if is_news {
            log_event!(
                Event::AccountUnlisted,
                %connection,
                account,
                "rows of an account that is not followed are left out"
            );
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_is_not_listed_is_told_once_where_all_are_meant() {
        let connection = ConnectionId::try_new("acme").unwrap();
        let (all, named) = (Unlisted::new(true), Unlisted::new(false));
        assert!(all.tell(&connection, 999) && all.tell(&connection, 998));
        assert!(!all.tell(&connection, 999), "once");
        assert!(!named.tell(&connection, 999), "left out on purpose");
    }
}
