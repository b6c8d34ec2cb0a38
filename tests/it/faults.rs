//! What breaks around the connector: its cache, the broker, the registry, the state topic, the
//! source. After each of it every row stands on its topic exactly once.

mod access;
mod cache;
mod canary;
mod dates;
mod outage;
mod refusals;
mod registry;
mod regression;
mod rights;
mod shutdown;
mod stage;
mod tls;
mod unnamed;
