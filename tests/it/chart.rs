//! The chart, as far as it can be judged without Helm: its schema is the application's, and every
//! value is used, declared and described. `make test-chart` renders it.

mod schema;
mod templates;
mod values;

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::harness::yaml;

/// The chart's folder.
fn chart() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("helm/vomsis-connect")
}

fn text(path: &str) -> String {
    let path = chart().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(path: &str) -> Value {
    serde_json::from_str(&text(path)).unwrap()
}

/// The values: maps, lists, and every scalar as text.
fn yaml(path: &str) -> Value {
    yaml::read(&text(path))
}
