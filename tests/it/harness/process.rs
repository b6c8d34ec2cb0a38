//! The connector as a child process that can be killed, stopped and continued.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tempfile::TempDir;

use super::{
    canaries, http,
    wait::{wait_for, wait_until},
    watched::{Watched, tail},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vomsis-connect");
/// What stands in the log line that prints the HTTP address.
const LISTENING: &str = "listening";
const GRACE: Duration = Duration::from_secs(15);

/// A folder with a configuration, which stays over the runs of the connector in it.
#[derive(Debug)]
pub(crate) struct Home {
    runs: AtomicU32,
    folder: TempDir,
}

impl Home {
    /// A new folder with `config.yaml`; `{home}` in the text becomes the folder's path.
    pub(crate) fn new(config: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("vomsis-home-").tempdir().unwrap();
        let home = Self { runs: AtomicU32::new(0), folder };
        home.write("config.yaml", &config.replace("{home}", &home.path().display().to_string()));
        home
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file (a secret, another configuration) into the folder and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Puts something else into the configuration.
    #[track_caller]
    pub(crate) fn change(&self, from: &str, to: &str) {
        let path = self.path().join("config.yaml");
        let old = fs::read_to_string(&path).unwrap();
        assert!(old.contains(from), "no {from} in {old}");
        fs::write(&path, old.replace(from, to)).unwrap();
    }

    /// `vomsis-connect run --config config.yaml`.
    pub(crate) fn run(&self) -> Process {
        self.run_with(&[])
    }

    /// As [`Home::run`], with these environment variables.
    pub(crate) fn run_with(&self, environment: &[(&str, &str)]) -> Process {
        let mut command = Command::new(PROGRAM);
        command.arg("run").arg("--config").arg(self.path().join("config.yaml"));
        command.envs(environment.iter().copied());
        self.spawn(&command)
    }

    /// `vomsis-connect ARGUMENTS..`, in the folder.
    pub(crate) fn connector(&self, arguments: &[&str]) -> Process {
        self.spawn(Command::new(PROGRAM).args(arguments))
    }

    /// Any program, in the folder; `command`'s arguments and environment count.
    pub(crate) fn spawn(&self, command: &Command) -> Process {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let name = format!("process-{run}");
        Process { watched: Watched::start(command, self.path(), &name, GRACE) }
    }
}

/// A child process; killed when dropped, and when the test binary ends. Its log is swept then.
#[derive(Debug)]
pub(crate) struct Process {
    watched: Watched,
}

impl Process {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.watched.pid()
    }

    /// What it wrote to stdout so far.
    pub(crate) fn stdout(&self) -> String {
        self.watched.stdout()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.watched.stderr()
    }

    /// Whether it still runs (a stopped process does).
    pub(crate) fn is_running(&mut self) -> bool {
        self.watched.is_running()
    }

    /// `SIGKILL`, and waits until it is gone.
    pub(crate) fn kill9(&mut self) {
        self.watched.kill9();
    }

    /// `SIGSTOP`: it does nothing any more, its connections stay open.
    pub(crate) fn sigstop(&mut self) {
        self.watched.signal("STOP");
    }

    /// `SIGCONT`: it goes on where it was stopped.
    pub(crate) fn sigcont(&mut self) {
        self.watched.signal("CONT");
    }

    /// `SIGTERM`: it should end by itself; wait for that with [`Process::wait`].
    pub(crate) fn sigterm(&mut self) {
        self.watched.signal("TERM");
    }

    /// `SIGINT`, as Ctrl-C sends it.
    pub(crate) fn sigint(&mut self) {
        self.watched.signal("INT");
    }

    /// Waits for its end; its exit status, or 128 + n after signal n.
    #[track_caller]
    pub(crate) fn wait(&mut self, deadline: Duration) -> i32 {
        self.watched.wait(deadline)
    }

    /// The first line of its output that contains `needle`; fails the test at the deadline, or
    /// when it ends without having printed one.
    #[track_caller]
    pub(crate) fn wait_for_line(&mut self, needle: &str, deadline: Duration) -> String {
        self.wait_for_lines(needle, 1, deadline).swap_remove(0)
    }

    /// As [`Process::wait_for_line`], for at least `count` such lines.
    #[track_caller]
    pub(crate) fn wait_for_lines(
        &mut self,
        needle: &str,
        count: usize,
        deadline: Duration,
    ) -> Vec<String> {
        let what = format!("{count} lines with {needle:?}");
        wait_for(&what, deadline, || {
            let running = self.is_running();
            let text = format!("{}\n{}", self.stderr(), self.stdout());
            let found: Vec<_> =
                text.lines().filter(|l| l.contains(needle)).map(str::to_owned).collect();
            assert!(running || found.len() >= count, "it ended without {what}: {}", tail(&text));
            (found.len() >= count).then_some(found)
        })
    }

    /// The address of its HTTP listener, from the log.
    #[track_caller]
    pub(crate) fn address(&mut self, deadline: Duration) -> SocketAddr {
        self.address_in(LISTENING, deadline)
    }

    /// The address in the first line of its output that contains `needle`.
    #[track_caller]
    pub(crate) fn address_in(&mut self, needle: &str, deadline: Duration) -> SocketAddr {
        let line = self.wait_for_line(needle, deadline);
        let is_address = |c: char| c.is_ascii_digit() || c == '.' || c == ':';
        line.split(|c: char| !is_address(c))
            .filter_map(|word| word.trim_matches([':', '.']).parse().ok())
            .next_back()
            .unwrap_or_else(|| panic!("no address in {line:?}"))
    }

    /// Waits until `GET path` on its HTTP listener answers `status`.
    #[track_caller]
    pub(crate) fn wait_for_status(&mut self, path: &str, status: u16, deadline: Duration) {
        let address = self.address(deadline);
        wait_until(&format!("{path} answers {status}"), deadline, || {
            assert!(self.is_running(), "it ended: {}", tail(&self.stderr()));
            http::get(address, path).is_ok_and(|answer| answer.status == status)
        });
    }
}

impl Drop for Process {
    /// Whatever the test was about, its log showed nothing that was planted; the end of the log
    /// goes with a failure, whose cause may be seen nowhere else.
    fn drop(&mut self) {
        self.watched.kill9();
        if std::thread::panicking() {
            println!("process {} said at last:\n{}", self.pid(), tail(&self.stderr()));
        } else {
            canaries::assert_log_is_clean(&self.stderr());
        }
    }
}
