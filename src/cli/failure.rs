//! How a command ends: an exit code that scripts can rely on, and words that people can act on.

use std::io;

use crate::config;

/// The exit codes of every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; also where the reader of the output has gone.
    Ok = 0,
    /// It did not work.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A system that is needed does not answer.
    Unavailable = 69,
    /// A system that is needed has a limit of its own: the same command works later.
    TryLater = 75,
    /// Credentials or address were refused.
    Refused = 77,
    /// The configuration is not valid.
    Config = 78,
}

/// Why a command did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the process exits with.
    pub exit: Exit,
    /// What failed, on which id.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `error: …` and `hint: …`, a line of the message each; empty where nothing went wrong.
    pub fn render(&self) -> String {
        if self.exit == Exit::Ok {
            return String::new();
        }
        let mut text: String =
            self.message.lines().map(|line| format!("error: {line}\n")).collect();
        if let Some(hint) = &self.hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
        text
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        let hint = match &error {
            config::Error::Unreadable { cause, .. } => hint_for_reading(cause.kind()),
            config::Error::Malformed(_) => {
                "mend the file at that place; config init writes one to begin with"
            }
            config::Error::Invalid(_) => "config explain KEY says what a key may hold",
        };
        Self::new(Exit::Config, error.to_string()).hint(hint)
    }
}

fn hint_for_reading(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::IsADirectory => {
            "that is a folder: name the file in it with --config FILE or VOMSIS_CONFIG"
        }
        io::ErrorKind::PermissionDenied => {
            "let this user read the file and pass the folders above it; check owner and mode"
        }
        _ => "name the file with --config FILE or VOMSIS_CONFIG; config init writes one",
    }
}

impl From<io::Error> for Failure {
    /// For writing to stdout: a reader that has gone (`… | head`) is no failure.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Ok, ""),
            _ => Self::new(Exit::Failed, format!("cannot write the output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_failure_is_marked_and_the_hint_comes_last() {
        let failure = Failure::new(Exit::Config, "a\nb").hint("do c");
        assert_eq!(failure.render(), "error: a\nerror: b\nhint: do c\n");
    }

    #[test]
    fn the_hint_fits_why_there_is_no_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let hint = |path: &std::path::Path| {
            let failure = Failure::from(config::load(path, std::iter::empty()).unwrap_err());
            assert_eq!(failure.exit, Exit::Config);
            format!("{} {}", failure.message, failure.hint.unwrap())
        };
        assert!(hint(&folder.path().join("none")).contains("config init writes one"));
        assert!(hint(folder.path()).contains("that is a folder"));
        let file = folder.path().join("c.yaml");
        std::fs::write(&file, b"# ok\nenv: caf\xe9\n").unwrap();
        let said = hint(&file);
        assert!(said.contains("c.yaml:2:9: not UTF-8") && said.contains("mend the file"), "{said}");
        std::fs::write(&file, "env: [").unwrap();
        assert!(hint(&file).contains("mend the file at that place"));
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit, failure.render().as_str()), (Exit::Ok, ""));
    }
}
