//! Refused TOS tokens in a file of `state.dir`: whoever uses the folder counts there, so that
//! `run`, `check` and `preview` stop together where each alone would.
//!
//! The file holds one record a connection and never a secret. It is replaced as a whole, under a
//! lock on the folder; a lock on the secret file lets one process ask at a time. Both locks are the
//! system's and end with the process.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    api::secrets::Pair,
    domain::{
        ids::ConnectionId,
        refusals::{LOCKED, TosRefusals},
    },
};

/// Beside the local cache's folder, which any doubt may throw away.
pub(super) const FILE: &str = "tos-refusals.json";
const VERSION: u8 = 1;
/// Only a thread that nothing can stop could wait for such a lock, so it is looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Longer than a token request of another process takes.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Who asks for TOS tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// `run`: it keeps its count in Kafka too, so it goes on where the file is unusable.
    Connector,
    /// A command: what it cannot write down, nobody would know of.
    Person {
        /// Ask once more although two refusals are on record, or none can be recorded.
        again: bool,
    },
}

impl Asker {
    pub(super) const fn again(self) -> bool {
        matches!(self, Self::Person { again: true })
    }

    /// Whether a token may be asked for without the file.
    pub(super) const fn does_without(self) -> bool {
        matches!(self, Self::Connector) || self.again()
    }
}

/// Why the count cannot be shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) path: PathBuf,
    pub(super) problem: String,
    /// What had been read of it by then: to be heeded even where no more can be written.
    pub(super) refused: u32,
}

/// The count of one connection, shared with whoever uses the same folder.
#[derive(Debug)]
pub(crate) struct SharedCount {
    dir: PathBuf,
    connection: ConnectionId,
    /// Its lock is the turn to ask: whoever would send this secret waits for it, and no lock file
    /// is left behind.
    secret_file: PathBuf,
    pub(super) asker: Asker,
}

/// The turn to ask for a token; over when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u8,
    connections: BTreeMap<String, TosRefusals>,
}

impl SharedCount {
    pub(crate) fn new(
        dir: &Path,
        connection: ConnectionId,
        secret_file: &Path,
        asker: Asker,
    ) -> Self {
        Self { dir: dir.to_owned(), connection, secret_file: secret_file.to_owned(), asker }
    }

    /// Waits for the turn to ask with this secret.
    pub(super) async fn take_turn(&self) -> Result<Turn, Problem> {
        Ok(Turn { _lock: lock(&self.secret_file).await? })
    }

    /// How often these secrets were refused, also under another connection that has the same ones.
    /// Fails where one more refusal could not be written down.
    pub(super) async fn look(&self, pair: &Pair) -> Result<u32, Problem> {
        let _folder = lock(&self.dir).await?;
        let content = self.read().await?;
        let about = content.connections.values().filter(|record| is_about(record, pair));
        let refused = about.map(|record| record.refused).max().unwrap_or(0);
        self.write(content, false).await.map_err(|problem| Problem { refused, ..problem })?;
        Ok(refused)
    }

    /// Writes down how often these secrets were refused; never fewer than somebody else has counted.
    pub(super) async fn keep(&self, pair: &Pair, refused: u32) -> Result<(), Problem> {
        let _folder = lock(&self.dir).await?;
        let mut content = self.read().await?;
        let own = content.connections.get(self.connection.as_str());
        let own = own.filter(|own| is_about(own, pair)).map(|own| own.refused);
        let refused = own.filter(|own| *own != LOCKED).map_or(refused, |own| own.max(refused));
        if own == Some(refused) {
            return Ok(());
        }
        content.connections.insert(self.connection.to_string(), record(refused, pair));
        self.write(content, true).await
    }

    /// Forgets the refusals after an accepted token. A command leaves a count of 0 where there was
    /// one: a connector that has stopped asking takes it for the word to go on.
    pub(super) async fn clear(&self, pair: &Pair) -> Result<(), Problem> {
        let _folder = lock(&self.dir).await?;
        let mut content = self.read().await?;
        let before = content.connections.clone();
        content.connections.retain(|connection, record| match is_about(record, pair) {
            true if self.asker == Asker::Connector => false,
            true => {
                record.refused = 0;
                true
            }
            false => connection != self.connection.as_str(),
        });
        if content.connections == before {
            return Ok(());
        }
        self.write(content, true).await
    }

    /// Whether a command was granted a token with these secrets since they were last refused.
    pub(super) async fn was_granted(&self, pair: &Pair) -> bool {
        let Ok(content) = self.read().await else { return false };
        let own = content.connections.get(self.connection.as_str());
        own.is_some_and(|own| own.refused == 0 && is_about(own, pair))
    }

    async fn read(&self) -> Result<Content, Problem> {
        let path = self.dir.join(FILE);
        let wrong =
            |problem: &str| Problem { path: path.clone(), problem: problem.to_owned(), refused: 0 };
        match tokio::fs::read(&path).await {
            Ok(bytes) => match serde_json::from_slice::<Content>(&bytes) {
                Ok(content) if content.version == VERSION => Ok(content),
                Ok(_) => Err(wrong("is of another version of this program")),
                Err(_) => Err(wrong("is damaged; remove it once nobody was refused lately")),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Content { version: VERSION, connections: BTreeMap::new() })
            }
            Err(error) => Err(wrong(&format!("cannot be read ({})", error.kind()))),
        }
    }

    /// Writes the content beside the file, and puts it in the file's place where it is to `stay`.
    async fn write(&self, content: Content, stay: bool) -> Result<(), Problem> {
        let dir = self.dir.clone();
        let writing = tokio::task::spawn_blocking(move || replace(&dir, &content, stay));
        let done = writing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let problem = |error: &io::Error| format!("cannot be written ({})", error.kind());
        done.map_err(|error| Problem {
            path: self.dir.join(FILE),
            problem: problem(&error),
            refused: 0,
        })
    }
}

fn replace(dir: &Path, content: &Content, stay: bool) -> io::Result<()> {
    let (file, new) = (dir.join(FILE), dir.join(format!("{FILE}.new")));
    // Of a process that died over it.
    remove(&new)?;
    let mut writing = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = (|| {
        give_to_owner_of(dir, &writing);
        writing.write_all(&serde_json::to_vec_pretty(content)?)?;
        writing.sync_all()
    })();
    if !stay || written.is_err() {
        let removed = remove(&new);
        return written.and(removed);
    }
    if content.connections.is_empty() {
        remove(&new)?;
        remove(&file)?;
    } else {
        fs::rename(&new, &file)?;
    }
    File::open(dir)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A command that root started must not leave a file that the connector cannot read. Whoever is not
/// root may not give anything away, and need not.
fn give_to_owner_of(dir: &Path, file: &File) {
    let Ok(owner) = fs::metadata(dir) else { return };
    std::os::unix::fs::fchown(file, Some(owner.uid()), Some(owner.gid())).unwrap_or_default();
}

async fn lock(path: &Path) -> Result<File, Problem> {
    let failed = |problem: String| Problem { path: path.to_owned(), problem, refused: 0 };
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed("does not exist".to_owned()),
        kind => failed(format!("cannot be opened ({kind})")),
    })?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => {
                return Err(failed(format!("cannot be locked ({})", error.kind())));
            }
            Err(TryLockError::WouldBlock) if started.elapsed() >= WAIT_MAX => {
                let seconds = WAIT_MAX.as_secs();
                return Err(failed(format!("was locked by another process for {seconds} s")));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK_INTERVAL).await,
        }
    }
}

/// A record about one pair of secrets, under a salt of its own.
pub(super) fn record(refused: u32, pair: &Pair) -> TosRefusals {
    let salt = Uuid::new_v4().simple().to_string();
    let digest = digest(&salt, pair);
    TosRefusals { refused, salt, digest }
}

/// Whether a record is about these secrets.
pub(super) fn is_about(record: &TosRefusals, pair: &Pair) -> bool {
    record.digest == digest(&record.salt, pair)
}

/// Tells one pair of secrets from another and nothing more: four bytes of a keyed hash fit too many
/// secrets to prove a guess.
fn digest(salt: &str, pair: &Pair) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(salt.as_bytes()) else {
        // A key of any length will do; an empty digest would only fit itself.
        return String::new();
    };
    for secret in pair.expose() {
        mac.update(&(secret.len() as u64).to_be_bytes());
        mac.update(secret.as_bytes());
    }
    let hash = mac.finalize().into_bytes();
    hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "count_tests.rs"]
mod tests;
