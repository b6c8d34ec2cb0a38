//! `healthcheck`: exit 0 where the running connector is ready.

use std::net::SocketAddr;

use super::{Context, Exit, Failure, local_http, output};

/// How a listener is named.
const WRITTEN: &str = "--url http://HOST:PORT";

/// Arguments of `healthcheck`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The listener; by default the configuration's `http.listen`.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

/// Asks `/readyz` and repeats what it says.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let url = url(args.url, context)?;
    match local_http::get(&url, "/readyz") {
        Ok(answer) if answer.status == 200 => {
            output::print(context, &serde_json::json!({ "ready": true }), || "ready".to_owned())
        }
        Ok(answer) => {
            let why = answer.body.trim_end().replace('\n', "; ");
            Err(Failure::new(Exit::Failed, format!("not ready: {why}")))
        }
        Err(error) => Err(unreachable(&url, &error)),
    }
}

/// What was asked for, else the listener of the configuration.
pub(crate) fn url(given: Option<String>, context: &Context) -> Result<String, Failure> {
    if let Some(url) = given {
        return Ok(url);
    }
    let loaded = context.load_unasked().map_err(|failure| {
        let hint = failure.hint.clone().unwrap_or_default();
        failure.hint(format!(
            "name the listener with {WRITTEN}, which needs no configuration; or {hint}"
        ))
    })?;
    let listen = loaded.config.http_listen;
    if listen.port() == 0 {
        return Err(Failure::new(Exit::Usage, "http.listen has port 0, so the port is not known")
            .hint("name it: --url http://127.0.0.1:PORT"));
    }
    Ok(format!("http://{}", reachable(listen)))
}

/// A listener on all addresses is asked on loopback.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        let loopback: SocketAddr = match listen {
            SocketAddr::V4(_) => ([127, 0, 0, 1], 0).into(),
            SocketAddr::V6(_) => ([0, 0, 0, 0, 0, 0, 0, 1], 0).into(),
        };
        listen.set_ip(loopback.ip());
    }
    listen
}

pub(crate) fn unreachable(url: &str, error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::InvalidInput {
        return Failure::new(Exit::Usage, format!("{url} cannot be asked: {error}"))
            .hint(format!("write {WRITTEN}"));
    }
    Failure::new(Exit::Unavailable, format!("no answer from {url}: {error}"))
        .hint(format!("is the connector running? name its listener with {WRITTEN}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        http::{Health, StatusSource, serve, status::Status},
        telemetry::metrics::Metrics,
    };

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_loopback() {
        let cases = [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.1:1", "10.0.0.1:1"),
        ];
        for (listen, asked) in cases {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }

    struct Nothing;

    impl StatusSource for Nothing {
        fn status(&self) -> Status {
            Status {
                version: "1".to_owned(),
                uptime_seconds: 0,
                config_hash: "h".to_owned(),
                verdict: "healthy".to_owned(),
                shards: Vec::new(),
                sink: None,
                streams: Vec::new(),
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_listener_of_a_connector_is_understood() {
        let health = Arc::new(Health::new());
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let metrics = Arc::new(Metrics::new());
        let server = serve(listen, Arc::clone(&health), metrics, Arc::new(Nothing)).await.unwrap();
        let url = format!("http://{}", server.local_addr());
        let context = Context::for_tests();
        let failure = run(Args { url: Some(url.clone()) }, &context).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.message.contains("kafka: Kafka does not answer"), "{failure:?}");
        health.set_config_valid();
        health.set_state_open();
        health.set_kafka_answers(true);
        health.set_schemas_known();
        health.set_joined(true);
        run(Args { url: Some(url.clone()) }, &context).await.unwrap();
        let args = crate::cli::status::Args { url: Some(url), watch: false };
        crate::cli::status::run(args, &context).await.unwrap();
        server.stop().await;
    }

    #[tokio::test]
    async fn a_url_that_makes_no_sense_is_no_outage() {
        for url in ["https://h:1", "h:1", "http://h:70000"] {
            let args = Args { url: Some(url.to_owned()) };
            let failure = run(args, &Context::for_tests()).await.unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{failure:?}");
        }
    }

    #[test]
    fn without_a_configuration_the_hint_names_the_listener_s_argument() {
        let failure = url(None, &Context::for_tests()).unwrap_err();
        assert_eq!(failure.exit, Exit::Config);
        let hint = failure.hint.unwrap();
        assert!(
            hint.contains("--url http://HOST:PORT") && hint.contains("--config FILE"),
            "{hint}"
        );
    }

    #[test]
    fn settings_of_librdkafka_are_nothing_to_who_asks_the_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        let text = "connections: [{id: a, bank_pos: {app_key_file: a, app_secret_file: b}}]\nkafka: {properties: {socket.timeout.ms: '60000'}}\nhttp: {listen: '127.0.0.1:7'}\n";
        std::fs::write(&path, text).unwrap();
        let context = Context { config_path: path, ..Context::for_tests() };
        assert_eq!(url(None, &context).unwrap(), "http://127.0.0.1:7");
        assert!(context.load().is_err(), "run refuses it");
    }

    #[test]
    fn a_given_url_needs_no_configuration() {
        let url = url(Some("http://h:1".to_owned()), &Context::for_tests()).unwrap();
        assert_eq!(url, "http://h:1");
    }
}
