//! The listener and its routes.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::{Encoder, TextEncoder};
use serde::Deserialize;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    Health,
    status::{Status, StatusSource},
};
use crate::{
    log_event,
    telemetry::{
        build::{BUILD, Build},
        events::Event,
        metrics::Metrics,
    },
};

const HEARTBEAT: Duration = Duration::from_secs(1);
/// Scrapes and probes are short; what still runs then is cut off.
const STOP_BUDGET: Duration = Duration::from_secs(2);

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {cause}; change {key} or stop what uses the port")]
pub struct Error {
    listen: SocketAddr,
    key: &'static str,
    cause: io::Error,
}

/// The running listener.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Where it listens; the real port where 0 was asked for.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers what has been asked and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            let abort = task.abort_handle();
            if tokio::time::timeout(STOP_BUDGET, task).await.is_err() {
                abort.abort();
            }
        }
    }
}

#[derive(Clone)]
struct Shared {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    status: Arc<dyn StatusSource>,
}

/// Listens and answers until it is stopped; also keeps the runtime's heartbeat.
pub async fn serve(
    listen: SocketAddr,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    status: Arc<dyn StatusSource>,
) -> Result<Server, Error> {
    let stop = CancellationToken::new();
    let beating = beat(Arc::clone(&health), stop.clone());
    let routes = routes(Shared { health, metrics, status });
    let mut server = listen_on(listen, "http.listen", routes, stop).await?;
    server.tasks.push(tokio::spawn(beating));
    Ok(server)
}

/// Answers these routes until `stop`; `key` is the setting of the address.
pub(super) async fn listen_on(
    listen: SocketAddr,
    key: &'static str,
    routes: Router,
    stop: CancellationToken,
) -> Result<Server, Error> {
    let refused = |cause| Error { listen, key, cause };
    let listener = TcpListener::bind(listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let served = tokio::spawn(answer(listener, routes, stop.clone().cancelled_owned()));
    Ok(Server { address, stop, tasks: vec![served] })
}

async fn answer(
    listener: TcpListener,
    routes: Router,
    stopped: impl Future<Output = ()> + Send + 'static,
) {
    let served = axum::serve(listener, routes).with_graceful_shutdown(stopped).await;
    if let Err(error) = served {
        log_event!(Event::HttpEnded, %error, "the health listener ended; restart the process");
    }
}

async fn beat(health: Arc<Health>, stop: CancellationToken) {
    loop {
        health.beat(Instant::now());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
    }
}

/// `get` answers HEAD as well, and every other method with 405.
fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .route("/api/v1/status", get(status))
        .fallback(nothing)
        .with_state(shared)
}

fn probe(ok: bool, body: impl Into<String>) -> Response {
    let code = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, [(header::CACHE_CONTROL, "no-store")], body.into()).into_response()
}

/// Somebody who looks around is told where to look.
async fn nothing() -> Response {
    let paths = "/livez /readyz /startupz /metrics /version /api/v1/status";
    (StatusCode::NOT_FOUND, format!("nothing is here; there are {paths}\n")).into_response()
}

async fn livez(State(shared): State<Shared>) -> Response {
    let hangs = shared.health.why_not_live(Instant::now());
    probe(hangs.is_none(), hangs.map_or_else(|| "ok\n".to_owned(), |what| what + "\n"))
}

async fn startupz(State(shared): State<Shared>) -> Response {
    let started = shared.health.is_started();
    probe(started, if started { "ok\n" } else { "starting\n" })
}

#[derive(Deserialize)]
struct Readiness {
    verbose: Option<String>,
}

async fn readyz(State(shared): State<Shared>, Query(query): Query<Readiness>) -> Response {
    let checks = shared.health.checks();
    let ready = checks.iter().all(|check| check.ok);
    let verbose = query.verbose.is_some_and(|value| !matches!(value.as_str(), "0" | "false"));
    let mut body = String::new();
    for check in &checks {
        match (check.ok, verbose) {
            (true, true) => body.push_str(&format!("[+] {} ok\n", check.name)),
            (true, false) => {}
            (false, _) => body.push_str(&format!("[-] {}: {}\n", check.name, check.detail)),
        }
    }
    body.push_str(if ready { "ok\n" } else { "not ready\n" });
    probe(ready, body)
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let encoder = TextEncoder::new();
    let mut body = Vec::new();
    match encoder.encode(&shared.metrics.registry.gather(), &mut body) {
        Ok(()) => {
            ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn version() -> Json<Build> {
    Json(BUILD)
}

async fn status(State(shared): State<Shared>) -> Json<Status> {
    Json(shared.status.status())
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    struct Fixed;

    impl StatusSource for Fixed {
        fn status(&self) -> Status {
            Status {
                version: "1".to_owned(),
                uptime_seconds: 2,
                config_hash: "h".to_owned(),
                verdict: "healthy".to_owned(),
                shards: Vec::new(),
                sink: None,
                streams: Vec::new(),
            }
        }
    }

    async fn started() -> (Server, Arc<Health>) {
        let health = Arc::new(Health::new());
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let metrics = Arc::new(Metrics::new());
        metrics.build_info.with_label_values(&["1", "r"]).set(1);
        let server = serve(listen, Arc::clone(&health), metrics, Arc::new(Fixed)).await.unwrap();
        (server, health)
    }

    async fn asked(server: &Server, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn readiness_says_what_it_waits_for() {
        let (server, health) = started().await;
        assert!(server.local_addr().port() > 0);
        assert!(asked(&server, "GET", "/livez").await.starts_with("HTTP/1.1 200"));
        assert!(asked(&server, "GET", "/startupz").await.starts_with("HTTP/1.1 503"));
        health.set_config_valid();
        health.set_state_open();
        health.set_schemas_known();
        health.set_joined(true);
        assert!(asked(&server, "GET", "/startupz").await.starts_with("HTTP/1.1 200"));
        let answer = asked(&server, "GET", "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("[-] kafka"), "{answer}");
        health.set_kafka_answers(true);
        let answer = asked(&server, "GET", "/readyz?verbose").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("[+] kafka ok"), "{answer}");
        server.stop().await;
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text_and_status_is_json() {
        let (server, _) = started().await;
        let answer = asked(&server, "GET", "/metrics").await;
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("vomsis_build_info{"));
        let answer = asked(&server, "GET", "/api/v1/status").await;
        assert!(answer.contains("\"verdict\":\"healthy\""), "{answer}");
        assert!(asked(&server, "GET", "/version").await.contains(BUILD.version));
        server.stop().await;
    }

    #[tokio::test]
    async fn head_works_and_other_methods_are_refused() {
        let (server, _) = started().await;
        let head = asked(&server, "HEAD", "/livez").await;
        assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(asked(&server, "POST", "/readyz").await.starts_with("HTTP/1.1 405"));
        let answer = asked(&server, "GET", "/nothing").await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("/readyz"), "{answer}");
        server.stop().await;
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_what_to_do() {
        let (server, health) = started().await;
        let metrics = Arc::new(Metrics::new());
        let error = serve(server.local_addr(), health, metrics, Arc::new(Fixed)).await.unwrap_err();
        assert!(error.to_string().contains("change http.listen"));
        server.stop().await;
    }
}
