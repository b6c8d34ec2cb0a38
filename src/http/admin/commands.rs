//! Payment commands: listed, shown, compared with the API, decided.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{
        Path, Query, State as Extracted,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::problem;

/// How a command must stand to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not finished.
    #[default]
    Open,
    /// In doubt or parked.
    InDoubt,
    /// Parked.
    Parked,
    /// Finished.
    Finished,
    /// Every one.
    All,
}

/// Which commands are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// How they stand; those that are not finished by default.
    #[serde(default)]
    pub state: State,
    /// Only of this connection.
    pub connection: Option<String>,
    /// Only of this payment.
    pub reference: Option<String>,
}

/// Which command is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeantCommand {
    /// Its id.
    pub id: Uuid,
    /// Its connection, where two have the same reference.
    pub connection: Option<String>,
    /// Its payment, where the id was used for several.
    pub reference: Option<String>,
}

/// What was found out about the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It moved.
    Executed,
    /// It did not.
    NotExecuted,
}

/// A person's decision about a parked command.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// What was found out.
    pub outcome: Outcome,
    /// How that is known.
    pub evidence: String,
    /// Who decides.
    pub actor: String,
}

/// Why there is no answer; each says what failed, on which id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no such command, or no journal.
    Unknown(String),
    /// It does not stand as it must for this.
    Conflict(String),
    /// Kafka does not answer.
    Unavailable(String),
    /// The source system does not answer, or refuses.
    Upstream(String),
    /// A mistake of this program.
    Broken(String),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Self::Unknown(detail) => (StatusCode::NOT_FOUND, detail),
            Self::Conflict(detail) => (StatusCode::CONFLICT, detail),
            Self::Unavailable(detail) => (StatusCode::SERVICE_UNAVAILABLE, detail),
            Self::Upstream(detail) => (StatusCode::BAD_GATEWAY, detail),
            Self::Broken(detail) => (StatusCode::INTERNAL_SERVER_ERROR, detail),
        };
        problem(status, &detail)
    }
}

/// Whoever reads the journal and writes decisions into it. The values are those that the command line
/// prints with `-o json`.
pub trait Commands: Send + Sync {
    /// Commands in a line each.
    fn list(&self, filter: Filter) -> BoxFuture<'_, Result<Value, Refused>>;
    /// One command's story.
    fn show(&self, meant: MeantCommand) -> BoxFuture<'_, Result<Value, Refused>>;
    /// How its payment stands now; only reads.
    fn reconcile(&self, meant: MeantCommand) -> BoxFuture<'_, Result<Value, Refused>>;
    /// Writes a decision down; calls no API of a bank.
    fn resolve(
        &self,
        meant: MeantCommand,
        decision: Decision,
    ) -> BoxFuture<'_, Result<Value, Refused>>;
}

pub(super) fn routes(commands: Arc<dyn Commands>) -> Router {
    Router::new()
        .route("/api/v1/commands", get(list))
        .route("/api/v1/commands/{id}", get(show))
        .route("/api/v1/commands/{id}/reconcile", post(reconcile))
        .route("/api/v1/commands/{id}/resolve", post(resolve))
        .with_state(commands)
}

type Shared = Extracted<Arc<dyn Commands>>;

fn answer(said: Result<Value, Refused>) -> Response {
    let kept_nowhere = [(header::CACHE_CONTROL, "no-store")];
    said.map_or_else(Refused::into_response, |value| (kept_nowhere, Json(value)).into_response())
}

/// What the query may say beside the id in the path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    connection: Option<String>,
    reference: Option<String>,
}

type Asked = Result<Query<Which>, QueryRejection>;

#[expect(clippy::result_large_err, reason = "the answer itself, passed on once")]
fn read_meant(id: &str, which: Asked) -> Result<MeantCommand, Response> {
    let id = Uuid::parse_str(id)
        .map_err(|_| problem(StatusCode::BAD_REQUEST, "the path names no command id (a UUID)"))?;
    let Query(Which { connection, reference }) =
        which.map_err(|rejection| problem(rejection.status(), &rejection.body_text()))?;
    Ok(MeantCommand { id, connection, reference })
}

async fn list(
    Extracted(commands): Shared,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Response {
    match filter {
        Ok(Query(filter)) => answer(commands.list(filter).await),
        Err(rejection) => problem(rejection.status(), &rejection.body_text()),
    }
}

async fn show(Extracted(commands): Shared, Path(id): Path<String>, which: Asked) -> Response {
    match read_meant(&id, which) {
        Ok(meant) => answer(commands.show(meant).await),
        Err(wrong) => wrong,
    }
}

/// Nothing is to be said with it; that it is JSON keeps a web page of another origin out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn reconcile(
    Extracted(commands): Shared,
    Path(id): Path<String>,
    which: Asked,
    nothing: Result<Json<Nothing>, JsonRejection>,
) -> Response {
    if let Err(rejection) = nothing {
        return problem(rejection.status(), &format!("{}: send {{}}", rejection.body_text()));
    }
    match read_meant(&id, which) {
        Ok(meant) => answer(commands.reconcile(meant).await),
        Err(wrong) => wrong,
    }
}

async fn resolve(
    Extracted(commands): Shared,
    Path(id): Path<String>,
    which: Asked,
    decision: Result<Json<Decision>, JsonRejection>,
) -> Response {
    let decision = match decision {
        Ok(Json(decision)) => decision,
        Err(rejection) => return problem(rejection.status(), &rejection.body_text()),
    };
    if decision.evidence.trim().is_empty() || decision.actor.trim().is_empty() {
        let detail = "evidence and actor must not be empty";
        return problem(StatusCode::UNPROCESSABLE_ENTITY, detail);
    }
    match read_meant(&id, which) {
        Ok(meant) => answer(commands.resolve(meant, decision).await),
        Err(wrong) => wrong,
    }
}
