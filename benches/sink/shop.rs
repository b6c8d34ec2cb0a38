//! Whoever wants refunds.

use std::{collections::HashMap, time::Duration};

use chrono::Utc;
use rdkafka::{
    ClientConfig,
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer},
    types::RDKafkaErrorCode,
};
use uuid::Uuid;
use vomsis_connect::{
    domain::{
        commands::PaymentCommand, money::Money, schemas::PAYMENT_COMMAND, time::Timestamp,
        vocabulary::CommandType,
    },
    publish::encode::Encoder,
};

use crate::{
    api::reference,
    harness::{
        registry::{register, shared_registry},
        wait::GENEROUS,
    },
};

/// The connection that holds every payment.
pub(crate) const CONNECTION: &str = "acme";

/// Sends commands into one topic.
pub(crate) struct Shop {
    producer: BaseProducer,
    encoder: Encoder,
    topic: String,
}

impl Shop {
    pub(crate) fn new(brokers: &str, topic: &str) -> Self {
        let subject = format!("{topic}-value");
        let id = register(shared_registry().url(), &subject, PAYMENT_COMMAND.json);
        let encoder =
            Encoder::new(&HashMap::from([(PaymentCommand::NAME, id)]), str::to_owned).unwrap();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("partitioner", "murmur2_random")
            .create()
            .unwrap();
        Self { producer, encoder, topic: topic.to_owned() }
    }

    /// Hands over a refund of one lira of the n-th payment.
    pub(crate) fn send(&self, n: usize) {
        let reference = reference(n);
        let command = PaymentCommand {
            command_id: Uuid::new_v4().to_string().into(),
            r#type: CommandType::Refund,
            connection_id: CONNECTION.into(),
            reference_no: reference.as_str().into(),
            amount: Money::parse("1.00").ok(),
            currency: Some("TRY".into()),
            reason: Some("order 4711 came back".into()),
            requested_by: "shop".into(),
            requested_at: Timestamp::from_utc(Utc::now()),
            expires_at: None,
        };
        let key = format!("{CONNECTION}/{reference}");
        let value = self.encoder.encode(PaymentCommand::NAME, &command).unwrap();
        let mut record = BaseRecord::to(&self.topic).key(&key).payload(&value);
        while let Err((error, back)) = self.producer.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            assert_eq!(error, full, "sending a command");
            record = back;
            self.producer.poll(Duration::from_millis(1));
        }
    }

    /// Waits until the broker has what was sent.
    pub(crate) fn flush(&self) {
        self.producer.flush(GENEROUS).expect("the broker takes the commands");
    }
}
