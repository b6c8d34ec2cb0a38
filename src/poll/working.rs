//! A digest in the making: one row after the other, parts of a transaction's size.

use std::{borrow::Cow, sync::Arc};

use crate::{
    domain::{
        content::Content,
        ids::SourceId,
        meta::EventMeta,
        quarantine::QuarantinedRow,
        record::Op,
        time::{Day, Timestamp},
        vocabulary::Source,
        warnings::{Warning, Warnings},
    },
    mapping::{
        HASH_RULE, Mapped, Rejection, content_hash, event_id, outgrown, rejected_hash,
        shown_beginning,
    },
    publish::{
        batch::{Batch, EventHeaders, EventRecord, StateRecord},
        encode,
        group::{BYTES_MAX, ROWS_MAX},
    },
    state::{
        changelog::EntityState,
        codec,
        position::believable_top,
        seen::{Published, SeenRow, Staging},
    },
};

use super::{
    digest::{Answer, Digest, Reason, Target},
    kinds::event_type,
    plan::{SETTLED_DAYS, Schedule, Window},
};

/// What the value of a record may have: with key and headers it is no more than a topic takes where
/// nobody set another limit (1,048,588).
const RECORD_BYTES_MAX: usize = 1_000_000;
/// What the masked row in a record of the quarantine may have; a privacy rule may make a long hash of
/// each of thousands of short texts.
const RAW_BYTES_MAX: usize = 900_000;
/// The stream name in the event ids of quarantined rows.
const QUARANTINE: &str = "quarantine";

pub(super) struct Working<'a> {
    target: &'a Target,
    state: &'a EntityState,
    answer: &'a Answer<'a>,
    /// When the part of the answer was complete that holds the row at hand.
    fetched_at: Timestamp,
    window: (Option<Timestamp>, Option<Timestamp>),
    digest: Digest,
    part: Batch,
    part_bytes: usize,
    scratch: Vec<u8>,
    /// `ce_type` texts that were needed so far: one or two.
    kinds: Vec<(&'static str, Op, Arc<str>)>,
}

/// Warnings and unknown fields of a row.
type Remarks<'a> = (Warnings, Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// What memory says of a row, and what becomes of it.
enum Decision {
    /// Published before, or never to be published.
    Known,
    /// A customer whom the list had whole and a payment mentions: known, and not shown by the list.
    OnlyMentioned,
    /// To be published as this version; `unseen` where memory has nothing of it.
    Publish { op: Op, version: u32, late: bool, unseen: bool },
}

impl<'a> Working<'a> {
    pub(super) fn new(target: &'a Target, state: &'a EntityState, answer: &'a Answer<'a>) -> Self {
        Self {
            target,
            state,
            answer,
            fetched_at: answer.fetched_at,
            window: window_instants(answer.window),
            digest: Digest::default(),
            part: Batch::default(),
            part_bytes: 0,
            scratch: Vec::with_capacity(1024),
            kinds: Vec::new(),
        }
    }

    /// True where the row is published by it; `json` is what it was mapped from.
    pub(super) fn take_row(
        &mut self,
        json: &str,
        mut mapped: Mapped<'a>,
    ) -> Result<bool, encode::Error> {
        self.fetched_at = self.answer.fetched_at_of(json);
        let hash = content_hash(&mapped.record, HASH_RULE, &mut self.scratch);
        self.digest.counts.unknown_fields += u64::from(mapped.unknown_fields);
        let place = self.place(&mapped.window_days, mapped.day);
        let decision = self.decide(&mapped, hash, place);
        if !matches!(decision, Decision::OnlyMentioned) {
            self.note(&mapped.source_id);
        }
        self.date(mapped.newest_at, matches!(decision, Decision::Publish { .. }));
        let Decision::Publish { op, version, late, unseen } = decision else {
            self.digest.counts.unchanged += 1;
            return Ok(false);
        };
        let mut warnings = mapped.warnings;
        if late {
            warnings.insert(Warning::Late);
        }
        // A row that comes back has its own key.
        if let (true, Some(key)) = (unseen, mapped.source_key)
            && self.digest.staging.has_source_key(&self.state.seen, key)
        {
            warnings.insert(Warning::RepeatedSourceKey);
        }
        let event = self.event(&mut mapped, (op, version, warnings), hash)?;
        let bytes = event.value.as_ref().map_or(0, Vec::len);
        if bytes > RECORD_BYTES_MAX {
            let rejection = outgrown(self.target.key.stream, json, &mapped, bytes);
            let (id, hash) = self.name_rejection(json, &rejection);
            self.quarantine(json, rejection, (id, hash))?;
            return Ok(false);
        }
        match op {
            Op::Created => self.digest.counts.new += 1,
            Op::Updated | Op::Deleted => self.digest.counts.changed += 1,
        }
        self.publish(event, mapped, (version, hash), place);
        Ok(true)
    }

    /// | memory | becomes |
    /// |---|---|
    /// | same content as was published, whatever went to quarantine since | nothing |
    /// | another content | UPDATED, next version |
    /// | a customer as the list has it, who is mentioned with less | nothing; two such reads, and it is gone from the list |
    /// | deleted, or only ever quarantined | CREATED, next version; LATE as a row without memory |
    /// | nothing, and older than memory reaches, at or below the cursor | nothing: known territory |
    /// | nothing | CREATED, version 1; LATE at or below the cursor unless backfilling |
    fn decide(&mut self, mapped: &Mapped<'_>, hash: u128, place: Place) -> Decision {
        let seen = &self.state.seen;
        match self.digest.staging.get(seen, &mapped.source_id) {
            Some((row, day)) => {
                let mentioned = is_mention(&mapped.record);
                let same = is_published(&row, &mapped.record, hash, &mut self.scratch);
                let fresh = row.deleted || row.version == 0;
                let partial = row.partial || mentioned;
                let unsure_day = row.unsure_day || place.unsure;
                let key = self.own_key(mapped);
                let noted = (row.partial, row.unsure_day, row.key.as_deref());
                if same && (partial, unsure_day, key) != noted {
                    // Written by a program that did not note it.
                    let key = key.map(Into::into);
                    self.remember(day, SeenRow { partial, unsure_day, key, ..row });
                    return Decision::Known;
                }
                if same {
                    return Decision::Known;
                }
                if mentioned && !row.partial && !fresh {
                    return Decision::OnlyMentioned;
                }
                let op = if fresh { Op::Created } else { Op::Updated };
                let version = row.version.saturating_add(1);
                let late = fresh && self.is_late(&mapped.source_id);
                Decision::Publish { op, version, late, unseen: false }
            }
            None if self.is_known_territory(&mapped.source_id, place.day) => Decision::Known,
            None => {
                let late = self.is_late(&mapped.source_id);
                Decision::Publish { op: Op::Created, version: 1, late, unseen: true }
            }
        }
    }

    /// Rows that memory no longer reaches were published long ago; they are never new again. Nor are
    /// those that a look-back for all accounts shows of days before an account's own beginning,
    /// where that account has no cursor yet.
    fn is_known_territory(&self, id: &SourceId, day: Day) -> bool {
        let Some(checkpoint) = &self.state.checkpoint else { return false };
        let forgotten = day < checkpoint.seen_from;
        match self.answer.reason {
            Reason::Backfill | Reason::List => false,
            Reason::Live => forgotten && !self.is_above_cursor(id, true),
            Reason::LookBack => forgotten && !self.is_above_cursor(id, false),
        }
    }

    /// Whether it is above the cursor. `unread`: what counts where there is no cursor yet, and for ids that
    /// are no numbers.
    fn is_above_cursor(&self, id: &SourceId, unread: bool) -> bool {
        let checkpoint = self.state.checkpoint.as_ref();
        id.number().and_then(|id| checkpoint?.is_below(id)).unwrap_or(unread)
    }

    /// Whether a row that is created comes at or below the cursor; history has none that is late.
    fn is_late(&self, id: &SourceId) -> bool {
        let cursor = self.state.checkpoint.as_ref().and_then(|checkpoint| checkpoint.cursor);
        matches!((id.number(), cursor), (Some(id), Some(cursor)) if id <= cursor)
            && matches!(self.answer.reason, Reason::Live | Reason::LookBack)
    }

    /// What says so of a row, with every privacy rule applied.
    fn event(
        &mut self,
        mapped: &mut Mapped<'a>,
        (op, version, warnings): (Op, u32, Warnings),
        hash: u128,
    ) -> Result<EventRecord, encode::Error> {
        let target = self.target;
        let version_number = i32::try_from(version).unwrap_or(i32::MAX);
        let stream = target.key.stream.name();
        let id = event_id(&target.key.connection, stream, &mapped.source_id, version_number, hash);
        let extras = std::mem::take(&mut mapped.extras);
        let meta = self.meta(id, op, version_number, &mapped.source_id, (warnings, extras));
        // The meta first: what the API does not document lies in it, and is treated with the rest.
        mapped.record.set_meta(meta);
        target.privacy.apply(&mut mapped.record);
        let record = mapped.record.record_name();
        let value = target.encoder.encode(record, &mapped.record)?;
        let key = format!("{}/{}", target.key.connection, mapped.key);
        let topic = target.encoder.topic(record)?;
        let headers = Some(self.headers(id, record, op));
        Ok(EventRecord { topic, key, value: Some(value), headers })
    }

    /// The key of a row's events where that is not its entity: a deletion goes there too.
    fn own_key<'m>(&self, mapped: &'m Mapped<'_>) -> Option<&'m str> {
        let target = &self.target.key;
        let is_own = !target.stream.is_reference() && *mapped.key != *target.entity;
        is_own.then_some(&*mapped.key)
    }

    fn publish(
        &mut self,
        event: EventRecord,
        mapped: Mapped<'a>,
        (version, hash): (u32, u128),
        place: Place,
    ) {
        self.push(event);
        let key = self.own_key(&mapped).map(Into::into);
        let row = SeenRow {
            id: mapped.source_id,
            version,
            published: Some(Published { hash, rule: HASH_RULE }),
            deleted: false,
            quarantined: None,
            partial: is_mention(&mapped.record),
            unsure_day: place.unsure,
            source_key: mapped.source_key,
            key,
        };
        self.remember(place.day, row);
    }

    /// Whether a row that cannot be mapped stands in quarantine as it is.
    pub(super) fn is_quarantined(&self, json: &str, rejection: &Rejection) -> bool {
        let (id, hash) = self.name_rejection(json, rejection);
        let seen = self.digest.staging.get(&self.state.seen, &id);
        seen.is_some_and(|(row, _)| row.quarantined == Some(hash))
    }

    /// What a row that cannot be mapped is known by, and the hash of its text.
    fn name_rejection(&self, json: &str, rejection: &Rejection) -> (SourceId, u128) {
        let hash = rejected_hash(self.target.key.stream, json);
        let by_text = || SourceId::Text(format!("?{hash:032x}").into());
        (rejection.source_id.clone().unwrap_or_else(by_text), hash)
    }

    pub(super) fn take_rejection(
        &mut self,
        json: &str,
        rejection: Rejection,
    ) -> Result<(), encode::Error> {
        self.fetched_at = self.answer.fetched_at_of(json);
        let (id, hash) = self.name_rejection(json, &rejection);
        self.note(&id);
        self.quarantine(json, rejection, (id, hash))
    }

    fn quarantine(
        &mut self,
        json: &str,
        rejection: Rejection,
        (id, hash): (SourceId, u128),
    ) -> Result<(), encode::Error> {
        let target = self.target;
        let known_id = rejection.source_id.clone();
        let kept = self.place(&rejection.window_days, rejection.day);
        let seen = self.digest.staging.get(&self.state.seen, &id);
        let is_new = seen.is_none();
        let seen = seen.map(|(row, _)| row);
        let (published, known) =
            seen.as_ref().map_or((0, false), |row| (row.version, row.quarantined == Some(hash)));
        if known || (is_new && self.is_known_territory(&id, kept.day)) {
            self.digest.counts.unchanged += 1;
            return Ok(());
        }
        let version = i32::try_from(published).unwrap_or(i32::MAX);
        let event = event_id(&target.key.connection, QUARANTINE, &id, version, hash);
        let shown = known_id.unwrap_or_else(|| SourceId::Text("".into()));
        let meta = self.meta(event, Op::Created, version, &shown, (Warnings::NONE, Vec::new()));
        let mut raw = target.privacy.apply_to_raw(target.key.stream, &rejection.raw);
        if raw.len() > RAW_BYTES_MAX {
            raw = shown_beginning(json);
        }
        let row = QuarantinedRow {
            meta,
            stream: target.key.stream.name().into(),
            entity: target.key.entity.as_ref().into(),
            reason: rejection.reason,
            field: rejection.field.map(Cow::Borrowed),
            detail: rejection.detail.to_string().into(),
            raw: raw.into(),
        };
        let value = target.encoder.encode(QuarantinedRow::NAME, &row)?;
        // Beside the rows that could be mapped.
        let place = rejection.key.as_deref().unwrap_or(&target.key.entity);
        let key = format!("{}/{place}", target.key.connection);
        let topic = target.encoder.topic(QuarantinedRow::NAME)?;
        let headers = Some(self.headers(event, QuarantinedRow::NAME, Op::Created));
        self.push(EventRecord { topic, key, value: Some(value), headers });
        self.digest.quarantined.push(rejection.reason);
        let row = SeenRow {
            id,
            version: published,
            // Kept, so that the row's return as it was is no change, and its return after a deletion
            // is one.
            published: seen.as_ref().and_then(|row| row.published),
            deleted: seen.as_ref().is_some_and(|row| row.deleted),
            quarantined: Some(hash),
            partial: seen.as_ref().is_some_and(|row| row.partial),
            unsure_day: kept.unsure,
            // Its deletion is told under the key of its events.
            source_key: seen.as_ref().and_then(|row| row.source_key),
            key: seen.and_then(|row| row.key),
        };
        self.remember(kept.day, row);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Digest {
        self.close_part();
        let cursor = self.state.checkpoint.as_ref().and_then(|checkpoint| checkpoint.cursor);
        let ids = self.digest.present.iter().filter_map(SourceId::number);
        self.digest.highest_id = believable_top(ids, cursor);
        self.digest
    }

    fn note(&mut self, id: &SourceId) {
        self.digest.present.push(id.clone());
    }

    /// A row that is dated ahead says when it was first shown, and no more: one with a slipped year
    /// would be the newest for years, and its stream never quiet.
    fn date(&mut self, at: Option<Timestamp>, is_news: bool) {
        let shown_at = self.fetched_at;
        let at = at.filter(|at| is_news || *at <= shown_at).map(|at| at.min(shown_at));
        self.digest.newest_at = self.digest.newest_at.max(at);
    }

    fn meta<'m>(
        &self,
        event_id: uuid::Uuid,
        op: Op,
        version: i32,
        source_id: &SourceId,
        (warnings, extras): Remarks<'m>,
    ) -> EventMeta<'m>
    where
        'a: 'm,
    {
        EventMeta {
            event_id,
            connection_id: self.target.key.connection.as_str(),
            source: Source::of(self.target.key.stream),
            op,
            version,
            source_id: Cow::Owned(source_id.to_string()),
            fetched_at: self.fetched_at,
            window_start: self.window.0,
            window_end: self.window.1,
            warnings,
            extras,
        }
    }

    /// Rows are kept under their newest date, value dates of the next weeks included: which of its
    /// dates makes the API serve a POS row is not documented, and a row that memory has forgotten
    /// while it is still being served would look new. Where its dates lie far apart, or none can be
    /// read, a read of days that lacks the row proves little.
    fn place(&self, days: &[Option<Day>], day: Option<Day>) -> Place {
        let today = self.fetched_at.local_day();
        let (oldest, newest) = (days.iter().flatten().min(), days.iter().flatten().max());
        let settled = |(oldest, newest): (&Day, &Day)| newest.0 - oldest.0 <= SETTLED_DAYS;
        let unsure = !oldest.zip(newest).is_some_and(settled);
        let newest = newest.copied().or(day).unwrap_or(today);
        Place {
            day: newest.min(today.plus(FUTURE_DAYS_MAX)),
            unsure: unsure && Schedule::asks_by_days(self.target.key.stream),
        }
    }

    fn headers(&mut self, id: uuid::Uuid, record: &'static str, op: Op) -> EventHeaders {
        EventHeaders {
            id,
            source: Arc::clone(&self.target.ce_source),
            kind: self.kind(record, op),
            time: self.fetched_at,
        }
    }

    fn kind(&mut self, record: &'static str, op: Op) -> Arc<str> {
        let known = self.kinds.iter().find(|(r, o, _)| (*r, *o) == (record, op));
        if let Some((_, _, kind)) = known {
            return Arc::clone(kind);
        }
        let kind: Arc<str> = event_type(record, op).into();
        self.kinds.push((record, op, Arc::clone(&kind)));
        kind
    }

    fn push(&mut self, event: EventRecord) {
        self.part_bytes += event.key.len() + event.value.as_ref().map_or(0, Vec::len);
        self.part.events.push(event);
    }

    fn remember(&mut self, day: Day, row: SeenRow) {
        self.digest.staging.put(&self.state.seen, day, row);
        if self.part.events.len() >= ROWS_MAX || self.part_bytes >= BYTES_MAX {
            self.close_part();
        }
    }

    /// Ends a part: its events, and the chunks as they are after it.
    fn close_part(&mut self) {
        let mut part = std::mem::take(&mut self.part);
        self.part_bytes = 0;
        part.state = chunk_records(self.target, &mut self.digest.staging);
        if !part.is_empty() {
            self.digest.parts.push(part);
        }
    }
}

/// The state records of every chunk that changed since the last call.
pub(super) fn chunk_records(target: &Target, staging: &mut Staging) -> Vec<StateRecord> {
    staging
        .take_unwritten()
        .into_iter()
        .map(|(id, chunk)| StateRecord {
            key: codec::chunk_key(&target.key, id),
            value: chunk.map(codec::encode_chunk),
        })
        .collect()
}

/// Whether this content of a row is the one that was last published and stands in its topic.
pub(super) fn is_published(
    row: &SeenRow,
    record: &Content<'_>,
    hash: u128,
    scratch: &mut Vec<u8>,
) -> bool {
    let Some(published) = row.published.filter(|_| !row.deleted) else { return false };
    if published.rule == HASH_RULE {
        return published.hash == hash;
    }
    // An upgrade that maps one more field must re-emit nothing.
    published.hash == content_hash(record, published.rule, scratch)
}

/// A customer as a payment knows it.
fn is_mention(record: &Content<'_>) -> bool {
    matches!(record, Content::Customer(customer) if customer.partial)
}

/// A date further ahead than this is a slip, and must not be remembered for years.
const FUTURE_DAYS_MAX: i32 = 90;

/// Where memory keeps a row.
#[derive(Debug, Clone, Copy)]
struct Place {
    day: Day,
    /// No day says which reads must show it.
    unsure: bool,
}

fn window_instants(window: Option<Window>) -> (Option<Timestamp>, Option<Timestamp>) {
    let Some(window) = window else { return (None, None) };
    let end = Timestamp(window.to.plus(1).start().0 - 1000);
    (Some(window.from.start()), Some(end))
}
