//! Health, metrics and the read-only status, on a listener that can change nothing.

mod health;
mod server;
pub mod status;

pub use health::{Check, Health};
pub use server::{Error, Server, serve};
pub use status::StatusSource;
