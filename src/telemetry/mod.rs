//! Metrics and log events as types: the only room that names a metric or a log code.

pub mod metrics;
