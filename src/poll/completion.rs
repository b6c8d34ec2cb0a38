//! What a list lacks, and other calls have.
//!
//! | list | lacks | asked for | then |
//! |---|---|---|---|
//! | accounts | one that it had | by its id, each reading | found: it stays, unchanged; not found: it is absent; an error: it stays |
//! | accounts | everything, for `/accounts` cannot be had | bank by bank | its rows count, and nobody is absent |
//! | customers | one that a payment mentions | by its id, once a day | found: it is published whole; else as it is mentioned; not found in two readings: one that was whole is absent |
//!
//! The row of an account asked for by its id is no more than a proof: it lacks the bank, which only
//! the whole list has. Bank by bank the bank is known, and written into the row. That way is taken
//! where there is no other, for it costs a call for each bank.

use std::collections::{BTreeSet, HashMap, HashSet};

use tokio::time::{Duration, Instant};

use crate::{
    api::{Client, Error, Purpose, RetryClass, Rows},
    domain::ids::{SourceId, Stream},
    log_event,
    telemetry::events::Event,
};

use super::{
    digest::{MENTION_START, id_of},
    discovery::{Discovered, discover},
    entity::Entity,
    lookups::{Known, Lookups},
};

/// How often a customer that no list shows is asked for.
const CUSTOMER_AGAIN: Duration = Duration::from_secs(86_400);
/// Readings in a row that may fail by trouble of the API itself before it is asked bank by bank: the
/// other calls are likely to meet the same trouble.
const PATIENCE: u32 = 3;
/// Where no bank answered with accounts, and none by a trouble that passes, they are asked again after
/// that long.
const BY_BANK_AGAIN: Duration = Duration::from_secs(3600);
/// Readings in a row in which no bank answered, by troubles that should pass, until they are asked less.
const BY_BANK_PATIENCE: u32 = 10;
/// And how much less.
const BY_BANK_LATER: Duration = Duration::from_secs(900);

/// The memory of one list's completion; it begins with the process.
#[derive(Debug, Default)]
pub(super) struct Completion {
    lookups: Lookups,
    /// Accounts of the last reading, whichever call showed them.
    accounts: HashMap<i64, Discovered>,
    /// Of them, those that no list showed.
    unlisted: Vec<Discovered>,
    /// Customers that no list showed and of whom two calls have not said that they are gone.
    unproven: Vec<i64>,
    /// Failed readings in a row.
    failed: u32,
    by_bank: bool,
    /// When no bank answered either.
    silent_at: Option<Instant>,
    /// Readings in a row in which no bank answered, by troubles that should pass.
    troubled: u32,
}

impl Completion {
    /// Accounts that the last reading lacked, and that are there or may be.
    pub(super) fn unlisted(&self) -> impl Iterator<Item = &Discovered> {
        self.unlisted.iter()
    }

    /// Who may be there although the last reading lacked them.
    pub(super) fn not_absent(&self) -> impl Iterator<Item = SourceId> {
        let unlisted = self.unlisted.iter().map(|found| found.id);
        unlisted.chain(self.unproven.iter().copied()).map(SourceId::Number)
    }

    /// The rows of the accounts' list, and who is there without a row.
    pub(super) async fn of_accounts(
        &mut self,
        api: &Client,
        entity: &Entity,
        listed: Result<Vec<Rows>, Error>,
    ) -> Result<Vec<Rows>, Error> {
        let (answers, whole) = match listed {
            Ok(answers) => (answers, true),
            Err(error) if self.may_ask_by_bank(&error) => {
                (self.ask_by_bank(api, entity, error).await?, false)
            }
            Err(error) => return Err(error),
        };
        if whole {
            (self.failed, self.by_bank, self.silent_at) = (0, false, None);
            self.troubled = 0;
        }
        let found = discover(Stream::Accounts, &answers);
        let listed: HashSet<i64> = answers.iter().flat_map(Rows::iter).filter_map(id_of).collect();
        let mut missing: BTreeSet<i64> = entity.published_ids().await.into_iter().collect();
        missing.extend(self.accounts.keys());
        missing.retain(|id| !listed.contains(id));
        if whole {
            self.look_for(api, entity, &missing).await;
        }
        self.unlisted = missing.into_iter().filter_map(|id| self.account(id, whole)).collect();
        let all = found.into_iter().chain(self.unlisted.iter().cloned());
        self.accounts = all.map(|account| (account.id, account)).collect();
        Ok(answers)
    }

    async fn look_for(&mut self, api: &Client, entity: &Entity, missing: &BTreeSet<i64>) {
        let ask = |id| api.account(Purpose::Repair, id);
        for id in self.lookups.look(missing, Duration::ZERO, ask).await {
            let key = &entity.target.key;
            log_event!(
                Event::EntityUnlisted,
                connection = %key.connection,
                stream = %key.stream,
                entity = id,
                "not listed by the api, and there when asked for by its id: polled as before"
            );
        }
    }

    /// An account that no list shows; `None` where it is proven to be gone.
    fn account(&self, id: i64, whole: bool) -> Option<Discovered> {
        let known = self.accounts.get(&id).cloned();
        let unknown = || known.unwrap_or(Discovered { id, active: true, currency: None });
        match self.lookups.known(id) {
            Known::Gone if whole => None,
            Known::Found(row) => discover(Stream::Accounts, std::slice::from_ref(row))
                .pop()
                .or_else(|| Some(unknown())),
            Known::Gone | Known::Unknown => Some(unknown()),
        }
    }

    fn may_ask_by_bank(&mut self, error: &Error) -> bool {
        self.failed += 1;
        // A call for each bank each minute would take the others' calls.
        if self.silent_at.is_some_and(|at| at.elapsed() < self.hold()) {
            return false;
        }
        match error.retry_class() {
            RetryClass::Permanent | RetryClass::Refused => true,
            RetryClass::Retry { .. } => self.failed >= PATIENCE,
            RetryClass::LockedOut | RetryClass::DatesRequired => false,
        }
    }

    /// How long the banks are left alone after a reading in which none of them answered.
    const fn hold(&self) -> Duration {
        match self.troubled {
            0 => BY_BANK_AGAIN,
            1..BY_BANK_PATIENCE => Duration::ZERO,
            BY_BANK_PATIENCE.. => BY_BANK_LATER,
        }
    }

    /// The accounts that the banks name; a bank that does not answer is left out.
    ///
    /// # Errors
    /// `refused`, where no bank answers either: it is what a person has to look at. Where that may pass,
    /// the trouble of a bank's call, so that it is tried again as soon as after any outage.
    async fn ask_by_bank(
        &mut self,
        api: &Client,
        entity: &Entity,
        refused: Error,
    ) -> Result<Vec<Rows>, Error> {
        let Ok(banks) = api.reference(Purpose::Repair, Stream::Banks).await else {
            return Err(refused);
        };
        let (mut answers, mut silent, mut passing) = (Vec::new(), 0_u32, None);
        for bank in banks.iter().filter_map(id_of) {
            match api.bank_accounts(Purpose::Repair, bank).await {
                Ok(rows) => answers.push(with_bank(&rows, bank)),
                Err(error) => {
                    silent += 1;
                    let may_pass = matches!(error.retry_class(), RetryClass::Retry { .. });
                    passing = passing.or_else(|| may_pass.then_some(error));
                }
            }
        }
        if answers.is_empty() {
            self.silent_at = Some(Instant::now());
            self.troubled = if passing.is_some() { self.troubled + 1 } else { 0 };
            return Err(passing.unwrap_or(refused));
        }
        (self.silent_at, self.troubled) = (None, 0);
        if !std::mem::replace(&mut self.by_bank, true) {
            log_event!(
                Event::AccountsByBank,
                connection = %entity.target.key.connection,
                banks = answers.len(),
                banks_without_answer = silent,
                error = %refused,
                "the list of accounts cannot be had, asking bank by bank"
            );
        }
        Ok(answers)
    }

    /// Customers that payments mention, whole where the API has them: `answers` are the list and the
    /// mentions.
    pub(super) async fn of_customers(
        &mut self,
        api: &Client,
        mut answers: Vec<Rows>,
    ) -> Result<Vec<Rows>, Error> {
        let Some(mentions) = answers.pop() else { return Ok(answers) };
        let ids: BTreeSet<i64> = mentions.iter().filter_map(mentioned_id).collect();
        let ask = |id| api.customer(Purpose::Repair, id);
        self.lookups.look(&ids, CUSTOMER_AGAIN, ask).await;
        let lookups = &self.lookups;
        self.unproven = ids.iter().copied().filter(|id| !lookups.is_gone_for_sure(*id)).collect();
        let whole = |id: i64| match self.lookups.known(id) {
            Known::Found(rows) => Some(rows),
            Known::Gone | Known::Unknown => None,
        };
        answers.extend(ids.iter().filter_map(|id| whole(*id).cloned()));
        let rest = mentions.iter().filter(|row| mentioned_id(row).and_then(whole).is_none());
        answers.push(Rows::from_texts(rest, mentions.fetched_at));
        Ok(answers)
    }
}

fn mentioned_id(row: &str) -> Option<i64> {
    id_of(row.strip_prefix(MENTION_START)?.strip_suffix('}')?)
}

/// The rows with the bank that was asked, where they name none.
fn with_bank(rows: &Rows, bank: i64) -> Rows {
    #[derive(serde::Deserialize)]
    struct Row<'a> {
        #[serde(borrow, rename = "bank_id")]
        _bank_id: &'a serde_json::value::RawValue,
    }
    let texts = rows.iter().map(|row| {
        let named = serde_json::from_str::<Row<'_>>(row).is_ok();
        match row.strip_prefix('{') {
            Some(rest) if !named && rest.trim() != "}" => format!("{{\"bank_id\":{bank},{rest}"),
            _ => row.to_owned(),
        }
    });
    let mut with_bank = Rows::from_texts(texts, rows.fetched_at);
    with_bank.replaced_text = rows.replaced_text;
    with_bank.operation = rows.operation;
    with_bank
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn a_row_gets_the_bank_that_was_asked_unless_it_names_one() {
        let rows = [r#"{"id":1}"#, r#"{"bank_id":null,"id":2}"#, "{ }", "3"];
        let rows = with_bank(&Rows::from_texts(rows, Timestamp(0)), 5);
        let shown: Vec<&str> = rows.iter().collect();
        assert_eq!(shown, [r#"{"bank_id":5,"id":1}"#, r#"{"bank_id":null,"id":2}"#, "{ }", "3"]);
    }

    #[test]
    fn banks_that_go_on_failing_are_asked_less() {
        let hold = |troubled| Completion { troubled, ..Completion::default() }.hold();
        let held = [0, 1, BY_BANK_PATIENCE - 1, BY_BANK_PATIENCE, 99].map(hold);
        let soon = Duration::ZERO;
        assert_eq!(held, [BY_BANK_AGAIN, soon, soon, BY_BANK_LATER, BY_BANK_LATER]);
    }
}
