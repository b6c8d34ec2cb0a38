//! What is wrong with a configuration, said so that one edit mends it.

use std::{fmt, io, path::PathBuf, sync::Arc};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In the file; both counts start at 1.
    File { line: usize, column: usize },
    /// In an environment variable.
    Env(Arc<str>),
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `file:line:column` or the name of the environment variable.
    pub place: String,
    /// The key, `connections[0].quota.concurrency`; empty where there is none.
    pub key: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(file: &str, at: Option<&Origin>, key: &str, message: String) -> Self {
        let place = match at {
            None => file.to_owned(),
            Some(Origin::File { line, column }) => format!("{file}:{line}:{column}"),
            Some(Origin::Env(name)) => format!("environment variable {name}"),
        };
        Self { place, key: key.to_owned(), message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read the configuration file {}: {cause}", path.display())]
    Unreadable {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is no YAML, or no text at all.
    #[error("{0}")]
    Malformed(Problem),
    /// Everything that was found wrong, in the order of the file.
    #[error("{}", join(.0))]
    Invalid(Vec<Problem>),
}

impl Error {
    /// The problems of an invalid configuration; empty where the file could not be read.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Malformed(problem) => std::slice::from_ref(problem),
            Self::Invalid(problems) => problems,
        }
    }
}

fn join(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
