//! How a command fails: one sentence and an exit status.

use std::fmt;
use std::io;

/// Why a command ended without success.
#[derive(Debug)]
pub struct Failure {
    message: String,
    status: u8,
}

/// The result of a command.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Something went wrong: status 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: 1 }
    }

    /// The command line does not make sense: status 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: 2 }
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Adds to an error what was being done.
pub trait Doing<T> {
    /// `what` is put before the error: "cannot connect to 10.0.0.1:80: connection refused".
    fn doing(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|e| Failure::new(format!("{}: {}", what(), text(&e))))
    }
}

/// The text of an I/O error, without "(os error 111)" at its end.
pub fn text(e: &io::Error) -> String {
    let text = e.to_string();
    match text.find(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}
