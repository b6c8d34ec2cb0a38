//! The thread that writes one shard's tree, so that a disk that does not answer costs the cache and
//! nothing else.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::{
    domain::time::Timestamp,
    failpoints::{self, Point},
};

use super::store::{Error, ShardStore, Store, Tag};

/// How long one write or flush may take. It holds up the shard meanwhile; a disk that needs longer is
/// slower than Kafka, from which the same is restored.
const DEADLINE: Duration = Duration::from_secs(20);

/// Key and value; without one the key goes.
pub type Entry = (String, Option<Vec<u8>>);

type Job = Box<dyn FnOnce(&mut ShardStore) -> Result<(), Error> + Send>;

/// The cache of one shard, as those see it who write to it. Every call waits until it is done, or until
/// the deadline; after any error the cache is of no use any more.
#[derive(Debug)]
pub struct Keeper {
    jobs: mpsc::Sender<Job>,
    done: mpsc::Receiver<Result<(), Error>>,
    store: Store,
    deadline: Duration,
}

impl Keeper {
    /// Opens the shard's tree on a thread of its own.
    ///
    /// # Errors
    /// What sled says, or that it says nothing within the deadline.
    pub fn open(store: &Store, shard: i32) -> Result<Self, Error> {
        Self::open_within(failpoints::patience(DEADLINE), store, shard)
    }

    fn open_within(deadline: Duration, store: &Store, shard: i32) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (told, done) = mpsc::sync_channel(1);
        let named = thread::Builder::new().name(format!("cache-{shard}"));
        let own = store.clone();
        let serve = move || {
            let tree = own.shard(shard);
            // Whoever is last has it closed, and waits for that.
            drop(own);
            let mut tree = match tree {
                Ok(tree) => tree,
                Err(error) => return drop(told.send(Err(error))),
            };
            let mut outcome = Ok(());
            // Whoever does not listen any more has given the cache up.
            while told.send(outcome).is_ok() {
                let Ok(job) = queue.recv() else { return };
                outcome = job(&mut tree);
            }
        };
        named.spawn(serve).map_err(Error::Thread)?;
        let keeper = Self { jobs, done, store: store.clone(), deadline };
        keeper.wait()?;
        Ok(keeper)
    }

    /// Takes the tree as it is, as the base of the writes that follow.
    ///
    /// # Errors
    /// As [`Keeper::write`].
    pub fn resume(&self, tag: Tag) -> Result<(), Error> {
        self.ask(move |tree| {
            tree.resume(tag);
            Ok(())
        })
    }

    /// Starts the tree anew; the entries follow by [`Keeper::write`].
    ///
    /// # Errors
    /// As [`Keeper::write`].
    pub fn reset(&self, cluster: String, identity: String, now: Timestamp) -> Result<(), Error> {
        self.ask(move |tree| tree.reset(cluster, identity, now))
    }

    /// Writes committed records; all of them and how far they go, or none.
    ///
    /// # Errors
    /// What sled says, or that it says nothing within the deadline.
    pub fn write(&self, records: Vec<Entry>, end: i64, now: Timestamp) -> Result<(), Error> {
        self.ask(move |tree| {
            failpoints::reach(Point::CacheWriting);
            let records = records.iter().map(|(key, value)| (key.as_str(), value.as_deref()));
            tree.write(records, end, now)
        })
    }

    /// Asks the disk to keep what was written.
    ///
    /// # Errors
    /// As [`Keeper::write`].
    pub fn flush(&self) -> Result<(), Error> {
        self.ask(|tree| tree.flush())
    }

    fn ask(
        &self,
        job: impl FnOnce(&mut ShardStore) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        // A thread that is gone has no answer either.
        drop(self.jobs.send(Box::new(job)));
        self.wait()
    }

    fn wait(&self) -> Result<(), Error> {
        let error = match self.done.recv_timeout(self.deadline) {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Timeout) => Error::Hangs { seconds: self.deadline.as_secs() },
            Err(RecvTimeoutError::Disconnected) => Error::Broke,
        };
        // sled's threads share locks: what one hangs in, the others will.
        self.store.give_up();
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn opened(deadline: Duration) -> (tempfile::TempDir, Store, Keeper) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Duration::ZERO, || ()).unwrap();
        let keeper = Keeper::open_within(deadline, &store, 3).unwrap();
        keeper.reset("c".into(), "id".into(), NOW).unwrap();
        (folder, store, keeper)
    }

    fn entry(key: &str) -> Vec<Entry> {
        vec![(key.to_owned(), Some(b"v".to_vec()))]
    }

    #[test]
    fn what_it_wrote_is_there() {
        let (_folder, store, keeper) = opened(DEADLINE);
        keeper.write(entry("a"), 7, NOW).unwrap();
        keeper.flush().unwrap();
        assert_eq!(Keeper::open(&store, 4).unwrap().deadline, DEADLINE);
        let cached = store.load(3, "c", NOW).unwrap();
        assert_eq!((cached.tag.next_offset, cached.entries.len()), (7, 1));
    }

    #[test]
    fn a_write_that_does_not_come_back_is_waited_for_so_long_and_the_cache_left_alone() {
        let (folder, store, mut keeper) = opened(DEADLINE);
        keeper.deadline = Duration::from_millis(50);
        let (tell, told) = mpsc::channel();
        let writer = thread::spawn(move || {
            let hangs = keeper.ask(|_| {
                loop {
                    thread::park();
                }
            });
            tell.send((hangs, keeper)).unwrap();
        });
        let waited = told.recv_timeout(DEADLINE / 2);
        let (hangs, keeper) = waited.expect("it waits no longer than its deadline");
        writer.join().unwrap();
        assert!(matches!(hangs, Err(Error::Hangs { .. })), "{hangs:?}");
        assert!(store.load(3, "c", NOW).is_none());
        let again = Keeper::open(&store, 4).unwrap_err();
        assert!(matches!(again, Error::GivenUp), "{again}");
        assert_eq!(store.size_bytes(), 0);
        drop((keeper, store));
        drop(folder);
    }

    #[test]
    fn a_write_that_breaks_off_is_an_error() {
        let (_folder, _store, keeper) = opened(DEADLINE);
        let broke = keeper.ask(|_| std::panic::resume_unwind(Box::new("a mistake of sled")));
        assert!(matches!(broke, Err(Error::Broke)), "{broke:?}");
        assert!(keeper.write(entry("b"), 8, NOW).is_err());
    }
}
