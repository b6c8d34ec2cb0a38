//! Secret files: read when needed, never kept on disk elsewhere, never shown.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use xxhash_rust::xxh3::Xxh3;

/// A larger file is no key; reading it whole would only cost memory.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// How old a fingerprint may be: many tasks that wait for a change share one look at the files.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(3);

/// Stands for the content of the files without telling it; it never leaves the process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(u128);

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

/// Why a secret file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretProblem {
    pub(crate) file: PathBuf,
    pub(crate) problem: String,
    /// Of what was read: a file that is whole a moment later differs from it.
    pub(crate) fingerprint: Fingerprint,
}

/// Two secrets read together, and the fingerprint of what was read.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) key: SecretString,
    pub(crate) secret: SecretString,
    pub(crate) fingerprint: Fingerprint,
}

impl Pair {
    /// What must not be shown, should the API repeat it.
    pub(crate) fn expose(&self) -> [&str; 2] {
        [self.key.expose_secret(), self.secret.expose_secret()]
    }
}

/// The two files that hold the credentials of one API.
#[derive(Debug)]
pub(crate) struct SecretFiles {
    key_file: PathBuf,
    secret_file: PathBuf,
    looked: Mutex<Option<(Instant, Fingerprint)>>,
}

impl SecretFiles {
    pub(crate) fn new(key_file: &Path, secret_file: &Path) -> Self {
        let looked = Mutex::new(None);
        Self { key_file: key_file.to_owned(), secret_file: secret_file.to_owned(), looked }
    }

    /// The one that holds the secret.
    pub(crate) fn secret_file(&self) -> &Path {
        &self.secret_file
    }

    /// Reads both files.
    pub(crate) async fn read(&self) -> Result<Pair, SecretProblem> {
        let (key, secret) = (read(&self.key_file).await, read(&self.secret_file).await);
        let fingerprint = fingerprint(&[&key, &secret]);
        // An older look must not pass for a change of what was just read.
        self.note_look(fingerprint);
        let usable = |content: Content, file: &Path| match content {
            Content::Text(text) => Ok(SecretString::from(text)),
            Content::Unusable(problem) => {
                Err(SecretProblem { file: file.to_owned(), problem, fingerprint })
            }
        };
        Ok(Pair {
            key: usable(key, &self.key_file)?,
            secret: usable(secret, &self.secret_file)?,
            fingerprint,
        })
    }

    /// What stands in the files, no older than [`LOOK_INTERVAL`]. Missing files count as content:
    /// their appearing is a change too.
    pub(crate) async fn fingerprint(&self) -> Fingerprint {
        let looked = |age_max| {
            let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            looked.filter(|(at, _)| at.elapsed() < age_max).map(|(_, print)| print)
        };
        if let Some(print) = looked(LOOK_INTERVAL) {
            return print;
        }
        let (key, secret) = (read(&self.key_file).await, read(&self.secret_file).await);
        let print = fingerprint(&[&key, &secret]);
        self.note_look(print);
        print
    }

    fn note_look(&self, print: Fingerprint) {
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), print));
    }
}

enum Content {
    Text(String),
    Unusable(String),
}

/// Reads and trims: editors and `kubectl create secret` like to leave a line end behind.
async fn read(file: &Path) -> Content {
    let bytes = match tokio::fs::metadata(file).await {
        Ok(meta) if meta.len() > FILE_BYTES_MAX as u64 => {
            return Content::Unusable(format!("has more than {FILE_BYTES_MAX} bytes"));
        }
        Ok(_) => tokio::fs::read(file).await,
        Err(error) => Err(error),
    };
    match bytes.map(String::from_utf8) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Content::Unusable("does not exist".to_owned())
        }
        Err(error) => Content::Unusable(format!("cannot be read ({})", error.kind())),
        Ok(Err(_)) => Content::Unusable("is not UTF-8 text".to_owned()),
        Ok(Ok(text)) => match text.trim_start_matches('\u{feff}').trim() {
            "" => Content::Unusable("is empty".to_owned()),
            trimmed => Content::Text(trimmed.to_owned()),
        },
    }
}

fn fingerprint(contents: &[&Content]) -> Fingerprint {
    let mut hash = Xxh3::new();
    for content in contents {
        let (tag, text) = match content {
            Content::Text(text) => (1_u8, text),
            Content::Unusable(problem) => (0_u8, problem),
        };
        hash.update(&[tag]);
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    Fingerprint(hash.digest128())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &tempfile::TempDir) -> SecretFiles {
        SecretFiles::new(&dir.path().join("key"), &dir.path().join("secret"))
    }

    #[tokio::test]
    async fn contents_are_trimmed_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "\u{feff}canary-key\r\n").unwrap();
        std::fs::write(dir.path().join("secret"), "  canary-secret\n").unwrap();
        let pair = files(&dir).read().await.unwrap();
        assert_eq!(pair.key.expose_secret(), "canary-key");
        assert_eq!(pair.secret.expose_secret(), "canary-secret");
        assert!(!format!("{pair:?}").contains("canary"));
    }

    #[tokio::test]
    async fn problems_name_the_file_and_not_its_content() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "canary").unwrap();
        let missing = files(&dir).read().await.unwrap_err();
        assert_eq!(missing.file, dir.path().join("secret"));
        assert_eq!(missing.problem, "does not exist");
        std::fs::write(dir.path().join("secret"), " \n").unwrap();
        assert_eq!(files(&dir).read().await.unwrap_err().problem, "is empty");
        std::fs::write(dir.path().join("secret"), [0xff, 0xfe]).unwrap();
        assert_eq!(files(&dir).read().await.unwrap_err().problem, "is not UTF-8 text");
    }

    #[tokio::test]
    async fn the_fingerprint_follows_content_and_presence() {
        let dir = tempfile::tempdir().unwrap();
        let absent = files(&dir).fingerprint().await;
        std::fs::write(dir.path().join("key"), "a").unwrap();
        std::fs::write(dir.path().join("secret"), "bc").unwrap();
        let first = files(&dir).fingerprint().await;
        std::fs::write(dir.path().join("key"), "ab").unwrap();
        std::fs::write(dir.path().join("secret"), "c\n").unwrap();
        let second = files(&dir).fingerprint().await;
        std::fs::write(dir.path().join("secret"), "c").unwrap();
        assert_ne!(absent, first);
        assert_ne!(first, second);
        assert_eq!(second, files(&dir).fingerprint().await);
        assert_eq!(second, files(&dir).read().await.unwrap().fingerprint);
    }
}
