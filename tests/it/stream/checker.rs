//! What exactly once means, checked against the ledger: the same for whatever happened on the way.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use serde_json::{Map, Value};
use vomsis_connect::{
    domain::{
        ids::{EntityKey, Stream},
        time::Day,
    },
    state::changelog::ShardState,
};

use super::truth;
use crate::harness::{
    avro::Decoder,
    source::{SAMPLES, Source},
    topics::{Record, partition_count, read_to_end},
};

/// The streams of rows.
pub(crate) const STREAMS: [Stream; 4] = [
    Stream::BankTransactions,
    Stream::PosTransactions,
    Stream::VirtualPosTransactions,
    Stream::TosPayments,
];

/// Where a test's topics are.
#[derive(Debug, Clone)]
pub(crate) struct Topics<'a> {
    pub(crate) brokers: &'a str,
    pub(crate) registry: &'a str,
    pub(crate) prefix: &'a str,
}

/// What may stand in `meta.warnings` of a created row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    /// No row came late.
    Never,
    /// Rows were added below the cursor: those say so, where they met one.
    Sometimes,
}

/// Whether the documents' own rows are asked for: they lie years back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Samples {
    Included,
    Left,
}

/// One row of one connection.
type RowKey = (String, Stream, String);

/// One event of a row, as a reader gets it.
#[derive(Debug)]
struct Event {
    record: Record,
    meta: Map<String, Value>,
    body: Map<String, Value>,
}

impl Topics<'_> {
    pub(crate) fn name(&self, stream: Stream) -> String {
        format!("{}.{}", self.prefix, stream.topic_suffix())
    }

    /// How many events are visible now.
    pub(crate) fn count_visible(&self) -> usize {
        STREAMS.iter().map(|stream| read_to_end(self.brokers, &self.name(*stream)).len()).sum()
    }

    /// Everything that is claimed of the topics and the state, for every connection: every content
    /// of every row of the ledger once, in order, field by field, and nothing else; the state
    /// knows exactly what is published, and no checkpoint ever went back.
    #[track_caller]
    pub(crate) fn assert_exactly_once(&self, source: &Source, connections: &[&str], late: Late) {
        self.assert_exactly_once_with(source, connections, late, Samples::Left);
    }

    #[track_caller]
    pub(crate) fn assert_exactly_once_with(
        &self,
        source: &Source,
        connections: &[&str],
        late: Late,
        samples: Samples,
    ) {
        let events = self.events();
        assert_ids_are_unique(&events);
        assert_order(&events);
        let mut expected = 0;
        for stream in STREAMS {
            for row in source.simulator.ledger().rows(stream) {
                if samples == Samples::Left && SAMPLES.contains(&row.id) {
                    continue;
                }
                let contents: Vec<_> = row
                    .contents
                    .iter()
                    .map(|content| truth::body(stream, &row.entity, content))
                    .collect();
                let last = row.contents.last().expect("a row has a content");
                let key = truth::key(stream, &row.entity, last);
                for connection in connections {
                    let id = ((*connection).to_owned(), stream, row.id.to_string());
                    let found = events.get(&id).map(Vec::as_slice).unwrap_or_default();
                    assert_history(&id, &format!("{connection}/{key}"), found, &contents, late);
                    expected += 1;
                }
            }
        }
        assert_eq!(events.len(), expected, "rows that no ledger knows are published");
        self.assert_partitions(&events);
        self.assert_state(&events);
    }

    /// Every event by its row, in the order of the offsets.
    fn events(&self) -> BTreeMap<RowKey, Vec<Event>> {
        let decoder = Decoder::new(self.registry);
        let mut events: BTreeMap<RowKey, Vec<Event>> = BTreeMap::new();
        for stream in STREAMS {
            for record in read_to_end(self.brokers, &self.name(stream)) {
                let value = decoder.decode(record.value.as_ref().expect("no tombstone here"));
                let Value::Object(mut body) = value else { panic!("{value}") };
                let Some(Value::Object(meta)) = body.remove("meta") else { panic!("{body:?}") };
                let text = |name: &str| meta[name].as_str().unwrap().to_owned();
                let key = (text("connection_id"), stream, text("source_id"));
                events.entry(key).or_default().push(Event { record, meta, body });
            }
        }
        events
    }

    /// A key's records lie where a Java client would put them.
    fn assert_partitions(&self, events: &BTreeMap<RowKey, Vec<Event>>) {
        let counts: BTreeMap<Stream, u32> = STREAMS
            .iter()
            .map(|stream| (*stream, partition_count(self.brokers, &self.name(*stream))))
            .collect();
        for ((_, stream, id), events) in events {
            for Event { record, .. } in events {
                let key = record.key.as_deref().unwrap_or_default();
                let place = (murmur2(key.as_bytes()) & 0x7fff_ffff) % counts[stream];
                assert_eq!(record.partition.cast_unsigned(), place, "{stream} row {id}, {key}");
            }
        }
    }

    /// The committed state names each published row with its last version, and no row beside; only
    /// rows of days that memory has passed may be missing.
    fn assert_state(&self, events: &BTreeMap<RowKey, Vec<Event>>) {
        let topic = format!("{}.internal.state", self.prefix);
        let records = read_to_end(self.brokers, &topic);
        assert_checkpoints_rise(&records);
        let mut shards: BTreeMap<i32, ShardState> = BTreeMap::new();
        for Record { partition, key, value, .. } in &records {
            let state = shards.entry(*partition).or_default();
            state.apply(key.as_deref().unwrap(), value.as_deref()).unwrap();
        }
        let mut remembered: BTreeSet<RowKey> = BTreeSet::new();
        let mut seen_from: BTreeMap<Stream, Day> = BTreeMap::new();
        for (entity, state) in shards.values().flat_map(ShardState::entities) {
            let EntityKey { connection, stream, .. } = entity;
            if !STREAMS.contains(stream) {
                continue;
            }
            let from = state.checkpoint.as_ref().map_or(Day(0), |checkpoint| checkpoint.seen_from);
            seen_from.entry(*stream).and_modify(|day| *day = from.max(*day)).or_insert(from);
            for (row, _) in state.seen.rows_between(Day(i32::MIN), Day(i32::MAX)) {
                let key = (connection.to_string(), *stream, row.id.to_string());
                let published = events.get(&key).map_or(0, Vec::len);
                assert_eq!(row.version as usize, published, "{key:?}: the version in the state");
                assert!(remembered.insert(key), "{entity}: {:?} is remembered twice", row.id);
            }
        }
        for (key, events) in events {
            let day = events.last().map(|event| booking_day(key.1, &event.body)).unwrap();
            let forgotten = day < seen_from[&key.1].to_date();
            assert!(remembered.contains(key) || forgotten, "{key:?} of {day} is not remembered");
        }
    }
}

/// The day by which a row is found.
fn booking_day(stream: Stream, body: &Map<String, Value>) -> NaiveDate {
    let field = match stream {
        Stream::BankTransactions => "booked_at_local",
        Stream::PosTransactions => "transaction_date",
        Stream::VirtualPosTransactions => "transacted_at_local",
        _ => "payment_date",
    };
    body[field].as_str().and_then(|text| text.get(..10)).unwrap().parse().unwrap()
}

fn assert_ids_are_unique(events: &BTreeMap<RowKey, Vec<Event>>) {
    let mut ids = BTreeSet::new();
    for event in events.values().flatten() {
        let id = event.meta["event_id"].as_str().unwrap();
        assert!(ids.insert(id), "event {id} is published twice: {:?}", event.record);
    }
}

/// New rows of one account or terminal come by their ids: those of one answer, and those of all
/// live polls together, whose cursor only rises. A late one comes when it is found, and says so.
#[track_caller]
fn assert_order(events: &BTreeMap<RowKey, Vec<Event>>) {
    /// Offset, id and event of a row.
    type Place<'a> = (i64, i64, &'a Event);
    let mut by_key: BTreeMap<(Stream, &str), Vec<Place<'_>>> = BTreeMap::new();
    for ((_, stream, id), events) in events {
        let Some(event) = events.first() else { continue };
        let is_late = event.meta["warnings"].as_array().is_some_and(|all| !all.is_empty());
        if !matches!(stream, Stream::BankTransactions | Stream::PosTransactions) || is_late {
            continue;
        }
        let key = event.record.key.as_deref().unwrap_or_default();
        let row = (event.record.offset, id.parse().unwrap(), event);
        by_key.entry((*stream, key)).or_default().push(row);
    }
    for ((stream, key), mut rows) in by_key {
        rows.sort_unstable_by_key(|(offset, ..)| *offset);
        let answer = |event: &Event| ["fetched_at", "window_start"].map(|f| event.meta[f].clone());
        for pair in rows.windows(2) {
            let [(_, before, first), (at, id, event)] = pair else { continue };
            let is_same = answer(first) == answer(event);
            assert!(
                !is_same || before < id,
                "{stream} {key} at {at}: {id} after {before} of one answer"
            );
        }
        rows.retain(|(.., event)| event.meta["window_start"].is_null());
        for pair in rows.windows(2) {
            let [(_, before, _), (at, id, _)] = pair else { continue };
            assert!(before < id, "{stream} {key} at {at}: {id} after {before}, both live");
        }
    }
}

/// Versions 1 to n are the n contents that the row had, in order; everything else fits them.
#[track_caller]
fn assert_history(
    id: &RowKey,
    key: &str,
    events: &[Event],
    contents: &[Map<String, Value>],
    late: Late,
) {
    let versions: Vec<_> =
        events.iter().map(|event| event.meta["version"].as_u64().unwrap()).collect();
    let wanted: Vec<_> = (1..=contents.len() as u64).collect();
    assert_eq!(versions, wanted, "{id:?}: versions in the order of their offsets");
    for (event, content) in events.iter().zip(contents) {
        let mut body = event.body.clone();
        if id.1 == Stream::TosPayments {
            let gateway = body.remove("gateway_object_id");
            assert!(gateway.is_some_and(|id| id.is_string()), "{id:?}: the gateway's own id");
        }
        assert_eq!(&body, content, "{id:?} version {}", event.meta["version"]);
        assert_eq!(event.record.key.as_deref(), Some(key), "{id:?}");
        assert_meta(id, event, late);
    }
    for pair in contents.windows(2) {
        assert_ne!(pair.first(), pair.last(), "{id:?}: the test's own edits change something");
    }
    let partitions: BTreeSet<_> = events.iter().map(|event| event.record.partition).collect();
    assert!(partitions.len() <= 1, "{id:?} lies in partitions {partitions:?}");
}

#[track_caller]
fn assert_meta((connection, stream, id): &RowKey, event: &Event, late: Late) {
    let Event { record, meta, .. } = event;
    let text = |name: &str| meta[name].as_str().unwrap_or_default();
    let (op, kind) = match meta["version"].as_u64() {
        Some(1) => ("CREATED", "created"),
        _ => ("UPDATED", "updated"),
    };
    assert_eq!(text("op"), op, "{stream} {id}");
    assert_eq!(text("source"), truth::source(*stream), "{stream} {id}");
    assert!(meta["extras"].as_object().unwrap().is_empty(), "{stream} {id}: {meta:?}");
    let warnings = meta["warnings"].as_array().unwrap();
    let may_be_late = late == Late::Sometimes && op == "CREATED";
    // What the documents show is made unrecognisable: their numbers do not add up.
    let is_sample = SAMPLES.iter().any(|sample| sample.to_string() == *id);
    let is_blurred = |warning: &Value| warning.as_str().unwrap().starts_with("INVALID_");
    let fits = (is_sample && warnings.iter().all(is_blurred))
        || warnings.is_empty()
        || (may_be_late && warnings[..] == ["LATE"]);
    assert!(fits, "{stream} {id}: {warnings:?}");
    let (start, end) = (text("window_start"), text("window_end"));
    assert!(start <= end && start.is_empty() == end.is_empty(), "{stream} {id}: {start} {end}");
    let headers: BTreeMap<_, _> =
        record.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let source = format!("/vomsis/{connection}/{stream}");
    let event_type = format!("io.vomsis.v1.{}.{kind}", truth::record(*stream));
    let wanted = BTreeMap::from([
        ("ce_specversion", "1.0"),
        ("ce_id", text("event_id")),
        ("ce_source", &source),
        ("ce_type", &event_type),
        ("ce_time", headers.get("ce_time").copied().unwrap_or_default()),
        ("content-type", "application/avro"),
    ]);
    assert_eq!(headers, wanted, "{stream} {id}");
    let instant = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap();
    assert_eq!(instant(headers["ce_time"]), instant(text("fetched_at")), "{stream} {id}");
}

/// In offset order, no field of any entity's checkpoint goes back.
#[track_caller]
pub(crate) fn assert_checkpoints_rise(state: &[Record]) {
    let mut last: HashMap<(i32, &str), (Value, i64)> = HashMap::new();
    let mut count = 0;
    for Record { partition, offset, key, value, .. } in state {
        let key = key.as_deref().unwrap();
        // Kind 1, version 1, then JSON: `state/codec.rs` says so at its top.
        let Some([1, 1, json @ ..]) = value.as_deref() else { continue };
        let new: Value = serde_json::from_slice(json).unwrap();
        count += 1;
        if let Some((old, at)) = last.get(&(*partition, key)) {
            for field in ["cursor", "seen_from", "newest_at", "covered_at"] {
                let (old, new) = (old[field].as_i64(), new[field].as_i64());
                assert!(old <= new, "{key}: {field} {old:?} at {at}, {new:?} at {offset}");
            }
            // Nothing is left to backfill: that stays so.
            let left =
                |checkpoint: &Value| checkpoint["backfill_next"].as_i64().unwrap_or(i64::MAX);
            assert!(left(old) <= left(&new), "{key}: backfill at {at} and {offset}");
            assert_eq!(old["start"], new["start"], "{key}: start at {at} and {offset}");
        }
        last.insert((*partition, key), (new, *offset));
    }
    assert!(count > 0, "no checkpoint was committed");
}

/// `MurmurHash2` as Kafka's Java client computes it.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ u32::try_from(bytes.len()).unwrap();
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let k = u32::from_le_bytes(word.try_into().unwrap()).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ (k ^ (k >> 24)).wrapping_mul(M);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        let mut last = [0; 4];
        last.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}
