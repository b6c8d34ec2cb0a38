//! `run`: the connector against real systems.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Context, Exit, Failure, progress, upstream::ended};
use crate::{
    app::{App, Broker, commands::admin::Desk, sink::KillSwitch, standing::Source},
    config::model::Config,
    http::{self, Health},
    log_event,
    telemetry::{build::BUILD, events::Event, metrics::Metrics},
};

/// Arguments of `run`; everything else stands in the configuration.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs until SIGTERM or Ctrl-C, then drains; a second Ctrl-C ends at once.
pub async fn run(_args: Args, context: &Context) -> Result<(), Failure> {
    let loaded = context.load()?;
    for warning in &loaded.warnings {
        log_event!(Event::ConfigWarning, "{warning}");
    }
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    serve(Arc::new(loaded.config), loaded.hash, Broker::Real, context.bars, stop).await
}

/// The connector with its health listener, until `stop`; with `bars` its progress is drawn.
pub(super) async fn serve(
    config: Arc<Config>,
    config_hash: String,
    broker: Broker,
    bars: bool,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let failed = |error: String| Failure::new(Exit::Failed, error);
    log_event!(
        Event::Started,
        version = BUILD.version,
        revision = BUILD.revision,
        config_hash,
        connections = config.connections.len(),
        "starting"
    );
    let metrics = Arc::new(Metrics::new());
    metrics.build_info.with_label_values(&[BUILD.version, BUILD.revision]).set(1);
    metrics.config_info.with_label_values(&[&config_hash]).set(1);
    metrics.config_read(chrono::Utc::now());
    let health = Arc::new(Health::new());
    health.set_config_valid();
    let app = App::new(Arc::clone(&config), broker, Arc::clone(&metrics), Arc::clone(&health))
        .map_err(|error| Failure::from(&error))?;
    let source = Source {
        shown: app.shown(),
        health: Arc::clone(&health),
        config: Arc::clone(&config),
        config_hash,
    };
    let server = http::serve(config.http_listen, health, metrics, Arc::new(source))
        .await
        .map_err(|error| failed(error.to_string()))?;
    log_event!(Event::HttpStarted, address = %server.local_addr(), "listening for probes and metrics");
    let admin = match &config.admin {
        Some(admin) => {
            let switch = Arc::new(KillSwitch(Arc::clone(&config)));
            let desk = Arc::new(Desk::new(Arc::clone(&config), app.shown().clients));
            let served = http::admin::serve(admin, switch, desk).await;
            Some(served.map_err(|error| failed(error.to_string()))?)
        }
        None => None,
    };
    if bars {
        tokio::spawn(progress::follow(app.shown(), stop.clone()));
    }
    let outcome = app.run(stop).await;
    if let Some(admin) = admin {
        admin.stop().await;
    }
    server.stop().await;
    log_event!(Event::Stopped, "stopped");
    outcome.map_err(ended)
}

/// The first signal stops in order, the second one at once.
pub(super) fn stop_on_signals(stop: CancellationToken) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::Failed, format!("signal handlers: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                std::process::exit(130);
            }
            stop.cancel();
        }
    });
    Ok(())
}
