//! One customer: credentials, quota and streams.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Streams, rules};
use crate::config::duration::Span;

/// One customer's set of credentials, with one quota. Everything of a connection runs in one place.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = rules::one_of_the_sections(&["bank_pos", "virtual_pos", "tos"])))]
pub struct Connection {
    /// The name of the connection in keys, labels and messages: 1 to 64 characters of
    /// A-Z a-z 0-9 . _ -, the first of them no _. Changing it starts a new history.
    #[schemars(regex(pattern = r"^[A-Za-z0-9.-][A-Za-z0-9._-]{0,63}$"))]
    pub id: String,
    /// The Vomsis bank and POS API, version 2.
    #[serde(default)]
    pub bank_pos: Option<VomsisApi>,
    /// The Vomsis virtual-POS API, version 3. Without key files of its own it uses those of
    /// `bank_pos`.
    #[serde(default)]
    pub virtual_pos: Option<VomsisApi>,
    /// The VakıfBank bulk-payment (TOS) API.
    #[serde(default)]
    pub tos: Option<TosApi>,
    /// Deadlines of every call.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Carry fields that the model does not know in `meta.extras`. They are counted either way.
    #[serde(default)]
    pub extras: bool,
    /// The budget of all calls of this connection, all APIs together.
    #[serde(default)]
    pub quota: Quota,
    /// What is polled and how often. A stream runs by default where its API section is there;
    /// `null` or `enabled: false` switches it off.
    #[serde(default)]
    pub streams: Streams,
}

/// A Vomsis API. The keys work only from IP addresses that are registered with Vomsis.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("dependencies" = rules::together("app_key_file", "app_secret_file")))]
pub struct VomsisApi {
    /// The base URL, with the version: `https://developers.vomsis.com/api/v2` for bank and POS,
    /// `https://uygulama.vomsis.com/api/vpos/v3` for the virtual POS. Those are the defaults.
    #[serde(default)]
    #[schemars(regex(pattern = rules::URL))]
    pub base_url: Option<String>,
    /// File with the application key. It is read again when it changes.
    #[serde(default)]
    pub app_key_file: Option<PathBuf>,
    /// File with the application secret. It is read again when it changes.
    #[serde(default)]
    pub app_secret_file: Option<PathBuf>,
}

/// The VakıfBank TOS API with its own OAuth2 token endpoint.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TosApi {
    /// All before `/tos/query`.
    #[schemars(regex(pattern = rules::URL))]
    pub base_url: String,
    /// The OAuth2 token endpoint, whole.
    #[schemars(regex(pattern = rules::URL))]
    pub token_url: String,
    /// File with the client id.
    pub client_id_file: PathBuf,
    /// File with the client secret. Five wrong ones lock the key, so the connector stops after two.
    pub client_secret_file: PathBuf,
    /// The consent number (Rıza No). Quote it: it may begin with zeros.
    pub consent_id: String,
    /// `production` or `sandbox`.
    #[serde(default = "production")]
    #[schemars(regex(pattern = "^(production|sandbox)$"))]
    pub resource: String,
    /// The institutions to ask for.
    #[serde(default)]
    pub institutions: Vec<Institution>,
}

fn production() -> String {
    "production".to_owned()
}

/// One institution of the TOS API.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Institution {
    /// `InstitutionCode`. Quote it: it begins with zeros.
    pub code: String,
    /// Sender accounts to ask for one by one; an empty list asks for all at once.
    #[serde(default)]
    pub sender_accounts: Vec<String>,
}

/// Deadlines of every HTTP call.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Until the connection stands, TLS included.
    pub connect: Span,
    /// Until the last byte of the answer.
    pub request: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Span::seconds(5), request: Span::seconds(60) }
    }
}

/// The budget of all calls of a connection.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Calls a minute, more than `reserved_for_payments`. Vomsis answers `X-RateLimit-Limit: 100`; the
    /// default stays well below.
    #[schemars(range(min = 1))]
    pub requests_per_minute: u32,
    /// Calls at the same time.
    #[schemars(range(min = 1))]
    pub concurrency: u32,
    /// Of the calls a minute, those that polling never takes: the payment sink has them, perhaps
    /// in another process. Less than `requests_per_minute`; where that is below 12, 6
    /// is half of it.
    pub reserved_for_payments: u32,
}

impl Default for Quota {
    fn default() -> Self {
        Self { requests_per_minute: 60, concurrency: 2, reserved_for_payments: 6 }
    }
}
