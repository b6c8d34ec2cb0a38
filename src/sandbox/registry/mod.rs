//! A schema registry in this process, with Confluent's paths and error bodies.
//!
//! In: HTTP as `schema_registry_converter` and the command line send it. Out: ids that belong to
//! contents (one schema in two subjects has one id), versions from 1, and the compatibility
//! rules, judged by the Avro library. Nothing is kept on disk.

mod serve;
mod store;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{net::TcpListener, task::JoinHandle};

use crate::{log_event, telemetry::events::Event};

pub use store::Level;
use store::Store;

/// A running registry; it ends when it is dropped.
#[derive(Debug)]
pub struct Registry {
    /// Where it listens.
    pub addr: SocketAddr,
    server: JoinHandle<()>,
}

/// The registry's address is taken or not ours.
#[derive(Debug, thiserror::Error)]
#[error("schema registry could not listen on {addr}, choose another address or port 0")]
pub struct ListenError {
    addr: SocketAddr,
    source: std::io::Error,
}

impl Registry {
    /// Begins to serve; port 0 is any free port.
    pub async fn start(listen: SocketAddr) -> Result<Self, ListenError> {
        let refused = |source| ListenError { addr: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        let store = Arc::new(Mutex::new(Store::default()));
        let router = serve::router(store);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                log_event!(Event::SandboxBroke, %error, "schema registry stopped serving");
            }
        });
        Ok(Self { addr, server })
    }

    /// `http://<addr>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops serving and frees the port.
    pub fn stop(self) {
        self.server.abort();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[cfg(test)]
mod tests;
