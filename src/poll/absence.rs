//! Rows that complete reads no longer show.

use std::{collections::HashSet, sync::Arc};

use crate::{
    domain::{
        ids::SourceId, meta::EventMeta, quarantine::RowDeletion, record::Op, time::Timestamp,
        warnings::Warnings,
    },
    mapping::event_id,
    publish::{
        batch::{EventHeaders, EventRecord},
        encode,
    },
    state::seen::{SeenRow, SeenRows, Staging},
};

use super::{
    digest::Target,
    plan::Window,
    working::{event_type, source_of},
};

/// When a row was last there and first was not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) last_seen: Timestamp,
    pub(super) first_absent: Timestamp,
    pub(super) noticed: Timestamp,
}

/// Published rows of the days that the read should have shown and did not.
pub(super) fn missing(
    seen: &SeenRows,
    present: &HashSet<SourceId>,
    days: Window,
) -> HashSet<SourceId> {
    seen.rows_between(days.from, days.to)
        .filter(|(row, _)| !row.deleted && row.version > 0 && !present.contains(&row.id))
        .map(|(row, _)| row.id)
        .collect()
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
    let hash = row.hash;
    let row_key = row.key.clone().unwrap_or_else(|| (&*key.entity).into());
    staging.put(seen, day, SeenRow { deleted: true, version, ..row });
    if stream.is_reference() {
        let record = crate::domain::schemas::RecordSchema::of(stream).name;
        let topic = target.encoder.topic(record)?;
        let key = format!("{}/{id}", key.connection);
        return Ok(Some(EventRecord { topic, key, value: None, headers: None }));
    }
    let version = i32::try_from(version).unwrap_or(i32::MAX);
    let event = event_id(&key.connection, stream.name(), id, version, hash);
    let source_id = id.to_string();
    let deletion = RowDeletion {
        meta: EventMeta {
            event_id: event,
            connection_id: key.connection.as_str(),
            source: source_of(stream),
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
