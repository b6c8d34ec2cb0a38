//! One HTTP exchange: send, read the whole body within its limit, tell what came.
//!
//! The reqwest clients are private here, and requests are made from an [`Operation`] alone: those
//! that read by [`Http`], the one that moves money by [`Once`].

mod charset;
mod once;
mod sieve;

use std::{error::Error as _, fmt, sync::LazyLock, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{
    Response,
    header::{
        ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
    },
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};

use self::sieve::Sifting;
pub(crate) use self::{
    once::{Once, OnceFault},
    sieve::Sieve,
};
use super::{
    allow::Operation,
    retry::{WaitHeaders, http_date},
};
use crate::{config::model::Timeouts, domain::time::Timestamp};

/// A larger body is refused, after decompression.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Of a body that is sifted so many times as much may come, and no more than the whole of another may
/// be left.
const SIFTED_TIMES_MAX: usize = 8;
/// Room made ahead for a body whose size is known; the rest grows as it comes.
const BODY_BYTES_AHEAD_MAX: u64 = 8 * 1024 * 1024;
/// A body that stands still for that long is given up even within the total deadline.
const STILL_MAX: Duration = Duration::from_secs(30);
/// A server's clock may differ from ours by as much; a `Date` that is further away was kept by a cache.
const CLOCKS_APART_MAX: TimeDelta = TimeDelta::hours(2);

const USER_AGENT: &str = concat!("vomsis-connect/", env!("CARGO_PKG_VERSION"));

static RATE_LIMIT: LazyLock<[HeaderName; 3]> = LazyLock::new(|| {
    ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"].map(HeaderName::from_static)
});

/// Sends requests; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    body_bytes_max: usize,
    still_max: Duration,
}

/// What goes with a request.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    None,
    Query(Vec<(&'static str, String)>),
    Json(Secretive),
    Form(Vec<(&'static str, SecretString)>),
}

/// A body that may hold a secret and is therefore not shown.
#[derive(Clone)]
pub(crate) struct Secretive(pub(crate) String);

impl fmt::Debug for Secretive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secretive(..)")
    }
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// Where a redirect leads, unscrubbed.
    pub(crate) location: String,
    pub(crate) wait: WaitHeaders,
    /// `X-RateLimit-Limit` and `-Remaining`.
    pub(crate) limit: Option<(u32, u32)>,
    pub(crate) body: String,
    pub(crate) replaced_text: bool,
    pub(crate) fetched_at: Timestamp,
    /// The same by the server's own clock, which its instants are told by.
    pub(crate) at: DateTime<Utc>,
}

/// Bodies are personal data: only their size is shown.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SendFault {
    Connect(String),
    Timeout,
    Broken(String),
    TooLarge(usize),
    /// The request itself cannot be made.
    Unsendable(String),
}

/// Why there is no whole answer, and the status of the part that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    pub(crate) status: Option<u16>,
    pub(crate) fault: SendFault,
}

impl From<SendFault> for NoAnswer {
    fn from(fault: SendFault) -> Self {
        Self { status: None, fault }
    }
}

impl Http {
    pub(crate) fn new(timeouts: Timeouts) -> Result<Self, String> {
        let mut headers = HeaderMap::new();
        // Without it a Laravel API answers validation errors with a redirect or HTML.
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(headers)
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(timeouts.connect)
            // Of the whole exchange. A read timeout of the client's would count for the head too, which
            // may take as long as the API needs to put a large list together.
            .timeout(timeouts.request)
            .tcp_keepalive(Duration::from_secs(60))
            .pool_idle_timeout(Duration::from_secs(90))
            .build()
            .map_err(describe)?;
        Ok(Self { client, body_bytes_max: BODY_BYTES_MAX, still_max: STILL_MAX })
    }

    #[cfg(test)]
    pub(crate) fn with_body_limit(mut self, body_bytes_max: usize) -> Self {
        self.body_bytes_max = body_bytes_max;
        self
    }

    #[cfg(test)]
    pub(crate) const fn with_still_max(mut self, still_max: Duration) -> Self {
        self.still_max = still_max;
        self
    }

    /// Makes one exchange, and sifts the body of a success. Dropping the future closes it.
    pub(crate) async fn exchange(
        &self,
        operation: Operation,
        base_url: &str,
        payload: &Payload,
        token: Option<&SecretString>,
        sieve: Option<Sieve<'_>>,
    ) -> Result<Answer, NoAnswer> {
        if operation.writes() {
            // This client keeps connections, and may send again what it believes unsent.
            let detail = format!("{} is sent once only", operation.name());
            return Err(SendFault::Unsendable(detail).into());
        }
        let (method, path) = operation.endpoint();
        let mut request = self.client.request(method, format!("{base_url}{path}"));
        request = match payload {
            Payload::None => request,
            Payload::Query(pairs) => request.query(pairs),
            Payload::Json(json) => {
                request.header(CONTENT_TYPE, "application/json").body(json.0.clone())
            }
            Payload::Form(pairs) => {
                let shown: Vec<_> =
                    pairs.iter().map(|(name, value)| (*name, value.expose_secret())).collect();
                request.form(&shown)
            }
        };
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        let response = request.send().await.map_err(send_fault)?;
        receive(response, (self.body_bytes_max, self.still_max), sieve).await
    }
}

/// Reads the rest of an answer whose head has come.
async fn receive(
    mut response: Response,
    limits: (usize, Duration),
    sieve: Option<Sieve<'_>>,
) -> Result<Answer, NoAnswer> {
    let status = response.status().as_u16();
    let headers = response.headers();
    let text = |name: &HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let [limit, remaining, reset] = &*RATE_LIMIT;
    let number = |name| text(name).and_then(|text| text.trim().parse().ok());
    let location = text(&LOCATION).unwrap_or_default();
    let content_type = text(&CONTENT_TYPE).unwrap_or_else(|| "an unknown type".to_owned());
    let wait = WaitHeaders { retry_after: text(&RETRY_AFTER), reset: text(reset) };
    let limit = number(limit).zip(number(remaining));
    // What refuses may say why in rows.
    let sieve = sieve.filter(|_| (200..300).contains(&status));
    let date = text(&DATE).and_then(|text| http_date(&text));
    let bytes = receive_body(&mut response, limits, sieve)
        .await
        .map_err(|fault| NoAnswer { status: Some(status), fault })?;
    let (body, replaced_text) = charset::text_of(bytes, &content_type);
    let now = Utc::now();
    let at = date.filter(|date| (*date - now).abs() <= CLOCKS_APART_MAX).unwrap_or(now);
    Ok(Answer {
        status,
        content_type,
        location,
        wait,
        limit,
        body,
        replaced_text,
        fetched_at: Timestamp::from_utc(now),
        at,
    })
}

async fn receive_body(
    response: &mut Response,
    (body_bytes_max, still_max): (usize, Duration),
    sieve: Option<Sieve<'_>>,
) -> Result<Vec<u8>, SendFault> {
    let times = sieve.map_or(1, |_| SIFTED_TIMES_MAX);
    let come_max = body_bytes_max.saturating_mul(times);
    let known = response.content_length().unwrap_or(0);
    if known > come_max as u64 {
        return Err(SendFault::TooLarge(come_max));
    }
    let mut sifting = sieve.map(Sifting::new);
    let ahead = if sifting.is_some() { 0 } else { known.min(BODY_BYTES_AHEAD_MAX) };
    let mut bytes = Vec::with_capacity(usize::try_from(ahead).unwrap_or(0));
    let mut came = 0;
    loop {
        let chunk = tokio::time::timeout(still_max, response.chunk()).await;
        let Some(chunk) = chunk.map_err(|_| SendFault::Timeout)?.map_err(send_fault)? else {
            break;
        };
        came += chunk.len();
        if came > come_max {
            return Err(SendFault::TooLarge(come_max));
        }
        match &mut sifting {
            Some(sifting) => sifting.sift(&chunk, &mut bytes),
            None => bytes.extend_from_slice(&chunk),
        }
        if bytes.len() > body_bytes_max {
            return Err(SendFault::TooLarge(body_bytes_max));
        }
    }
    Ok(bytes)
}

fn send_fault(error: reqwest::Error) -> SendFault {
    if error.is_builder() {
        return SendFault::Unsendable(describe(error));
    }
    // A connection that times out is a connection that does not stand: network, not slowness.
    if error.is_connect() {
        return SendFault::Connect(describe(error));
    }
    if error.is_timeout() {
        return SendFault::Timeout;
    }
    SendFault::Broken(describe(error))
}

/// The causes of an error without its URL, whose query is nobody's business in a log.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut parts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !parts.contains(&text) {
            parts.push(text);
        }
        source = cause.source();
    }
    super::scrub::scrub(&parts.join(": "), &[])
}
