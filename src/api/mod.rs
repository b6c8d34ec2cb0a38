//! The source systems over HTTP: the only room that knows reqwest.
//!
//! `client` is the door. A call passes `allow` (what may be called at all), `auth` (tokens),
//! `quota` (when), `http` (one exchange) and `envelope` (what the answer means), in that order.
//! `payments` is the sink's side of the door: the one call that moves money, and a payment's state.

mod allow;
mod auth;
mod call;
mod client;
mod envelope;
mod error;
mod http;
mod installments;
mod payments;
mod quota;
mod retry;
mod rows;
mod scrub;
mod secrets;
pub mod series;
mod verdict;

pub use allow::Api;
pub use auth::Asker;
pub use client::{BankQuery, Client, Hours, ListStatus};
pub use error::{At, Error, RetryClass};
pub use payments::{Looked, Order, Ready, SendWindow, Sent, Wanted};
pub use quota::Purpose;
pub use rows::Rows;
