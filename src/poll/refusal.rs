//! Answers of which nothing may be published.

use crate::{domain::time::Day, mapping::Rejection, publish::encode};

use super::{digest::Target, plan::Window};

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
