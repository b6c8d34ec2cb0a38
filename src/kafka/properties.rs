//! What librdkafka thinks of the settings that an operator gives it, before any client is made.
//!
//! A client that is made with a wrong one fails with an error that repeats the value: of a secret
//! too, and each time that it is tried again.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::{
    ClientConfig, consumer::BaseConsumer, error::KafkaError, producer::BaseProducer,
    types::RDKafkaConfRes,
};

use crate::config::{self, Problem, Property, model::Kafka};

use super::settings::{Role, client_config};

/// The names that CONFIGURATION.md of librdkafka 2.12 lists and an operator may set.
const NAMES: &str = include_str!("properties/names.txt");
/// What a number, a switch or a text can be set to: other refusals than of the value are lasting.
const ANY: &str = "1";

/// What is wrong with the settings, each with its place.
pub fn check(written: &[Property]) -> Vec<Problem> {
    let wrong = |property: &Property| {
        let message = judge(property).err()?;
        Some(Problem { message, ..property.place.clone() })
    };
    written.iter().filter_map(wrong).collect()
}

/// Says what is wrong with a name that librdkafka does not know, and which may have been meant.
///
/// # Errors
/// It does not know it.
pub fn known(name: &str) -> Result<(), String> {
    match set(name, ANY) {
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
            Err(unknown(name, false))
        }
        _ => Ok(()),
    }
}

/// What librdkafka says of the settings together, each beside what the program sets itself: it compares
/// them when a client is made, so one of each kind is, without a broker. Who it is that asks, and how
/// it is encrypted, is left out: that takes files which may not be here.
pub fn check_together(kafka: &Kafka, written: &[Property]) -> Vec<Problem> {
    let Some(first) = written.first() else { return Vec::new() };
    let kafka = without_security(kafka);
    let roles = [
        Role::Writer { transactional_id: "trial".to_owned() },
        Role::StateReader,
        Role::GroupMember { group: kafka.group.clone() },
        Role::CommandReader,
        Role::Speaker,
        Role::Viewer,
        Role::Admin,
    ];
    let refusals: BTreeSet<String> =
        roles.iter().filter_map(|role| try_out(&kafka, role).err()).collect();
    let problem = |says: String| {
        let is_named = |property: &&Property| says.contains(&format!("`{}`", property.name));
        let place = written.iter().find(is_named).unwrap_or(first).place.clone();
        Problem { message: format!("librdkafka does not take these together: {says}"), ..place }
    };
    refusals.into_iter().map(problem).collect()
}

fn without_security(kafka: &Kafka) -> Kafka {
    let kept = |settings: &BTreeMap<String, String>| {
        let is_security = |name: &str| {
            ["security.", "sasl.", "ssl.", "enable.ssl", "enable.sasl", "https."]
                .iter()
                .any(|start| name.starts_with(start))
        };
        let kept = settings.iter().filter(|(name, _)| !is_security(name));
        kept.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    Kafka {
        properties: kept(&kafka.properties),
        producer_properties: kept(&kafka.producer_properties),
        consumer_properties: kept(&kafka.consumer_properties),
        property_files: BTreeMap::new(),
        ..kafka.clone()
    }
}

fn try_out(kafka: &Kafka, role: &Role) -> Result<(), String> {
    let mut config = client_config(kafka, role).map_err(|error| error.to_string())?;
    // Nobody is asked.
    config.remove("bootstrap.servers");
    let made = match role.is_consumer() {
        true => config.create::<BaseConsumer>().map(drop),
        false => config.create::<BaseProducer>().map(drop),
    };
    match made {
        Ok(()) => Ok(()),
        Err(KafkaError::ClientCreation(says)) => Err(with_values(&says, &config)),
        Err(other) => Err(other.to_string()),
    }
}

/// What librdkafka says, with the values of the settings that it names: some of them are the program's.
fn with_values(says: &str, config: &ClientConfig) -> String {
    let named = says.split('`').skip(1).step_by(2);
    let values: Vec<String> =
        named.filter_map(|name| Some(format!("{name} is {}", config.get(name)?))).collect();
    if values.is_empty() { says.to_owned() } else { format!("{says} (here {})", values.join(", ")) }
}

fn judge(property: &Property) -> Result<(), String> {
    let name = property.name.as_str();
    let value = property.value.as_deref();
    let (verdict, says) = match set(name, value.unwrap_or(ANY)) {
        Ok(()) => return Ok(()),
        Err(KafkaError::ClientConfig(verdict, says, ..)) => (verdict, says),
        Err(_) => return Err("has a zero byte in it; write it anew".to_owned()),
    };
    let says = says.trim();
    match verdict {
        RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN => Err(unknown(name, value.is_none())),
        // Whether the value will do is seen when the file is read.
        _ if value.is_none() && is_about_value(says) => Ok(()),
        _ => Err(format!("librdkafka does not take it: {says}")),
    }
}

fn set(name: &str, value: &str) -> Result<(), KafkaError> {
    let mut config = ClientConfig::new();
    config.set(name, value);
    config.create_native_config().map(drop)
}

/// Whether another value may be taken, as librdkafka words it.
fn is_about_value(says: &str) -> bool {
    says.starts_with("Invalid value") || says.contains("outside allowed range")
}

fn unknown(name: &str, is_file: bool) -> String {
    let known: Vec<&str> = NAMES.lines().collect();
    let Some(near) = config::nearest(name, &known) else {
        return "librdkafka has no such setting; its CONFIGURATION.md lists them".to_owned();
    };
    let file = if is_file || config::properties::is_secret(near) { "_file" } else { "" };
    format!("librdkafka has no such setting; did you mean {:?}?", format!("{near}{file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(name: &str, value: Option<&str>) -> Property {
        let place = Problem {
            place: "c.yaml:3:5".to_owned(),
            key: format!("kafka.properties.{name}"),
            message: String::new(),
        };
        Property { name: name.to_owned(), value: value.map(str::to_owned), place }
    }

    fn said(name: &str, value: Option<&str>) -> Option<String> {
        check(&[property(name, value)]).first().map(ToString::to_string)
    }

    #[test]
    fn every_name_that_is_offered_is_known_to_this_librdkafka() {
        for name in NAMES.lines() {
            // Some need libraries that this build is without, and say so.
            let told = said(name, None).unwrap_or_default();
            assert!(told.is_empty() || told.contains("not supported in this build"), "{told}");
        }
        assert!(NAMES.lines().count() > 100);
    }

    #[test]
    fn an_unknown_name_is_told_with_its_place_and_the_nearest_and_without_its_value() {
        let told = said("sasl.pasword", None).unwrap();
        assert!(told.starts_with("c.yaml:3:5: kafka.properties.sasl.pasword: "), "{told}");
        assert!(told.contains("\"sasl.password_file\""), "{told}");
        assert!(said("sasl_password", None).unwrap().contains("\"sasl.password_file\""));
        let inline = said("sasl.pasword", Some("canary")).unwrap();
        assert!(!inline.contains("canary") && inline.contains("sasl.password_file"), "{inline}");
        assert!(said("secuirty.protocol", Some("SSL")).unwrap().contains("\"security.protocol\""));
        assert!(said("nonsense.of.all.kinds", Some("1")).unwrap().contains("CONFIGURATION.md"));
        assert!(!format!("{:?}", property("x", Some("canary"))).contains("canary"));
    }

    #[test]
    fn a_value_that_librdkafka_refuses_is_told() {
        let told = said("security.protocol", Some("TLS")).unwrap();
        assert!(told.contains("does not take it") && told.contains("TLS"), "{told}");
        assert!(said("socket.timeout.ms", Some("soon")).is_some());
        assert!(said("fetch.wait.max.ms", Some("-1")).unwrap().contains("outside allowed range"));
        assert!(said("ssl.truststore.location", Some("/t")).unwrap().contains("ssl.ca.location"));
        for (name, value) in [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("socket.timeout.ms", "5000"),
            ("compression.codec", "zstd"),
            ("topic.metadata.refresh.interval.ms", "1000"),
        ] {
            assert_eq!(said(name, Some(value)), None, "{name}");
        }
    }

    fn together(settings: &str) -> Vec<String> {
        let text = format!(
            "connections: [{{id: a, bank_pos: {{app_key_file: k, app_secret_file: s}}}}]\n\
             kafka: {{bootstrap_servers: 'h:1', {settings}}}\n"
        );
        let loaded = config::parse("c", &text, std::iter::empty()).unwrap();
        let wrong = check_together(&loaded.config.kafka, &loaded.properties);
        wrong.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn settings_that_do_not_go_together_are_told_before_anything_starts() {
        for (settings, key) in [
            ("properties: {socket.timeout.ms: '60000'}", "kafka.properties.socket.timeout.ms"),
            (
                "consumer_properties: {group.protocol: consumer}",
                "kafka.consumer_properties.group.protocol",
            ),
            (
                "consumer_properties: {session.timeout.ms: '900000'}",
                "kafka.consumer_properties.session.timeout.ms",
            ),
            ("properties: {client.rack: r, receive.message.max.bytes: '1000'}", "receive.message"),
        ] {
            let told = together(settings);
            assert!(!told.is_empty(), "{settings}");
            assert!(told.iter().any(|one| one.contains(key)), "{settings}: {told:?}");
        }
        let told = together("properties: {socket.timeout.ms: '60000'}").concat();
        assert!(told.contains("transaction.timeout.ms is 10000"), "{told}");
        for settings in [
            "shards: 3",
            "properties: {socket.timeout.ms: '5000', security.protocol: SASL_SSL, sasl.mechanism: SCRAM-SHA-512, sasl.username: u, sasl.password_file: /nowhere}",
            "producer_properties: {linger.ms: '20', compression.type: zstd}, consumer_properties: {session.timeout.ms: '6000'}",
        ] {
            assert_eq!(together(settings), Vec::<String>::new(), "{settings}");
        }
    }

    #[test]
    fn what_a_file_holds_is_not_guessed_but_what_no_file_can_mend_is_told() {
        for name in ["sasl.password", "security.protocol", "enable.ssl.certificate.verification"] {
            assert_eq!(said(name, None), None, "{name}");
        }
        assert!(said("ssl.truststore.location", None).is_some(), "whatever the file holds");
        assert!(said("rebalance_cb", None).is_some());
    }
}
