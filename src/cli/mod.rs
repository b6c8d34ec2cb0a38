//! The command line: arguments in, one command run, an exit code out.
//!
//! Data goes to stdout, everything else to stderr. One file a command; the frame is in [`frame`].

pub mod check;
pub mod checkpoint;
pub mod commands;
pub mod completions;
pub mod config;
mod failure;
mod forms;
mod frame;
mod glance;
pub mod healthcheck;
mod local_http;
pub mod output;
mod piped;
pub mod preview;
mod progress;
pub mod run;
pub mod sandbox;
pub mod schemas;
pub mod status;
pub mod tail;
pub mod topics;
mod upstream;
mod values;
pub mod version;

pub use failure::{Exit, Failure};
pub use frame::{Cli, Command, Context, main};
pub(crate) use values::{duration, stream};
