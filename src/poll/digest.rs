//! An answer's rows against what has been seen: which are new, which changed, and the batches
//! that say so. Pure: no clock, no network; the same rows and the same memory give the same bytes.

use std::sync::Arc;

use crate::{
    api::Rows,
    config::model::{Connection, DateType},
    domain::{
        ids::{EntityKey, SourceId, Stream},
        time::Timestamp,
        vocabulary::RejectionReason,
    },
    mapping::{Mapped, PrivacyRules, Rejection, RowContext, map_mentioned_customer, map_row},
    publish::{batch::Batch, encode::Encoder},
    state::{changelog::EntityState, seen::Staging},
};

pub use super::refusal::{Others, Refusal};
use super::{
    fields,
    plan::Window,
    refusal::{Foreign, is_inside, judge_rejections, judge_window},
    repeats::{has_repeats, one_of_each},
    working::Working,
};

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
    /// Of an institution only some sender accounts are asked for: rows of others may be published from
    /// a time when they were asked for too.
    pub some_accounts: bool,
    /// The connection's other accounts or institutions that are followed.
    pub others: Others,
    /// How many days the look-back has, of a stream that is read by days.
    pub lookback_days: Option<i32>,
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
        let others = Others::default();
        if key.stream == Stream::TosPayments {
            let institutions = config.tos.iter().flat_map(|tos| &tos.institutions);
            institutions.for_each(|institution| others.add(&institution.code));
        }
        Self {
            others,
            some_accounts: asks_for_some(config, &key),
            lookback_days: lookback_days(config, key.stream),
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

fn asks_for_some(config: &Connection, key: &EntityKey) -> bool {
    let mut institutions = config.tos.iter().flat_map(|tos| &tos.institutions);
    key.stream == Stream::TosPayments
        && institutions.any(|it| it.code == *key.entity && !it.sender_accounts.is_empty())
}

fn lookback_days(config: &Connection, stream: Stream) -> Option<i32> {
    let streams = &config.streams;
    let following = match stream {
        Stream::BankTransactions => &streams.bank_transactions.as_ref()?.following,
        Stream::PosTransactions => &streams.pos_transactions.as_ref()?.following,
        Stream::TosPayments => &streams.tos_payments.as_ref()?.following,
        _ => return None,
    };
    following.lookback_days.try_into().ok()
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
    /// What the rows were cut out of; empty where nothing tells one answer from another.
    pub parts: &'a [Rows],
    /// When the last part was complete.
    pub fetched_at: Timestamp,
    /// The body held bytes that are no text.
    pub replaced_text: bool,
    /// TOS' own id of the first part.
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
            parts: answers,
            fetched_at: answers.iter().map(|r| r.fetched_at).max().unwrap_or(now),
            replaced_text: answers.iter().any(|r| r.replaced_text),
            gateway_object_id: answers.first().and_then(|r| r.gateway_object_id.as_deref()),
            entity_currency,
        }
    }

    /// The part that a row was cut out of, where there are several: minutes may lie between them.
    fn part_of(&self, row: &str) -> Option<&'a Rows> {
        let parts = if self.parts.len() > 1 { self.parts } else { &[] };
        parts.iter().find(|part| part.holds(row))
    }

    /// When the part was complete that holds a row.
    pub(super) fn fetched_at_of(&self, row: &str) -> Timestamp {
        self.part_of(row).map_or(self.fetched_at, |part| part.fetched_at)
    }

    /// TOS' own id of the part that holds a row.
    fn gateway_object_id_of(&self, row: &str) -> Option<&'a str> {
        match self.part_of(row) {
            Some(part) => part.gateway_object_id.as_deref(),
            None => self.gateway_object_id,
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
    /// Ids that stood in the answer with several contents, of which one counts.
    pub contradictions: u64,
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
    /// Ids of the rows of the answer.
    pub present: Vec<SourceId>,
    /// The highest id of the answer.
    pub highest_id: Option<i64>,
    /// The newest business time of the answer.
    pub newest_at: Option<Timestamp>,
}

/// Tells the rows of an answer apart and makes batches of what is new, without the checkpoint.
///
/// An id that stands in the answer twice is one row: were both its contents taken, each poll would
/// find both changed again. Which of them speaks for it: see [`super::repeats`].
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
    match digest_rows(target, state, answer, &answer.rows, &context) {
        Ok(digest) if !has_repeats(&digest.present) => return Ok(digest),
        // What is bad may be bad because it was counted twice.
        Ok(_) | Err(Refusal::TooManyBad { .. }) => {}
        Err(refusal) => return Err(refusal),
    }
    let (once, contradictions) = one_of_each(target.key.stream, state, &answer.rows, &context);
    let mut digest = digest_rows(target, state, answer, &once, &context)?;
    digest.counts.contradictions = contradictions;
    Ok(digest)
}

fn digest_rows<'a>(
    target: &'a Target,
    state: &'a EntityState,
    answer: &'a Answer<'a>,
    rows: &[&'a str],
    context: &RowContext<'_>,
) -> Result<Digest, Refusal> {
    let mut work = Working::new(target, state, answer);
    let (mut rejections, mut lessened) = (Vec::new(), Vec::new());
    let (mut outside, mut foreign) = (0, Foreign::default());
    for json in rows {
        let gateway_object_id = answer.gateway_object_id_of(json);
        match map_any(target.key.stream, json, &RowContext { gateway_object_id, ..*context }) {
            Ok(mapped) => {
                outside += usize::from(!is_inside(answer.window, &mapped.window_days));
                foreign.look_at(target, &mapped.key);
                let unreadable = mapped.warnings.unreadable_field();
                if work.take_row(json, mapped)? {
                    lessened.extend(unreadable);
                }
            }
            Err(rejection) => {
                outside += usize::from(!is_inside(answer.window, &rejection.window_days));
                foreign.look_at_bad(target, json);
                rejections.push((*json, rejection));
            }
        }
    }
    judge_window(target, answer.window, outside, rows.len())?;
    foreign.judge(target, rows.len())?;
    // Bad rows that were let pass before do not count: they would stand in the way of every later
    // row of their days.
    let news = rejections.iter().filter(|(json, rejection)| !work.is_quarantined(json, rejection));
    let news: Vec<&Rejection> = news.map(|(_, rejection)| rejection).collect();
    judge_rejections(target, rows.len(), &news, &lessened)?;
    for (json, rejection) in rejections {
        work.take_rejection(json, rejection)?;
    }
    Ok(work.finish())
}

/// Maps a row of the stream, or a customer mentioned inside a virtual-POS row. One that cannot be
/// read goes to quarantine as a customer does, and leaves the payment alone.
#[expect(clippy::result_large_err, reason = "the record beside it is several times as large")]
pub(super) fn map_any<'a>(
    stream: Stream,
    json: &'a str,
    context: &RowContext<'_>,
) -> Result<Mapped<'a>, Rejection> {
    let mentioned = || json.strip_prefix(MENTION_START)?.strip_suffix('}');
    match (stream, mentioned()) {
        (Stream::Customers, Some(customer)) => map_mentioned_customer(customer, context),
        _ => map_row(stream, json, context),
    }
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
    let id = |row: Option<&&str>| row.and_then(|row| id_of(row));
    if let (Some(first), Some(last)) = (id(rows.first()), id(rows.last()))
        && first > last
    {
        rows.reverse();
    }
}

/// The id of a row whose id is a number, written as one or as a text.
pub(super) fn id_of(row: &str) -> Option<i64> {
    fields::number(row, "id")
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
