//! Health, metrics and the read-only status on one listener; what operators may change on another.

pub mod admin;
mod health;
mod server;
pub mod status;

pub use health::{Check, Health};
pub use server::{Error, Server, serve};
pub use status::StatusSource;
