//! What an operator may change, on a listener of its own.
//!
//! Loopback unless a token is configured. The token's file is read with every request, so a new one
//! counts at once. Only JSON bodies are taken, which keeps a web page of another origin out.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{
    Json, Router,
    extract::{Request, State, rejection::JsonRejection},
    http::{Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::put,
};
use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;

mod commands;

pub use commands::{
    Commands, Decision, Filter, MeantCommand, Outcome, Refused, State as CommandState,
};

use super::server::{Error, Server, listen_on};
use crate::{config::model::Admin, log_event, telemetry::events::Event};

/// Who wants the kill switch moved, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// Why the switch was not moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmoved {
    /// There is nothing to switch: the sink is not enabled.
    NoSink,
    /// Kafka did not take the record.
    Unavailable(String),
    /// Kafka did not acknowledge the record, and may have it.
    Unknown(String),
}

/// Moves the kill switch of payment commands, wherever the owner is.
pub trait Switch: Send + Sync {
    /// Turns it on (`halted`) or off; comes back when the record is acknowledged.
    fn set(&self, halted: bool, word: Word) -> BoxFuture<'_, Result<(), Unmoved>>;
}

/// Listens until it is stopped.
///
/// # Errors
/// Where the address cannot be had.
pub async fn serve(
    admin: &Admin,
    switch: Arc<dyn Switch>,
    commands: Arc<dyn Commands>,
) -> Result<Server, Error> {
    let guard = Guard { token_file: admin.token_file.clone(), listen: admin.listen };
    let routes = Router::new()
        .route("/api/v1/commands/halt", put(halt))
        .route("/api/v1/commands/resume", put(resume))
        .with_state(switch)
        .merge(commands::routes(commands))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::new(guard), guarded));
    let server = listen_on(admin.listen, "admin.listen", routes, CancellationToken::new()).await?;
    log_event!(Event::AdminStarted, address = %server.local_addr(), "listening for operators");
    Ok(server)
}

struct Guard {
    token_file: Option<PathBuf>,
    listen: SocketAddr,
}

async fn guarded(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let Some(file) = &guard.token_file else { return next.run(request).await };
    let expected = match tokio::fs::read(file).await {
        Ok(bytes) => bytes.trim_ascii().to_vec(),
        Err(error) => {
            log_event!(Event::AdminRefused, address = %guard.listen, file = %file.display(), %error, "the token cannot be read, nobody is let in");
            return problem(StatusCode::SERVICE_UNAVAILABLE, "admin.token_file cannot be read");
        }
    };
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if !expected.is_empty() && given.is_some_and(|given| is_same(given, &expected)) {
        return next.run(request).await;
    }
    log_event!(Event::AdminRefused, address = %guard.listen, "a request without the right token");
    let mut answer = problem(StatusCode::UNAUTHORIZED, "send the token of admin.token_file");
    let challenge = header::HeaderValue::from_static("Bearer");
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    answer
}

/// Compares without telling by its time how much is right.
fn is_same(given: &[u8], expected: &[u8]) -> bool {
    let tag = |bytes: &[u8]| Hmac::<Sha256>::new_from_slice(bytes).map(|mac| mac.chain_update([1]));
    let (Ok(given), Ok(expected)) = (tag(given), tag(expected)) else { return false };
    given.verify(&expected.finalize().into_bytes()).is_ok()
}

async fn unknown_path() -> Response {
    problem(StatusCode::NOT_FOUND, "there is nothing under this path; docs/payments.md lists them")
}

/// The header `allow` says which are right.
async fn wrong_method(method: Method) -> Response {
    let detail = format!("{method} is not for this path");
    problem(StatusCode::METHOD_NOT_ALLOWED, &detail)
}

async fn halt(
    State(switch): State<Arc<dyn Switch>>,
    word: Result<Json<Word>, JsonRejection>,
) -> Response {
    set(switch, true, word).await
}

async fn resume(
    State(switch): State<Arc<dyn Switch>>,
    word: Result<Json<Word>, JsonRejection>,
) -> Response {
    set(switch, false, word).await
}

#[derive(Serialize)]
struct Halted {
    halted: bool,
}

async fn set(
    switch: Arc<dyn Switch>,
    halted: bool,
    word: Result<Json<Word>, JsonRejection>,
) -> Response {
    let word = match word {
        Ok(Json(word)) => word,
        Err(rejection) => return problem(rejection.status(), &rejection.body_text()),
    };
    if word.actor.trim().is_empty() || word.reason.trim().is_empty() {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, "actor and reason must not be empty");
    }
    match switch.set(halted, word).await {
        Ok(()) => Json(Halted { halted }).into_response(),
        Err(Unmoved::NoSink) => {
            problem(StatusCode::CONFLICT, "sink.enabled is false: no payment command is executed")
        }
        Err(Unmoved::Unavailable(why)) => {
            let detail = format!("not written down, nothing has changed: {why}; try again");
            problem(StatusCode::SERVICE_UNAVAILABLE, &detail)
        }
        Err(Unmoved::Unknown(why)) => {
            let detail = format!(
                "not known to be written, so the switch may have moved: {why}; `halted` of GET \
                 /api/v1/commands tells; try again"
            );
            problem(StatusCode::SERVICE_UNAVAILABLE, &detail)
        }
    }
}

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'p> {
    r#type: &'static str,
    title: &'p str,
    status: u16,
    detail: &'p str,
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or_default();
    let body = Problem { r#type: "about:blank", title, status: status.as_u16(), detail };
    let mut answer = (status, Json(body)).into_response();
    let kind = header::HeaderValue::from_static("application/problem+json");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

#[cfg(test)]
#[path = "admin/tests.rs"]
mod tests;
