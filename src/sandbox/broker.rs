//! The embedded broker: librdkafka's mock cluster.
//!
//! It has no isolation and no fencing, so nothing about exactly-once is ever claimed from it.

use rdkafka::{error::KafkaError, mocking::MockCluster, producer::DefaultProducerContext};

use crate::{config::model::Kafka, kafka::topics};

/// A mock cluster that lives as long as this value.
pub struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("bootstrap", &self.bootstrap_servers()).finish()
    }
}

impl Broker {
    /// Starts one broker on a loopback port of its own.
    pub fn start() -> Result<Self, KafkaError> {
        Ok(Self { cluster: MockCluster::new(1)? })
    }

    /// Where it listens.
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Makes every topic of the deployment.
    pub fn create_topics(&self, kafka: &Kafka) -> Result<(), KafkaError> {
        for topic in topics::desired(kafka, true) {
            self.cluster.create_topic(&topic.name, topic.partitions, 1)?;
        }
        Ok(())
    }
}
