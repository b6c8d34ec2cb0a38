//! The build script names the commit, and asks for another run exactly when that may change.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use tempfile::TempDir;

/// A clone with one commit, and the build script as a program.
struct Clone {
    folder: TempDir,
    script: PathBuf,
}

impl Clone {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
        let compiled =
            Command::new("rustc").args(["--edition=2024", "-o"]).arg(&script).arg(source).status();
        assert!(compiled.unwrap().success());
        let clone = Self { folder, script };
        fs::create_dir(clone.root()).unwrap();
        fs::create_dir(clone.root().join("src")).unwrap();
        clone.git(&["init", "--quiet", "--initial-branch=deep/main"]);
        clone.commit();
        clone
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("clone")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let output = command.current_dir(self.root()).args(identity).args(arguments).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self) {
        self.git(&["commit", "--quiet", "--allow-empty", "--no-gpg-sign", "-m", "one"]);
    }

    /// What the script says: the revision, and the places that cargo is to watch.
    fn told(&self) -> (String, Vec<PathBuf>) {
        let mut command = Command::new(&self.script);
        command.current_dir(self.root()).env("CARGO_MANIFEST_DIR", self.root());
        let output = command.env_remove("VOMSIS_REVISION").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let values = |key: &str| {
            let key = format!("cargo::{key}=");
            text.lines().filter_map(|l| l.strip_prefix(&key)).map(str::to_owned).collect::<Vec<_>>()
        };
        let mut named = values("rustc-env").into_iter();
        let revision = named.find_map(|set| Some(set.strip_prefix("VOMSIS_REVISION=")?.to_owned()));
        let watched = values("rerun-if-changed").into_iter().map(|path| self.root().join(path));
        // A relative place of the script's own sources; the others are the clone's.
        let watched = watched.filter(|path| !path.ends_with("build.rs")).collect();
        (revision.unwrap(), watched)
    }

    /// Whether cargo would see that the next commit is another one.
    #[track_caller]
    fn assert_noticed(&self, case: &str) {
        let (before, watched) = self.told();
        for place in &watched {
            assert!(place.exists(), "{case}: {} makes every build run it", place.display());
        }
        let stamps = |places: &[PathBuf]| places.iter().map(|p| newest(p)).collect::<Vec<_>>();
        let old = stamps(&watched);
        self.commit();
        assert_ne!(self.told().0, before, "{case}");
        assert_ne!(stamps(&watched), old, "{case}: nothing of {watched:?} tells of the commit");
    }
}

/// The newest time of a place and all below it, as cargo looks at a folder.
fn newest(place: &Path) -> SystemTime {
    let own = fs::metadata(place).unwrap().modified().unwrap();
    let Ok(entries) = fs::read_dir(place) else { return own };
    entries.map(|entry| newest(&entry.unwrap().path())).fold(own, SystemTime::max)
}

#[test]
fn every_next_commit_is_noticed_on_a_branch_packed_and_detached() {
    let clone = Clone::new();
    assert!(clone.git(&["rev-parse", "HEAD"]).starts_with(&clone.told().0));
    clone.assert_noticed("on a branch");
    clone.git(&["pack-refs", "--all", "--prune"]);
    clone.assert_noticed("on a packed branch");
    clone.git(&["checkout", "--quiet", "--detach"]);
    clone.git(&["pack-refs", "--all", "--prune"]);
    clone.assert_noticed("detached");
    let (_, watched) = clone.told();
    let heads = clone.root().join(".git/refs");
    assert!(watched.iter().all(|place| !place.starts_with(&heads)), "of others: {watched:?}");
}
