//! Which librdkafka settings are the operator's, and which belong to the protocol.

use serde_json::{Value, json};

use super::error::Problem;

/// Above this every transaction would wait for the linger, and so would each batch of it that is not full by
/// its number of records; none of ours flushes early.
const LINGER_MS_MAX: f64 = 100.0;

/// Settings that the delivery guarantee rests on, each with what to do instead.
const RESERVED: [(&str, &str); 29] = [
    ("acks", "the connector needs all"),
    ("auto.offset.reset", "the connector decides where it reads from"),
    ("bootstrap.servers", "set kafka.bootstrap_servers"),
    ("delivery.timeout.ms", "it follows from the transaction timeout"),
    ("enable.auto.commit", "offsets are committed with the work they stand for"),
    ("enable.auto.offset.store", "offsets are committed with the work they stand for"),
    ("enable.gapless.guarantee", "transactions decide what an error means"),
    ("enable.idempotence", "transactions need it on"),
    ("enable.partition.eof", "restoring needs it on"),
    ("group.id", "set kafka.group"),
    ("group.instance.id", "static members would keep shards unowned after a stop"),
    ("isolation.level", "the connector sets it by client"),
    ("max.in.flight", "idempotence decides it"),
    ("max.in.flight.requests.per.connection", "idempotence decides it"),
    ("message.send.max.retries", "idempotence decides it"),
    ("message.timeout.ms", "it follows from the transaction timeout"),
    ("metadata.broker.list", "set kafka.bootstrap_servers"),
    ("offset.store.method", "offsets live in Kafka"),
    ("partition.assignment.strategy", "the connector sets it"),
    ("partitioner", "keys must land where Java clients put them"),
    ("plugin.library.paths", "plugins are not loaded"),
    ("request.required.acks", "the connector needs all"),
    ("retries", "idempotence decides it"),
    (
        "sasl.jaas.config",
        "librdkafka has no JAAS, write sasl.mechanism, sasl.username and sasl.password_file",
    ),
    ("sticky.partitioning.linger.ms", "keys decide the partition"),
    ("test.mock.num.brokers", "use the sandbox verb for an embedded broker"),
    ("test.mock.broker.rtt", "use the sandbox verb for an embedded broker"),
    ("transaction.timeout.ms", "fencing and restore depend on it"),
    ("transactional.id", "the connector makes it from env, topic_prefix and group"),
];

/// Settings that are secrets; they come from files.
const SECRET: [&str; 10] = [
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "ssl_key",
];

/// A setting as it was written, for whoever knows which settings librdkafka has.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name at librdkafka.
    pub name: String,
    /// Its value; none where a file holds it.
    pub value: Option<String>,
    /// Where it stands; nothing is wrong with it yet.
    pub place: Problem,
}

/// Without the value: of a name that nobody knows, it may be a secret.
impl std::fmt::Debug for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Property").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether the value of a setting is a secret, and therefore read from a file.
pub(crate) fn is_secret(name: &str) -> bool {
    SECRET.contains(&name)
}

/// What is to be done with one setting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// It is passed on.
    Pass,
    /// It is read from the file that the value names.
    FromFile { name: &'a str },
    /// It cannot be set; the text says what to do.
    Refuse(String),
}

/// Judges one setting by its name, and `linger.ms` by its value too.
pub(crate) fn judge<'a>(name: &'a str, value: &str) -> Verdict<'a> {
    let (bare, from_file) = match name.strip_suffix("_file") {
        Some(bare) => (bare, true),
        None => (name, false),
    };
    if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| *reserved == bare) {
        return Verdict::Refuse(format!("cannot be set here, remove it: {instead}"));
    }
    if from_file {
        return Verdict::FromFile { name: bare };
    }
    if is_secret(name) {
        return Verdict::Refuse(format!(
            "secrets are read from files: write kafka.properties: {{\"{name}_file\": PATH}}"
        ));
    }
    if matches!(name, "linger.ms" | "queue.buffering.max.ms") {
        let short = value.parse::<f64>().is_ok_and(|linger| linger <= LINGER_MS_MAX);
        if !short {
            return Verdict::Refuse(
                "every transaction waits for it: write 100 or less (0 to 5 is best)".to_owned(),
            );
        }
    }
    Verdict::Pass
}

/// The same for the JSON Schema, as its `patternProperties`. Settings of one kind of client name no
/// files, as those are read for every client.
pub(crate) fn refused_names(of_one_kind: bool) -> Value {
    let escaped = |name: &str| name.replace('.', r"\.");
    let reserved: Vec<_> = RESERVED.iter().map(|(name, _)| escaped(name)).collect();
    let secret: Vec<_> = SECRET.iter().map(|name| escaped(name)).collect();
    let mut refused = serde_json::Map::new();
    refused.insert(format!("^({})(_file)?$", reserved.join("|")), json!(false));
    refused.insert(format!("^({})$", secret.join("|")), json!(false));
    if of_one_kind {
        refused.insert("_file$".to_owned(), json!(false));
    }
    Value::Object(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_protocol_depends_on_is_refused() {
        for name in ["transactional.id", "isolation.level", "acks", "enable.idempotence"] {
            assert!(matches!(judge(name, "x"), Verdict::Refuse(_)), "{name}");
        }
        assert!(
            matches!(judge("group.id", "x"), Verdict::Refuse(text) if text.contains("kafka.group"))
        );
    }

    #[test]
    fn secrets_come_from_files_only() {
        assert!(
            matches!(judge("sasl.password", "x"), Verdict::Refuse(text) if text.contains("sasl.password_file"))
        );
        assert_eq!(judge("sasl.password_file", "/p"), Verdict::FromFile { name: "sasl.password" });
        for name in [
            "sasl.oauthbearer.assertion.private.key.pem",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "sasl.oauthbearer.client.credentials.client.secret",
        ] {
            assert!(matches!(judge(name, "x"), Verdict::Refuse(_)), "{name}");
            assert!(matches!(judge(&format!("{name}_file"), "/p"), Verdict::FromFile { .. }));
        }
    }

    #[test]
    fn java_s_login_is_answered_with_what_librdkafka_has() {
        for name in ["sasl.jaas.config", "sasl.jaas.config_file"] {
            let Verdict::Refuse(text) = judge(name, "x") else { panic!("{name}") };
            assert!(text.contains("sasl.password_file") && !text.contains("jaas.config"), "{text}");
        }
    }

    #[test]
    fn linger_is_free_up_to_a_tenth_of_a_second() {
        assert_eq!(judge("linger.ms", "100"), Verdict::Pass);
        assert!(matches!(judge("linger.ms", "101"), Verdict::Refuse(_)));
        assert!(matches!(judge("queue.buffering.max.ms", "often"), Verdict::Refuse(_)));
    }

    #[test]
    fn other_settings_pass() {
        for (name, value) in [("security.protocol", "SASL_SSL"), ("ssl.ca.location", "/ca.pem")] {
            assert_eq!(judge(name, value), Verdict::Pass);
        }
    }
}
