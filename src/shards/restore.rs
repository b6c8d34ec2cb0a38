//! Lock, then read: the only way into a shard.
//!
//! `init_transactions` fences the former owner and waits for its open transaction, so the end of
//! the state partition that is read afterwards holds everything it ever committed. If it cannot
//! be read to that end, the shard is not run: empty is never assumed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    config::model::Kafka,
    domain::{ids::ConnectionId, time::Timestamp},
    failpoints::{self, Point},
    kafka::{
        reading::{self, Stretch, read_committed_while},
        settings::{deployment, shard_transactional_id},
        topics,
    },
    log_event,
    publish::{
        batch::{Batch, StateRecord},
        writer::Writer,
    },
    state::{
        changelog::ShardState,
        codec,
        keeper::{Entry, Keeper},
        note::{Found, Note, check_regression},
        store::{self, Store},
    },
    telemetry::{clock::now, events::Event, pulse},
};

use super::moved;

mod error;

pub use error::Error;

/// How long reading may stand still: longer than the longest transaction that can hold the end back,
/// plus the broker's sweep.
const READ_DEADLINE: Duration = Duration::from_secs(120);
const METADATA_TIMEOUT: Duration = Duration::from_secs(15);
/// Entries handed to the cache at once when it is filled anew.
const CACHE_FILL_RECORDS: usize = 2_000;

/// How far a restore is, for progress bars and the ten-second line.
#[derive(Debug, Default)]
pub struct Progress {
    /// Records read so far.
    pub records: AtomicU64,
    /// Next offset to read.
    pub offset: AtomicU64,
    /// The offset to reach.
    pub end: AtomicU64,
}

/// The restores that run in this process.
#[derive(Debug, Default)]
pub struct Restores(Mutex<BTreeMap<i32, Arc<Progress>>>);

impl Restores {
    /// Notes that a shard's restore begins.
    pub(super) fn begin(&self, shard: i32) -> Arc<Progress> {
        let progress = Arc::new(Progress::default());
        self.lock().insert(shard, Arc::clone(&progress));
        progress
    }

    /// Notes that it has ended, well or not.
    pub(super) fn end(&self, shard: i32) {
        self.lock().remove(&shard);
    }

    /// Offsets read and to read, over all shards that are being restored.
    pub fn offsets(&self) -> Option<(u64, u64)> {
        let running = self.lock();
        let sum = |of: fn(&Progress) -> &AtomicU64| -> u64 {
            running.values().map(|progress| of(progress).load(Ordering::Relaxed)).sum()
        };
        (!running.is_empty()).then(|| (sum(|p| &p.offset), sum(|p| &p.end)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, Arc<Progress>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A locked shard and what it remembers.
#[derive(Debug)]
pub struct Locked {
    /// Holds the lock.
    pub writer: Writer,
    /// Everything committed.
    pub state: ShardState,
    /// The local cache, where it is usable.
    pub cache: Option<Keeper>,
    /// What to note with the group.
    pub note: Note,
    /// How long it took.
    pub took: Duration,
    /// Records read from Kafka; the rest came from the cache.
    pub records_read: u64,
    /// Whether the cache was used.
    pub from_cache: bool,
}

/// What a restore needs.
#[derive(Debug, Clone)]
pub struct Request {
    /// Part of the transactional id.
    pub env: String,
    /// Brokers and names.
    pub kafka: Kafka,
    /// Which shard.
    pub shard: i32,
    /// What the group noted.
    pub note: Option<Note>,
    /// The local cache, where it is open.
    pub store: Option<Store>,
    /// Whether what it holds may be read: after a loss it may hold what Kafka has no more.
    pub believes_cache: bool,
    /// Where to report progress.
    pub progress: Arc<Progress>,
    /// The connections that are configured.
    pub connections: Arc<BTreeSet<ConnectionId>>,
    /// The shard is given back: the lock must not be taken from a successor, nor anything written.
    pub stop: CancellationToken,
}

impl Request {
    fn is_wanted(&self) -> bool {
        !self.stop.is_cancelled()
    }

    /// Asked before every step that another owner would feel.
    fn go_on(&self) -> Result<(), Error> {
        if self.is_wanted() { Ok(()) } else { Err(Error::GivenBack) }
    }
}

/// Takes the lock and restores the shard. Blocks.
///
/// # Errors
/// Where the shard cannot be run, or was given back meanwhile; see [`Error::needs_operator`].
pub fn lock_and_restore(request: &Request) -> Result<Locked, Error> {
    let started = Instant::now();
    request.go_on()?;
    let ours = deployment(&request.env, &request.kafka);
    let id = shard_transactional_id(&ours, request.shard);
    let is_wanted = || request.is_wanted();
    let writer = Writer::lock_while(&request.kafka, id, request.shard, is_wanted);
    // A lock that is not waited for any more is no failure.
    request.go_on()?;
    let writer = writer?;
    failpoints::reach(Point::Locked);
    restore(request, writer, &ours, started)
}

/// Reads what the lock protects, and makes it ready to be added to.
fn restore(
    request: &Request,
    mut writer: Writer,
    ours: &str,
    started: Instant,
) -> Result<Locked, Error> {
    let bounds = writer.state_watermarks(METADATA_TIMEOUT)?;
    let cluster = writer.cluster_id(METADATA_TIMEOUT).unwrap_or_default();
    let now = now();
    pulse::step("reading the local cache");
    let mut cached = load_cache(request, &cluster, now, bounds)?;
    let mut restored = match read_checked(request, bounds, cached.as_ref(), ours) {
        // What the cache and Kafka say together cannot be, or looks like a loss: Kafka alone decides.
        Err(error) if cached.is_some() && error.needs_operator() => {
            cached = None;
            read_checked(request, bounds, None, ours)?
        }
        // Since the cache was written a loss was accepted, perhaps of what it holds.
        Ok(restored)
            if cached.as_ref().is_some_and(|cached| is_of_another_life(cached, &restored)) =>
        {
            cached = None;
            read_checked(request, bounds, None, ours)?
        }
        read => read?,
    };
    check_places(request, &writer, &restored.state, bounds)?;
    request.go_on()?;
    let (identity, end) = sign(&mut writer, &mut restored, ours, bounds.1)?;
    request.go_on()?;
    let cache = open_cache(request, cached.as_ref(), &restored, (&cluster, &identity), end, now);
    Ok(Locked {
        writer,
        cache,
        note: Note { identity, end },
        took: started.elapsed(),
        records_read: restored.records_read,
        from_cache: cached.is_some(),
        state: restored.state,
    })
}

/// The state, where it is ours and nothing of it is lost.
fn read_checked(
    request: &Request,
    (start, end): (i64, i64),
    cached: Option<&store::Cached>,
    ours: &str,
) -> Result<Restored, Error> {
    let restored = read_state(request, (start, end), cached)?;
    check_deployment(request, &restored.state, ours)?;
    let found = Found { identity: restored.state.identity(), start, end };
    check_regression(request.note.as_ref(), found, restored.state.reset()).map_err(
        |regression| Error::Regression {
            topic: request.kafka.topic(topics::STATE),
            shard: request.shard,
            regression,
        },
    )?;
    Ok(restored)
}

fn is_of_another_life(cached: &store::Cached, restored: &Restored) -> bool {
    restored.state.identity() != Some(cached.tag.identity.as_str())
}

/// No connection may begin anew because `kafka.shards` is another than it was.
fn check_places(
    request: &Request,
    writer: &Writer,
    state: &ShardState,
    (_, end): (i64, i64),
) -> Result<(), Error> {
    let (kafka, shard) = (&request.kafka, request.shard);
    let last = kafka.shards - 1;
    let is_empty = match last == shard {
        true => end == 0,
        // Where nobody tells, its leader is away, and this shard need not wait for that one: it has
        // positions, or was written to while all partitions were there.
        false => writer.state_end_of(last, METADATA_TIMEOUT).map_or(end == 0, |end| end == 0),
    };
    let known = (kafka, &*request.connections);
    let moved = moved::find(known, shard, state, is_empty, || request.is_wanted())?;
    // Less was read where the shard was given back.
    request.go_on()?;
    moved.map_or(Ok(()), |moved| Err(moved.into()))
}

struct Restored {
    state: ShardState,
    /// The newest value of every key read on top of a cache, to be written to it.
    news: HashMap<String, Option<Vec<u8>>>,
    records_read: u64,
}

/// The cache, if it is of this very partition and not ahead of it.
fn load_cache(
    request: &Request,
    cluster: &str,
    now: Timestamp,
    (start, end): (i64, i64),
) -> Result<Option<store::Cached>, reading::Error> {
    let store = request.store.as_ref().filter(|_| request.believes_cache);
    let Some(store) = store.filter(|_| !request.note.as_ref().is_some_and(Note::is_lost)) else {
        return Ok(None);
    };
    let Some(cached) = store.load(request.shard, cluster, now) else { return Ok(None) };
    let next = cached.tag.next_offset;
    if next <= start || next > end {
        return Ok(None);
    }
    // An operator's acceptance of a loss gives the partition another identity, below the end of a cache
    // of what was lost, and the first record goes on saying the old one until it is compacted.
    let noted = request.note.as_ref().map(|note| note.identity.as_str());
    if noted.is_some_and(|noted| noted != cached.tag.identity) {
        return Ok(None);
    }
    // A cache of another life of the partition would hide that the topic was recreated.
    let identity = first_identity(request, start, end)?;
    Ok((identity.as_deref() == Some(cached.tag.identity.as_str())).then_some(cached))
}

/// The identity is the first record that is ever written, and compaction keeps it in its place; a
/// partition that was cut has lost it, and is read without the cache.
fn first_identity(
    request: &Request,
    start: i64,
    end: i64,
) -> Result<Option<String>, reading::Error> {
    let topic = request.kafka.topic(topics::STATE);
    let stretch = Stretch { topic, partition: request.shard, from: start, end };
    let mut first = ShardState::default();
    let is_wanted = || request.is_wanted();
    read_committed_while(&request.kafka, &stretch, READ_DEADLINE, is_wanted, |_, key, value| {
        // Anything but an identity leaves `first` without one, which is an answer too.
        if key == codec::IDENTITY_KEY.as_bytes() {
            first.apply(codec::IDENTITY_KEY, value).map_err(|error| error.to_string())?;
        }
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first.identity().map(str::to_owned))
}

fn read_state(
    request: &Request,
    (start, end): (i64, i64),
    cached: Option<&store::Cached>,
) -> Result<Restored, Error> {
    let topic = request.kafka.topic(topics::STATE);
    let mut state = ShardState::default();
    // Offsets before it cannot be asked for: the broker would refuse, and nobody would be told
    // that they are missing.
    let mut from = start;
    if let Some(cached) = cached {
        for (key, value) in &cached.entries {
            state.apply(key, Some(value)).map_err(|error| reading::Error::Record {
                topic: topic.clone(),
                partition: request.shard,
                offset: -1,
                reason: error.to_string(),
            })?;
        }
        from = cached.tag.next_offset;
    }
    let stretch = Stretch { topic, partition: request.shard, from, end };
    let progress = &request.progress;
    progress.end.store(end.unsigned_abs(), Ordering::Relaxed);
    let mut news = HashMap::new();
    let mut records_read = 0;
    let is_wanted = || request.is_wanted();
    read_committed_while(
        &request.kafka,
        &stretch,
        READ_DEADLINE,
        is_wanted,
        |offset, key, value| {
            let key = std::str::from_utf8(key).map_err(|_| "the key is not text".to_owned())?;
            state.apply(key, value).map_err(|error| error.to_string())?;
            if cached.is_some() {
                news.insert(key.to_owned(), value.map(<[u8]>::to_vec));
            }
            records_read += 1;
            progress.records.store(records_read, Ordering::Relaxed);
            progress.offset.store(offset.unsigned_abs(), Ordering::Relaxed);
            Ok(ControlFlow::Continue(()))
        },
    )?;
    // Less was read where the shard was given back.
    request.go_on()?;
    Ok(Restored { state, news, records_read })
}

/// The lock holds against those of the same deployment alone.
fn check_deployment(request: &Request, state: &ShardState, ours: &str) -> Result<(), Error> {
    match state.deployment() {
        Some(found) if found != ours => Err(Error::OtherDeployment {
            topic: request.kafka.topic(topics::STATE),
            shard: request.shard,
            found: found.to_owned(),
            ours: ours.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Gives the partition what it has not yet: an identity, the first record that a new shard commits,
/// and whose it is. The identity and the end of it all.
fn sign(
    writer: &mut Writer,
    restored: &mut Restored,
    ours: &str,
    end: i64,
) -> Result<(String, i64), Error> {
    let mut records = Vec::new();
    let identity = restored.state.identity().map(str::to_owned).unwrap_or_else(|| {
        let (identity, record) = new_identity();
        records.push(record);
        identity
    });
    if restored.state.deployment().is_none() {
        records.push(signature(ours));
    }
    if records.is_empty() {
        return Ok((identity, end));
    }
    restored.news.extend(records.iter().map(|r| (r.key.clone(), r.value.clone())));
    let end = writer.commit(&[&Batch { events: Vec::new(), state: records }])?;
    Ok((identity, end))
}

/// The record that says whose partition it is.
pub(super) fn signature(ours: &str) -> StateRecord {
    let value = Some(codec::encode_deployment(ours));
    StateRecord { key: codec::DEPLOYMENT_KEY.to_owned(), value }
}

/// An identity that no partition ever had, and the record that gives it to one.
pub(super) fn new_identity() -> (String, StateRecord) {
    let identity = Uuid::new_v4().to_string();
    let value = Some(codec::encode_identity(&identity));
    (identity, StateRecord { key: codec::IDENTITY_KEY.to_owned(), value })
}

/// Opens the shard's tree for writing: as it was where it was believed, filled anew otherwise.
fn open_cache(
    request: &Request,
    cached: Option<&store::Cached>,
    restored: &Restored,
    (cluster, identity): (&str, &str),
    end: i64,
    now: Timestamp,
) -> Option<Keeper> {
    let store = request.store.as_ref()?;
    let fill = || -> Result<Keeper, store::Error> {
        pulse::step("opening the local cache");
        let shard = Keeper::open(store, request.shard)?;
        match cached {
            Some(cached) => shard.resume(cached.tag.clone())?,
            None => {
                shard.reset(cluster.to_owned(), identity.to_owned(), now)?;
                write_all(&shard, &restored.state, now)?;
            }
        }
        pulse::step("filling the local cache");
        let news = restored.news.iter().map(|(key, value)| (key.clone(), value.clone()));
        shard.write(news.collect(), store::INCOMPLETE, now)?;
        failpoints::reach(Point::CacheFilling);
        // Only now may the tree say how far it goes: a crash before this line leaves it unread.
        shard.write(Vec::new(), end, now)?;
        Ok(shard)
    };
    match fill() {
        Ok(shard) => Some(shard),
        Err(error) => {
            log_event!(Event::CacheUnusable, shard = request.shard, %error, "going on without the local cache");
            None
        }
    }
}

/// Writes a whole state to an empty tree, part by part: it may hold millions of rows.
fn write_all(shard: &Keeper, state: &ShardState, now: Timestamp) -> Result<(), store::Error> {
    let mut records = state.records();
    loop {
        pulse::step("filling the local cache");
        let records = records.by_ref().take(CACHE_FILL_RECORDS);
        let part: Vec<Entry> = records.map(|(key, value)| (key, Some(value))).collect();
        if part.is_empty() {
            return Ok(());
        }
        shard.write(part, store::INCOMPLETE, now)?;
    }
}

#[cfg(test)]
#[path = "restore_tests.rs"]
mod tests;
