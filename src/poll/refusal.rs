//! Answers of which nothing may be published.

use std::borrow::Cow;

use crate::{
    domain::{ids::Stream, time::Day},
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
        "{foreign} of {rows} rows of {entity} belong to another one, the first of them to {owner}: the api did not keep to what it was asked for, so nothing of the answer is published and the cursor stays; tell the provider"
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

/// Rows of an answer that name another account or institution than the one asked for: whoever that
/// is has them in its own answers, and each row would come once more.
///
/// A row that names none belongs to the one asked for. POS rows and payments of the list name none.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    rows: usize,
    owner: Option<String>,
}

impl Foreign {
    /// Looks at the key of a row's record, which ends with the owner that it names.
    pub(super) fn look_at(&mut self, target: &Target, record_key: &str) {
        let entity = &*target.key.entity;
        let same = match target.key.stream {
            Stream::BankTransactions => record_key == entity,
            Stream::TosPayments => {
                record_key == entity || bare_code(record_key) == bare_code(entity)
            }
            _ => true,
        };
        if !same {
            self.rows += 1;
            self.owner.get_or_insert_with(|| shown_code(record_key));
        }
    }

    /// Looks at a row that cannot be mapped.
    pub(super) fn look_at_bad(&mut self, target: &Target, json: &str) {
        let owner = match target.key.stream {
            Stream::BankTransactions => {
                fields::number(json, "bank_account_id").map(|id| Cow::Owned(id.to_string()))
            }
            Stream::TosPayments => fields::text(json, "InstitutionCode")
                .filter(|code| is_plain_code(code.trim()))
                .map(Cow::Borrowed),
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

fn is_plain_code(code: &str) -> bool {
    (1..=20).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What stands in the place of a code may be anything.
fn shown_code(code: &str) -> String {
    let code = code.trim();
    if is_plain_code(code) { code.to_owned() } else { "something that is no code".to_owned() }
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
