//! The validated configuration: what the rest of the program may rely on.
//!
//! Made only by `config::load`, which turns the YAML shapes into these types and refuses what
//! cannot work. Nothing here reads a file; secrets stay paths until a client needs them.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use crate::domain::{ids::ConnectionId, money::Money};

/// The whole configuration of one deployment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Part of every transactional id: two environments on one cluster never fence each other,
    /// so each needs a `kafka.topic_prefix` of its own.
    pub env: String,
    /// One entry a customer.
    pub connections: Vec<Arc<Connection>>,
    /// Brokers, topics and shards.
    pub kafka: Kafka,
    /// Where schemas live.
    pub schema_registry: SchemaRegistry,
    /// Where the local cache lives.
    pub state_dir: PathBuf,
    /// The payment sink.
    pub sink: Sink,
    /// Masking rules.
    pub privacy: Privacy,
    /// Health, metrics and the read-only page.
    pub http_listen: SocketAddr,
    /// The admin listener, where enabled.
    pub admin: Option<Admin>,
}

/// One customer's credentials, quota and streams.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its name in keys, labels and messages.
    pub id: ConnectionId,
    /// Bank and POS API v2.
    pub bank_pos: Option<VomsisApi>,
    /// Virtual POS API v3; without key files of its own it uses those of `bank_pos`.
    pub virtual_pos: Option<VomsisApi>,
    /// VakıfBank bulk payments.
    pub tos: Option<TosApi>,
    /// Deadlines of every call.
    pub timeouts: Timeouts,
    /// Carry fields that the model does not know in `meta.extras`.
    pub extras: bool,
    /// The budget of all calls of this connection.
    pub quota: Quota,
    /// What is polled, and how often.
    pub streams: Streams,
}

/// A Vomsis API and the files that hold its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VomsisApi {
    /// Without a trailing slash.
    pub base_url: String,
    /// File with the application key.
    pub app_key_file: PathBuf,
    /// File with the application secret.
    pub app_secret_file: PathBuf,
}

/// The TOS API, its token endpoint and its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TosApi {
    /// All before `/tos/query`, without a trailing slash.
    pub base_url: String,
    /// The OAuth2 token endpoint, whole.
    pub token_url: String,
    /// File with the client id.
    pub client_id_file: PathBuf,
    /// File with the client secret.
    pub client_secret_file: PathBuf,
    /// The consent number (Rıza No).
    pub consent_id: String,
    /// `sandbox` or `production`.
    pub resource: String,
    /// Institutions to query; each is an entity.
    pub institutions: Vec<Institution>,
}

/// One TOS institution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Institution {
    /// `InstitutionCode`, leading zeros kept.
    pub code: String,
    /// Sender accounts to ask for one by one; empty asks for all at once.
    pub sender_accounts: Vec<String>,
}

/// Deadlines of every HTTP call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// Until the last byte of the answer.
    pub request: Duration,
}

/// The budget of one connection, all APIs and purposes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Calls a minute.
    pub requests_per_minute: u32,
    /// Calls at the same time.
    pub concurrency: usize,
    /// Of the calls a minute, those that polling never takes.
    pub reserved_for_payments: u32,
}

/// What is polled; `None` is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Streams {
    /// Bank transactions, an entity an account.
    pub bank_transactions: Option<BankStream>,
    /// POS transactions, an entity a terminal.
    pub pos_transactions: Option<PosStream>,
    /// The virtual-POS list.
    pub virtual_pos_transactions: Option<ListStream>,
    /// TOS payments, an entity an institution.
    pub tos_payments: Option<TosStream>,
    /// All reference streams.
    pub reference: Option<ReferenceStream>,
}

/// What is promised of a stream; exported beside the timestamps it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slo {
    /// Age of the last success above which the stream is stale; zero is off.
    pub freshness: Duration,
    /// Age of the newest row above which the stream is too quiet; zero is off.
    pub quiet: Duration,
}

impl Slo {
    /// Two polls may fail before the stream counts as stale; a minute is for the poll itself.
    pub const fn of_interval(poll_interval: Duration) -> Self {
        let freshness = poll_interval.saturating_mul(3).saturating_add(Duration::from_secs(60));
        Self { freshness, quiet: Duration::ZERO }
    }
}

/// How a stream of dated rows is followed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Following {
    /// Between two live polls of one entity.
    pub poll_interval: Duration,
    /// How far back the first backfill reaches, in days.
    pub start_days: u32,
    /// How far back rows are read again, in days.
    pub lookback_days: u32,
    /// Between two look-backs of one entity.
    pub lookback_interval: Duration,
    /// What to do with rows that disappear.
    pub deletions: Deletions,
    /// The share of bad rows that do not stand in quarantine yet (of 20 or more) above which nothing is
    /// published.
    pub max_bad_ratio: f64,
    /// What is promised.
    pub slo: Slo,
}

/// Bank transactions.
#[derive(Debug, Clone, PartialEq)]
pub struct BankStream {
    /// Schedule and windows.
    pub following: Following,
    /// Which date decides the window.
    pub date_type: DateType,
    /// Which accounts.
    pub accounts: Selection,
    /// One call an account, or one for the whole connection.
    pub feed: Feed,
    /// Between two looks at an account alone where one call serves all.
    pub check_interval: Duration,
}
impl Eq for BankStream {}

/// POS transactions.
#[derive(Debug, Clone, PartialEq)]
pub struct PosStream {
    /// Schedule and windows.
    pub following: Following,
    /// Which terminals.
    pub terminals: Selection,
}
impl Eq for PosStream {}

/// TOS payments.
#[derive(Debug, Clone, PartialEq)]
pub struct TosStream {
    /// Schedule and windows.
    pub following: Following,
}
impl Eq for TosStream {}

/// A list that is read whole and diffed.
#[derive(Debug, Clone, PartialEq)]
pub struct ListStream {
    /// Between two reads.
    pub poll_interval: Duration,
    /// What to do with rows that disappear.
    pub deletions: Deletions,
    /// The share of bad rows that do not stand in quarantine yet (of 20 or more) above which nothing is
    /// published.
    pub max_bad_ratio: f64,
    /// What is promised.
    pub slo: Slo,
}
impl Eq for ListStream {}

/// The reference streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceStream {
    /// Between two reads of each.
    pub poll_interval: Duration,
    /// What is promised.
    pub slo: Slo,
}

/// Whether a row that disappears becomes an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletions {
    /// Nothing is published.
    Ignore,
    /// A `RowDeletion` after two complete reads without the row.
    Emit,
}

/// Which date of a bank row decides its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateType {
    /// `system_date`.
    SystemDate,
    /// `accounting_date`.
    AccountingDate,
}

impl DateType {
    /// As the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SystemDate => "system_date",
            Self::AccountingDate => "accounting_date",
        }
    }
}

/// All entities, or some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All that the reference data lists.
    All,
    /// Only these ids.
    Ids(Vec<i64>),
}

impl Selection {
    /// Whether the entity is wanted.
    pub fn contains(&self, id: i64) -> bool {
        match self {
            Self::All => true,
            Self::Ids(ids) => ids.contains(&id),
        }
    }
}

/// How live bank rows are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// By account while the quota serves that, else for the whole connection.
    Auto,
    /// One call an account.
    Account,
    /// One call for the whole connection.
    Connection,
}

/// Brokers, topics and shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kafka {
    /// `host:port,host:port`.
    pub bootstrap_servers: String,
    /// The consumer group that shares the shards.
    pub group: String,
    /// Before every topic name.
    pub topic_prefix: String,
    /// Partitions of the assignment and state topics.
    pub shards: i32,
    /// Replicas of topics that the connector creates.
    pub replication_factor: i32,
    /// Whether missing topics are created at start.
    pub manage_topics: bool,
    /// librdkafka settings of every client.
    pub properties: BTreeMap<String, String>,
    /// librdkafka settings of every client whose value is the content of a file.
    pub property_files: BTreeMap<String, PathBuf>,
    /// librdkafka settings of consumers only.
    pub consumer_properties: BTreeMap<String, String>,
    /// librdkafka settings of producers only.
    pub producer_properties: BTreeMap<String, String>,
}

impl Kafka {
    /// The full name of a topic.
    pub fn topic(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.topic_prefix)
    }
}

/// Where schemas live, and whether the connector may add some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaRegistry {
    /// The Confluent-compatible base URL.
    pub url: String,
    /// Register or only verify.
    pub mode: RegistryMode,
    /// What the registry wants to see, where it wants anything.
    pub auth: Option<RegistryAuth>,
}

/// How the connector shows the registry who it is. The secrets stay files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryAuth {
    /// User name and password.
    Basic {
        /// The user name.
        username: String,
        /// File with the password.
        password_file: PathBuf,
    },
    /// A bearer token.
    Bearer {
        /// File with the token.
        token_file: PathBuf,
    },
}

/// Whether the connector may add schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryMode {
    /// Adds what is missing.
    Register,
    /// Refuses to start where something is missing.
    Verify,
}

/// The payment sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sink {
    /// Off by default.
    pub enabled: bool,
    /// Must be true too: real money moves.
    pub acknowledge_real_money: bool,
    /// The largest amount of one refund, in whatever currency.
    pub max_amount: Option<Money>,
    /// The largest sum of refunds a day and connection; currencies are added up.
    pub max_daily_amount: Option<Money>,
    /// Commands in doubt or parked after which a connection takes no new one.
    pub max_in_doubt: u32,
    /// The total deadline of the one POST.
    pub post_timeout: Duration,
    /// How long nobody may still be sending before the API is asked.
    pub quiescence: Duration,
}

/// What is done with fields before they leave the process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Privacy {
    /// By class letter (`N C I P F K`).
    pub classes: BTreeMap<char, Treatment>,
    /// By `Record.field`, before the class.
    pub fields: BTreeMap<String, Treatment>,
    /// The key of `hmac`, as a file.
    pub hmac_key_file: Option<PathBuf>,
}

/// What is done with one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// The admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Loopback unless a token is set.
    pub listen: SocketAddr,
    /// File with the bearer token.
    pub token_file: Option<PathBuf>,
}
