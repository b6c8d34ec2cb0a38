//! Pages of the documentation that a machine knows the truth of: made here, compared with what is
//! committed.

mod configuration;
mod links;
mod streams;

use std::{fs, path::Path};

/// Fails where a page is not what was generated; `UPDATE=1` writes it.
#[track_caller]
fn assert_committed(page: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "{page}: UPDATE=1 cargo test --test it pages:: writes it");
}

/// Text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
