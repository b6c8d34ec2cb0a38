//! The harness itself: what the other tests rely on holds.

mod broker;
mod faults;
mod processes;
mod registry;
