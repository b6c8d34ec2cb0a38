//! What this binary was built from.

use serde::Serialize;

/// Name, version and origin of the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Build {
    /// The name of the program.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The commit it was built from, where the build said so.
    pub revision: &'static str,
    /// The compiler.
    pub rustc: &'static str,
}

/// This binary.
pub const BUILD: Build = Build {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    revision: match option_env!("VOMSIS_REVISION") {
        Some(revision) => revision,
        None => "unknown",
    },
    rustc: env!("VOMSIS_RUSTC"),
};
