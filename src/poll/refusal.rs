//! Answers of which nothing may be published.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    domain::{
        ids::{EntityKey, Stream},
        time::Day,
    },
    mapping::Rejection,
    publish::encode,
};

use super::{digest::Target, fields, plan::Window};

/// Rows of one entity in an answer from which the share of bad ones is judged.
const BAD_RATIO_ROWS_MIN: usize = 20;

/// Why nothing of an answer may be published.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The API ignored the dates.
    #[error(
        "{outside} of {rows} rows of {entity} lie outside the window {from} to {to}: the api ignored the dates, so the window is not believed and the cursor stays; ask the provider whether the date format changed"
    )]
    OutsideWindow {
        /// Whose rows.
        entity: String,
        /// How many lie outside.
        outside: usize,
        /// Of how many.
        rows: usize,
        /// First day asked for.
        from: chrono::NaiveDate,
        /// Last day asked for.
        to: chrono::NaiveDate,
    },
    /// The API showed what belongs to another account or institution.
    #[error(
        "{foreign} of {rows} rows of {entity} belong to another one that is followed too, the first of them to {owner}: the api did not keep to what it was asked for, so nothing of the answer is published and the cursor stays; tell the provider"
    )]
    OfAnother {
        /// Whose rows were asked for.
        entity: String,
        /// Whom the first of the others names.
        owner: String,
        /// How many name another one.
        foreign: usize,
        /// Of how many.
        rows: usize,
    },
    /// Too many rows cannot be mapped.
    #[error(
        "{bad} of {rows} rows of {entity} cannot be mapped, or not whole ({first}): the api has probably changed, so nothing is published and the cursor stays; see max_bad_ratio"
    )]
    TooManyBad {
        /// Whose rows.
        entity: String,
        /// How many are bad.
        bad: usize,
        /// Of how many.
        rows: usize,
        /// What is wrong with the first of them.
        first: String,
    },
    /// A mistake of this program.
    #[error(transparent)]
    Encode(#[from] encode::Error),
}

/// A row is inside when any of its dates is; one without a readable date cannot be judged.
pub(super) fn is_inside(window: Option<Window>, days: &[Option<Day>]) -> bool {
    let Some(window) = window else { return true };
    let mut readable = days.iter().flatten().peekable();
    readable.peek().is_none() || readable.any(|day| window.contains(*day))
}

/// # Errors
/// [`Refusal::OutsideWindow`] where `outside` of the answer's rows lie outside the window.
pub(super) fn judge_window(
    target: &Target,
    window: Option<Window>,
    outside: usize,
    rows: usize,
) -> Result<(), Refusal> {
    match window {
        Some(window) if outside > 0 => Err(Refusal::OutsideWindow {
            entity: target.key.to_string(),
            outside,
            rows,
            from: window.from.to_date(),
            to: window.to.to_date(),
        }),
        _ => Ok(()),
    }
}

/// The accounts or institutions of a connection that are followed, the one asked for among them: their
/// rows come with their own answers.
#[derive(Debug, Clone, Default)]
pub struct Others(Arc<RwLock<BTreeSet<String>>>);

impl Others {
    /// Notes one that is followed from now on.
    pub fn add(&self, code: &str) {
        let mut codes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        codes.insert(bare_code(code).to_owned());
    }

    /// Notes one that the source has closed: another may show its rows from now on.
    pub fn remove(&self, code: &str) {
        let mut codes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        codes.remove(bare_code(code));
    }

    fn has(&self, code: &str) -> bool {
        let codes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        codes.contains(bare_code(code))
    }
}

/// Rows of an answer that name another account or institution than the one asked for, which is followed
/// itself: each would be published once more by its own poller.
///
/// A row that names none, or one that nobody follows, is published by whoever gets it: the API may know
/// an account by several ids. POS rows and payments of the list name none.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    rows: usize,
    owner: Option<String>,
}

impl Foreign {
    /// Looks at the key of a row's record, which ends with the owner that it names.
    pub(super) fn look_at(&mut self, target: &Target, record_key: &str) {
        let entity = &*target.key.entity;
        // The feed for all accounts shares rows out by what they name.
        if record_key == entity
            || entity == EntityKey::WHOLE
            || !matches!(target.key.stream, Stream::BankTransactions | Stream::TosPayments)
        {
            return;
        }
        if bare_code(record_key) != bare_code(entity) && target.others.has(record_key) {
            self.rows += 1;
            self.owner.get_or_insert_with(|| record_key.trim().to_owned());
        }
    }

    /// Looks at a row that cannot be mapped.
    pub(super) fn look_at_bad(&mut self, target: &Target, json: &str) {
        let owner = match target.key.stream {
            Stream::BankTransactions => {
                fields::number(json, "bank_account_id").map(|id| Cow::Owned(id.to_string()))
            }
            Stream::TosPayments => fields::text(json, "InstitutionCode").map(Cow::Borrowed),
            _ => None,
        };
        owner.into_iter().for_each(|owner| self.look_at(target, &owner));
    }

    /// # Errors
    /// [`Refusal::OfAnother`] where there was one among the answer's rows.
    pub(super) fn judge(self, target: &Target, rows: usize) -> Result<(), Refusal> {
        match self.owner {
            Some(owner) => Err(Refusal::OfAnother {
                entity: target.key.to_string(),
                owner,
                foreign: self.rows,
                rows,
            }),
            None => Ok(()),
        }
    }
}

/// A code that was sent as a number has lost its zeros.
fn bare_code(code: &str) -> &str {
    code.trim().trim_start_matches('0')
}

/// # Errors
/// [`Refusal::TooManyBad`] where more than the entity's share of an answer cannot be mapped, or would
/// lose a field: `lessened` are the fields, one a row. Both are those that are new.
pub(super) fn judge_rejections(
    target: &Target,
    rows: usize,
    rejections: &[&Rejection],
    lessened: &[&'static str],
) -> Result<(), Refusal> {
    let bad = rejections.len() + lessened.len();
    #[expect(clippy::cast_precision_loss, reason = "a ratio of row counts")]
    let ratio = bad as f64 / rows.max(1) as f64;
    if rows >= BAD_RATIO_ROWS_MIN && ratio > target.max_bad_ratio {
        let rejected = rejections.first().map(|rejection| rejection.detail.as_str());
        let first = rejected.or_else(|| lessened.first().copied()).unwrap_or_default().to_owned();
        return Err(Refusal::TooManyBad { entity: target.key.to_string(), bad, rows, first });
    }
    Ok(())
}
