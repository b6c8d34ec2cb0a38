//! Transactions that end right after their first record: their producer is thrown away, the next one is
//! there at once, and what was confirmed stands there once.

use std::{collections::BTreeMap, sync::Arc, thread, time::Duration};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use vomsis_connect::{
    config::model::Kafka,
    domain::{
        ids::{ConnectionId, EntityKey, Stream},
        time::{Day, Timestamp},
    },
    kafka::{
        context::Sent,
        settings::{deployment, shard_transactional_id},
        topics::{ASSIGNMENT, STATE},
        verdict::Verdict,
    },
    publish::{
        batch::{Batch, EventRecord, StateRecord},
        transaction::{Lost, Outgoing, Transactions},
    },
    shards::restore::{Locked, Request, lock_and_restore},
    state::{codec, note::Note, position::Checkpoint},
};

use crate::harness::{
    kafka::shared_broker,
    random::Random,
    topics::{create_topic, ends, read_to_end, unique_prefix},
};

/// Together 200 transactions that end behind their first record, each of a producer of its own.
const SHARDS: i64 = 8;
const ROUNDS: i64 = 5;
/// So many of them follow each other before one is confirmed.
const AT_A_TIME: i64 = 5;
const ENV: &str = "test";
const ABANDONED: &[u8] = b"abandoned";

/// One shard's topics, with nobody else at them.
struct Shard {
    kafka: Kafka,
    entity: EntityKey,
    note: Option<Note>,
}

impl Shard {
    fn new() -> Self {
        let prefix = unique_prefix("aborted");
        let kafka = Kafka {
            bootstrap_servers: shared_broker().bootstrap().to_owned(),
            group: prefix.clone(),
            topic_prefix: prefix,
            shards: 1,
            replication_factor: 1,
            manage_topics: true,
            properties: BTreeMap::default(),
            property_files: BTreeMap::default(),
            consumer_properties: BTreeMap::default(),
            producer_properties: BTreeMap::default(),
        };
        let brokers = &kafka.bootstrap_servers;
        create_topic(brokers, &kafka.topic(STATE), 1, &[("cleanup.policy", "compact")]);
        create_topic(brokers, &kafka.topic(ASSIGNMENT), 1, &[]);
        create_topic(brokers, &events(&kafka), 1, &[]);
        let entity = EntityKey {
            connection: ConnectionId::try_new("acme").unwrap(),
            stream: Stream::BankTransactions,
            entity: "73".into(),
        };
        Self { kafka, entity, note: None }
    }

    /// The way into the shard after each loss; fails the test where it is not there at the first try.
    fn restore(&mut self) -> Locked {
        let request = Request {
            env: ENV.to_owned(),
            kafka: self.kafka.clone(),
            shard: 0,
            note: self.note.clone(),
            store: None,
            believes_cache: true,
            connections: Arc::default(),
            progress: Arc::default(),
            stop: CancellationToken::new(),
        };
        let locked = lock_and_restore(&request).unwrap();
        self.note = Some(locked.note.clone());
        locked
    }

    /// The cursor that a restored shard has.
    fn cursor(&self, locked: &Locked) -> Option<i64> {
        let mut entities = locked.state.entities();
        let found = entities.find(|(key, _)| **key == self.entity);
        found.and_then(|(_, state)| state.checkpoint.as_ref()).and_then(|found| found.cursor)
    }

    /// A row and the checkpoint that proves it.
    fn batch(&self, row: i64) -> Batch {
        let event = EventRecord {
            topic: events(&self.kafka).into(),
            key: "acme/73".to_owned(),
            value: Some(row.to_string().into_bytes()),
            headers: None,
        };
        let mut checkpoint = Checkpoint::initial(Day(19_000), Timestamp(0));
        checkpoint.raise_cursor(row);
        let state = StateRecord {
            key: codec::checkpoint_key(&self.entity),
            value: Some(codec::encode_checkpoint(&checkpoint)),
        };
        Batch { events: vec![event], state: vec![state] }
    }

    /// A new producer of the shard whose first transaction ends behind its first record, which is
    /// then somewhere between here and the broker's disk.
    fn abandon(&self, pause: Duration) {
        let id = shard_transactional_id(&deployment(ENV, &self.kafka), 0);
        let topic = events(&self.kafka);
        let mut producer = Transactions::lock(&self.kafka, id.clone()).unwrap();
        let lost = producer.commit(|open| {
            open.send(Outgoing {
                topic: &topic,
                partition: None,
                key: Some(b"acme/73"),
                value: Some(ABANDONED),
                headers: None,
                sent: Sent::Event,
            })?;
            thread::sleep(pause);
            Err(Lost {
                step: "test",
                transactional_id: id.clone(),
                verdict: Verdict::Failed,
                is_refused: false,
                is_regression: false,
                reason: Uuid::new_v4().to_string(),
            })
        });
        assert_eq!(lost.unwrap_err().step, "test");
    }
}

fn events(kafka: &Kafka) -> String {
    kafka.topic(Stream::BankTransactions.topic_suffix())
}

#[test]
fn two_hundred_transactions_that_end_behind_their_first_record_cost_nothing() {
    let mut random = Random::seeded("aborted");
    // Most of a producer's life is waiting, so shards go side by side.
    let written: i64 = thread::scope(|scope| {
        let shards: Vec<_> = (0..SHARDS)
            .map(|_| {
                let random = random.fork();
                scope.spawn(|| abandon_and_confirm(random))
            })
            .collect();
        shards.into_iter().map(|shard| shard.join().expect("a shard failed, see above")).sum()
    });
    let all = SHARDS * ROUNDS * AT_A_TIME;
    println!("{written} of {all} were written before they were abandoned");
    assert!(all == 200 && written > all / 4, "{written} of {all} were on the broker's disk");
}

/// The rounds of one shard; how many records were written and abandoned.
fn abandon_and_confirm(mut random: Random) -> i64 {
    let mut shard = Shard::new();
    let mut confirmed = None;
    for row in 1..=ROUNDS {
        for _ in 0..AT_A_TIME {
            // The record is still here, under way, or written.
            shard.abandon(Duration::from_millis(random.below(12)));
        }
        let mut locked = shard.restore();
        assert_eq!(shard.cursor(&locked), confirmed, "nothing of what was abandoned counts");
        let end = locked.writer.commit(&[&shard.batch(row)]).unwrap();
        shard.note = shard.note.map(|note| Note { end, ..note });
        confirmed = Some(row);
    }
    let topic = events(&shard.kafka);
    let visible = read_to_end(&shard.kafka.bootstrap_servers, &topic);
    let visible: Vec<_> = visible.into_iter().map(|record| record.value.unwrap()).collect();
    let expected: Vec<_> = (1..=ROUNDS).map(|row| row.to_string().into_bytes()).collect();
    assert_eq!(visible, expected, "each once, and nothing else");
    // Each record that was written has a marker behind it.
    (ends(&shard.kafka.bootstrap_servers, &topic)[&0].1 - 2 * ROUNDS) / 2
}
