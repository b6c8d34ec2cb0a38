//! What a deployment has once: Kafka, registry, state, sink, privacy, listeners.

use std::{collections::BTreeMap, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Connection, Decimal, rules};
use crate::config::{duration::Span, properties::refused_names};

/// The configuration of vomsis-connect. Every key can be set by the environment too:
/// `VOMSIS__KAFKA__SHARDS=16` is `kafka.shards`, `VOMSIS__CONNECTIONS__0__ID` the first id,
/// `VOMSIS__PRIVACY__FIELDS__BANKTRANSACTION__NOTE` the field `BankTransaction.note`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "vomsis-connect configuration")]
pub struct Config {
    /// Part of every transactional id: two environments on one cluster never fence each other,
    /// so each needs a `kafka.topic_prefix` of its own.
    #[serde(default = "production")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,64}$"))]
    pub env: String,
    /// One entry a customer.
    #[schemars(length(min = 1))]
    pub connections: Vec<Connection>,
    /// Brokers, topics and shards.
    #[serde(default)]
    pub kafka: Kafka,
    /// Where the schemas live.
    #[serde(default)]
    pub schema_registry: SchemaRegistry,
    /// The local cache of the checkpoints. Kafka holds the truth: losing it costs a restore.
    #[serde(default)]
    pub state: State,
    /// Refunds and cancels that arrive on a topic. Off by default: real money moves.
    #[serde(default)]
    pub sink: Sink,
    /// What is done with fields before they leave the process.
    #[serde(default)]
    pub privacy: Privacy,
    /// Health, metrics and the read-only status.
    #[serde(default)]
    pub http: Http,
    /// The listener that can change something.
    #[serde(default)]
    pub admin: Admin,
}

fn production() -> String {
    "production".to_owned()
}

/// Brokers, topics and shards.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// `host:port`, several with commas.
    #[schemars(regex(pattern = rules::SERVERS))]
    pub bootstrap_servers: String,
    /// The consumer group whose members share the shards.
    pub group: String,
    /// What every topic name begins with.
    pub topic_prefix: String,
    /// How many parts the connections are spread over: the most replicas that have work. It cannot
    /// be changed later.
    #[schemars(range(min = 1, max = 1024))]
    pub shards: i32,
    /// Replicas of the topics that the connector creates; two of them must hold a record before it
    /// counts as written, where there are two.
    #[schemars(range(min = 1, max = 32767))]
    pub replication_factor: i32,
    /// Create missing topics at start. `false` only verifies them; see `topics plan`.
    pub manage_topics: bool,
    /// librdkafka settings of every client. A name with `_file` behind it is read from that file:
    /// `sasl.password_file: /run/secrets/kafka_password`.
    #[schemars(extend("patternProperties" = refused_names(false)))]
    #[schemars(extend("additionalProperties" = {"type": ["string", "number", "boolean"]}))]
    pub properties: BTreeMap<String, String>,
    /// librdkafka settings of consumers only.
    #[schemars(extend("patternProperties" = refused_names(true)))]
    #[schemars(extend("additionalProperties" = {"type": ["string", "number", "boolean"]}))]
    pub consumer_properties: BTreeMap<String, String>,
    /// librdkafka settings of producers only. `batch.num.messages` (1000) and `batch.size` (1000000) also say how many
    /// rows of one key are handed over at once; far smaller ones make a backfill slow.
    #[schemars(extend("patternProperties" = refused_names(true)))]
    #[schemars(extend("additionalProperties" = {"type": ["string", "number", "boolean"]}))]
    pub producer_properties: BTreeMap<String, String>,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            bootstrap_servers: "localhost:9092".to_owned(),
            group: "vomsis-connect".to_owned(),
            topic_prefix: "vomsis".to_owned(),
            shards: 8,
            replication_factor: 3,
            manage_topics: true,
            properties: BTreeMap::new(),
            consumer_properties: BTreeMap::new(),
            producer_properties: BTreeMap::new(),
        }
    }
}

/// A Confluent-compatible schema registry.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SchemaRegistry {
    /// Its base URL; for Apicurio with `/apis/ccompat/v7`.
    #[schemars(regex(pattern = rules::URL))]
    pub url: String,
    /// `register` adds what is missing, `verify` refuses to start where something is missing.
    pub mode: RegistryMode,
    /// User name and password, where the registry wants them; not together with
    /// `bearer_token_file`.
    pub basic_auth: Option<BasicAuth>,
    /// File with a bearer token, where the registry wants one. It is read again when it changes.
    pub bearer_token_file: Option<PathBuf>,
}

impl Default for SchemaRegistry {
    fn default() -> Self {
        Self {
            url: "http://localhost:8081".to_owned(),
            mode: RegistryMode::Register,
            basic_auth: None,
            bearer_token_file: None,
        }
    }
}

/// A user of the registry.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The user name; for Confluent Cloud the API key.
    pub username: String,
    /// File with the password. It is read again when it changes.
    pub password_file: PathBuf,
}

/// Whether the connector may add schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum RegistryMode {
    /// Adds what is missing.
    Register,
    /// Only looks.
    Verify,
}

/// The local cache.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// Its folder. One process at a time uses it.
    pub dir: PathBuf,
}

impl Default for State {
    fn default() -> Self {
        Self { dir: PathBuf::from("/var/lib/vomsis-connect") }
    }
}

/// The payment sink.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sink {
    /// Execute refunds and cancels from the command topic.
    pub enabled: bool,
    /// Must be true as well: commands move real money.
    pub acknowledge_real_money: bool,
    /// The largest amount of one refund, `"1000.00"`; null is no cap. The figure alone
    /// counts, in whatever currency the payment is.
    pub max_amount: Option<Decimal>,
    /// The largest sum of refunds of a connection and day; null is no cap. Figures of all
    /// currencies are added up.
    pub max_daily_amount: Option<Decimal>,
    /// Commands in doubt or parked after which a connection takes no new one.
    #[schemars(range(min = 1))]
    pub max_in_doubt: u32,
    /// The total deadline of the one POST; above the connections' `timeouts.connect`, and `30s` at most
    /// where a shutdown is to wait for its answer.
    pub post_timeout: Span,
    /// How long nobody may still be sending before an unknown outcome is looked up. Not below
    /// `post_timeout`.
    pub quiescence: Span,
}

impl Default for Sink {
    fn default() -> Self {
        Self {
            enabled: false,
            acknowledge_real_money: false,
            max_amount: None,
            max_daily_amount: None,
            max_in_doubt: 3,
            post_timeout: Span::seconds(30),
            quiescence: Span::minutes(15),
        }
    }
}

/// What is done with fields before they leave the process.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    /// By class: N none, C commercial, I identifiers, P personal, F free text. Card numbers are
    /// always masked. By default N, C, I, P and F are clear.
    pub classes: BTreeMap<String, Treatment>,
    /// By field, before the class: `BankTransaction.sender_name: hmac`.
    pub fields: BTreeMap<String, Treatment>,
    /// File with the key of `hmac`: 32 or more random bytes, a line end after them not counted.
    pub hmac_key_file: Option<PathBuf>,
}

/// What is done with one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Treatment {
    /// As the source sent it.
    Clear,
    /// Mostly stars.
    Mask,
    /// A keyed hash: equal values stay equal.
    Hmac,
    /// Not at all.
    Drop,
}

/// Health, metrics and the read-only status.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// `address:port`; port 0 takes any free port and prints it.
    pub listen: String,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: "0.0.0.0:8080".to_owned() }
    }
}

/// The listener that can change something.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Off by default.
    pub enabled: bool,
    /// `address:port`. An address that is not loopback needs `token_file`. The default port is also
    /// the one of `schema_registry.url`: with a registry on the same machine write another one.
    pub listen: String,
    /// File with the bearer token.
    pub token_file: Option<PathBuf>,
}

impl Default for Admin {
    fn default() -> Self {
        Self { enabled: false, listen: "127.0.0.1:8081".to_owned(), token_file: None }
    }
}
