//! Faults, with the place and the line shown.

use super::ast::Pos;
use std::fmt;

/// What is wrong with a script, or with what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The file.
    pub file: String,
    /// The place.
    pub pos: Pos,
    /// What is wrong and what was expected; one line.
    pub message: String,
    /// The line.
    pub line: String,
    /// More about it: what came instead, the script so far.
    pub details: String,
}

impl ScriptError {
    /// A fault at a place of a text.
    pub fn new(file: &str, text: &str, pos: Pos, message: impl Into<String>) -> Self {
        let line = text.lines().nth(pos.line.saturating_sub(1) as usize).unwrap_or("");
        Self {
            file: file.into(),
            pos,
            message: message.into(),
            line: line.trim_end().replace('\t', " "),
            details: String::new(),
        }
    }
}

/// ```text
/// echo.pkt:12:9: expected an acknowledgment number after "ack"
///    12 | +0 < . 1:1(0) ack
///       |                  ^
/// ```
impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pos { line, column } = self.pos;
        writeln!(f, "{}:{line}:{column}: {}", self.file, self.message)?;
        writeln!(f, "{line:>6} | {}", self.line)?;
        write!(f, "       | {:>width$}", "^", width = column as usize)?;
        if !self.details.is_empty() {
            write!(f, "\n{}", self.details.trim_end())?;
        }
        Ok(())
    }
}

impl std::error::Error for ScriptError {}
