//! What opening or setting up a device can fail with.

use crate::errno::Errno;
use core::fmt;
use std::string::String;

/// Why a device could not be opened: one sentence that says what was wrong and what to do, and the
/// errno behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceError {
    text: String,
    errno: Errno,
}

impl DeviceError {
    pub(crate) fn new(errno: Errno, text: impl Into<String>) -> Self {
        Self { text: text.into(), errno }
    }

    /// The error of the system call behind it.
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.errno.name())
    }
}

impl core::error::Error for DeviceError {}
