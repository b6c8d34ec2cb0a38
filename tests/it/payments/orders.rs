//! Commands as another service would write them: Avro by hand, so that no mistake is shared.

use chrono::{TimeDelta, Utc};
use rdkafka::{
    ClientConfig,
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer},
    types::RDKafkaErrorCode,
};
use uuid::Uuid;
use vomsis_connect::domain::{money::Money, schemas::PAYMENT_COMMAND};

use crate::harness::{registry, wait::GENEROUS};

/// One command; every field may be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) connection: String,
    pub(super) reference: String,
    pub(super) amount: Option<Money>,
    pub(super) currency: Option<&'static str>,
    pub(super) reason: Option<String>,
    pub(super) requested_by: String,
    pub(super) requested_ms: i64,
    pub(super) expires_ms: Option<i64>,
}

impl Order {
    /// A refund of so many hundredths of the connection `acme`.
    pub(super) fn refund(reference: &str, cents: i64) -> Self {
        let amount = Some(Money::from_unscaled(i128::from(cents) * 1000));
        Self { kind: "REFUND", amount, ..Self::cancel(reference) }
    }

    /// A cancel of the connection `acme`.
    pub(super) fn cancel(reference: &str) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            kind: "CANCEL",
            connection: "acme".to_owned(),
            reference: reference.to_owned(),
            amount: None,
            currency: None,
            reason: None,
            requested_by: "shop".to_owned(),
            requested_ms: Utc::now().timestamp_millis(),
            expires_ms: None,
        }
    }

    /// The same, of another connection.
    pub(super) fn of(self, connection: &str) -> Self {
        Self { connection: connection.to_owned(), ..self }
    }

    /// The same, wanted for so long from now on.
    pub(super) fn expiring_in(self, time: TimeDelta) -> Self {
        let expires_ms = Some((Utc::now() + time).timestamp_millis());
        Self { expires_ms, ..self }
    }

    /// The record's key.
    pub(super) fn key(&self) -> String {
        format!("{}/{}", self.connection, self.reference)
    }

    /// The record's value in the Confluent wire format.
    pub(super) fn value(&self, schema_id: u32) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(schema_id.to_be_bytes());
        for field in [self.id.as_str(), self.kind, &self.connection, &self.reference] {
            put_bytes(&mut bytes, field.as_bytes());
        }
        let amount = self.amount.map(|amount| amount.unscaled().to_be_bytes());
        put_option(&mut bytes, amount.as_ref().map(|amount| &amount[..]));
        put_option(&mut bytes, self.currency.map(str::as_bytes));
        put_option(&mut bytes, self.reason.as_deref().map(str::as_bytes));
        put_bytes(&mut bytes, self.requested_by.as_bytes());
        put_long(&mut bytes, self.requested_ms);
        put_long(&mut bytes, i64::from(self.expires_ms.is_some()));
        if let Some(expires_ms) = self.expires_ms {
            put_long(&mut bytes, expires_ms);
        }
        bytes
    }
}

/// Zigzag, seven bits a byte.
fn put_long(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

fn put_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    put_long(bytes, i64::try_from(value.len()).unwrap());
    bytes.extend(value);
}

fn put_option(bytes: &mut Vec<u8>, value: Option<&[u8]>) {
    put_long(bytes, i64::from(value.is_some()));
    if let Some(value) = value {
        put_bytes(bytes, value);
    }
}

/// A service that asks for refunds.
pub(super) struct Shop {
    producer: BaseProducer,
    topic: String,
    schema_id: u32,
}

impl std::fmt::Debug for Shop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shop").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Shop {
    /// Writes to the command topic of a prefix.
    pub(super) fn new(brokers: &str, registry_url: &str, prefix: &str) -> Self {
        let topic = format!("{prefix}.payment.commands");
        let schema_id =
            registry::register(registry_url, &format!("{topic}-value"), PAYMENT_COMMAND.json);
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .create()
            .unwrap();
        Self { producer, topic, schema_id }
    }

    /// The id under which the registry knows the commands' schema.
    pub(super) const fn schema_id(&self) -> u32 {
        self.schema_id
    }

    /// Sends commands in this order, and waits until the broker has them.
    #[track_caller]
    pub(super) fn send<'a>(&self, orders: impl IntoIterator<Item = &'a Order>) {
        for order in orders {
            self.hand_over(&order.key(), &order.value(self.schema_id));
        }
        self.producer.flush(GENEROUS).expect("the broker takes the commands");
    }

    /// Sends any bytes under any key.
    #[track_caller]
    pub(super) fn send_raw(&self, key: &str, value: &[u8]) {
        self.hand_over(key, value);
        self.producer.flush(GENEROUS).expect("the broker takes the record");
    }

    fn hand_over(&self, key: &str, value: &[u8]) {
        let mut record = BaseRecord::to(&self.topic).key(key).payload(value);
        loop {
            match self.producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(std::time::Duration::from_millis(1));
                }
                Err((error, _)) => panic!("sending a command: {error}"),
            }
        }
    }
}

/// Writes one record into a partition of any topic.
#[track_caller]
pub(super) fn produce(brokers: &str, topic: &str, partition: i32, key: &str, value: &[u8]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let record = BaseRecord::to(topic).partition(partition).key(key).payload(value);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(GENEROUS).expect("the broker takes the record");
}

/// Takes back whatever lies under a key.
#[track_caller]
pub(super) fn produce_tombstone(brokers: &str, topic: &str, partition: i32, key: &str) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let record: BaseRecord<'_, str, [u8]> = BaseRecord::to(topic).partition(partition).key(key);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(GENEROUS).expect("the broker takes the record");
}
