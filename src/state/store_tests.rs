use std::fs;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// sled's own threads let go of the lock a moment after the last handle is gone.
const RELEASED: Duration = Duration::from_secs(10);

fn filled(dir: &Path) {
    let store = Store::open(dir, RELEASED, || ()).expect("opens");
    let mut shard = store.shard(3).expect("tree");
    shard.reset("c1".into(), "id1".into(), NOW).expect("reset");
    let records: Vec<(String, Vec<u8>)> =
        (0..500).map(|i| (format!("k/{i}"), format!("value {i}").into_bytes())).collect();
    shard
        .write(records.iter().map(|(k, v)| (k.as_str(), Some(v.as_slice()))), 501, NOW)
        .expect("writes");
    shard.write([("k/7", None), ("k/8", Some(&b"new"[..]))].into_iter(), 510, NOW).expect("writes");
    shard.flush().expect("flushes");
}

fn load(dir: &Path) -> Option<Cached> {
    Store::open(dir, RELEASED, || ()).ok()?.load(3, "c1", NOW)
}

#[test]
fn what_was_written_is_read_back_with_its_offset() {
    let dir = tempfile::tempdir().expect("dir");
    filled(dir.path());
    let cached = load(dir.path()).expect("valid");
    assert_eq!(cached.entries.len(), 499);
    assert_eq!(cached.tag.next_offset, 510);
    assert!(cached.entries.iter().any(|(k, v)| k == "k/8" && v == b"new"));
}

#[test]
fn another_cluster_an_old_cache_and_another_shard_are_not_believed() {
    let dir = tempfile::tempdir().expect("dir");
    filled(dir.path());
    let store = Store::open(dir.path(), RELEASED, || ()).expect("opens");
    assert!(store.load(3, "c2", NOW).is_none());
    assert!(store.load(3, "c1", Timestamp(NOW.0 + AGE_MAX_MS)).is_none());
    assert!(store.load(3, "c1", Timestamp(NOW.0 - 1)).is_none(), "a clock that went back");
    assert!(store.load(4, "c1", NOW).is_none());
}

#[test]
fn a_read_that_does_not_come_back_in_time_or_breaks_off_gives_the_cache_up() {
    type Read = fn(&sled::Db) -> Option<Cached>;
    let hangs: Read = |_| {
        loop {
            thread::park();
        }
    };
    let breaks: Read = |_| std::panic::resume_unwind(Box::new("a mistake of sled"));
    for read in [hangs, breaks] {
        let dir = tempfile::tempdir().expect("dir");
        filled(dir.path());
        let store = Store::open(dir.path(), RELEASED, || ()).expect("opens");
        assert!(store.load(3, "c1", NOW).is_some());
        assert!(store.read_within(Duration::from_millis(200), read).is_none());
        assert!(matches!(store.shard(4), Err(Error::GivenUp)), "nobody makes another call");
        assert!(store.load(3, "c1", NOW).is_none());
    }
}

#[test]
fn an_entry_that_changed_behind_the_digest_is_noticed() {
    let dir = tempfile::tempdir().expect("dir");
    filled(dir.path());
    {
        let store = Store::open(dir.path(), RELEASED, || ()).expect("opens");
        store.shard(3).expect("tree").tree.remove("k/9").expect("removes");
    }
    assert!(load(dir.path()).is_none());
}

#[test]
fn damaged_files_give_nothing_or_the_truth_but_never_something_else() {
    for (name, damage) in [
        (
            "cut to half",
            (|bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2)) as fn(&mut Vec<u8>),
        ),
        ("200 bytes zeroed", |bytes| {
            let middle = bytes.len() / 3;
            bytes.iter_mut().skip(middle).take(200).for_each(|b| *b = 0);
        }),
        ("emptied", Vec::clear),
    ] {
        let dir = tempfile::tempdir().expect("dir");
        filled(dir.path());
        for file in ["db", "conf"] {
            let path = dir.path().join("sled").join(file);
            let mut bytes = fs::read(&path).expect("file of the store");
            damage(&mut bytes);
            fs::write(&path, bytes).expect("writes");
            if let Some(cached) = load(dir.path()) {
                assert_eq!(cached.tag.next_offset, 510, "{name}");
                assert_eq!(cached.entries.len(), 499, "{name}");
            }
        }
    }
}

/// The file from which the store begins to read; it is written when a store is opened that has grown.
fn snapshot(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("sled")).expect("folder of the store");
    let mut files = files.map(|file| file.expect("file").path());
    let is_snapshot = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap."))
    };
    files.find(is_snapshot).expect("a snapshot")
}

fn zero(file: &Path) {
    let mut bytes = fs::read(file).expect("reads");
    let middle = (bytes.len() / 2).saturating_sub(100);
    bytes.iter_mut().skip(middle).take(200).for_each(|b| *b = 0);
    fs::write(file, bytes).expect("writes");
}

#[test]
fn a_snapshot_that_is_damaged_empty_or_gone_gives_nothing_or_the_truth() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("empty", |file| fs::write(file, "").expect("writes")),
        ("gone", |file| fs::remove_file(file).expect("removes")),
        ("200 bytes zeroed", zero),
        ("cut to half", |file| {
            let bytes = fs::read(file).expect("reads");
            fs::write(file, bytes.get(..bytes.len() / 2).expect("half")).expect("writes");
        }),
    ];
    for (name, damage) in damages {
        for and_the_store in [false, true] {
            let dir = tempfile::tempdir().expect("dir");
            filled(dir.path());
            assert!(load(dir.path()).is_some(), "undamaged");
            damage(&snapshot(dir.path()));
            if and_the_store {
                zero(&dir.path().join("sled").join("db"));
            }
            let began = std::time::Instant::now();
            if let Some(cached) = load(dir.path()) {
                assert_eq!((cached.tag.next_offset, cached.entries.len()), (510, 499), "{name}");
            }
            assert!(began.elapsed() < RELEASED + 2 * OPEN_DEADLINE, "{name}: it does not spin");
        }
    }
}

#[test]
fn a_locked_folder_is_told_at_once_and_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().expect("dir");
    let held = Store::open(dir.path(), Duration::ZERO, || ()).expect("opens");
    let error = Store::open(dir.path(), Duration::ZERO, || ()).expect_err("locked");
    assert!(matches!(error, Error::Held { .. }), "{error}");
    assert!(error.to_string().contains("sled: another process still holds it"), "{error}");
    // The one who waits says so, and opens as soon as the other has gone.
    let path = dir.path().to_owned();
    let (told, waits) = mpsc::channel();
    let second = thread::spawn(move || {
        Store::open(&path, RELEASED, move || told.send(()).expect("somebody listens")).map(drop)
    });
    waits.recv_timeout(RELEASED).expect("said that it waits");
    drop(held);
    second.join().expect("ends").expect("opens");
}

#[test]
fn a_filesystem_without_locks_is_not_told_as_another_process() {
    // As sled words it; the number is that of Linux: EWOULDBLOCK, ENOLCK, EOPNOTSUPP.
    let said = |code: i32| {
        let cause = std::io::Error::from_raw_os_error(code);
        let text = format!("could not acquire lock on {:?}: {cause:?}", "/s/sled/db");
        refused_lock(&sled::Error::Io(std::io::Error::other(text)))
    };
    assert_eq!(said(11), Some(NoLock::Held));
    assert_eq!(said(37), Some(NoLock::Impossible("No locks available".into())));
    assert_eq!(said(95), Some(NoLock::Impossible("Operation not supported".into())));
    let full = std::io::Error::from_raw_os_error(28);
    assert_eq!(refused_lock(&sled::Error::Io(full)), None);
    let error = Error::Unlockable { path: "/s".into(), reason: "No locks available".into() };
    assert!(error.to_string().contains("no locks") && !error.to_string().contains("process"));
}
