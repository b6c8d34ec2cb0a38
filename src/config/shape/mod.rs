//! The configuration as it is written: every key, its documentation and its default.
//!
//! The comments here are the user manual: `config explain`, `config init` and the JSON Schema
//! show them. A shape is checked for its keys and types only; [`super::validate`] does the rest.

mod connection;
mod deployment;
pub(crate) mod rules;
mod scalar;
mod streams;

pub use connection::{Connection, Institution, Quota, Timeouts, TosApi, VomsisApi};
pub use deployment::{
    Admin, BasicAuth, Config, Http, Kafka, Privacy, RegistryMode, SchemaRegistry, Sink, State,
    Treatment,
};
pub use scalar::{Decimal, Section, Selection};
pub use streams::{
    BankTransactions, DateType, Deletions, Feed, PosTransactions, Reference, Streams, TosPayments,
    VirtualPosTransactions,
};
