//! Rows that complete reads no longer show.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    api::Rows,
    domain::{
        ids::SourceId,
        meta::EventMeta,
        quarantine::RowDeletion,
        record::Op,
        time::{Day, Timestamp},
        vocabulary::Source,
        warnings::Warnings,
    },
    mapping::event_id,
    publish::{
        batch::{EventHeaders, EventRecord},
        encode,
    },
    state::seen::{SeenRow, SeenRows, Staging},
};

use super::{digest::Target, kinds::event_type, plan::Window};

const ALL_DAYS: Window = Window { from: Day(i32::MIN), to: Day(i32::MAX) };

/// Rows of live polls that are remembered between two complete reads. While look-backs fail there is
/// no second one: of a row that is pushed out nobody says when it was last seen, and the next
/// complete read that shows it remembers it again.
const FRESH_MAX: usize = 4096;

/// When a row was last there and first was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// The last complete read or live poll that showed it; `None` where this process knows of none.
    pub(super) last_seen: Option<Timestamp>,
    /// The first complete read that lacked it.
    pub(super) first_absent: Timestamp,
    /// The second one.
    pub(super) noticed: Timestamp,
}

/// When the answers of a complete read came: a row that it shows was there at the first of them or
/// later, and one that it lacks was not at the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    first: Timestamp,
    last: Timestamp,
}

impl Span {
    /// Of a read's answers; `None` without any.
    pub fn of<'a>(answers: impl IntoIterator<Item = &'a Rows>) -> Option<Self> {
        let spans = answers.into_iter().map(|rows| Self::at(rows.fetched_at));
        spans.reduce(Self::and)
    }

    /// Of a single answer.
    pub const fn at(at: Timestamp) -> Self {
        Self { first: at, last: at }
    }

    /// Of two parts of a read.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// A complete read.
#[derive(Debug)]
struct Complete {
    read: Span,
    days: Window,
    /// Its rows as sorted hashes, eight bytes a row.
    shown: Vec<u64>,
}

impl Complete {
    fn has_shown(&self, id: &SourceId) -> bool {
        self.shown.binary_search(&hash(id)).is_ok()
    }
}

/// What the reads of an entity have shown and lacked. It begins with the process: of a row that is
/// never shown after a restart, nobody can say when it was last there.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The last complete read.
    complete: Option<Complete>,
    /// Rows that live polls have shown since.
    fresh: HashMap<SourceId, Timestamp>,
    /// Rows that the last complete read lacked: last seen when, first absent when.
    absent: HashMap<SourceId, (Option<Timestamp>, Timestamp)>,
    /// Only rows that this process was shown are missed: what is asked for may have been more before.
    only_shown: bool,
}

impl Watch {
    /// One that has seen nothing yet.
    pub(super) fn new(only_shown: bool) -> Self {
        Self { only_shown, ..Self::default() }
    }

    /// Notes the rows of a live poll; the oldest make room, those of one poll together.
    pub(super) fn note(&mut self, ids: &[SourceId], at: Timestamp) {
        self.fresh.extend(ids.iter().map(|id| (id.clone(), at)));
        let surplus = self.fresh.len().saturating_sub(FRESH_MAX);
        if surplus > 0 {
            let mut times: Vec<Timestamp> = self.fresh.values().copied().collect();
            let (_, newest_of_surplus, _) = times.select_nth_unstable(surplus - 1);
            let out = *newest_of_surplus;
            self.fresh.retain(|_, shown| *shown > out || *shown == at);
        }
    }

    /// Compares a complete read with the published rows of its days: those that it lacks, and the
    /// complete read before it lacked too, are gone. Oldest first. A row whose day is not sure is
    /// missed only by reads of the very days of one that showed it.
    pub(super) fn compare(
        &mut self,
        seen: &SeenRows,
        present: &HashSet<SourceId>,
        days: Window,
        read: Span,
    ) -> Vec<(SourceId, Times)> {
        // The feed and an account's own poller may overtake each other: an older read is no news.
        // What it shows counts all the same: where the clock was set back it is the newest one.
        if self.complete.as_ref().is_some_and(|newest| read.last <= newest.read.last) {
            self.note_again(present, read);
            return Vec::new();
        }
        let before = std::mem::take(&mut self.absent);
        let mut gone = Vec::new();
        let again = self.complete.as_ref().filter(|complete| complete.days == days);
        let unsure = missing(seen, present, ALL_DAYS, true)
            .filter(|id| again.is_some_and(|it| it.has_shown(id) || before.contains_key(id)));
        let sure = missing(seen, present, days, false).filter(|id| {
            !self.only_shown || before.contains_key(id) || self.last_seen(id).is_some()
        });
        let missing: Vec<_> = sure.chain(unsure).collect();
        for id in missing {
            // It may have come after its part of the read.
            if self.fresh.get(&id).is_some_and(|shown| *shown >= read.first) {
                continue;
            }
            let known = before.get(&id).copied();
            let (last_seen, first_absent) =
                known.unwrap_or_else(|| (self.last_seen(&id), read.last));
            if known.is_some() {
                gone.push((id.clone(), Times { last_seen, first_absent, noticed: read.last }));
            }
            self.absent.insert(id, (last_seen, first_absent));
        }
        let mut shown: Vec<u64> = present.iter().map(hash).collect();
        shown.sort_unstable();
        self.complete = Some(Complete { read, days, shown });
        self.fresh.retain(|_, shown| *shown >= read.first);
        gone
    }

    /// Rows that the last complete read lacked, and that are shown all the same, are missed from now on.
    fn note_again(&mut self, present: &HashSet<SourceId>, read: Span) {
        let there: Vec<SourceId> =
            self.absent.keys().filter(|id| present.contains(*id)).cloned().collect();
        for id in there {
            self.absent.remove(&id);
            let shown = self.fresh.entry(id).or_insert(read.first);
            *shown = read.first.max(*shown);
        }
    }

    /// A row's deletion is committed.
    pub(super) fn forget(&mut self, id: &SourceId) {
        self.absent.remove(id);
    }

    fn last_seen(&self, id: &SourceId) -> Option<Timestamp> {
        if let Some(at) = self.fresh.get(id) {
            return Some(*at);
        }
        let complete = self.complete.as_ref()?;
        complete.has_shown(id).then_some(complete.read.first)
    }
}

fn hash(id: &SourceId) -> u64 {
    match id {
        SourceId::Number(id) => xxh3_64(&id.to_le_bytes()),
        SourceId::Text(id) => xxh3_64(id.as_bytes()),
    }
}

/// Published rows of the days that the read does not show, oldest first: those whose day is sure, or
/// the others.
fn missing<'a>(
    seen: &'a SeenRows,
    present: &'a HashSet<SourceId>,
    days: Window,
    unsure: bool,
) -> impl Iterator<Item = SourceId> + use<'a> {
    seen.rows_between(days.from, days.to)
        .filter(move |(row, _)| {
            row.unsure_day == unsure
                && !row.deleted
                && row.version > 0
                && !present.contains(&row.id)
        })
        .map(|(row, _)| row.id)
}

/// The event of a row that is gone, and the memory of it: a `RowDeletion` for transactions, a
/// tombstone for reference data.
pub(super) fn deletion(
    target: &Target,
    seen: &SeenRows,
    id: &SourceId,
    times: Times,
    staging: &mut Staging,
) -> Result<Option<EventRecord>, encode::Error> {
    let Some((row, day)) = seen.get(id) else { return Ok(None) };
    let (key, stream) = (&target.key, target.key.stream);
    let version = row.version.saturating_add(1);
    let hash = row.published.map(|published| published.hash).or(row.quarantined);
    let row_key = row.key.clone().unwrap_or_else(|| (&*key.entity).into());
    // What was unreadable and is back as it was is another coming.
    staging.put(seen, day, SeenRow { deleted: true, version, quarantined: None, ..row });
    if stream.is_reference() {
        let record = crate::domain::schemas::RecordSchema::of(stream).name;
        let topic = target.encoder.topic(record)?;
        let key = format!("{}/{id}", key.connection);
        return Ok(Some(EventRecord { topic, key, value: None, headers: None }));
    }
    let version = i32::try_from(version).unwrap_or(i32::MAX);
    let event = event_id(&key.connection, stream.name(), id, version, hash.unwrap_or_default());
    let source_id = id.to_string();
    let deletion = RowDeletion {
        meta: EventMeta {
            event_id: event,
            connection_id: key.connection.as_str(),
            source: Source::of(stream),
            op: Op::Deleted,
            version,
            source_id: source_id.as_str().into(),
            fetched_at: times.noticed,
            window_start: None,
            window_end: None,
            warnings: Warnings::NONE,
            extras: Vec::new(),
        },
        stream: stream.name().into(),
        entity: key.entity.as_ref().into(),
        source_id: source_id.as_str().into(),
        last_seen_at: times.last_seen,
        first_absent_at: times.first_absent,
    };
    let value = target.encoder.encode(RowDeletion::NAME, &deletion)?;
    let topic = target.encoder.topic(RowDeletion::NAME)?;
    let record_key = format!("{}/{row_key}", key.connection);
    let headers = EventHeaders {
        id: event,
        source: Arc::clone(&target.ce_source),
        kind: event_type(RowDeletion::NAME, Op::Deleted).into(),
        time: times.noticed,
    };
    Ok(Some(EventRecord { topic, key: record_key, value: Some(value), headers: Some(headers) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::seen::Published;

    const DAYS: Window = Window { from: Day(10), to: Day(20) };

    /// Published rows of day 15 with these ids.
    fn seen(ids: &[i64]) -> SeenRows {
        seen_rows(ids, Day(15), false)
    }

    fn seen_rows(ids: &[i64], day: Day, unsure_day: bool) -> SeenRows {
        let (mut seen, mut staging) = (SeenRows::default(), Staging::default());
        for id in ids {
            let row = SeenRow {
                id: SourceId::Number(*id),
                version: 1,
                published: Some(Published { hash: 0, rule: 1 }),
                deleted: false,
                quarantined: None,
                partial: false,
                unsure_day,
                source_key: None,
                key: None,
            };
            staging.put(&seen, day, row);
        }
        seen.apply(staging);
        seen
    }

    fn ids(ids: &[i64]) -> HashSet<SourceId> {
        ids.iter().map(|id| SourceId::Number(*id)).collect()
    }

    /// The times of the one row that is gone.
    fn gone(watch: &mut Watch, seen: &SeenRows, present: &[i64], at: i64) -> Option<Times> {
        let gone = watch.compare(seen, &ids(present), DAYS, Span::at(Timestamp(at)));
        assert!(gone.len() < 2, "{gone:?}");
        gone.first().map(|(_, times)| *times)
    }

    fn times(last_seen: Option<i64>, first_absent: i64, noticed: i64) -> Option<Times> {
        let [first_absent, noticed] = [first_absent, noticed].map(Timestamp);
        Some(Times { last_seen: last_seen.map(Timestamp), first_absent, noticed })
    }

    #[test]
    fn a_row_was_last_seen_by_the_read_before_the_first_that_lacked_it() {
        let (mut watch, seen) = (Watch::default(), seen(&[7, 8]));
        for at in [100, 200] {
            assert_eq!(gone(&mut watch, &seen, &[7, 8], at), None);
        }
        assert_eq!(gone(&mut watch, &seen, &[8], 300), None);
        assert_eq!(gone(&mut watch, &seen, &[8], 400), times(Some(200), 300, 400));
        // not committed: the next read tells the same row again, with the times as they were
        assert_eq!(gone(&mut watch, &seen, &[8], 500), times(Some(200), 300, 500));
    }

    #[test]
    fn a_row_that_came_after_the_last_complete_read_was_seen_by_the_poll_that_brought_it() {
        let mut watch = Watch::default();
        assert_eq!(gone(&mut watch, &seen(&[7]), &[7], 100), None);
        watch.note(&[SourceId::Number(8)], Timestamp(150));
        let seen = seen(&[7, 8]);
        assert_eq!(gone(&mut watch, &seen, &[7], 200), None);
        assert_eq!(gone(&mut watch, &seen, &[7], 300), times(Some(150), 200, 300));
    }

    #[test]
    fn a_row_that_a_restarted_process_never_saw_was_last_seen_nobody_knows_when() {
        let (mut watch, seen) = (Watch::default(), seen(&[7, 8]));
        assert_eq!(gone(&mut watch, &seen, &[8], 300), None);
        assert_eq!(gone(&mut watch, &seen, &[8], 400), times(None, 300, 400));
        watch.forget(&SourceId::Number(7));
        // the other one was seen, and goes later
        assert_eq!(watch.compare(&seen, &ids(&[7]), DAYS, Span::at(Timestamp(500))), []);
        assert_eq!(gone(&mut watch, &seen, &[7], 600), times(Some(400), 500, 600));
    }

    #[test]
    fn a_row_whose_day_is_not_sure_is_missed_only_where_the_same_days_have_shown_it() {
        let (ids_of, later) = (ids, Window { from: Day(11), to: Day(21) });
        // A value date weeks after the day by which the api serves it.
        let seen = seen_rows(&[7], Day(40), true);
        let compare = |watch: &mut Watch, present: &[i64], days, at| {
            watch.compare(&seen, &ids_of(present), days, Span::at(Timestamp(at))).len()
        };
        let mut watch = Watch::default();
        for at in [100, 200, 300] {
            assert_eq!(compare(&mut watch, &[], DAYS, at), 0, "no read has shown it");
        }
        assert_eq!(compare(&mut watch, &[7], DAYS, 400), 0);
        for at in [500, 600, 700] {
            assert_eq!(compare(&mut watch, &[], later, at), 0, "it may be of the day before");
        }
        assert_eq!(compare(&mut watch, &[7], later, 800), 0);
        assert_eq!(compare(&mut watch, &[], later, 900), 0);
        assert_eq!(compare(&mut watch, &[], later, 1000), 1, "twice");
    }

    #[test]
    fn a_row_of_what_is_asked_for_no_longer_is_missed_only_where_it_was_shown_since() {
        let (mut watch, seen) = (Watch::new(true), seen(&[7, 8, 9]));
        for at in [100, 200, 300] {
            assert_eq!(gone(&mut watch, &seen, &[8, 9], at), None, "7 was shown before the start");
        }
        assert_eq!(gone(&mut watch, &seen, &[9], 400), None);
        assert_eq!(gone(&mut watch, &seen, &[9], 500), times(Some(300), 400, 500));
        watch.forget(&SourceId::Number(8));
        watch.note(&[SourceId::Number(7)], Timestamp(600));
        assert_eq!(gone(&mut watch, &seen, &[8, 9], 700), None);
        assert_eq!(gone(&mut watch, &seen, &[8, 9], 800), times(Some(600), 700, 800));
    }

    #[test]
    fn a_read_that_was_overtaken_proves_nothing() {
        let (mut watch, seen) = (Watch::default(), seen(&[7]));
        assert_eq!(gone(&mut watch, &seen, &[7], 100), None);
        assert_eq!(gone(&mut watch, &seen, &[], 200), None);
        assert_eq!(gone(&mut watch, &seen, &[], 150), None, "older than the newest");
        assert_eq!(gone(&mut watch, &seen, &[], 200), None, "the same again");
        assert_eq!(gone(&mut watch, &seen, &[], 300), times(Some(100), 200, 300));
        // a live poll that showed it after the read was made
        let mut watch = Watch::default();
        assert_eq!(gone(&mut watch, &seen, &[7], 100), None);
        assert_eq!(gone(&mut watch, &seen, &[], 200), None);
        watch.note(&[SourceId::Number(7)], Timestamp(350));
        assert_eq!(gone(&mut watch, &seen, &[], 300), None);
        assert_eq!(gone(&mut watch, &seen, &[], 400), None);
        assert_eq!(gone(&mut watch, &seen, &[], 500), times(Some(350), 400, 500));
    }

    #[test]
    fn a_clock_that_is_set_by_an_hour_proves_no_deletion_that_two_reads_in_a_row_do_not() {
        const HOUR: i64 = 3_600_000;
        let seen = seen(&[7]);
        // Set back: what shows the row for an hour is old by the clock, and shows it all the same.
        let mut watch = Watch::default();
        assert_eq!(gone(&mut watch, &seen, &[7], HOUR), None);
        assert_eq!(gone(&mut watch, &seen, &[], HOUR + 100), None);
        assert_eq!(gone(&mut watch, &seen, &[7], 200), None);
        assert_eq!(gone(&mut watch, &seen, &[], HOUR + 300), None, "the first one without it");
        let told = times(Some(200), HOUR + 300, HOUR + 400);
        assert_eq!(gone(&mut watch, &seen, &[], HOUR + 400), told);
        // Set ahead, and back again: for as long nothing is told, and then once.
        let mut watch = Watch::default();
        assert_eq!(gone(&mut watch, &seen, &[7], 100), None);
        assert_eq!(gone(&mut watch, &seen, &[], HOUR + 200), None);
        for at in [300, 400, HOUR + 200] {
            assert_eq!(gone(&mut watch, &seen, &[], at), None, "no newer than the newest");
        }
        let told = times(Some(100), HOUR + 200, HOUR + 300);
        assert_eq!(gone(&mut watch, &seen, &[], HOUR + 300), told);
    }

    #[test]
    fn rows_of_live_polls_do_not_pile_up_while_no_read_is_complete() {
        let mut watch = Watch::default();
        let rows = i64::try_from(FRESH_MAX).unwrap() / 8;
        for poll in 0..100 {
            let ids: Vec<SourceId> = (0..rows).map(|n| SourceId::Number(poll * rows + n)).collect();
            watch.note(&ids, Timestamp(poll));
            assert!(watch.fresh.len() <= FRESH_MAX, "{} rows", watch.fresh.len());
        }
        // The newest are kept, so what came during a read is not counted as missing from it.
        assert!(
            watch.fresh.values().all(|shown| shown.0 >= 92),
            "{:?}",
            watch.fresh.values().min()
        );
        let seen = seen(&[99 * rows]);
        assert_eq!(watch.compare(&seen, &ids(&[]), DAYS, Span::at(Timestamp(99))), []);
        assert!(watch.absent.is_empty());
        // One answer is remembered whole, however large it is.
        let ids: Vec<SourceId> = (0..rows * 9).map(SourceId::Number).collect();
        watch.note(&ids, Timestamp(200));
        assert_eq!(watch.fresh.len(), ids.len());
    }

    #[test]
    fn a_read_of_several_answers_is_counted_against_itself() {
        let (mut watch, seen) = (Watch::default(), seen(&[7, 8]));
        let read = |from, to| Span::at(Timestamp(to)).and(Span::at(Timestamp(from)));
        let mut gone = |present: &[i64], read| watch.compare(&seen, &ids(present), DAYS, read);
        assert_eq!(gone(&[7, 8], read(100, 150)), []);
        assert_eq!(gone(&[8], read(200, 250)), []);
        let found = gone(&[8], read(300, 350));
        assert_eq!(found.first().map(|(_, times)| *times), times(Some(100), 250, 350));
        // A row that a live poll showed within the read may have come after its part of it.
        let mut watch = Watch::default();
        watch.note(&[SourceId::Number(7)], Timestamp(220));
        assert_eq!(watch.compare(&seen, &ids(&[8]), DAYS, read(200, 250)), []);
        assert_eq!(watch.compare(&seen, &ids(&[8]), DAYS, read(300, 350)), []);
        let found = watch.compare(&seen, &ids(&[8]), DAYS, read(400, 450));
        assert_eq!(found.first().map(|(_, times)| *times), times(Some(220), 350, 450));
    }
}
