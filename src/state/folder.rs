//! Whether the folder of the local cache can be used; looks only, and leaves nothing behind.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Whether it exists; `run` creates it.
    pub exists: bool,
    /// Another process holds the cache.
    pub locked: bool,
    /// Bytes that are free on its disk.
    pub free_bytes: u64,
}

/// Looks at a folder. Where it does not exist yet, at the nearest one above it.
///
/// # Errors
/// What cannot be written or read, with its path.
pub fn look(dir: &Path) -> Result<Folder, (PathBuf, io::Error)> {
    let exists = dir.exists();
    let place = dir.ancestors().find(|folder| folder.exists()).unwrap_or(dir);
    let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
    let failed = |error| (place.to_owned(), error);
    let probe = place.join(format!(".vomsis-connect-check-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&probe).map_err(failed)?;
    fs::remove_file(&probe).map_err(failed)?;
    let space = rustix::fs::statvfs(place).map_err(|error| failed(error.into()))?;
    let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
    Ok(Folder { exists, locked: is_locked(dir).map_err(failed)?, free_bytes })
}

/// The store locks this file for as long as it is open.
fn is_locked(dir: &Path) -> io::Result<bool> {
    let file = match File::open(dir.join("sled").join("db")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::state::store::Store;

    #[test]
    fn a_folder_that_is_missing_is_judged_by_the_one_above_it() {
        let above = tempfile::tempdir().unwrap();
        let found = look(&above.path().join("a/b")).unwrap();
        assert!(!found.exists && !found.locked && found.free_bytes > 0);
        assert_eq!(fs::read_dir(above.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn an_open_store_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Duration::ZERO, || ()).unwrap();
        assert!(look(dir.path()).unwrap().locked);
        drop(store);
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_an_error_with_its_path() {
        let above = tempfile::tempdir().unwrap();
        let file = above.path().join("file");
        fs::write(&file, "").unwrap();
        let (path, _) = look(&file).unwrap_err();
        assert_eq!(path, file);
    }
}
