//! What this binary was built from.

use serde::Serialize;

/// Name, version and origin of the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Build {
    /// The name of the program.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The commit it was built from: what VOMSIS_REVISION said then, else that of the clone, with
    /// `-dirty` where its sources differed; `unknown` where it was no clone.
    pub revision: &'static str,
    /// The compiler.
    pub rustc: &'static str,
}

/// This binary.
pub const BUILD: Build = Build {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    revision: env!("VOMSIS_REVISION"),
    rustc: env!("VOMSIS_RUSTC"),
};

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests run from a clone, or somebody who has none says the commit.
    #[test]
    fn a_binary_from_a_clone_knows_its_commit() {
        let clone = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists();
        assert!(!clone || BUILD.revision != "unknown", "{BUILD:?}");
        assert!(!BUILD.revision.is_empty());
    }
}
