//! Where `make components` put the broker, the registry and their Java.

use std::path::PathBuf;

/// The environment variable `name`, where it is set and not empty.
pub(crate) fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the tests are configured by the environment")]
    let value = std::env::var(name);
    value.ok().filter(|value| !value.is_empty())
}

/// A file or folder of the components' cache; its absence fails the test with what to do.
pub(crate) fn component(name: &str) -> PathBuf {
    let cache = environment("VOMSIS_COMPONENTS").map(PathBuf::from).unwrap_or_else(|| {
        environment("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| environment("HOME").map(|home| PathBuf::from(home).join(".cache")))
            .expect("set HOME or VOMSIS_COMPONENTS: the test components have no place")
            .join("vomsis-connect")
    });
    let path = cache.join(name);
    assert!(path.exists(), "{} is missing: run `make components` once", path.display());
    path
}
