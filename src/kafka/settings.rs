//! Every librdkafka client of the program and its settings, in one table.

use std::collections::BTreeMap;

use rdkafka::{ClientConfig, config::RDKafkaLogLevel, error::KafkaError};
use tracing::Level;

use crate::config::model::Kafka;

use super::context::TARGET;

/// A client's job; it decides the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Writes a shard, or the payment journal, exactly once under this transactional id.
    Writer {
        /// As [`shard_transactional_id`] and [`sink_transactional_id`] make it.
        transactional_id: String,
    },
    /// Reads a state or journal partition to its end.
    StateReader,
    /// Takes part in a group that places work.
    GroupMember {
        /// The group's name.
        group: String,
    },
    /// Reads payment commands from offsets that it is told; never commits.
    CommandReader,
    /// Writes what people say: single records, no transaction.
    Speaker,
    /// Reads topics for people; never commits.
    Viewer,
    /// Creates and describes topics.
    Admin,
}

impl Role {
    const fn is_producer(&self) -> bool {
        matches!(self, Self::Writer { .. } | Self::Speaker)
    }

    /// Whether the client reads.
    pub const fn is_consumer(&self) -> bool {
        matches!(
            self,
            Self::StateReader | Self::GroupMember { .. } | Self::CommandReader | Self::Viewer
        )
    }
}

/// The settings of a client: ours as defaults, the operator's over them, then what the protocol
/// depends on, which nobody may change (the configuration refuses it already).
///
/// # Errors
/// A property file that cannot be read, and a value that librdkafka refuses, by name.
pub fn client_config(kafka: &Kafka, role: &Role) -> Result<ClientConfig, KafkaError> {
    let mut config = ClientConfig::new();
    config.set_log_level(log_level());
    config.set("bootstrap.servers", &kafka.bootstrap_servers);
    config.set("client.id", "vomsis-connect");
    put(&mut config, defaults(role));
    put_all(&mut config, &kafka.properties);
    for (key, file) in &kafka.property_files {
        // Read for each client that is made, so that a rotated password is the one that is used.
        let value = std::fs::read_to_string(file).map_err(|error| {
            let file = file.display();
            KafkaError::ClientCreation(format!("{key}: cannot read {file}: {error}"))
        })?;
        config.set(key, value.trim_end_matches(['\r', '\n']));
    }
    if role.is_producer() {
        put_all(&mut config, &kafka.producer_properties);
    }
    if role.is_consumer() {
        put_all(&mut config, &kafka.consumer_properties);
    }
    put(&mut config, protocol(role));
    trust_the_system(&mut config);
    match role {
        Role::Writer { transactional_id } => {
            config.set("transactional.id", transactional_id);
        }
        Role::StateReader | Role::CommandReader | Role::Viewer => {
            // assign() wants a group id even though nothing is ever committed under it.
            config.set("group.id", format!("{}.reader", kafka.group));
        }
        Role::GroupMember { group } => {
            config.set("group.id", group);
        }
        Role::Speaker | Role::Admin => {}
    }
    config.create_native_config().map_err(|error| without_value(error, kafka))?;
    Ok(config)
}

/// Whether no client could be made of the settings, or of the files that they name: whatever the
/// brokers do, they were not asked.
pub const fn is_unmade(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_)
    )
}

/// librdkafka's error repeats the value, and so would every line of the log about it.
fn without_value(error: KafkaError, kafka: &Kafka) -> KafkaError {
    match error {
        KafkaError::ClientConfig(verdict, says, key, _) => {
            let says = match kafka.property_files.get(&key) {
                Some(file) => format!("librdkafka refuses what stands in {} for", file.display()),
                None => format!("{}: set by", says.trim()),
            };
            KafkaError::ClientConfig(verdict, says, key, "in the configuration".to_owned())
        }
        KafkaError::Nul(_) => KafkaError::ClientCreation(
            "a zero byte stands in kafka.properties or in a file that it names".to_owned(),
        ),
        other => other,
    }
}

/// The authorities that this machine trusts, where the operator names none. The OpenSSL in this
/// binary was built elsewhere and knows no folder of certificates, and librdkafka does not look for
/// one: without this every broker with a public certificate is refused. `SSL_CERT_FILE` counts
/// here as it does for the APIs.
fn trust_the_system(config: &mut ClientConfig) {
    let is_named = ["ssl.ca.location", "ssl.ca.pem"].iter().any(|key| config.get(key).is_some());
    let protocol = config.get("security.protocol").unwrap_or_default();
    if is_named || !protocol.to_ascii_lowercase().ends_with("ssl") {
        return;
    }
    let found = openssl_probe::probe();
    if let Some(place) = found.cert_file.or_else(|| found.cert_dir.into_iter().next()) {
        config.set("ssl.ca.location", place.to_string_lossy());
    }
}

/// What a client says of itself goes to `tracing` when it is polled; what then still waits is written
/// raw to stderr by librdkafka when the client goes. So it only says what is going to be shown.
fn log_level() -> RDKafkaLogLevel {
    if tracing::enabled!(target: TARGET, Level::TRACE) {
        RDKafkaLogLevel::Debug
    } else if tracing::enabled!(target: TARGET, Level::DEBUG) {
        RDKafkaLogLevel::Notice
    } else {
        RDKafkaLogLevel::Critical
    }
}

fn put(config: &mut ClientConfig, settings: &[(&str, &str)]) {
    for (key, value) in settings {
        config.set(*key, *value);
    }
}

fn put_all(config: &mut ClientConfig, settings: &BTreeMap<String, String>) {
    for (key, value) in settings {
        config.set(key, value);
    }
}

/// What an operator may change.
const fn defaults(role: &Role) -> &'static [(&'static str, &'static str)] {
    match role {
        Role::Writer { .. } => &[
            ("compression.type", "lz4"),
            ("linger.ms", "2"),
            // librdkafka waits for the queue with poll(); 64 MB bound the memory of one shard.
            ("queue.buffering.max.kbytes", "65536"),
            ("queue.buffering.max.messages", "100000"),
            ("batch.size", "1000000"),
            // Fewer usual events than a batch has room for: one that is full by its number of records is
            // sent at once, any other waits for the linger (`publish/ahead`).
            ("batch.num.messages", "1000"),
            // As much as a broker takes: a refused command is passed on with headers that it came without.
            ("message.max.bytes", "1048588"),
        ],
        // What is fetched ahead stays resident after a restore: threads come and go, the
        // allocator keeps what they had. So little is full at once, and a full queue would pause
        // the fetches of its partitions for a second.
        Role::StateReader => &[
            ("fetch.wait.max.ms", "50"),
            ("queued.max.messages.kbytes", "4096"),
            ("fetch.queue.backoff.ms", "5"),
        ],
        Role::GroupMember { .. } => &[
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "2000"),
            ("queued.max.messages.kbytes", "1024"),
        ],
        Role::CommandReader => &[
            ("fetch.wait.max.ms", "500"),
            ("queued.max.messages.kbytes", "8192"),
            // From which the lag is told.
            ("statistics.interval.ms", "5000"),
        ],
        Role::Viewer => &[("fetch.wait.max.ms", "100"), ("queued.max.messages.kbytes", "16384")],
        Role::Speaker => &[("delivery.timeout.ms", "20000")],
        Role::Admin => &[],
    }
}

/// What the protocol depends on.
const fn protocol(role: &Role) -> &'static [(&'static str, &'static str)] {
    match role {
        Role::Writer { .. } => &[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            // What a transaction may take before the broker aborts it.
            ("transaction.timeout.ms", "10000"),
            // So that this very client sees the true end of the state partition.
            ("isolation.level", "read_uncommitted"),
            ("partitioner", "murmur2_random"),
        ],
        Role::Speaker => {
            &[("enable.idempotence", "true"), ("acks", "all"), ("partitioner", "murmur2_random")]
        }
        Role::StateReader => &[
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "error"),
            ("enable.auto.commit", "false"),
        ],
        // What an upstream system did not commit is no command. Offsets are told or found out
        // before; one that is gone by then must not silently become another.
        Role::CommandReader => &[
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "error"),
            ("enable.auto.commit", "false"),
        ],
        Role::GroupMember { .. } => &[
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "earliest"),
            // From which it is told whether the coordinator is reached, every few seconds.
            ("statistics.interval.ms", "5000"),
            ("enable.auto.commit", "false"),
        ],
        Role::Viewer => &[
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "earliest"),
            ("enable.auto.commit", "false"),
        ],
        Role::Admin => &[],
    }
}

/// What the transactional ids of a deployment begin with: those of another one fence none of them.
pub fn deployment(env: &str, kafka: &Kafka) -> String {
    format!("{env}.{}.{}", kafka.topic_prefix, kafka.group)
}

/// The transactional id of a deployment's shard: the same for every replica, so the newest fences
/// the others.
pub fn shard_transactional_id(deployment: &str, shard: i32) -> String {
    format!("{deployment}.src.v1.{shard}")
}

/// The transactional id of the payment sink: the same for every replica, so the newest owner
/// fences the one before.
pub fn sink_transactional_id(env: &str, kafka: &Kafka) -> String {
    format!("{}.sink.v1", deployment(env, kafka))
}

/// The group that chooses the owner of the payment sink and remembers how far commands are taken.
pub fn sink_group(kafka: &Kafka) -> String {
    format!("{}.sink", kafka.group)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka() -> Kafka {
        Kafka {
            bootstrap_servers: "localhost:9092".into(),
            group: "g".into(),
            topic_prefix: "vomsis".into(),
            shards: 8,
            replication_factor: 1,
            manage_topics: true,
            property_files: BTreeMap::new(),
            properties: [("socket.keepalive.enable".into(), "true".into())].into(),
            consumer_properties: [("fetch.wait.max.ms".into(), "7".into())].into(),
            producer_properties: [
                ("compression.type".into(), "zstd".into()),
                ("acks".into(), "1".into()),
            ]
            .into(),
        }
    }

    #[test]
    fn operators_change_defaults_but_never_the_protocol() {
        let role = Role::Writer { transactional_id: "t".into() };
        let config = client_config(&kafka(), &role).unwrap();
        assert_eq!(config.get("compression.type"), Some("zstd"));
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(config.get("socket.keepalive.enable"), Some("true"));
        assert_eq!(config.get("fetch.wait.max.ms"), None);
        let reader = client_config(&kafka(), &Role::StateReader).unwrap();
        assert_eq!(reader.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(reader.get("isolation.level"), Some("read_committed"));
    }

    #[test]
    fn a_value_from_a_file_that_is_refused_is_named_by_key_and_file_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "canary").unwrap();
        for key in ["security.protocol", "sasl.pasword"] {
            let property_files = [(key.to_owned(), file.clone())].into();
            let kafka = Kafka { property_files, ..kafka() };
            let error = client_config(&kafka, &Role::Admin).unwrap_err();
            assert!(matches!(error, KafkaError::ClientConfig(..)), "{error}");
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(key) && shown.contains("secret"), "{shown}");
            assert!(!shown.contains("canary"), "{shown}");
        }
        let properties = [("socket.timeout.ms".to_owned(), "0".to_owned())].into();
        let error = client_config(&Kafka { properties, ..kafka() }, &Role::Admin).unwrap_err();
        assert!(error.to_string().contains("outside allowed range"), "{error}");
    }

    #[test]
    fn over_tls_the_machine_s_authorities_are_trusted_unless_others_are_named() {
        let place = |properties: &[(&str, &str)]| {
            let properties = properties.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
            let kafka = Kafka { properties, ..kafka() };
            let config = client_config(&kafka, &Role::Admin).unwrap();
            config.get("ssl.ca.location").map(str::to_owned)
        };
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[("security.protocol", "SASL_PLAINTEXT")]), None);
        let found = openssl_probe::probe();
        let known = found.cert_file.or_else(|| found.cert_dir.into_iter().next()).unwrap();
        for protocol in ["SSL", "sasl_ssl"] {
            assert_eq!(place(&[("security.protocol", protocol)]).unwrap(), known.to_string_lossy());
        }
        let named = [("security.protocol", "SSL"), ("ssl.ca.location", "/ca.pem")];
        assert_eq!(place(&named).as_deref(), Some("/ca.pem"));
    }

    #[test]
    fn transactional_ids_differ_by_environment_prefix_group_and_shard() {
        let deployment = deployment("prod", &kafka());
        assert_eq!(shard_transactional_id(&deployment, 3), "prod.vomsis.g.src.v1.3");
        assert_eq!(sink_transactional_id("prod", &kafka()), "prod.vomsis.g.sink.v1");
    }
}
