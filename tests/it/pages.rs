//! Pages of the documentation that a machine knows the truth of: made here, compared with what is
//! committed.

mod configuration;
mod event_id;
mod faults;
mod links;
mod promises;
mod streams;

use std::{fs, path::Path};

/// Every page for people, by its path in the repository.
pub(crate) fn all() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::from(["README.md", "ARCHITECTURE.md", "helm/vomsis-connect/README.md"])
        .into_iter()
        .map(str::to_owned)
        .collect();
    below(&root.join("docs"), root, &mut found);
    found
}

fn below(folder: &Path, root: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, root, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

/// Fails where a page is not what was generated; `UPDATE=1` writes it.
#[track_caller]
pub(crate) fn assert_committed(page: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{page}: UPDATE=1 cargo test --test it -- pages:: monitoring:: writes it"
    );
}

/// Text for a cell of a table.
pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
