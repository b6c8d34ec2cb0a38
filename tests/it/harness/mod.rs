//! Real components and child processes for tests: a broker, a registry, a proxy, the connector.
//!
//! A broker and a registry are started once for the whole binary, on free loopback ports, and end
//! with it even when it is killed; tests keep apart by [`topics::unique_prefix`].

pub(crate) mod avro;
pub(crate) mod canaries;
pub(crate) mod cluster;
pub(crate) mod components;
pub(crate) mod damage;
pub(crate) mod gate;
pub(crate) mod hanging;
pub(crate) mod http;
pub(crate) mod kafka;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod random;
pub(crate) mod registry;
pub(crate) mod scrape;
pub(crate) mod source;
pub(crate) mod topics;
pub(crate) mod wait;
pub(crate) mod watched;
pub(crate) mod yaml;
