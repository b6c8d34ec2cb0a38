//! A real HTTP server on loopback that answers by a script.

use std::{collections::HashMap, path::Path, sync::Mutex};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Response, header},
};

use super::*;
use crate::{
    config::model::{Institution, Quota as QuotaLimits, Streams, Timeouts},
    domain::ids::ConnectionId,
};

/// What the server saw of one request.
#[derive(Debug, Clone)]
pub(in crate::api) struct Seen {
    pub(in crate::api) line: String,
    pub(in crate::api) headers: HashMap<String, String>,
    pub(in crate::api) body: String,
}

/// A server that answers by a script and keeps what it saw.
pub(in crate::api) struct Fake {
    pub(in crate::api) url: String,
    pub(in crate::api) seen: Arc<Mutex<Vec<Seen>>>,
    pub(in crate::api) dir: tempfile::TempDir,
    pub(in crate::api) metrics: Arc<Metrics>,
}

impl Fake {
    /// The script gets the path and how many requests of that path came before.
    pub(in crate::api) async fn start(
        script: impl Fn(&str, usize) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::<Seen>::new()));
        let (log, script) = (Arc::clone(&seen), Arc::new(script));
        let handler = move |request: Request| {
            let (log, script) = (Arc::clone(&log), Arc::clone(&script));
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let text = |value: &header::HeaderValue| value.to_str().unwrap().to_owned();
                let path = parts.uri.path().to_owned();
                let before = {
                    let mut log = log.lock().unwrap();
                    let same = |seen: &&Seen| seen.path() == path;
                    let before = log.iter().filter(same).count();
                    log.push(Seen {
                        line: format!("{} {}", parts.method, parts.uri),
                        headers: parts
                            .headers
                            .iter()
                            .map(|(name, value)| (name.to_string(), text(value)))
                            .collect(),
                        body: String::from_utf8(body.to_vec()).unwrap(),
                    });
                    before
                };
                script(&path, before)
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, app).await });
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "canary-key\n").unwrap();
        std::fs::write(dir.path().join("secret"), "canary-secret\n").unwrap();
        Self { url, seen, dir, metrics: Arc::new(Metrics::new()) }
    }

    /// Answers token requests, and everything else by the script.
    pub(in crate::api) async fn with_token(
        script: impl Fn(&str, usize) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |path, nth| match path {
            "/authenticate" | "/auth/token" | "/oauth" => json(200, TOKEN),
            other => script(other, nth),
        })
        .await
    }

    pub(in crate::api) fn client(&self) -> Client {
        let connection = Arc::new(connection(&self.url, self.dir.path()));
        let mut client = Client::new(&connection, Arc::clone(&self.metrics)).unwrap();
        Arc::get_mut(&mut client.caller).unwrap().pace = 0.0;
        client
    }

    pub(in crate::api) fn count(&self, path: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| seen.path() == path).count()
    }

    pub(in crate::api) fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    pub(in crate::api) fn write_secret(&self, text: &str) {
        std::fs::write(self.dir.path().join("secret"), text).unwrap();
    }

    pub(in crate::api) fn retries(&self, operation: &str, reason: &str) -> u64 {
        self.metrics.api_retries.with_label_values(&["acme", operation, reason]).get()
    }
}

impl Seen {
    pub(in crate::api) fn path(&self) -> &str {
        self.line.split([' ', '?']).nth(1).unwrap()
    }
}

pub(in crate::api) fn connection(url: &str, dir: &Path) -> Connection {
    let vomsis = VomsisApi {
        base_url: url.to_owned(),
        app_key_file: dir.join("key"),
        app_secret_file: dir.join("secret"),
    };
    Connection {
        id: ConnectionId::try_new("acme").unwrap(),
        bank_pos: Some(vomsis.clone()),
        virtual_pos: Some(vomsis),
        tos: Some(TosApi {
            base_url: url.to_owned(),
            token_url: format!("{url}/oauth"),
            client_id_file: dir.join("key"),
            client_secret_file: dir.join("secret"),
            consent_id: "R-1".to_owned(),
            resource: "sandbox".to_owned(),
            institutions: vec![Institution { code: "0006624".into(), sender_accounts: vec![] }],
        }),
        timeouts: Timeouts { connect: Duration::from_secs(5), request: Duration::from_secs(20) },
        extras: false,
        quota: QuotaLimits {
            requests_per_minute: 60_000,
            concurrency: 8,
            reserved_for_payments: 100,
        },
        streams: Streams {
            bank_transactions: None,
            pos_transactions: None,
            virtual_pos_transactions: None,
            tos_payments: None,
            reference: None,
        },
    }
}

pub(in crate::api) fn reply(
    status: u16,
    content_type: &str,
    body: impl Into<Body>,
) -> Response<Body> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .body(body.into())
        .unwrap()
}

pub(in crate::api) fn json(status: u16, body: &str) -> Response<Body> {
    reply(status, "application/json", body.to_owned())
}
