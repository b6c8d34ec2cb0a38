//! What the desk shows after each step, with a journal that confirms whatever it is given.

use std::{sync::mpsc, thread};

use super::*;
use crate::{
    config::model::{Kafka, Privacy},
    publish::{encode::local_ids, group},
    sink::{
        ledger::Stories,
        tests::{
            NO_LIMITS, NOON, POLICY, SECOND, after, approved, brakes, doubted, intended, key_of,
            not_sent, parked, received_as, refund, rejected, resolved, story_of,
        },
    },
    telemetry::metrics::Metrics,
};

/// A desk, what it writes, and who arrives.
pub(in crate::sink) struct Office {
    pub(in crate::sink) desk: Arc<Desk>,
    pub(in crate::sink) metrics: Arc<Metrics>,
    pub(in crate::sink) written: mpsc::Receiver<Write>,
    pub(in crate::sink) arrived: tokio::sync::mpsc::UnboundedReceiver<CommandKey>,
}

impl Office {
    /// After a restore that found these open commands; no connection is configured.
    pub(in crate::sink) fn with(open: &[Entry]) -> Self {
        Self::of(HashMap::new(), open)
    }

    /// The same with these connections' clients.
    pub(in crate::sink) fn of(clients: HashMap<ConnectionId, Client>, open: &[Entry]) -> Self {
        let metrics = Arc::new(Metrics::new());
        let (publisher, mut inbox) = group::channel::<Write>();
        let fixed = Fixed { clients, ..fixed(&metrics) };
        let witness = Arc::clone(&fixed.witness);
        let (writes, written) = mpsc::channel();
        thread::spawn(move || {
            while let Some(requests) = inbox.gather() {
                for request in requests {
                    // Nobody reads what comes after a test has seen enough.
                    drop(writes.send(request.batch.clone()));
                    let journal = &request.batch.journal;
                    journal.iter().for_each(|r| witness.saw(r.key.as_bytes(), r.value.as_deref()));
                    request.confirm();
                }
            }
        });
        let mut sums = brakes(NO_LIMITS);
        open.iter().for_each(|entry| sums.add(entry));
        let (desk, arrived) =
            Desk::new(fixed, publisher, open.iter().cloned(), sums, Rivals::default());
        Self { desk: Arc::new(desk), metrics, written, arrived }
    }

    /// The gauges: how many are in doubt or parked, and since when the oldest.
    fn shown(&self) -> (i64, f64) {
        let count = self.metrics.commands_in_doubt.with_label_values(&["refund"]).get();
        (count, self.metrics.commands_oldest_in_doubt.get())
    }

    fn counted(&self) -> u32 {
        self.desk.with_brakes(|brakes| brakes.doubts(&key_of("REF-1", 1).connection))
    }
}

/// What never changes, without a connection.
pub(in crate::sink) fn fixed(metrics: &Arc<Metrics>) -> Fixed {
    Fixed {
        epoch: 2,
        policy: POLICY,
        clients: HashMap::new(),
        connections: BTreeMap::new(),
        encoder: Arc::new(Encoder::new(&local_ids(), str::to_owned).unwrap()),
        privacy: Arc::new(PrivacyRules::new(&Privacy::default(), None).unwrap()),
        tally: Tally::new(Arc::clone(metrics), &kafka()),
        index: Arc::new(Index::new(Stories::default(), BTreeMap::new())),
        witness: Arc::default(),
        stop: CancellationToken::new(),
    }
}

/// Names alone; nothing is connected to.
pub(crate) fn kafka() -> Kafka {
    Kafka {
        bootstrap_servers: String::new(),
        group: "g".into(),
        topic_prefix: "v".into(),
        shards: 1,
        replication_factor: 1,
        manage_topics: true,
        properties: BTreeMap::new(),
        property_files: BTreeMap::new(),
        consumer_properties: BTreeMap::new(),
        producer_properties: BTreeMap::new(),
    }
}

fn received(n: u128) -> Entry {
    received_as(key_of("REF-1", n), refund("10.00"))
}

fn doubt_at(ms: i64) -> JournalEvent {
    JournalEvent::Doubted { at: after(ms), detail: "timed out".into() }
}

#[tokio::test]
async fn doubts_are_counted_as_they_begin_and_end() {
    let office = Office::with(&[]);
    office.desk.take_over(vec![(received(1), 0), (received(2), 0)]);
    assert_eq!((office.shown(), office.counted()), ((0, 0.0), 0));
    let since = |ms: i64| after(ms).seconds();
    let mut stories = [received(1), received(2)];
    for (place, event, expected) in [
        (0, intended(1, 2), (0, 0.0)),
        (0, doubt_at(5 * SECOND), (1, since(5 * SECOND))),
        (1, intended(1, 2), (1, since(5 * SECOND))),
        (1, doubt_at(SECOND), (2, since(SECOND))),
        // Parked is a doubt still, since it began.
        (1, parked(), (2, since(SECOND))),
        (1, resolved(true), (1, since(5 * SECOND))),
        (
            0,
            JournalEvent::Inferred { at: after(9 * SECOND), after: crate::sink::tests::paid() },
            (0, 0.0),
        ),
    ] {
        let name = event.name();
        stories[place] = office.desk.record(&stories[place], event).await.unwrap();
        assert_eq!(office.shown(), expected, "after {name} of {place}");
        assert_eq!(i64::from(office.counted()), expected.0, "the brakes agree after {name}");
    }
    assert_eq!(office.desk.open_count(), 0);
}

#[tokio::test]
async fn parked_commands_do_not_count_for_those_under_way() {
    let office = Office::with(&[]);
    office.desk.take_over((0..3).map(|n| (received(n), 0)).collect());
    assert_eq!(office.desk.active_count(), 3);
    let mut story = received(0);
    for (event, expected) in
        [(intended(1, 2), 3), (doubted(), 3), (parked(), 2), (resolved(true), 2)]
    {
        let name = event.name();
        story = office.desk.record(&story, event).await.unwrap();
        assert_eq!(office.desk.active_count(), expected, "after {name}");
    }
    assert_eq!(office.desk.open_count(), 2);
}

#[tokio::test]
async fn a_new_owner_shows_the_doubts_that_it_found() {
    let open = [
        story_of(received(1), [intended(1, 1), doubted(), parked()]),
        story_of(received(2), [intended(1, 1), doubt_at(9 * SECOND)]),
        story_of(received(3), [intended(1, 1)]),
        received(4),
    ];
    let office = Office::with(&open);
    assert_eq!(office.shown(), (2, after(SECOND).seconds()));
    assert_eq!(office.counted(), 3, "one more is going to be a doubt");
    assert_eq!(office.desk.active_count(), 3, "the first one waits for a person");
    office.desk.record(&open[0], resolved(false)).await.unwrap();
    assert_eq!(office.shown(), (1, after(9 * SECOND).seconds()));
    assert_eq!(office.desk.open_count(), 3);
    assert_eq!(office.desk.active_count(), 3, "and none is parked any more");
    assert!(office.desk.entry(open[0].key()).is_none(), "its story is in Kafka");
}

#[tokio::test]
async fn the_result_and_the_story_are_one_write() {
    let office = Office::with(&[]);
    office.desk.take_over(vec![(received(1), 3)]);
    let intended = office.desk.record(&received(1), intended(1, 2)).await.unwrap();
    office.desk.record(&intended, approved()).await.unwrap();
    let writes: Vec<Write> = office.written.try_iter().collect();
    let sizes = writes.iter().map(|write| (write.results.len(), write.journal.len()));
    assert_eq!(sizes.collect::<Vec<_>>(), [(0, 1), (1, 1)]);
    assert!(writes.iter().flat_map(|write| &write.journal).all(|story| story.partition == 3));
    let ends = writes.iter().map(|write| write.journal[0].finished.is_some());
    assert_eq!(ends.collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn a_command_waits_until_it_has_an_answer_or_is_a_doubt() {
    let found = received_as(key_of("REF-9", 9), refund("1.00"));
    let office = Office::with(std::slice::from_ref(&found));
    let shown = || {
        let count = office.metrics.commands_waiting.with_label_values(&["refund"]).get();
        (count, office.metrics.commands_oldest_waiting.get())
    };
    assert_eq!(shown(), (1, NOON.seconds()), "what the journal told waits too");
    office.desk.take_over(vec![(received(1), 0), (received(2), 0)]);
    assert_eq!(shown().0, 3);
    let mut stories = [found, received(1), received(2)];
    for (place, event, expected) in [
        (0, intended(1, 2), 3),
        (0, not_sent(), 3),
        (0, intended(2, 2), 3),
        (0, doubted(), 2),
        (1, intended(1, 2), 2),
        (1, approved(), 1),
        (2, rejected(), 0),
        (0, parked(), 0),
    ] {
        let name = event.name();
        stories[place] = office.desk.record(&stories[place], event).await.unwrap();
        assert_eq!(shown().0, expected, "after {name} of {place}");
    }
    assert_eq!(shown(), (0, 0.0));
}
