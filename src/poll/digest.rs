//! An answer's rows against what has been seen: which are new, which changed, and the batches
//! that say so. Pure: no clock, no network; the same rows and the same memory give the same bytes.

use std::sync::Arc;

use crate::{
    api::Rows,
    config::model::{Connection, DateType},
    domain::{
        content::Content,
        ids::{EntityKey, SourceId, Stream},
        time::{Day, Timestamp},
        vocabulary::RejectionReason,
    },
    mapping::{Mapped, PrivacyRules, Rejection, RowContext, map_row},
    publish::{
        batch::Batch,
        encode::{self, Encoder},
    },
    state::{changelog::EntityState, seen::Staging},
};

use super::{plan::Window, working::Working};

/// Rows of one entity in an answer from which the share of bad ones is judged.
const BAD_RATIO_ROWS_MIN: usize = 20;
/// How the customer inside a virtual-POS row is handed to the customers' list.
pub const MENTION_START: &str = "{\"musteri\":";

/// What stays the same for all answers of one entity.
#[derive(Debug)]
pub struct Target {
    /// Whose rows.
    pub key: EntityKey,
    /// Schemas, ids and topics.
    pub encoder: Arc<Encoder>,
    /// What leaves the process how.
    pub privacy: Arc<PrivacyRules>,
    /// Which bank date decides.
    pub date_type: DateType,
    /// Carry unknown fields.
    pub carry_extras: bool,
    /// The share of bad rows above which nothing is published.
    pub max_bad_ratio: f64,
    /// `/vomsis/<connection>/<stream>`.
    pub ce_source: Arc<str>,
}

impl Target {
    /// One entity of a connection.
    pub fn new(
        config: &Connection,
        key: EntityKey,
        encoder: Arc<Encoder>,
        privacy: Arc<PrivacyRules>,
        max_bad_ratio: f64,
    ) -> Self {
        let bank = config.streams.bank_transactions.as_ref();
        Self {
            ce_source: format!("/vomsis/{}/{}", key.connection, key.stream).into(),
            key,
            encoder,
            privacy,
            date_type: bank.map_or(DateType::SystemDate, |stream| stream.date_type),
            carry_extras: config.extras,
            max_bad_ratio,
        }
    }
}

/// Why rows were asked for; it decides what an unknown row means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// By the cursor: rows at or below it and older than memory are known territory.
    Live,
    /// A window read again: an unknown row at or below the cursor came late.
    LookBack,
    /// A window read for the first time: every unknown row is new, none is late.
    Backfill,
    /// A whole list.
    List,
}

/// One answer and why it was asked for.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The rows' JSON.
    pub rows: Vec<&'a str>,
    /// Why they were asked for.
    pub reason: Reason,
    /// The days asked for.
    pub window: Option<Window>,
    /// When the answer was complete.
    pub fetched_at: Timestamp,
    /// The body held bytes that are no text.
    pub replaced_text: bool,
    /// TOS' own id of the answer.
    pub gateway_object_id: Option<&'a str>,
    /// The account's currency, where reference data knows it.
    pub entity_currency: Option<&'a str>,
}

impl<'a> Answer<'a> {
    /// What several answers to one question say together, in decision order; `now` counts where
    /// there is no answer.
    pub fn of(
        answers: &'a [Rows],
        reason: Reason,
        window: Option<Window>,
        entity_currency: Option<&'a str>,
        now: Timestamp,
    ) -> Self {
        let mut rows: Vec<&str> = Vec::with_capacity(answers.iter().map(Rows::len).sum());
        for answer in answers {
            let start = rows.len();
            rows.extend(answer.iter());
            put_in_order(rows.get_mut(start..).unwrap_or_default());
        }
        Self {
            rows,
            reason,
            window,
            fetched_at: answers.iter().map(|r| r.fetched_at).max().unwrap_or(now),
            replaced_text: answers.iter().any(|r| r.replaced_text),
            gateway_object_id: answers.first().and_then(|r| r.gateway_object_id.as_deref()),
            entity_currency,
        }
    }
}

/// How many rows were what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Never seen before.
    pub new: u64,
    /// Seen with another content.
    pub changed: u64,
    /// Seen as they are.
    pub unchanged: u64,
    /// Gone.
    pub deleted: u64,
    /// Fields that the model does not know.
    pub unknown_fields: u64,
}

/// What an answer changes.
#[derive(Debug, Default)]
pub struct Digest {
    /// To be committed in this order; the last one carries the checkpoint. Empty: nothing to do.
    pub parts: Vec<Batch>,
    /// What memory takes over after the last commit.
    pub staging: Staging,
    /// How many rows were what.
    pub counts: Counts,
    /// Rows sent to quarantine, by reason.
    pub quarantined: Vec<RejectionReason>,
    /// Ids of every row of the answer, one that stands in it twice included.
    pub present: Vec<SourceId>,
    /// The highest id of the answer.
    pub highest_id: Option<i64>,
    /// The newest business time of the answer.
    pub newest_at: Option<Timestamp>,
}

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
        "{bad} of {rows} rows of {entity} cannot be mapped ({first}): the api has probably changed, so nothing is published and the cursor stays; see max_bad_ratio"
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

/// Tells the rows of an answer apart and makes batches of what is new, without the checkpoint.
pub fn digest(
    target: &Target,
    state: &EntityState,
    answer: &Answer<'_>,
) -> Result<Digest, Refusal> {
    let context = RowContext {
        entity_currency: answer.entity_currency,
        carry_extras: target.carry_extras,
        replaced_text: answer.replaced_text,
        gateway_object_id: answer.gateway_object_id,
        ..plain_context(target)
    };
    let mut work = Working::new(target, state, answer);
    let mut rejections = Vec::new();
    let mut outside = 0;
    for json in &answer.rows {
        match map_any(target.key.stream, json, &context) {
            Ok(mapped) => {
                outside += usize::from(!is_inside(answer.window, &mapped.window_days));
                work.take_row(mapped)?;
            }
            Err(rejection) => {
                outside += usize::from(!is_inside(answer.window, &rejection.window_days));
                rejections.push((*json, rejection));
            }
        }
    }
    judge_window(target, answer.window, outside, answer.rows.len())?;
    judge_rejections(target, answer.rows.len(), &rejections)?;
    for (json, rejection) in rejections {
        work.take_rejection(json, rejection)?;
    }
    Ok(work.finish())
}

/// Maps a row of the stream, or a customer mentioned inside a virtual-POS row.
#[expect(clippy::result_large_err, reason = "the record beside it is several times as large")]
fn map_any<'a>(
    stream: Stream,
    json: &'a str,
    context: &RowContext<'_>,
) -> Result<Mapped<'a>, Rejection> {
    if stream != Stream::Customers || !json.starts_with(MENTION_START) {
        return map_row(stream, json, context);
    }
    let mut mapped = map_row(Stream::VirtualPosTransactions, json, context)?;
    if let Some(customer) = mapped.customer.take()
        && let Content::Customer(partial) = &*customer
    {
        mapped.source_id = SourceId::Number(partial.customer_id);
        mapped.key = partial.customer_id.to_string().into();
        mapped.record = *customer;
    }
    Ok(mapped)
}

/// A row is inside when any of its dates is; one without a readable date cannot be judged.
fn is_inside(window: Option<Window>, days: &[Option<Day>]) -> bool {
    let Some(window) = window else { return true };
    let mut readable = days.iter().flatten().peekable();
    readable.peek().is_none() || readable.any(|day| window.contains(*day))
}

fn judge_window(
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

fn judge_rejections(
    target: &Target,
    rows: usize,
    rejections: &[(&str, Rejection)],
) -> Result<(), Refusal> {
    let bad = rejections.len();
    #[expect(clippy::cast_precision_loss, reason = "a ratio of row counts")]
    let ratio = bad as f64 / rows.max(1) as f64;
    if rows >= BAD_RATIO_ROWS_MIN && ratio > target.max_bad_ratio {
        let first = rejections.first().map(|(_, r)| r.detail.to_string()).unwrap_or_default();
        return Err(Refusal::TooManyBad { entity: target.key.to_string(), bad, rows, first });
    }
    Ok(())
}

/// Refuses answers that hold rows outside the window asked for, before the rows are shared out.
///
/// # Errors
/// [`Refusal::OutsideWindow`].
pub fn check_window(
    target: &Target,
    answers: &[Rows],
    window: Option<Window>,
) -> Result<(), Refusal> {
    if window.is_none() {
        return Ok(());
    }
    let context = plain_context(target);
    let days = |json| match map_any(target.key.stream, json, &context) {
        Ok(mapped) => mapped.window_days,
        Err(rejection) => rejection.window_days,
    };
    let rows = answers.iter().flat_map(Rows::iter);
    let outside = rows.filter(|json| !is_inside(window, &days(json))).count();
    judge_window(target, window, outside, answers.iter().map(Rows::len).sum())
}

fn plain_context(target: &Target) -> RowContext<'_> {
    RowContext {
        entity: &target.key.entity,
        date_type: target.date_type,
        entity_currency: None,
        carry_extras: false,
        replaced_text: false,
        gateway_object_id: None,
    }
}

/// Decision order is id order where the API lists the newest first, so that consumers read each
/// key from old to new; any other order is kept.
pub fn put_in_order(rows: &mut [&str]) {
    #[derive(serde::Deserialize)]
    struct Id {
        id: i64,
    }
    let id = |row: Option<&&str>| row.and_then(|row| serde_json::from_str::<Id>(row).ok());
    if let (Some(first), Some(last)) = (id(rows.first()), id(rows.last()))
        && first.id > last.id
    {
        rows.reverse();
    }
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
