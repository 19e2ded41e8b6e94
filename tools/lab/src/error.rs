//! What went wrong, with what was attempted.

use std::{fmt, io};

/// A system call that failed, and what it was for: `creating a network namespace: Operation not
/// permitted (os error 1)`.
#[derive(Debug)]
pub struct Error {
    what: String,
    source: io::Error,
}

/// The result of everything that touches the system.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self { what: what.into(), source: source.into() }
    }

    /// The same error, said with other words.
    pub(crate) fn instead(self, what: String) -> Self {
        Self { what, ..self }
    }

    /// The error of the system, whose `raw_os_error` is the errno.
    pub fn io(&self) -> &io::Error {
        &self.source
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<Error> for io::Error {
    fn from(e: Error) -> Self {
        Self::new(e.source.kind(), e)
    }
}

/// Adds to a failure what was attempted.
pub(crate) trait Attempt<T> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Attempt<T> for std::result::Result<T, E> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| Error::new(what(), e))
    }
}
