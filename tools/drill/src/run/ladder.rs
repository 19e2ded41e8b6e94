//! What happened so far, one line each, with the time on the left and the direction in the middle.

use std::fmt::Write as _;

/// Lines of a ladder.
#[derive(Debug, Default)]
pub struct Ladder {
    lines: Vec<(i64, &'static str, String)>,
}

impl Ladder {
    /// Adds a line.
    pub fn add(&mut self, at: i64, mark: &'static str, text: impl Into<String>) {
        self.lines.push((at, mark, text.into()));
    }

    /// The last `most` lines.
    pub fn show(&self, most: usize) -> String {
        let mut out = String::new();
        let left_out = self.lines.len().saturating_sub(most);
        if left_out > 0 {
            let _ = writeln!(out, "     ... {left_out} lines before");
        }
        for (at, mark, text) in &self.lines[left_out..] {
            let _ = writeln!(out, "{:>12}  {mark:^4} {text}", seconds(*at));
        }
        out
    }
}

/// Microseconds as seconds: `0.100000`.
pub fn seconds(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
