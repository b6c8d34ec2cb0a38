//! The local cache of the changelog, in sled.
//!
//! It makes restarts quick and is never believed: each shard's tree is tagged with the cluster,
//! the partition's identity, the changelog offset up to which it is complete and a digest over
//! its entries. What does not fit is dropped and restored from Kafka. It is written only after a
//! confirmed commit, so it never holds an uncommitted value.
//!
//! sled 0.34 can loop on damaged files, and no disk has a deadline, so every call into it happens on a
//! thread of its own under one (writes: `keeper`); a thread that does not come back is left behind and
//! the cache goes unused.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::domain::time::Timestamp;

const TAG_KEY: &[u8] = b"\0tag";

/// A cache older than this is not read: the broker may have compacted tombstones away since
/// (`delete.retention.ms` is 24 h by default), and a forgotten chunk would come back.
const AGE_MAX_MS: i64 = 12 * 3600 * 1000;

/// How long opening or verifying may take before the cache is given up.
pub const OPEN_DEADLINE: Duration = Duration::from_secs(20);
/// How long the last flush may take; a Pod has other things to end in its grace period.
const CLOSE_DEADLINE: Duration = Duration::from_secs(3);

/// Why the cache cannot be used; the connector goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it open.
    #[error(
        "state folder {path}: another process still holds it after {seconds} s; give each process a \
         state.dir of its own"
    )]
    Held {
        /// The folder.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Its filesystem gives no lock: nobody would notice a second process, so nobody may use it.
    #[error(
        "state folder {path}: its filesystem gives no locks ({reason}); put state.dir on a local disk, \
         or on a share that is mounted with locks"
    )]
    Unlockable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The folder is unreadable, damaged or full.
    #[error("state folder {path}: {source}")]
    Open {
        /// The folder.
        path: PathBuf,
        /// What sled says.
        source: sled::Error,
    },
    /// sled did not come back.
    #[error("state folder {path} did not open within {seconds} s")]
    Stuck {
        /// The folder.
        path: PathBuf,
        /// The deadline.
        seconds: u64,
    },
    /// A write failed.
    #[error("state folder: {0}")]
    Write(#[from] sled::Error),
    /// A write did not come back, or broke off; from then on the cache is left alone.
    #[error(
        "state folder: a write did not come back within {seconds} s; the cache is left alone until \
         the process starts again: check the disk"
    )]
    Hangs {
        /// The deadline.
        seconds: u64,
    },
    /// A mistake of sled or of this program; its last words stand in the log.
    #[error(
        "state folder: the cache's thread broke off; the cache is left alone until the next start"
    )]
    Broke,
    /// A call of this process did not come back before.
    #[error("state folder: left alone since a call did not come back: restart the process")]
    GivenUp,
    /// There is no thread for it.
    #[error("state folder: no thread for the cache: {0}")]
    Thread(std::io::Error),
}

/// What a shard's tree says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Format of the tag and of the entries.
    pub version: u8,
    /// Id of the Kafka cluster.
    pub cluster: String,
    /// Identity of the state partition.
    pub identity: String,
    /// The changelog is contained up to before this offset.
    pub next_offset: i64,
    /// Sum of the entries' hashes, wrapping.
    pub digest: u128,
    /// When it was last written.
    pub written_at: Timestamp,
}

const TAG_VERSION: u8 = 1;

/// The offset of a tree that is still being filled; no partition's start is below it.
pub const INCOMPLETE: i64 = 0;

/// The open store of one process.
#[derive(Debug, Clone)]
pub struct Store(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    /// There until it is dropped.
    db: Option<sled::Db>,
    /// A call has not come back, and others might not either.
    given_up: AtomicBool,
}

impl Drop for Opened {
    /// sled flushes when it is dropped, and waits for its own thread.
    fn drop(&mut self) {
        let db = self.db.take();
        if *self.given_up.get_mut() {
            std::mem::forget(db);
        } else {
            with_deadline(CLOSE_DEADLINE, move || drop(db)).unwrap_or_default();
        }
    }
}

/// The cached entries of one shard, verified.
#[derive(Debug)]
pub struct Cached {
    /// What the tree says of itself.
    pub tag: Tag,
    /// All entries.
    pub entries: Vec<(String, Vec<u8>)>,
}

impl Store {
    /// Opens the folder, waiting up to `lock_wait` for another process to let it go; `waiting` is
    /// called once where that begins.
    ///
    /// Blocks; call it off the main path.
    pub fn open(
        dir: &Path,
        lock_wait: Duration,
        waiting: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Error> {
        let path = dir.join("sled");
        let opened = with_deadline(lock_wait + OPEN_DEADLINE, {
            let path = path.clone();
            move || open_retrying(&path, lock_wait, waiting)
        });
        match opened {
            Some(Ok(db)) => {
                Ok(Self(Arc::new(Opened { db: Some(db), given_up: AtomicBool::new(false) })))
            }
            Some(Err(source)) => Err(match refused_lock(&source) {
                Some(NoLock::Held) => Error::Held { path, seconds: lock_wait.as_secs() },
                Some(NoLock::Impossible(reason)) => Error::Unlockable { path, reason },
                None => Error::Open { path, source },
            }),
            None => Err(Error::Stuck { path, seconds: (lock_wait + OPEN_DEADLINE).as_secs() }),
        }
    }

    /// The cached entries of a shard, or `None` for any doubt about them.
    ///
    /// Blocks up to [`OPEN_DEADLINE`].
    pub fn load(&self, shard: i32, cluster: &str, now: Timestamp) -> Option<Cached> {
        let read = move |db: &sled::Db| read_tree(db, shard);
        let cached = self.read_within(OPEN_DEADLINE, read)?;
        let age = now.0 - cached.tag.written_at.0;
        (cached.tag.cluster == cluster && (0..AGE_MAX_MS).contains(&age)).then_some(cached)
    }

    /// What `read` finds. Where it does not come back, nobody makes another call: sled's threads share
    /// locks, and what one hangs in, the others will.
    fn read_within(
        &self,
        deadline: Duration,
        read: impl FnOnce(&sled::Db) -> Option<Cached> + Send + 'static,
    ) -> Option<Cached> {
        let db = self.db().ok()?;
        let came_back = with_deadline(deadline, move || read(&db));
        if came_back.is_none() {
            self.give_up();
        }
        came_back.flatten()
    }

    /// The tree of a shard, open for writing after commits. Blocks for as long as the disk likes:
    /// `keeper` has the deadline.
    pub(super) fn shard(&self, shard: i32) -> Result<ShardStore, Error> {
        Ok(ShardStore { tree: self.db()?.open_tree(tree_name(shard))?, tag: None })
    }

    /// Bytes on disk.
    pub fn size_bytes(&self) -> u64 {
        self.db().ok().and_then(|db| db.size_on_disk().ok()).unwrap_or(0)
    }

    /// A call into it has not come back: nobody makes another one.
    pub(super) fn give_up(&self) {
        self.0.given_up.store(true, Ordering::Relaxed);
    }

    fn db(&self) -> Result<sled::Db, Error> {
        let usable = !self.0.given_up.load(Ordering::Relaxed);
        self.0.db.clone().filter(|_| usable).ok_or(Error::GivenUp)
    }
}

/// One shard's tree.
#[derive(Debug)]
pub(super) struct ShardStore {
    tree: sled::Tree,
    tag: Option<Tag>,
}

impl ShardStore {
    /// Takes the tree as it is, as the base of the writes that follow.
    pub(super) fn resume(&mut self, tag: Tag) {
        self.tag = Some(tag);
    }

    /// Starts the tree anew from a restored state; the entries follow by [`ShardStore::write`].
    pub(super) fn reset(
        &mut self,
        cluster: String,
        identity: String,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.tree.clear()?;
        self.tag = Some(Tag {
            version: TAG_VERSION,
            cluster,
            identity,
            next_offset: 0,
            digest: 0,
            written_at: now,
        });
        Ok(())
    }

    /// Writes committed records; all of them and the tag, or none.
    pub(super) fn write<'a>(
        &mut self,
        records: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
        next_offset: i64,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(tag) = self.tag.as_mut() else { return Ok(()) };
        let mut last: std::collections::HashMap<&str, Option<&[u8]>> = Default::default();
        last.extend(records);
        let mut batch = sled::Batch::default();
        let mut digest = tag.digest;
        for (key, value) in last {
            if let Some(old) = self.tree.get(key)? {
                digest = digest.wrapping_sub(entry_hash(key.as_bytes(), &old));
            }
            match value {
                Some(value) => {
                    digest = digest.wrapping_add(entry_hash(key.as_bytes(), value));
                    batch.insert(key, value);
                }
                None => batch.remove(key),
            }
        }
        tag.digest = digest;
        tag.next_offset = next_offset;
        tag.written_at = now;
        batch.insert(TAG_KEY, tag_bytes(tag));
        self.tree.apply_batch(batch)?;
        Ok(())
    }

    /// Asks the disk to keep what was written.
    pub(super) fn flush(&self) -> Result<(), Error> {
        self.tree.flush().map(drop).map_err(Error::Write)
    }
}

fn open_retrying(
    path: &Path,
    lock_wait: Duration,
    waiting: impl FnOnce(),
) -> Result<sled::Db, sled::Error> {
    let config = sled::Config::default()
        .path(path)
        .cache_capacity(16 * 1024 * 1024)
        .flush_every_ms(Some(1000))
        .mode(sled::Mode::HighThroughput);
    let pause = Duration::from_millis(500);
    let mut waited = Duration::ZERO;
    let mut waiting = Some(waiting);
    loop {
        match config.open() {
            // Another process still holds the lock: in a rollout it goes away soon.
            Err(e) if waited < lock_wait && refused_lock(&e) == Some(NoLock::Held) => {
                if let Some(waiting) = waiting.take() {
                    waiting();
                }
                thread::sleep(pause);
                waited += pause;
            }
            other => return other,
        }
    }
}

/// Why the folder's lock is not to be had.
#[derive(Debug, PartialEq, Eq)]
enum NoLock {
    /// Somebody has it.
    Held,
    /// Nobody can have it; what the system says.
    Impossible(String),
}

/// sled hands the system's error on as a text: `could not acquire lock on "…": Os { code: 11, kind:
/// WouldBlock, … }`.
fn refused_lock(error: &sled::Error) -> Option<NoLock> {
    let sled::Error::Io(error) = error else { return None };
    let text = error.to_string();
    let reason = text.strip_prefix("could not acquire lock on ")?;
    if reason.contains("kind: WouldBlock") {
        return Some(NoLock::Held);
    }
    let reason =
        reason.split_once("message: \"").and_then(|(_, message)| message.split('"').next());
    Some(NoLock::Impossible(reason.map_or_else(|| text.clone(), str::to_owned)))
}

fn tree_name(shard: i32) -> String {
    format!("shard-{shard}")
}

fn entry_hash(key: &[u8], value: &[u8]) -> u128 {
    let mut bytes = Vec::with_capacity(key.len() + value.len() + 8);
    bytes.extend_from_slice(&(key.len() as u64).to_be_bytes());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value);
    xxh3_128(&bytes)
}

fn tag_bytes(tag: &Tag) -> Vec<u8> {
    serde_json::to_vec(tag).unwrap_or_default()
}

fn read_tree(db: &sled::Db, shard: i32) -> Option<Cached> {
    let tree = db.open_tree(tree_name(shard)).ok()?;
    let tag: Tag = serde_json::from_slice(&tree.get(TAG_KEY).ok()??).ok()?;
    if tag.version != TAG_VERSION {
        return None;
    }
    let mut entries = Vec::new();
    let mut digest = 0_u128;
    for entry in &tree {
        let (key, value) = entry.ok()?;
        if key == TAG_KEY {
            continue;
        }
        digest = digest.wrapping_add(entry_hash(&key, &value));
        entries.push((String::from_utf8(key.to_vec()).ok()?, value.to_vec()));
    }
    (digest == tag.digest).then_some(Cached { tag, entries })
}

/// Runs `work` on a thread of its own; `None` when it is not done in time or panicked.
fn with_deadline<T: Send + 'static>(
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let spawned = thread::Builder::new().name("state-store".into()).spawn(move || {
        // Nobody listening any more means the deadline has passed; the result is not wanted then.
        drop(sender.send(work()));
    });
    spawned.ok()?;
    receiver.recv_timeout(deadline).ok()
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
