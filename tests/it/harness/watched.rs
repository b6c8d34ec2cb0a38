//! A child process that never outlives the test binary, even when that is killed.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::wait::{GENEROUS, PAUSE};

const SCRIPT: &str = include_str!("watched.sh");

/// A program under a small shell that ends it together with this process.
#[derive(Debug)]
pub(crate) struct Watched {
    guard: Child,
    program: String,
    pid: u32,
    status: Option<i32>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Watched {
    /// Starts `program` in `folder`; its output goes to `name.out` and `name.err` there.
    ///
    /// Stopped gently it has `grace` before it is killed. Where this process dies first, the
    /// folder is removed too.
    pub(crate) fn start(command: &Command, folder: &Path, name: &str, grace: Duration) -> Self {
        let stdout = folder.join(format!("{name}.out"));
        let stderr = folder.join(format!("{name}.err"));
        let mut guard = Command::new("sh");
        guard
            .args(["-c", SCRIPT, "watched", &grace.as_secs().to_string()])
            .args([folder, &stdout, &stderr])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(command.get_current_dir().unwrap_or(folder))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0); // a ctrl-c in the terminal is not for it: the end of its stdin is
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => guard.env(key, value),
                None => guard.env_remove(key),
            };
        }
        let mut guard = guard.spawn().expect("sh starts");
        let mut pid = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        let pid = pid.trim().parse().expect("the guard prints a pid");
        let program = command.get_program().display().to_string();
        Self { guard, program, pid, status: None, stdout, stderr }
    }

    /// The program's own process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What it wrote to stdout so far.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stdout).unwrap_or_default()).into_owned()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// Its exit status (128 + n after signal n), once it has ended.
    pub(crate) fn try_status(&mut self) -> Option<i32> {
        if self.status.is_none() {
            let status = self.guard.try_wait().expect("the guard can be waited for");
            self.status =
                status.map(|s| s.code().unwrap_or_else(|| 128 + s.signal().unwrap_or_default()));
        }
        self.status
    }

    /// Whether it still runs (a stopped process does).
    pub(crate) fn is_running(&mut self) -> bool {
        self.try_status().is_none()
    }

    /// Waits for its end; fails the test at the deadline, with what it has said by then.
    #[track_caller]
    pub(crate) fn wait(&mut self, deadline: Duration) -> i32 {
        let started = Instant::now();
        loop {
            if let Some(status) = self.try_status() {
                return status;
            }
            assert!(
                started.elapsed() < deadline,
                "waited {deadline:?} in vain: the end of {} (process {}); stdout: {}; stderr: {}",
                self.program,
                self.pid,
                tail(&self.stdout()),
                tail(&self.stderr())
            );
            thread::sleep(PAUSE);
        }
    }

    /// Sends a signal such as `KILL`, `STOP`, `CONT` or `TERM`; nothing once it has ended.
    #[track_caller]
    pub(crate) fn signal(&mut self, name: &str) {
        if self.is_running() {
            let pid = self.pid.to_string();
            let sent = Command::new("kill")
                .args([&format!("-{name}"), &pid])
                .stderr(Stdio::null())
                .status()
                .expect("kill runs");
            assert!(sent.success() || !self.is_running(), "signal {name} was refused");
        }
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn kill9(&mut self) {
        self.signal("KILL");
        self.wait(GENEROUS);
    }

    /// Asks it to end, kills it after its grace, and waits until it is gone.
    pub(crate) fn stop(&mut self) -> i32 {
        if let Some(mut stdin) = self.guard.stdin.take() {
            // refused where the program has ended by itself
            stdin.write_all(b"stop\n").unwrap_or_default();
        }
        self.wait(GENEROUS)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The last lines of a log, for a failure's message.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(60)..).unwrap_or_default().join("\n")
}
