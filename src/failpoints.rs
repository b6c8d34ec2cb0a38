//! Steps at which a test lets the process die, as `kill -9` would, but at a known place.
//!
//! Only a program built with the feature `failpoints` has them: elsewhere [`reach`] is empty. There
//! `VOMSIS_FAILPOINT=sent:3` ends the process without any clean-up when the step is reached
//! for the third time, `sent:3:stop` lets it stand still there until somebody continues it, and with
//! `sent:3:pause` the thread that reaches it never comes back. `VOMSIS_HURRY=20` has a twentieth of
//! the usual patience with such a thread.

/// A step that can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A shard's lock is taken, its state not yet read.
    Locked,
    /// A shard's state is read, the local cache holds it without saying so.
    CacheFilling,
    /// An answer of the source is there, nothing is decided.
    Fetched,
    /// A transaction is begun, nothing is sent.
    Begun,
    /// A record of a transaction was handed over.
    Sent,
    /// All events of a transaction are handed over, none of its state.
    BeforeState,
    /// Every record is acknowledged, the commit not asked for.
    BeforeCommit,
    /// The commit is confirmed, nothing local knows it.
    Committed,
    /// The local cache knows the commit, the poller does not.
    Cached,
    /// The poller has been told, its memory is the old one.
    BeforeMemory,
    /// The sink's lock is taken, its journal not yet read.
    SinkLocked,
    /// The journal is read, nothing is taken up.
    SinkRestored,
    /// Commands were read and are not in the journal.
    CommandRead,
    /// Commands are in the journal, nobody has taken them up.
    CommandJournaled,
    /// A payment was looked at, nothing is intended.
    PaymentLooked,
    /// Token and quota are there, nothing is intended.
    BeforeIntent,
    /// The intent is committed, nothing is sent.
    IntentCommitted,
    /// The answer to the one request is there, nobody has read it.
    AnswerRead,
    /// The answer is read, its result not committed.
    BeforeResult,
    /// The result is committed, the memory is the old one.
    ResultCommitted,
    /// A doubted payment was looked at, nothing is decided.
    DoubtLooked,
    /// Offsets are about to be noted with the group.
    BeforeOffsets,
    /// Offsets are noted with the group.
    OffsetsNoted,
    /// The thread that hears which shards this replica has is awake.
    GroupTurn,
    /// The local cache's thread is about to write.
    CacheWriting,
}

impl Point {
    /// The steps of a row's way.
    pub const OF_ROWS: [Self; 10] = [
        Self::Locked,
        Self::CacheFilling,
        Self::Fetched,
        Self::Begun,
        Self::Sent,
        Self::BeforeState,
        Self::BeforeCommit,
        Self::Committed,
        Self::Cached,
        Self::BeforeMemory,
    ];

    /// Where a thread may hang that no row passes.
    pub const OF_THREADS: [Self; 2] = [Self::GroupTurn, Self::CacheWriting];

    /// The steps of a payment command's way; those of a transaction are the same as a row's.
    pub const OF_COMMANDS: [Self; 17] = [
        Self::SinkLocked,
        Self::SinkRestored,
        Self::CommandRead,
        Self::CommandJournaled,
        Self::PaymentLooked,
        Self::BeforeIntent,
        Self::IntentCommitted,
        Self::AnswerRead,
        Self::BeforeResult,
        Self::ResultCommitted,
        Self::DoubtLooked,
        Self::BeforeOffsets,
        Self::OffsetsNoted,
        Self::Begun,
        Self::Sent,
        Self::BeforeCommit,
        Self::Committed,
    ];

    /// How the environment variable names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::CacheFilling => "cache-filling",
            Self::Fetched => "fetched",
            Self::Begun => "begun",
            Self::Sent => "sent",
            Self::BeforeState => "before-state",
            Self::BeforeCommit => "before-commit",
            Self::Committed => "committed",
            Self::Cached => "cached",
            Self::BeforeMemory => "before-memory",
            Self::SinkLocked => "sink-locked",
            Self::SinkRestored => "sink-restored",
            Self::CommandRead => "command-read",
            Self::CommandJournaled => "command-journaled",
            Self::PaymentLooked => "payment-looked",
            Self::BeforeIntent => "before-intent",
            Self::IntentCommitted => "intent-committed",
            Self::AnswerRead => "answer-read",
            Self::BeforeResult => "before-result",
            Self::ResultCommitted => "result-committed",
            Self::DoubtLooked => "doubt-looked",
            Self::BeforeOffsets => "before-offsets",
            Self::OffsetsNoted => "offsets-noted",
            Self::GroupTurn => "group-turn",
            Self::CacheWriting => "cache-writing",
        }
    }
}

/// The step is reached: the process may end here.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn reach(_: Point) {}

/// How long a call that should have come back is waited for.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn patience(usual: std::time::Duration) -> std::time::Duration {
    usual
}

#[cfg(feature = "failpoints")]
pub use armed::{patience, reach};

#[cfg(feature = "failpoints")]
mod armed {
    use std::{
        process::{self, Command, abort},
        sync::{
            OnceLock,
            atomic::{AtomicU64, Ordering},
        },
        thread,
        time::Duration,
    };

    use super::Point;

    const VARIABLE: &str = "VOMSIS_FAILPOINT";
    const HURRY: &str = "VOMSIS_HURRY";

    /// The step at which something happens to this process, and how often it must be reached.
    struct Armed {
        point: Point,
        hits_left: AtomicU64,
        what: What,
    }

    #[derive(Clone, Copy)]
    enum What {
        End,
        Stop,
        Pause,
    }

    /// The step is reached: the process may end or stand still here.
    pub fn reach(point: Point) {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let Some(armed) = ARMED.get_or_init(from_environment) else { return };
        if armed.point != point || armed.hits_left.fetch_sub(1, Ordering::Relaxed) != 1 {
            return;
        }
        let name = point.name();
        match armed.what {
            What::End => {
                eprintln!("failpoint {name} reached, the process ends");
                abort();
            }
            What::Stop => {
                eprintln!("failpoint {name} reached, the process stands still");
                stand_still();
                eprintln!("failpoint {name} left, the process goes on");
            }
            What::Pause => {
                eprintln!("failpoint {name} reached, this thread stands still");
                loop {
                    thread::park();
                }
            }
        }
    }

    /// How long a call that should have come back is waited for: the usual, or a part of it.
    pub fn patience(usual: Duration) -> Duration {
        #[expect(clippy::disallowed_methods, reason = "no setting: only tests know it")]
        let Ok(text) = std::env::var(HURRY) else { return usual };
        let Some(shorter) = text.parse().ok().and_then(|times| usual.checked_div(times)) else {
            eprintln!("{HURRY}={text} is no number of times");
            abort();
        };
        shorter
    }

    /// Stops a process and ends when it is seen to stand still. `kill` alone ends before: the kernel
    /// hands the signal to any thread, and until that one runs the others go on; one of them might
    /// send what the test says was never sent.
    const STOP_AND_SEE: &str = r#"
        kill -STOP "$1" || exit
        rounds=0
        until grep -q '^State:[[:space:]]*T' "/proc/$1/status"; do
            rounds=$((rounds + 1))
            [ "$rounds" -lt 1000 ] || exit
            sleep 0.01
        done"#;

    /// Returns when somebody has continued the process: while its child has not ended, this thread
    /// waits for it, and once the process is seen to stand still none of its threads runs.
    fn stand_still() {
        let pid = process::id().to_string();
        let sent = Command::new("sh").args(["-c", STOP_AND_SEE, "stop", &pid]).status();
        if !sent.is_ok_and(|status| status.success()) {
            eprintln!("kill -STOP does not work here, or the process was continued too early");
            abort();
        }
    }

    /// A name that is not understood ends the process too: a test must not pass because of a slip.
    fn from_environment() -> Option<Armed> {
        #[expect(clippy::disallowed_methods, reason = "no setting: only tests know it")]
        let text = std::env::var(VARIABLE).ok()?;
        let armed = read(&text);
        if armed.is_none() {
            eprintln!("{VARIABLE}={text} is not STEP:HITS, STEP:HITS:stop or STEP:HITS:pause");
            abort();
        }
        armed
    }

    fn read(text: &str) -> Option<Armed> {
        let (name, rest) = text.split_once(':')?;
        let (hits, what) = match rest.split_once(':') {
            None => (rest, What::End),
            Some((hits, "stop")) => (hits, What::Stop),
            Some((hits, "pause")) => (hits, What::Pause),
            Some(_) => return None,
        };
        let points = Point::OF_ROWS.into_iter().chain(Point::OF_COMMANDS);
        let mut points = points.chain(Point::OF_THREADS);
        let point = points.find(|point| point.name() == name)?;
        Some(Armed { point, hits_left: AtomicU64::new(hits.parse().ok()?), what })
    }
}
