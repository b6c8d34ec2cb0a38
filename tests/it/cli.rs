//! The command line as a process: what stands on stdout, what on stderr, and the exit codes.

mod check;
mod hints;
mod inspect;
mod manners;
mod proxy;
mod readme;
mod sandbox;
mod stage;
mod tos;
