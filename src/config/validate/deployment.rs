//! Kafka, registry, sink and listeners.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    Review,
    connection::connections,
    login::login,
    privacy::privacy,
    review::{authority, is_on_this_machine},
};
use crate::config::{
    model,
    properties::{Verdict, judge},
    shape,
    tree::Step,
};

/// The longest `post_timeout` with which a request that has left is answered and recorded while the
/// process ends (`sink::owner` waits 35 s).
const ANSWERED_BY_THE_END: Duration = Duration::from_secs(30);

/// Validates the whole configuration; the result counts only where nothing was refused.
pub(crate) fn config(review: &mut Review<'_>, shape: &shape::Config) -> model::Config {
    review.name(&[Step::Key("env")], &shape.env, 64);
    let connections = connections(review, &shape.connections);
    let kafka = kafka(review, &shape.kafka);
    let schema_registry = schema_registry(review, &shape.schema_registry);
    if shape.state.dir.as_os_str().is_empty() {
        review.refuse(&[Step::Key("state"), Step::Key("dir")], "empty; write the path of a folder");
    }
    let sink = sink(review, &shape.sink);
    if sink.enabled && connections.iter().all(|connection| connection.virtual_pos.is_none()) {
        review.refuse(
            &[Step::Key("sink"), Step::Key("enabled")],
            "no connection has a virtual_pos section to send payments to; add one",
        );
    }
    if sink.enabled {
        payments(review, shape, &sink);
    }
    let listen = &[Step::Key("http"), Step::Key("listen")];
    let admin = admin(review, &shape.admin);
    if let Some(admin) = &admin
        && is_on_this_machine(&schema_registry.url)
        && authority(&schema_registry.url).ends_with(&format!(":{}", admin.listen.port()))
    {
        review.warn(
            &[Step::Key("admin"), Step::Key("listen")],
            "schema_registry.url is the same port of this machine, and only one of the two can \
             have it; write 127.0.0.1:8084, or move the registry",
        );
    }
    model::Config {
        env: shape.env.clone(),
        connections,
        kafka,
        schema_registry,
        state_dir: shape.state.dir.clone(),
        sink,
        privacy: privacy(review, &shape.privacy),
        http_listen: review.address(listen, &shape.http.listen),
        admin,
    }
}

fn schema_registry(
    review: &mut Review<'_>,
    shape: &shape::SchemaRegistry,
) -> model::SchemaRegistry {
    let below = |key: &'static str| [Step::Key("schema_registry"), Step::Key(key)];
    let url = review.url(&below("url"), &shape.url);
    let auth = match (&shape.basic_auth, &shape.bearer_token_file) {
        (Some(_), Some(_)) => {
            review.refuse(&below("bearer_token_file"), "basic_auth is set too; keep one of them");
            None
        }
        (Some(basic), None) => {
            if basic.username.trim().is_empty() {
                review.refuse(&below("basic_auth"), "username is empty; write the user's name");
            }
            let shape::BasicAuth { username, password_file } = basic.clone();
            Some(model::RegistryAuth::Basic { username, password_file })
        }
        (None, Some(file)) => Some(model::RegistryAuth::Bearer { token_file: file.clone() }),
        (None, None) => None,
    };
    if auth.is_some() && url.starts_with("http://") && !is_on_this_machine(&url) {
        review.warn(&below("url"), "plain http: the registry's credentials travel readable");
    }
    let mode = match shape.mode {
        shape::RegistryMode::Register => model::RegistryMode::Register,
        shape::RegistryMode::Verify => model::RegistryMode::Verify,
    };
    model::SchemaRegistry { url, mode, auth }
}

fn kafka(review: &mut Review<'_>, shape: &shape::Kafka) -> model::Kafka {
    let below = |key: &'static str| [Step::Key("kafka"), Step::Key(key)];
    let servers = shape.bootstrap_servers.trim();
    if let Some(wrong) = servers.split(',').find_map(|server| not_a_server(server.trim())) {
        review.refuse(&below("bootstrap_servers"), wrong);
    }
    review.name(&below("group"), &shape.group, 200);
    review.name(&below("topic_prefix"), &shape.topic_prefix, 200);
    if !(1..=1024).contains(&shape.shards) {
        review.refuse(&below("shards"), "write 1 to 1024");
    }
    if !(1..=32_767).contains(&shape.replication_factor) {
        review.refuse(&below("replication_factor"), "write 1 or more");
    }
    let mut property_files = BTreeMap::new();
    let mut kept = |key: &'static str, given: &BTreeMap<String, String>| {
        properties(review, key, given, &mut property_files)
    };
    let properties = kept("properties", &shape.properties);
    let consumer_properties = kept("consumer_properties", &shape.consumer_properties);
    let producer_properties = kept("producer_properties", &shape.producer_properties);
    login(review, shape);
    model::Kafka {
        bootstrap_servers: servers.to_owned(),
        group: shape.group.clone(),
        topic_prefix: shape.topic_prefix.clone(),
        shards: shape.shards,
        replication_factor: shape.replication_factor,
        manage_topics: shape.manage_topics,
        properties,
        property_files,
        consumer_properties,
        producer_properties,
    }
}

/// What is wrong with an entry of the list. A port that is left out is none: librdkafka would take
/// 9092 without a word, and no cluster with TLS listens there.
fn not_a_server(server: &str) -> Option<String> {
    // It is not repeated: whatever stands before the sign may be a password.
    if server.contains('@') {
        let message = "a login does not belong here, write host:port; it stands in \
                       kafka.properties: sasl.username, sasl.password_file";
        return Some(message.to_owned());
    }
    // librdkafka reads its own schemes, and says itself where one is not `security.protocol`.
    let schemes = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
    let server = match server.split_once("://") {
        Some((scheme, rest)) if schemes.iter().any(|known| known.eq_ignore_ascii_case(scheme)) => {
            rest
        }
        _ => server,
    };
    if let Some((scheme, rest)) = server.split_once("://") {
        let host = rest.split('/').next().unwrap_or_default();
        let port = if host.contains(':') { "" } else { ":PORT" };
        return Some(format!(
            "{scheme}:// does not belong here, write {host}{port}; how brokers are spoken to says \
             kafka.properties.security.protocol"
        ));
    }
    let (host, port) = server.rsplit_once(':').unwrap_or_default();
    let port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/');
    (!port || !is_host).then(|| "write host:port, several with commas".to_owned())
}

fn properties(
    review: &mut Review<'_>,
    key: &'static str,
    given: &BTreeMap<String, String>,
    files: &mut BTreeMap<String, PathBuf>,
) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for (name, value) in given {
        let path = [Step::Key("kafka"), Step::Key(key), Step::Key(name)];
        match judge(name, value) {
            Verdict::Pass => {
                review.keep(&path, name, Some(value));
                kept.insert(name.clone(), value.clone());
            }
            Verdict::FromFile { name } if key == "properties" => {
                review.keep(&path, name, None);
                files.insert(name.to_owned(), PathBuf::from(value));
            }
            Verdict::FromFile { .. } => {
                review
                    .refuse(&path, "files are read for every client: move it to kafka.properties");
            }
            Verdict::Refuse(message) => review.refuse(&path, message),
        }
    }
    kept
}

fn sink(review: &mut Review<'_>, shape: &shape::Sink) -> model::Sink {
    let below = |key: &'static str| [Step::Key("sink"), Step::Key(key)];
    if shape.enabled && !shape.acknowledge_real_money {
        review.refuse(
            &below("enabled"),
            "the sink moves real money: set sink.acknowledge_real_money: true too, or enabled: \
             false",
        );
    }
    let post_timeout = review.above_zero(&below("post_timeout"), shape.post_timeout);
    let quiescence = review.above_zero(&below("quiescence"), shape.quiescence);
    if quiescence < post_timeout {
        review.refuse(
            &below("quiescence"),
            format!("somebody could still be sending; write {} or more", shape.post_timeout),
        );
    }
    let mut amount = |key: &'static str, given: Option<&shape::Decimal>| {
        given.and_then(|text| review.amount(&below(key), &text.0))
    };
    let max_amount = amount("max_amount", shape.max_amount.as_ref());
    let max_daily_amount = amount("max_daily_amount", shape.max_daily_amount.as_ref());
    model::Sink {
        enabled: shape.enabled,
        acknowledge_real_money: shape.acknowledge_real_money,
        max_amount,
        max_daily_amount,
        max_in_doubt: review.at_least_one(&below("max_in_doubt"), shape.max_in_doubt),
        post_timeout,
        quiescence,
    }
}

/// What may be meant and costs money or doubts where it is not.
fn payments(review: &mut Review<'_>, shape: &shape::Config, sink: &model::Sink) {
    let below = |key: &'static str| [Step::Key("sink"), Step::Key(key)];
    if sink.max_amount.is_none() && sink.max_daily_amount.is_none() {
        review.warn(
            &below("enabled"),
            "neither max_amount nor max_daily_amount is set: nothing bounds what a mistaken sender \
             can give back",
        );
    }
    if sink.post_timeout > ANSWERED_BY_THE_END {
        review.warn(
            &below("post_timeout"),
            "an answer may come after the 35 s that a process waits at its end: each shutdown may \
             leave doubts; write 30s or less",
        );
    }
    for (index, connection) in shape.connections.iter().enumerate() {
        let connect = connection.timeouts.connect;
        if connection.virtual_pos.is_some() && connect.0 >= sink.post_timeout {
            let path = [Step::Key("connections"), Step::Index(index), Step::Key("timeouts")];
            review.warn(
                &[&path[..], &[Step::Key("connect")]].concat(),
                format!(
                    "{connect} is not below sink.post_timeout: a payment whose connection does not \
                     come about would be in doubt, although nothing was sent"
                ),
            );
        }
    }
}

fn admin(review: &mut Review<'_>, shape: &shape::Admin) -> Option<model::Admin> {
    if !shape.enabled {
        return None;
    }
    let listen = review.address(&[Step::Key("admin"), Step::Key("listen")], &shape.listen);
    if !listen.ip().is_loopback() && shape.token_file.is_none() {
        review.refuse(
            &[Step::Key("admin"), Step::Key("token_file")],
            "the admin listener is open to others: write token_file, or listen on 127.0.0.1",
        );
    }
    Some(model::Admin { listen, token_file: shape.token_file.clone() })
}
