//! The limit to compare with: read a command, send the request, write a result. No journal, no
//! transaction, no look at the payment; each payment's commands one after another, as in the sink.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord},
};
use reqwest::header::CONTENT_TYPE;
use tokio::{runtime::Runtime, sync::mpsc, task::JoinSet};

use crate::{api::Api, deployment::PARTITIONS, measure::DEADLINE};

const CALL: Duration = Duration::from_secs(60);

type Lane = mpsc::UnboundedSender<Vec<u8>>;

/// A running loop.
pub(crate) struct Loop {
    thread: std::thread::JoinHandle<()>,
}

impl Loop {
    /// Waits for commands; ends by itself after so many.
    pub(crate) fn start(
        brokers: &str,
        commands: &str,
        results: &str,
        api: &Api,
        count: usize,
    ) -> Self {
        let consumer = consumer(brokers, commands);
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("acks", "all")
            .set("linger.ms", "0")
            .create()
            .unwrap();
        let worker = Arc::new(Worker {
            client: reqwest::Client::new(),
            url: format!("{}/transaction", api.base_url()),
            producer,
            results: results.to_owned(),
        });
        let thread = std::thread::spawn(move || run(&consumer, &worker, count));
        Self { thread }
    }

    /// Until the last result is acknowledged.
    pub(crate) fn wait(self) {
        self.thread.join().expect("the bare loop goes through");
    }
}

struct Worker {
    client: reqwest::Client,
    url: String,
    producer: FutureProducer,
    results: String,
}

impl Worker {
    async fn carry(&self, key: &str, command: &[u8]) {
        let (_, reference) = key.split_once('/').unwrap();
        let body = format!(
            "{{\"transactionType\":\"refund\",\"referanceNo\":\"{reference}\",\"amount\":1.00}}"
        );
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/json");
        let answer = request.body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.bytes().await.unwrap();
        let record = FutureRecord::to(&self.results).key(key).payload(command);
        self.producer.send(record, CALL).await.map_err(|(error, _)| error).unwrap();
    }
}

fn consumer(brokers: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "vomsis-bench-bare")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    consumer
}

fn run(consumer: &BaseConsumer, worker: &Arc<Worker>, count: usize) {
    let runtime = Runtime::new().unwrap();
    let (mut lanes, mut tasks) = (HashMap::<String, Lane>::new(), JoinSet::new());
    let begun = Instant::now();
    let mut read = 0;
    while read < count {
        assert!(begun.elapsed() < DEADLINE, "only {read} commands came");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        let lane = lanes.entry(key.clone()).or_insert_with(|| {
            let (lane, mut commands) = mpsc::unbounded_channel::<Vec<u8>>();
            let worker = Arc::clone(worker);
            let carry = async move {
                while let Some(command) = commands.recv().await {
                    worker.carry(&key, &command).await;
                }
            };
            tasks.spawn_on(carry, runtime.handle());
            lane
        });
        lane.send(message.payload().unwrap().to_vec()).expect("the lane is there");
        read += 1;
    }
    drop(lanes);
    while let Some(ended) = runtime.block_on(tasks.join_next()) {
        ended.expect("a lane goes through");
    }
}
