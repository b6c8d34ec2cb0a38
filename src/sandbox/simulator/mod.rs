//! A server that plays the read surfaces of the four source documents, and the one operation of
//! theirs that changes something: cancelling and refunding a virtual-POS payment.
//!
//! In: HTTP requests as the connector sends them, and `/_ctl/…` calls. Out: answers in the
//! documents' shapes, spoiled by scripted faults where a test wants them. The connection's base
//! URLs are `http://<addr>/api/v2`, `http://<addr>/api/vpos/v3` and `http://<addr>` (TOS, with
//! the token at `/auth/oauth/v2/token`).

mod answer;
mod bank;
mod call;
mod control;
mod door;
mod faults;
mod operation;
mod payment;
mod posts;
mod serve;
mod sign_in;
mod start;
mod tos;
mod virtual_pos;
mod world;

pub use faults::{Fault, FaultSpec, InvalidFault, PaymentFault};
pub use operation::Operation;
pub use posts::{Post, PostCounts, Posts};
pub use sign_in::{APP_KEY, APP_SECRET};
pub use start::{Simulator, SimulatorOptions, StartError};
pub use world::{Requests, RowOrder, SeenRequest};

#[cfg(test)]
mod payment_tests;
#[cfg(test)]
mod tests;
