//! A request as the simulated source sees it.

use axum::{
    body::Bytes,
    extract::Query,
    http::{HeaderMap, Uri, header, request::Parts},
};
use serde_json::Value;

use super::operation::Operation;

/// One request, taken apart.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) operation: Operation,
    /// The id in the path; empty where there is none.
    pub(super) id: String,
    query: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) bearer: Option<String>,
    pub(super) wants_json: bool,
}

/// Reads `a=1&b=2`, with its percent signs.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let uri: Result<Uri, _> = format!("/?{text}").parse();
    uri.ok()
        .and_then(|uri| Query::<Vec<(String, String)>>::try_from_uri(&uri).ok())
        .map(|Query(pairs)| pairs)
        .unwrap_or_default()
}

pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

impl Call {
    pub(super) fn read(parts: &Parts, body: Bytes) -> Option<Self> {
        let (operation, id) = Operation::route(parts.method.as_str(), parts.uri.path())?;
        let bearer = header_text(&parts.headers, &header::AUTHORIZATION).strip_prefix("Bearer ");
        Some(Self {
            operation,
            id,
            query: pairs(parts.uri.query().unwrap_or_default()),
            body,
            bearer: bearer.map(ToOwned::to_owned),
            wants_json: header_text(&parts.headers, &header::ACCEPT).contains("json"),
        })
    }

    /// The id in the path as a number; nothing matches where it is none.
    pub(super) fn number(&self) -> Option<i64> {
        self.id.parse().ok().or(Some(i64::MIN))
    }

    /// A query parameter that is not blank.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// The body as JSON; null where it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A field of the body: JSON, a form, or parts of a multipart form; then of the query.
    ///
    /// The documents do not say how the key pair is sent, and one of them contradicts itself.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim_start();
        if text.starts_with('{') {
            return self.json().get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        }
        if text.starts_with("--") {
            let (_, rest) = text.split_once(&format!("name=\"{name}\""))?;
            let (_, value) = rest.split_once("\r\n\r\n")?;
            return value.split("\r\n--").next().map(ToOwned::to_owned);
        }
        let form = pairs(text);
        let found = form.into_iter().find(|(key, _)| key == name).map(|(_, value)| value);
        found.or_else(|| self.param(name).map(ToOwned::to_owned))
    }
}
