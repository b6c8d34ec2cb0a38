//! Metrics and log events as types: the only room that names a metric or a log code. The clock that
//! dates them stands here too, and the pulse that says what a thread is doing.

pub mod build;
pub mod clock;
mod define;
pub mod events;
pub mod filter;
mod limit;
pub mod logs;
pub mod metrics;
#[cfg(test)]
mod metrics_doc;
pub mod pulse;

/// Fails where a generated file differs from the committed one; `UPDATE=1` writes it.
#[cfg(test)]
pub(crate) fn assert_committed(path: &str, generated: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{} is out of date; run UPDATE=1 cargo test --lib to write it",
        path.display()
    );
}
