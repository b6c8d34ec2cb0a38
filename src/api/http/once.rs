//! One request that nothing can send a second time.
//!
//! | who could send again                        | why not here                                   |
//! |---------------------------------------------|------------------------------------------------|
//! | reqwest, after a refusal of HTTP/2 (GOAWAY) | HTTP/1.1 only, and its retries are off         |
//! | hyper, when a kept connection turns out dead| no connection is kept: each is new and closed  |
//! | a redirect, 307 and 308 with the body       | none is followed                               |
//! | the caller                                  | `payments::Ready` is used up by the send       |
//!
//! An error is [`OnceFault::NotSent`] only where hyper had no connection yet to write to: the URL
//! cannot be used, the name has no address, TCP or TLS do not stand. hyper gives such an error a
//! kind of its own (`is_connect`), which it uses nowhere else. A total deadline that ends while
//! connecting is not among them, and counts as unknown; so the connect timeout should be the
//! shorter one.

use std::time::Duration;

use reqwest::{
    ClientBuilder,
    header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue},
    redirect::Policy,
};
use secrecy::{ExposeSecret, SecretString};

use super::{Answer, SendFault, USER_AGENT, describe, receive};
use crate::api::allow::Operation;

/// The documented answer has 300 bytes; a page of HTML may have more, and says as little.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Sends each request at most once; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Once {
    client: reqwest::Client,
}

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OnceFault {
    /// No byte of the request can have left.
    NotSent(String),
    /// Some may have.
    Unknown(String),
}

impl Once {
    pub(crate) fn new(connect_timeout: Duration) -> Result<Self, String> {
        let client = builder(connect_timeout).build().map_err(describe)?;
        Ok(Self { client })
    }

    #[cfg(test)]
    pub(crate) fn without_proxy(connect_timeout: Duration) -> Self {
        Self { client: builder(connect_timeout).no_proxy().build().unwrap() }
    }

    /// Sends the one call that writes, and reads its answer, both within `total`.
    pub(crate) async fn change_payment(
        &self,
        base_url: &str,
        token: &SecretString,
        body: String,
        total: Duration,
    ) -> Result<Answer, OnceFault> {
        let unusable = |_| OnceFault::NotSent("the token cannot stand in a header".to_owned());
        let bearer = format!("Bearer {}", token.expose_secret());
        let mut bearer = HeaderValue::from_str(&bearer).map_err(unusable)?;
        bearer.set_sensitive(true);
        let (method, path) = Operation::ChangePayment.endpoint();
        let request = self
            .client
            .request(method, format!("{base_url}{path}"))
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "close")
            .header(AUTHORIZATION, bearer)
            .body(body)
            .timeout(total);
        let response = request.send().await.map_err(without_head)?;
        // From here on the request is known to have left, whatever the errors are called.
        receive(response, (BODY_BYTES_MAX, total), None).await.map_err(|lost| {
            OnceFault::Unknown(match lost.fault {
                SendFault::Timeout => "the deadline ended within the answer".to_owned(),
                SendFault::TooLarge(limit) => format!("the answer is larger than {limit} bytes"),
                SendFault::Connect(detail)
                | SendFault::Broken(detail)
                | SendFault::Unsendable(detail) => format!("the answer broke off: {detail}"),
            })
        })
    }
}

fn builder(connect_timeout: Duration) -> ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .http1_only()
        .pool_max_idle_per_host(0)
        .retry(reqwest::retry::never())
        .redirect(Policy::none())
        .referer(false)
        // An answer this small is not worth a second way to be damaged.
        .no_gzip()
        .no_brotli()
        .connect_timeout(connect_timeout)
}

fn without_head(error: reqwest::Error) -> OnceFault {
    if error.is_builder() || error.is_connect() {
        return OnceFault::NotSent(describe(error));
    }
    if error.is_timeout() {
        return OnceFault::Unknown("the deadline ended before an answer came".to_owned());
    }
    OnceFault::Unknown(format!("no answer came: {}", describe(error)))
}
