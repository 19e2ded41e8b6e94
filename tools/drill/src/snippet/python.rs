//! Snippets that are more than assertions, run by python3.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Snippets of a script, each with the variables of its moment, as one program.
#[derive(Debug, Default)]
pub struct Program {
    text: String,
    /// Line of the program and of the script at which a snippet begins.
    starts: Vec<(usize, u32)>,
}

impl Program {
    /// Adds a snippet that begins on `line` of the script.
    pub fn add(&mut self, line: u32, variables: &[(&str, i64)], code: &str) {
        for (name, value) in super::CONSTANTS.iter().chain(variables) {
            let _ = writeln!(self.text, "{name} = {value}");
        }
        // What stands after "%{" on its line is not indented with the rest.
        let code = match code.split_once('\n') {
            Some((first, rest)) if first.trim().is_empty() => format!("\n{}", dedent(rest)),
            Some((first, rest)) => format!("{}\n{}", first.trim(), dedent(rest)),
            None => code.trim().to_owned(),
        };
        self.starts.push((self.text.lines().count() + 1, line));
        let _ = writeln!(self.text, "{code}");
    }

    /// Is there anything to run?
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Runs it; gives what it printed.
    ///
    /// # Errors
    /// Line of the script and words: python3 is not there, or says that something is wrong.
    pub fn run(&self) -> Result<String, (u32, String)> {
        let first = self.starts.first().map_or(1, |s| s.1);
        let missing =
            |e: std::io::Error| (first, format!("this code needs python3, which does not start: {e}"));
        let mut child = Command::new("python3")
            .args(["-I", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(missing)?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(self.text.as_bytes()).map_err(missing)?;
        }
        let output = child.wait_with_output().map_err(missing)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = said
            .rsplit("line ")
            .find_map(|s| s.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok())
            .unwrap_or(1);
        let start = self.starts.iter().rev().find(|s| s.0 <= line).copied().unwrap_or((line, first));
        let last = said.trim_end().lines().last().unwrap_or("it failed").to_owned();
        Err((start.1 + (line - start.0) as u32, format!("python3: {last}")))
    }
}

/// Takes off the blanks that all lines begin with.
fn dedent(text: &str) -> String {
    let blanks = |l: &str| l.len() - l.trim_start().len();
    let common = text.lines().filter(|l| !l.trim().is_empty()).map(blanks).min().unwrap_or(0);
    text.lines().map(|l| l.get(common..).unwrap_or("").trim_end()).collect::<Vec<_>>().join("\n")
}
