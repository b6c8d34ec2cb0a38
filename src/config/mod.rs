//! From YAML, environment and secret files to validated settings.

pub mod model;
