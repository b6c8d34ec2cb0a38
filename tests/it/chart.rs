//! The chart, as far as it can be judged without Helm: its schema is the application's, and every
//! value is used, declared and described. `make test-chart` renders it.

mod schema;
mod templates;
mod values;

use std::{fs, path::PathBuf};

use serde_json::Value;

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

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap()
}
