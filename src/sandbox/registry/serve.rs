//! The registry's HTTP face.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, RawQuery, State},
    http::{HeaderValue, Response, StatusCode, header},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::store::{Level, Refusal, Store};

type Shared = Arc<Mutex<Store>>;
type Answer = Result<Value, Refusal>;

pub(super) fn router(store: Shared) -> Router {
    Router::new()
        .route("/", get(|| async { answer(Ok(json!({}))) }))
        .route("/schemas/types", get(|| async { answer(Ok(json!(["AVRO"]))) }))
        .route("/schemas/ids/{id}", get(schema))
        .route("/schemas/ids/{id}/versions", get(schema_versions))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(lookup))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_schema))
        .route("/config", get(config).put(set_config))
        .route("/config/{subject}", get(subject_config).put(set_subject_config))
        .route("/compatibility/subjects/{subject}/versions", post(compatible_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatible))
        .with_state(store)
}

fn lock(store: &Shared) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(result: Answer) -> Response<Body> {
    let (status, body) = match result {
        Ok(body) => (StatusCode::OK, body),
        Err(refusal) => refused(refusal),
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/vnd.schemaregistry.v1+json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Status and body as Confluent's registry writes them.
fn refused(refusal: Refusal) -> (StatusCode, Value) {
    let (status, code, message) = match refusal {
        Refusal::SubjectUnknown(subject) => (404, 40401, format!("Subject '{subject}' not found.")),
        Refusal::VersionUnknown(version) => (404, 40402, format!("Version {version} not found.")),
        Refusal::SchemaUnknown => (404, 40403, "Schema not found".to_owned()),
        Refusal::LevelUnset(subject) => (
            404,
            40408,
            format!("Subject '{subject}' does not have subject-level compatibility configured"),
        ),
        Refusal::SchemaInvalid(detail) => (422, 42201, format!("Invalid schema: {detail}")),
        Refusal::VersionInvalid(version) => (
            422,
            42202,
            format!(
                "The specified version '{version}' is not a valid version id. Allowed values are \
                 between [1, 2^31-1] and the string \"latest\""
            ),
        ),
        Refusal::LevelInvalid => (422, 42203, "Invalid compatibility level".to_owned()),
        Refusal::Incompatible(subject, reason) => (
            409,
            409,
            format!(
                "Schema being registered is incompatible with an earlier schema for subject \
                 \"{subject}\", details: {reason}"
            ),
        ),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, json!({"error_code": code, "message": message}))
}

/// The schema text in a body `{"schema": "…"}`; only Avro is known here.
fn schema_text(body: &[u8]) -> Result<String, Refusal> {
    let body: Value =
        serde_json::from_slice(body).map_err(|error| Refusal::SchemaInvalid(error.to_string()))?;
    let kind = body.get("schemaType").and_then(Value::as_str).unwrap_or("AVRO");
    if kind != "AVRO" {
        return Err(Refusal::SchemaInvalid(format!("schema type {kind} is not served here")));
    }
    let text = body.get("schema").and_then(Value::as_str);
    text.map(ToOwned::to_owned).ok_or_else(|| Refusal::SchemaInvalid("Empty schema".to_owned()))
}

fn level_in(body: &[u8]) -> Result<Level, Refusal> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Refusal::LevelInvalid)?;
    let name = body.get("compatibility").and_then(Value::as_str);
    name.and_then(Level::parse).ok_or(Refusal::LevelInvalid)
}

async fn register(
    State(store): State<Shared>,
    Path(subject): Path<String>,
    body: Bytes,
) -> Response<Body> {
    let registered = schema_text(&body).and_then(|text| lock(&store).register(&subject, &text));
    answer(registered.map(|id| json!({"id": id})))
}

async fn lookup(
    State(store): State<Shared>,
    Path(subject): Path<String>,
    body: Bytes,
) -> Response<Body> {
    let found = schema_text(&body).and_then(|text| lock(&store).lookup(&subject, &text));
    answer(found.map(|found| {
        json!({
            "subject": subject, "id": found.id, "version": found.version, "schema": found.text,
        })
    }))
}

async fn subjects(State(store): State<Shared>) -> Response<Body> {
    answer(Ok(json!(lock(&store).subjects())))
}

async fn versions(State(store): State<Shared>, Path(subject): Path<String>) -> Response<Body> {
    let versions = lock(&store).versions(&subject);
    answer(versions.map(|versions| json!(versions)))
}

async fn version(
    State(store): State<Shared>,
    Path((subject, version)): Path<(String, String)>,
) -> Response<Body> {
    let found = lock(&store).version(&subject, &version);
    answer(found.map(|found| {
        json!({
            "subject": subject, "version": found.version, "id": found.id, "schema": found.text,
        })
    }))
}

/// Without an envelope: the body is the schema.
async fn version_schema(
    State(store): State<Shared>,
    Path((subject, version)): Path<(String, String)>,
) -> Response<Body> {
    let found = lock(&store).version(&subject, &version);
    answer(found.map(|found| serde_json::from_str(&found.text).unwrap_or_default()))
}

async fn schema(State(store): State<Shared>, Path(id): Path<String>) -> Response<Body> {
    let store = lock(&store);
    let found = id.parse().map_err(|_| Refusal::SchemaUnknown).and_then(|id| store.schema(id));
    answer(found.map(|text| json!({"schema": text})))
}

async fn schema_versions(State(store): State<Shared>, Path(id): Path<String>) -> Response<Body> {
    let store = lock(&store);
    let id = id.parse().unwrap_or(0);
    answer(store.schema(id).map(|_| {
        let uses = store.uses(id).into_iter();
        let rows = uses.map(|(subject, version)| json!({"subject": subject, "version": version}));
        Value::Array(rows.collect())
    }))
}

async fn config(State(store): State<Shared>) -> Response<Body> {
    answer(Ok(json!({"compatibilityLevel": lock(&store).level().name()})))
}

async fn set_config(State(store): State<Shared>, body: Bytes) -> Response<Body> {
    answer(level_in(&body).map(|level| {
        lock(&store).set_level(level);
        json!({"compatibility": level.name()})
    }))
}

async fn subject_config(
    State(store): State<Shared>,
    Path(subject): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let store = lock(&store);
    let default = query.is_some_and(|query| query.contains("defaultToGlobal=true"));
    let level = match store.subject_level(&subject) {
        Err(_) if default => Ok(store.level()),
        other => other,
    };
    answer(level.map(|level| json!({"compatibilityLevel": level.name()})))
}

async fn set_subject_config(
    State(store): State<Shared>,
    Path(subject): Path<String>,
    body: Bytes,
) -> Response<Body> {
    answer(level_in(&body).map(|level| {
        lock(&store).set_subject_level(&subject, level);
        json!({"compatibility": level.name()})
    }))
}

fn judged(judged: Result<Result<(), String>, Refusal>, query: Option<&String>) -> Answer {
    let verbose = query.is_some_and(|query| query.contains("verbose=true"));
    judged.map(|judgement| match judgement {
        Ok(()) => json!({"is_compatible": true}),
        Err(reason) if verbose => json!({"is_compatible": false, "messages": [reason]}),
        Err(_) => json!({"is_compatible": false}),
    })
}

async fn compatible(
    State(store): State<Shared>,
    Path((subject, version)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response<Body> {
    let judgement = schema_text(&body)
        .and_then(|text| lock(&store).compatible(&subject, Some(&version), &text));
    answer(judged(judgement, query.as_ref()))
}

async fn compatible_all(
    State(store): State<Shared>,
    Path(subject): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response<Body> {
    let judgement =
        schema_text(&body).and_then(|text| lock(&store).compatible(&subject, None, &text));
    answer(judged(judgement, query.as_ref()))
}
