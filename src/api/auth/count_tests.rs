//! The shared count in a folder of its own.

use std::os::unix::fs::PermissionsExt;

use futures_util::FutureExt as _;

use super::*;
use crate::api::secrets::SecretFiles;

const COMMAND: Asker = Asker::Person { again: false };

struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        fs::write(dir.path().join("key"), "canary-key").unwrap();
        fs::write(dir.path().join("secret"), "canary-secret").unwrap();
        Self { dir }
    }

    fn count(&self, connection: &str, asker: Asker) -> SharedCount {
        let connection = ConnectionId::try_new(connection).unwrap();
        let secret_file = self.dir.path().join("secret");
        SharedCount::new(&self.dir.path().join("state"), connection, &secret_file, asker)
    }

    async fn pair(&self) -> Pair {
        let [key, secret] = ["key", "secret"].map(|name| self.dir.path().join(name));
        SecretFiles::new(&key, &secret).read().await.unwrap()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("state").join(FILE)
    }

    fn names(&self) -> Vec<std::ffi::OsString> {
        let entries = fs::read_dir(self.dir.path().join("state")).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }
}

#[tokio::test]
async fn one_file_counts_for_every_connection_with_the_same_secret_and_holds_none() {
    let stage = Stage::new();
    let (acme, other) = (stage.count("acme", COMMAND), stage.count("other", COMMAND));
    let pair = stage.pair().await;
    assert_eq!(acme.look(&pair).await, Ok(0));
    assert!(stage.names().is_empty(), "a look leaves nothing behind");
    acme.keep(&pair, 2).await.unwrap();
    assert_eq!((acme.look(&pair).await, other.look(&pair).await), (Ok(2), Ok(2)));
    assert_eq!(stage.names(), [FILE]);
    let mode = fs::metadata(stage.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(stage.file()).unwrap();
    assert!(text.contains("acme") && !text.contains("canary"), "{text}");
    fs::write(stage.dir.path().join("secret"), "another").unwrap();
    assert_eq!(acme.look(&stage.pair().await).await, Ok(0), "another secret starts anew");
}

#[tokio::test]
async fn an_accepted_token_ends_the_count_and_a_command_leaves_word_of_it() {
    let stage = Stage::new();
    let pair = stage.pair().await;
    let (run, command) = (stage.count("acme", Asker::Connector), stage.count("acme", COMMAND));
    command.clear(&pair).await.unwrap();
    assert!(stage.names().is_empty(), "there was nothing to forget");
    run.keep(&pair, 2).await.unwrap();
    assert!(!run.was_granted(&pair).await);
    command.clear(&pair).await.unwrap();
    assert!(run.was_granted(&pair).await);
    assert_eq!(run.look(&pair).await, Ok(0));
    run.clear(&pair).await.unwrap();
    assert!(stage.names().is_empty());
    assert!(!run.was_granted(&pair).await, "a file that is gone is no word");
}

#[tokio::test]
async fn what_is_in_the_way_of_counting_is_named() {
    let stage = Stage::new();
    let pair = stage.pair().await;
    let count = stage.count("acme", COMMAND);
    fs::write(stage.file(), "{").unwrap();
    let Problem { path, problem, .. } = count.look(&pair).await.unwrap_err();
    assert!(path == stage.file() && problem.contains("damaged"), "{problem}");
    fs::write(stage.file(), r#"{"version":9,"connections":{}}"#).unwrap();
    assert!(count.look(&pair).await.unwrap_err().problem.contains("version"));
    fs::remove_file(stage.file()).unwrap();
    fs::create_dir(stage.file().with_extension("json.new")).unwrap();
    let problem = count.look(&pair).await.unwrap_err().problem;
    assert!(problem.contains("cannot be written"), "{problem}");
    fs::remove_dir_all(stage.dir.path().join("state")).unwrap();
    let Problem { path, problem, .. } = count.look(&pair).await.unwrap_err();
    assert!(path.ends_with("state") && problem == "does not exist", "{problem}");
}

#[tokio::test]
async fn one_asks_at_a_time() {
    let stage = Stage::new();
    let (one, two) = (stage.count("acme", COMMAND), stage.count("acme", Asker::Connector));
    let turn = one.take_turn().await.unwrap();
    assert!(two.take_turn().now_or_never().is_none(), "the first holds the turn");
    drop(turn);
    assert!(two.take_turn().await.is_ok());
}
