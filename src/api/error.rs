//! What can go wrong with a call, what it means for the caller, and what a person can do about it.

use std::{fmt, net::IpAddr, path::PathBuf, time::Duration};

use super::allow::Operation;
use crate::{
    domain::{ids::ConnectionId, refusals},
    telemetry::events::Event,
};

/// Which call of which connection failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// Whose credentials.
    pub connection: ConnectionId,
    /// The operation, as in the metrics.
    pub operation: &'static str,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}: {}", self.connection, self.operation)
    }
}

/// What the caller should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryClass {
    /// Back off and ask again; not before `after` where the API said so.
    Retry {
        /// How long the API asked to wait.
        after: Option<Duration>,
    },
    /// Access is refused: try again every 15 minutes, or at once when a secret file changes.
    Refused,
    /// TOS refused two tokens or may have, or its key is locked: wait for a changed secret or an operator.
    LockedOut,
    /// `lastId` alone was refused: send dates too.
    DatesRequired,
    /// The answer is wrong: this window fails, the next poll tries again.
    Permanent,
}

/// Why a call failed. Texts hold no secret, no body and no personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The connection has no such API.
    #[error("{at} needs the section {section}, which this connection does not have; add it")]
    NotConfigured {
        /// The call.
        at: At,
        /// The section of the configuration that is missing.
        section: &'static str,
    },
    /// The HTTP client cannot be made from the configuration.
    #[error("connection {connection}: cannot set up the HTTP client: {detail}; check {setting}")]
    Setup {
        /// Whose client.
        connection: ConnectionId,
        /// What the library said.
        detail: String,
        /// The setting at fault.
        setting: &'static str,
    },
    /// A secret file cannot be used.
    #[error("{at}: secret file {} {problem}; write the secret there, it is read again at once", file.display())]
    Secret {
        /// The call.
        at: At,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No connection could be made.
    #[error("{at}: cannot connect: {detail}; check network, DNS, proxy and base_url")]
    Connect {
        /// The call.
        at: At,
        /// The cause.
        detail: String,
    },
    /// The deadline passed.
    #[error("{at}: no complete answer in time; raise timeouts.request if the API is only slow")]
    Timeout {
        /// The call.
        at: At,
    },
    /// The exchange broke off, or the answer was cut short.
    #[error("{at}: the answer broke off: {detail}; it is asked for again")]
    Broken {
        /// The call.
        at: At,
        /// The cause.
        detail: String,
    },
    /// The API has trouble of its own.
    #[error(
        "{at}: status {status} from the API{}; it is asked again {}",
        said(message.as_deref()), when(*after)
    )]
    Server {
        /// The call.
        at: At,
        /// The HTTP status.
        status: u16,
        /// How long the API asked to wait.
        after: Option<Duration>,
        /// What it said, scrubbed.
        message: Option<String>,
    },
    /// Too many calls.
    #[error(
        "{at}: rate limited, next call in {} s; lower quota.requests_per_minute if this lasts",
        after.as_secs()
    )]
    RateLimited {
        /// The call.
        at: At,
        /// How long to wait.
        after: Duration,
    },
    /// A fresh token was refused.
    #[error(
        "{at}: status {status} even with a fresh token{}; check that the application is active \
         and may use this API",
        said(message.as_deref())
    )]
    Unauthorized {
        /// The call.
        at: At,
        /// The HTTP status.
        status: u16,
        /// What it said, scrubbed.
        message: Option<String>,
    },
    /// The credentials were refused.
    #[error(
        "{at}: credentials refused with status {status}{}; check the secret files, they are read \
         again when they change",
        said(message.as_deref())
    )]
    TokenRefused {
        /// The call.
        at: At,
        /// The HTTP status.
        status: u16,
        /// What it said, scrubbed.
        message: Option<String>,
    },
    /// The call is forbidden.
    #[error(
        "{at}: forbidden with status {status}{}; check the rights of the application and the \
         allowed IP addresses",
        said(message.as_deref())
    )]
    Forbidden {
        /// The call.
        at: At,
        /// The HTTP status.
        status: u16,
        /// What it said, scrubbed.
        message: Option<String>,
    },
    /// The address that the calls come from is not allowed.
    #[error("{at}: this IP address is refused: {}; add it to the API application", shown(*ip))]
    IpRefused {
        /// The call.
        at: At,
        /// The address, where the API named it.
        ip: Option<IpAddr>,
    },
    /// The API answered with a redirect, usually to its login page.
    #[error(
        "{at}: redirected to {location} with status {status}, which is not followed; check \
         base_url and the credentials"
    )]
    Redirected {
        /// The call.
        at: At,
        /// The HTTP status.
        status: u16,
        /// Where to, without query.
        location: String,
    },
    /// TOS is not asked for tokens any more.
    #[error(
        "{at}: {refused} tokens were refused, or may have been, and five lock the key, so no more \
         are asked for; correct the secret files, they are read again when they change"
    )]
    LockedOut {
        /// The call.
        at: At,
        /// How many.
        refused: u32,
    },
    /// The bank has locked the TOS key: no token opens anything until the bank unlocks it.
    #[error(
        "{at}: the bank has locked this key, so no token is asked for; have the bank unlock it, \
         then run `check --only vomsis --tos-again` on the same state.dir: once it is granted a \
         token the connector goes on, as it does when a secret file changes"
    )]
    KeyLocked {
        /// The call.
        at: At,
    },
    /// One more refused TOS token could not be counted, so none is asked for.
    #[error(
        "{at}: not asked for a token: five refused ones lock the key, and they cannot be counted, \
         for {} {problem}", path.display()
    )]
    RefusalsNotKept {
        /// The call.
        at: At,
        /// The file or folder that is needed.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// `lastId` without dates was refused.
    #[error("{at}: lastId alone was refused with status {status}; dates are sent from now on")]
    DatesRequired {
        /// The call.
        at: At,
        /// The HTTP status.
        status: u16,
    },
    /// The API understood the call and refused it.
    #[error(
        "{at}: refused with status {status}{}; compare the call with the API's manual",
        said(message.as_deref())
    )]
    Rejected {
        /// The call.
        at: At,
        /// The HTTP status.
        status: u16,
        /// What it said, scrubbed.
        message: Option<String>,
    },
    /// The thing asked for does not exist.
    #[error(
        "{at}: not found (status {status}{}); check the id and base_url",
        if *is_told { "" } else { ", without the API's own word for it" }
    )]
    NotFound {
        /// The call.
        at: At,
        /// The HTTP status.
        status: u16,
        /// Whether the API itself says so; a 404 may also be a proxy's, or of a wrong `base_url`.
        is_told: bool,
    },
    /// The body is no JSON: a page of HTML, or damaged.
    #[error(
        "{at}: status {status} with {bytes} bytes of {content_type} that are not JSON ({detail}); \
         check base_url and any proxy in between"
    )]
    NotJson {
        /// The call.
        at: At,
        /// The HTTP status.
        status: u16,
        /// Size of the body.
        bytes: usize,
        /// As the API declared it.
        content_type: String,
        /// Why.
        detail: String,
    },
    /// The JSON is not what this call answers.
    #[error("{at}: unexpected answer: {detail}; the API may have changed, nothing was taken over")]
    Protocol {
        /// The call.
        at: At,
        /// What is wrong.
        detail: String,
    },
    /// The answer is too large.
    #[error("{at}: the answer is larger than {limit} {unit}; {}", smaller(at))]
    TooLarge {
        /// The call.
        at: At,
        /// The limit.
        limit: usize,
        /// Bytes or rows.
        unit: &'static str,
    },
    /// The program is ending.
    #[error("{at}: interrupted because the program is ending; nothing was taken over")]
    Interrupted {
        /// The call.
        at: At,
    },
}

fn said(message: Option<&str>) -> String {
    message.map_or_else(String::new, |text| format!(", saying {text:?}"))
}

fn when(after: Option<Duration>) -> String {
    after.map_or_else(
        || "later".to_owned(),
        |after| format!("in {} s, as it wants", after.as_secs()),
    )
}

fn shown(ip: Option<IpAddr>) -> String {
    ip.map_or_else(|| "the API does not say which".to_owned(), |ip| ip.to_string())
}

/// What makes an answer smaller. The virtual POS's lists have neither dates nor pages.
fn smaller(at: &At) -> &'static str {
    if at.operation == Operation::VirtualPosList.name() {
        "the list is always whole: ask the provider to archive old payments"
    } else {
        "ask for a smaller window"
    }
}

impl Error {
    /// Why TOS is not asked for a token after so many refusals.
    pub(crate) fn stop_of_tos(at: At, refused: u32) -> Self {
        if refused >= refusals::LOCKED {
            Self::KeyLocked { at }
        } else {
            Self::LockedOut { at, refused }
        }
    }

    /// Whether a token was refused by the status of HTTP or the gateway's own code, not by words alone.
    pub(crate) fn is_told_by_code(&self) -> bool {
        match self {
            Self::Unauthorized { status: 401, .. } => true,
            // Codes stand before what is said.
            Self::Unauthorized { message: Some(text), .. } => text.starts_with("ACBG"),
            _ => false,
        }
    }

    /// What the caller should do next.
    pub fn retry_class(&self) -> RetryClass {
        match self {
            Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. }
            | Self::Interrupted { .. } => RetryClass::Retry { after: None },
            Self::Server { after, .. } => RetryClass::Retry { after: *after },
            Self::RateLimited { after, .. } => RetryClass::Retry { after: Some(*after) },
            Self::Secret { .. }
            | Self::Unauthorized { .. }
            | Self::TokenRefused { .. }
            | Self::Forbidden { .. }
            | Self::IpRefused { .. }
            | Self::RefusalsNotKept { .. }
            | Self::Redirected { .. } => RetryClass::Refused,
            Self::LockedOut { .. } | Self::KeyLocked { .. } => RetryClass::LockedOut,
            Self::DatesRequired { .. } => RetryClass::DatesRequired,
            Self::NotConfigured { .. }
            | Self::Setup { .. }
            | Self::Rejected { .. }
            | Self::NotFound { .. }
            | Self::NotJson { .. }
            | Self::Protocol { .. }
            | Self::TooLarge { .. } => RetryClass::Permanent,
        }
    }

    /// What it is logged as, and called on the status page.
    pub const fn event(&self) -> Event {
        match self {
            Self::NotConfigured { .. } => Event::ApiNotConfigured,
            Self::Setup { .. } => Event::ApiSetup,
            Self::Secret { .. } => Event::ApiSecretUnreadable,
            Self::Connect { .. } => Event::ApiUnreachable,
            Self::Timeout { .. } => Event::ApiTimeout,
            Self::Broken { .. } => Event::ApiBroken,
            Self::Server { .. } => Event::ApiServerError,
            Self::RateLimited { .. } => Event::ApiRateLimited,
            Self::Interrupted { .. } => Event::ApiInterrupted,
            Self::Unauthorized { .. } => Event::ApiUnauthorized,
            Self::TokenRefused { .. } => Event::ApiTokenRefused,
            Self::Forbidden { .. } => Event::ApiForbidden,
            Self::IpRefused { .. } => Event::ApiIpRefused,
            Self::Redirected { .. } => Event::ApiRedirected,
            Self::LockedOut { .. } => Event::ApiLockedOut,
            Self::KeyLocked { .. } => Event::ApiKeyLocked,
            Self::RefusalsNotKept { .. } => Event::ApiRefusalsNotKept,
            Self::DatesRequired { .. } => Event::ApiDatesRequired,
            Self::Rejected { .. } => Event::ApiRejected,
            Self::NotFound { .. } => Event::ApiNotFound,
            Self::NotJson { .. } => Event::ApiNotJson,
            Self::Protocol { .. } => Event::ApiUnexpectedAnswer,
            Self::TooLarge { .. } => Event::ApiTooLarge,
        }
    }
}
