//! From shapes to the validated types: everything that one key alone cannot tell.
//!
//! All problems are collected, so that one run shows all there is to mend. No file, clock or
//! socket is touched: whether secret files exist is a question for `check`.

mod connection;
mod deployment;
mod login;
mod privacy;
mod resolve;
mod review;
mod streams;

pub(crate) use deployment::config;
pub(crate) use resolve::resolve;
pub(crate) use review::Review;
