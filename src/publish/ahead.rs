//! How far the rows of one key may run ahead of their acknowledgements.
//!
//! librdkafka's idempotent producer has one batch of a partition under way (one of five records or more:
//! it counts records where it means batches). While others of that partition wait longer than their
//! linger, its broker thread polls without a pause, which costs a core for as long as the broker takes.
//! The rows of an answer share their key, and so their partition: they are handed over batch by batch.
//! A batch that is full by its number of records is sent at once; one that is full by bytes waits for the
//! linger, because the client does not count headers towards that.

use rdkafka::ClientConfig;

use super::batch::EventRecord;

/// What an event takes beside its key, its value and the two headers of any length: the other headers, and
/// the framing of a record as librdkafka reckons it, rounded up.
const FRAME_BYTES: usize = 190;
/// What a batch and its request take beside the records, names of topics and ids among them, rounded up.
const BATCH_FRAME_BYTES: usize = 1_000;
/// Where the client's settings do not say; librdkafka's own.
const RECORDS_BY_DEFAULT: usize = 10_000;
const BYTES_BY_DEFAULT: usize = 1_000_000;

/// What the client puts into one batch of a partition, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchLimit {
    records: usize,
    bytes: usize,
}

impl BatchLimit {
    /// As this client will have it.
    pub(super) fn of(config: &ClientConfig) -> Self {
        let set = |name: &str, otherwise: usize| {
            config.get(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
        };
        let bytes = set("batch.size", BYTES_BY_DEFAULT)
            .min(set("message.max.bytes", BYTES_BY_DEFAULT))
            .saturating_sub(BATCH_FRAME_BYTES);
        Self { records: set("batch.num.messages", RECORDS_BY_DEFAULT), bytes }
    }
}

/// The records at the end of a transaction so far that share topic and key, and are not known to be
/// acknowledged.
#[derive(Debug)]
pub(super) struct Ahead<'a> {
    limit: BatchLimit,
    place: Option<(&'a str, &'a str)>,
    records: usize,
    bytes: usize,
}

impl<'a> Ahead<'a> {
    /// Before the first record.
    pub(super) const fn new(limit: BatchLimit) -> Self {
        Self { limit, place: None, records: 0, bytes: 0 }
    }

    /// Whether what was sent must be acknowledged before this event, which comes next: together they
    /// would not fit into one batch. The caller then waits for all of it.
    pub(super) fn must_wait_before(&mut self, event: &'a EventRecord) -> bool {
        let place = (&*event.topic, event.key.as_str());
        let bytes = wire_bytes(event);
        let goes_on = self.place == Some(place);
        let is_full = goes_on
            && (self.records >= self.limit.records || self.bytes + bytes > self.limit.bytes);
        if is_full || !goes_on {
            (self.place, self.records, self.bytes) = (Some(place), 0, 0);
        }
        self.records += 1;
        self.bytes += bytes;
        is_full
    }
}

/// What a record takes in a batch before it is compressed, at most.
fn wire_bytes(event: &EventRecord) -> usize {
    let headers = event.headers.as_ref().map_or(0, |h| h.source.len() + h.kind.len());
    event.key.len() + event.value.as_ref().map_or(0, Vec::len) + headers + FRAME_BYTES
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;
    use uuid::Uuid;

    use super::*;
    use crate::{
        domain::time::Timestamp,
        kafka::settings::{Role, client_config},
        publish::{batch::EventHeaders, transaction::cloud_event_headers},
    };

    fn event(key: &str, bytes: usize) -> EventRecord {
        EventRecord {
            topic: "t".into(),
            key: key.to_owned(),
            value: Some(vec![0; bytes]),
            headers: None,
        }
    }

    fn headers(source: &str, kind: &str) -> EventHeaders {
        EventHeaders {
            id: Uuid::nil(),
            source: source.into(),
            kind: kind.into(),
            time: Timestamp(1),
        }
    }

    fn waits(limit: BatchLimit, events: &[EventRecord]) -> Vec<bool> {
        let mut ahead = Ahead::new(limit);
        events.iter().map(|event| ahead.must_wait_before(event)).collect()
    }

    const RECORDS: BatchLimit = BatchLimit { records: 2, bytes: usize::MAX };
    /// Three records of one byte under a key of one letter.
    const BYTES: BatchLimit = BatchLimit { records: usize::MAX, bytes: 3 * (FRAME_BYTES + 2) };

    #[test]
    fn a_key_waits_after_each_full_batch_and_other_keys_do_not() {
        let one = |key: &str| event(key, 1);
        let events = ["a", "a", "a", "a", "a"].map(one);
        assert_eq!(waits(RECORDS, &events), [false, false, true, false, true]);
        let events = ["a", "a", "b", "b", "a", "a", "a"].map(one);
        assert_eq!(waits(RECORDS, &events), [false, false, false, false, false, false, true]);
    }

    #[test]
    fn another_topic_is_another_partition() {
        let mut events = ["a", "a", "a"].map(|key| event(key, 1));
        events[2].topic = "u".into();
        assert_eq!(waits(RECORDS, &events), [false; 3]);
    }

    #[test]
    fn bytes_fill_a_batch_too() {
        let events = [1, 1, 1, 1, 3].map(|bytes| event("a", bytes));
        assert_eq!(waits(BYTES, &events), [false, false, false, true, false]);
        let events = [1, 1, 2].map(|bytes| event("a", bytes));
        assert_eq!(waits(BYTES, &events), [false, false, true]);
        let mut events = [1, 1, 1].map(|bytes| event("a", bytes));
        events[0].headers = Some(headers("s", "k"));
        assert_eq!(waits(BYTES, &events), [false, false, true], "of any length");
        // One that no batch has room for is the broker's to judge.
        assert_eq!(waits(BYTES, &[event("a", 10_000)]), [false]);
    }

    #[test]
    fn an_event_is_reckoned_at_no_less_than_it_takes() {
        /// `MSGSET` version 2's `MAX_OVERHEAD` of a record.
        const RECORD_HEAD_MAX: usize = 36;
        let event = EventRecord { headers: Some(headers("source", "kind")), ..event("key", 100) };
        let sent = cloud_event_headers(event.headers.as_ref().unwrap(), &Timestamp(1).to_rfc3339());
        // Each name and value comes with its length, one byte as long as it is this short.
        let sizes = sent.iter().map(|h| h.key.len() + h.value.map_or(0, <[u8]>::len) + 2);
        let takes = sizes.sum::<usize>() + RECORD_HEAD_MAX + "key".len() + 100;
        let reckoned = wire_bytes(&event);
        assert!((takes..takes + 30).contains(&reckoned), "{takes} {reckoned}");
    }

    #[test]
    fn the_clients_own_settings_count() {
        let mut config = ClientConfig::new();
        assert_eq!(BatchLimit::of(&config), BatchLimit { records: 10_000, bytes: 999_000 });
        config.set("batch.num.messages", "7").set("batch.size", "5000");
        assert_eq!(BatchLimit::of(&config), BatchLimit { records: 7, bytes: 4_000 });
        config.set("batch.num.messages", "many");
        assert_eq!(BatchLimit::of(&config).records, 10_000, "librdkafka refuses that one");
        config.set("batch.num.messages", "7").set("message.max.bytes", "3000");
        assert_eq!(BatchLimit::of(&config), BatchLimit { records: 7, bytes: 2_000 });
    }

    #[test]
    fn shards_write_batches_of_a_thousand_events() {
        let text = "connections: [{id: a, bank_pos: {app_key_file: k, app_secret_file: s}}]\n";
        let kafka = crate::config::parse("c", text, std::iter::empty()).unwrap().config.kafka;
        let writer = client_config(&kafka, &Role::Writer { transactional_id: "t".to_owned() });
        let limit = BatchLimit::of(&writer.unwrap());
        assert_eq!(limit, BatchLimit { records: 1_000, bytes: 999_000 });
    }
}
