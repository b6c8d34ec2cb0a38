//! Integration tests: what users of the crate and of its events can rely on.

mod avro;
mod golden;
mod schemas;
