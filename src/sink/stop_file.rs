//! The kill switch's file, for the day on which nothing else works.
//!
//! A file stands on one replica alone, and goes with its folder. So whichever replica sees it, the
//! owner or not, also writes the kill switch's record, as `commands halt` does: payments then stay
//! halted on every replica, after a takeover, and after the file is gone, until somebody resumes.

use std::{
    fs::Metadata,
    io,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{log_event, telemetry::events::Event};

use super::{desk::now, journal::records::Stop, text::clean, words};

/// The file in the state folder; the kill switch is on while it is there.
pub const STOP_FILE: &str = "payments.stop";
/// Beside it: which one was said by a record.
const SAID_FILE: &str = "payments.stop.said";
/// How often it is looked for.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Why the file stops payments; nothing where it is not there. One that cannot be read does too.
pub(super) fn heard(file: &Path, read: io::Result<String>) -> Option<String> {
    let file = file.display();
    match read {
        Ok(text) => Some(clean(format!("the file {file} is there: {text}").trim_end())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("whether the file {file} is there is not known: {error}")),
    }
}

/// Until `stop`: says it by a record whenever the file is there as it was not before, again and again
/// until the record is acknowledged. That the file goes says nothing: going on is for a person to say.
///
/// A file that was said is not said again, also not after a restart: who resumed while it was there
/// knew it. Written once more, it is another word.
pub(super) async fn spread(
    folder: PathBuf,
    say: impl AsyncFn(Stop) -> Result<(), words::Error>,
    stop: CancellationToken,
) {
    let (file, mark) = (folder.join(STOP_FILE), folder.join(SAID_FILE));
    let mut said = tokio::fs::read_to_string(&mark).await.ok();
    while !stop.is_cancelled() {
        match tokio::fs::metadata(&file).await {
            Ok(found) => {
                let version = version(&found);
                if said.as_ref() != Some(&version) && say_it(&file, &say).await {
                    // Unmarked, it is said once more at the next start: on the safe side.
                    tokio::fs::write(&mark, &version).await.unwrap_or_default();
                    said = Some(version);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if said.take().is_some() {
                    tokio::fs::remove_file(&mark).await.unwrap_or_default();
                }
            }
            // Not known: the owner that cannot look holds still by itself.
            Err(_) => {}
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(INTERVAL) => {}
        }
    }
}

/// Keeps the watch going until `stop`: one that breaks off is told, and begun again. Dropped, it ends
/// the watch.
pub(super) async fn keep<W>(begin: impl Fn() -> W, stop: CancellationToken)
where
    W: Future<Output = ()> + Send + 'static,
{
    while !stop.is_cancelled() {
        let mut watch = JoinSet::new();
        watch.spawn(begin());
        let Some(Err(error)) = watch.join_next().await else { return };
        log_event!(
            Event::SinkBroke,
            %error,
            "watching the kill switch's file broke off, it is begun again"
        );
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(INTERVAL) => {}
        }
    }
}

/// Whether the record is acknowledged.
async fn say_it(file: &Path, say: &impl AsyncFn(Stop) -> Result<(), words::Error>) -> bool {
    let reason = match tokio::fs::read(file).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim_end().to_owned(),
        Err(error) => format!("its text cannot be read: {error}"),
    };
    let actor = format!("the file {STOP_FILE}");
    match say(Stop { stopped: true, actor, reason, at: now() }).await {
        Ok(()) => true,
        Err(error) => {
            log_event!(
                Event::StopNotSpread,
                %error,
                "the kill switch's file holds this replica alone, it is tried again"
            );
            false
        }
    }
}

/// Tells a file from one that was written later.
fn version(found: &Metadata) -> String {
    let modified = found.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    format!("{} {}", modified.unwrap_or_default().as_nanos(), found.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use rdkafka::error::KafkaError;

    use super::*;

    /// Remembers what was said; refuses as many as are told.
    #[derive(Default)]
    struct Journal {
        said: Mutex<Vec<Stop>>,
        refusals: usize,
    }

    impl Journal {
        fn count(&self) -> usize {
            self.said.lock().unwrap().len()
        }

        /// Waits until so many records were asked for.
        async fn until(&self, count: usize) {
            while self.count() < count {
                sleep(Duration::from_millis(50)).await;
            }
        }

        /// The watch of one process, which ends when `acts` does.
        async fn watch(&self, folder: &Path, acts: impl Future<Output = ()>) {
            let stop = CancellationToken::new();
            let say = async |word: Stop| {
                let mut said = self.said.lock().unwrap();
                said.push(word);
                if said.len() <= self.refusals {
                    Err(words::Error::Unknown(KafkaError::Canceled))
                } else {
                    Ok(())
                }
            };
            let ending = async {
                acts.await;
                stop.cancel();
            };
            tokio::join!(spread(folder.to_owned(), say, stop.clone()), ending);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_appears_is_said_once_and_again_where_the_record_was_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(STOP_FILE);
        let journal = Journal { refusals: 1, ..Journal::default() };
        let acts = async {
            std::fs::write(&file, "drill\n").unwrap();
            journal.until(2).await;
            sleep(INTERVAL * 5).await;
            assert_eq!(journal.count(), 2, "said, and not again");
            std::fs::remove_file(&file).unwrap();
            sleep(INTERVAL * 5).await;
            // No text at all, as far as this program reads it, is a word too.
            std::fs::write(&file, [0xff]).unwrap();
            journal.until(3).await;
        };
        journal.watch(folder.path(), acts).await;
        let said = journal.said.into_inner().unwrap();
        assert!(said.iter().all(|stop| stop.stopped && stop.actor == "the file payments.stop"));
        let reasons: Vec<_> = said.iter().map(|stop| stop.reason.as_str()).collect();
        assert_eq!(reasons, ["drill", "drill", "\u{fffd}"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_breaks_off_is_begun_again_until_the_end() {
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

        let (begun, stop) = (std::sync::Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let begin = || {
            let (begun, until) = (std::sync::Arc::clone(&begun), stop.clone());
            async move {
                assert!(begun.fetch_add(1, SeqCst) > 1, "the first two break off");
                until.cancelled().await;
            }
        };
        let ending = async {
            while begun.load(SeqCst) < 3 {
                sleep(Duration::from_millis(50)).await;
            }
            stop.cancel();
        };
        let kept = async { tokio::join!(keep(begin, stop.clone()), ending) };
        tokio::time::timeout(Duration::from_secs(60), kept).await.unwrap();
        assert_eq!(begun.load(SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_was_said_is_not_said_by_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(STOP_FILE);
        let journal = Journal::default();
        std::fs::write(&file, "drill").unwrap();
        let marked = async {
            while !folder.path().join(SAID_FILE).exists() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        journal.watch(folder.path(), marked).await;
        assert_eq!(journal.count(), 1);
        // Somebody has resumed since; the file is still there.
        journal.watch(folder.path(), sleep(INTERVAL * 5)).await;
        assert_eq!(journal.count(), 1, "whoever resumed is not overruled");
        std::fs::write(&file, "another drill").unwrap();
        journal.watch(folder.path(), journal.until(2)).await;
        std::fs::remove_file(&file).unwrap();
        journal.watch(folder.path(), sleep(INTERVAL * 5)).await;
        assert!(!folder.path().join(SAID_FILE).exists());
    }
}
