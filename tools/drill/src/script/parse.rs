//! The reader: plain descent over the octets of the script, without a separate lexer, because what a
//! word means depends on where it stands (`.` is an ACK in a packet, `S` a flag, `-` no flag at all).

use super::ast::{Event, Pos, Script, Time, What};
use super::error::ScriptError;
use super::options::Settings;

/// What reading a part gives.
pub(super) type Result<T> = std::result::Result<T, Box<ScriptError>>;

/// Reads a script. `defines` are put in for whole words before anything is read; those in the script's
/// own option lines are overridden by them.
///
/// # Errors
/// The first fault, with its place.
pub fn parse(
    file: &str,
    text: &str,
    defines: &[(String, String)],
    settings: &Settings,
) -> std::result::Result<Script, Box<ScriptError>> {
    let defines = collect_defines(text, defines);
    let text = substitute(text, &defines);
    let mut p = Parser { file, text: &text, at: 0, settings: settings.clone() };
    p.options()?;
    let mut events = Vec::new();
    loop {
        p.skip();
        if p.peek().is_none() {
            break;
        }
        events.push(p.event()?);
    }
    let settings = p.settings;
    Ok(Script { file: file.into(), text, settings, events })
}

/// `--define=NAME=VALUE` and `--value=NAME=VALUE` of the script, then those of the command line.
fn collect_defines(text: &str, given: &[(String, String)]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = given.to_vec();
    for word in option_words(text) {
        for prefix in ["--define=", "--value=", "-D"] {
            if let Some((name, value)) = word.strip_prefix(prefix).and_then(|w| w.split_once('='))
                && !all.iter().any(|(n, _)| n == name)
            {
                all.push((name.into(), value.trim_matches('"').into()));
            }
        }
    }
    all
}

fn option_words(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|l| l.trim_start().starts_with('-')).flat_map(str::split_whitespace)
}

/// Replaces whole words, in all but option lines.
fn substitute(text: &str, defines: &[(String, String)]) -> String {
    if defines.is_empty() {
        return text.into();
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("--") {
            out.push_str(line);
            continue;
        }
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            if len == 0 {
                out.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
            let word = &rest[..len];
            out.push_str(defines.iter().find(|(n, _)| n == word).map_or(word, |(_, v)| v));
            rest = &rest[len..];
        }
    }
    out
}

/// The reader's state.
pub(super) struct Parser<'a> {
    file: &'a str,
    text: &'a str,
    at: usize,
    pub(super) settings: Settings,
}

/// # Octets
impl Parser<'_> {
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.peek_at(0)
    }

    pub(super) fn peek_at(&self, n: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + n).copied()
    }

    pub(super) fn bump(&mut self) {
        self.at += 1;
    }

    pub(super) fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Takes `word` if it stands here.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        let there = self.text.as_bytes()[self.at.min(self.text.len())..].starts_with(word.as_bytes());
        if there {
            self.at += word.len();
        }
        there
    }

    /// Takes `word` if it stands here as a whole word.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let follows = self.peek_at(word.len()).is_some_and(|c| c.is_ascii_alphanumeric() || c == b'_');
        !follows && self.eat(word)
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<()> {
        self.skip();
        if self.eat(word) {
            return Ok(());
        }
        let found = self.found();
        self.fail(format!("expected \"{word}\", found {found}"))
    }

    /// What stands here, for a message.
    pub(super) fn found(&self) -> String {
        let word: String =
            self.rest().chars().take_while(|c| !c.is_whitespace() && *c != ',').take(20).collect();
        match (word.is_empty(), self.rest().chars().next()) {
            (_, None) => "the end of the file".into(),
            (true, Some('\n')) => "the end of the line".into(),
            (true, Some(c)) => format!("\"{c}\""),
            (false, _) => format!("\"{word}\""),
        }
    }

    /// Passes white space and comments: `// ..`, `/* .. */`, `# ..`.
    pub(super) fn skip(&mut self) {
        loop {
            match (self.peek(), self.peek_at(1)) {
                (Some(c), _) if c.is_ascii_whitespace() => self.bump(),
                (Some(b'#'), _) | (Some(b'/'), Some(b'/')) => {
                    self.at += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                (Some(b'/'), Some(b'*')) => {
                    let end = self.rest()[2..].find("*/").map_or(self.rest().len(), |n| n + 4);
                    self.at += end;
                }
                _ => return,
            }
        }
    }

    /// A word of letters, digits and underscores; empty if there is none.
    pub(super) fn word(&mut self) -> &str {
        let len =
            self.rest().find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest().len());
        let start = self.at;
        self.at += len;
        &self.text[start..start + len]
    }

    /// A decimal or hexadecimal number that fits `T`.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T> {
        self.skip();
        let begin = self.at;
        let word = self.word();
        let value = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => word.parse().ok(),
        };
        match value.map(T::try_from) {
            Some(Ok(n)) => Ok(n),
            Some(Err(_)) => self.fail_at(begin, format!("{what} is out of range")),
            None => {
                self.at = begin;
                let found = self.found();
                self.fail(format!("expected {what}, found {found}"))
            }
        }
    }

    pub(super) fn pos_of(&self, at: usize) -> Pos {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = before.iter().filter(|c| **c == b'\n').count() as u32 + 1;
        let column = before.iter().rev().take_while(|c| **c != b'\n').count() as u32 + 1;
        Pos { line, column }
    }

    pub(super) fn pos(&self) -> Pos {
        self.pos_of(self.at)
    }

    pub(super) fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        self.fail_at(self.at, message)
    }

    pub(super) fn fail_at<T>(&self, at: usize, message: impl Into<String>) -> Result<T> {
        Err(Box::new(ScriptError::new(self.file, self.text, self.pos_of(at), message)))
    }
}

/// # Events
impl Parser<'_> {
    fn options(&mut self) -> Result<()> {
        loop {
            self.skip();
            let begin = self.at;
            if !self.eat("--") {
                if self.eat("-D") {
                    self.at +=
                        self.rest().find(|c: char| c.is_whitespace()).unwrap_or_else(|| self.rest().len());
                    continue;
                }
                return Ok(());
            }
            let name = self.word().to_owned();
            let mut value = String::new();
            if self.eat("=") {
                let end = match self.peek() {
                    Some(q @ (b'"' | b'`')) => {
                        self.bump();
                        let n = self.rest().find(q as char);
                        let Some(n) = n else { return self.fail_at(begin, "the value is not closed") };
                        value = self.rest()[..n].to_owned();
                        n + 1
                    }
                    _ => {
                        let n = self
                            .rest()
                            .find(|c: char| c.is_whitespace())
                            .unwrap_or_else(|| self.rest().len());
                        value = self.rest()[..n].to_owned();
                        n
                    }
                };
                self.at += end;
            }
            if name == "define" || name == "value" {
                continue;
            }
            if let Err(e) = self.settings.set(&name, &value) {
                return self.fail_at(begin, e);
            }
        }
    }

    fn event(&mut self) -> Result<Event> {
        let (begin, pos) = (self.at, self.pos());
        let timed = self.at_time();
        let time = if timed { self.time()? } else { Time::Relative(0) };
        self.skip();
        let what = match self.peek() {
            Some(b'`') => What::Command(self.quoted("`", "`")?),
            Some(b'%') => What::Code(self.quoted("%{", "}%")?),
            _ if !timed => {
                let found = self.found();
                return self.fail(format!("expected a time such as +0 or 0.1, found {found}"));
            }
            Some(b'<') => {
                self.bump();
                What::Inbound(self.packet(true)?)
            }
            Some(b'>') => {
                self.bump();
                What::Outbound(self.packet(false)?)
            }
            Some(c) if c.is_ascii_alphabetic() => What::Call(self.call()?),
            _ => {
                let found = self.found();
                return self.fail(format!(
                    "expected \"<\", \">\", a system call, `a command` or %{{ code }}%, found {found}"
                ));
            }
        };
        let blocking = matches!(time, Time::Blocking(..) | Time::RelativeBlocking(..));
        if blocking && !matches!(what, What::Call(_)) {
            return self.fail_at(begin, "only a system call has a duration (\"...\")");
        }
        let source = self.text[begin..self.at].split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Event { pos, time, what, source })
    }

    /// What stands between two marks.
    fn quoted(&mut self, open: &str, close: &str) -> Result<String> {
        let begin = self.at;
        self.expect(open)?;
        let Some(n) = self.rest().find(close) else {
            return self.fail_at(begin, format!("\"{open}\" is not closed by \"{close}\""));
        };
        let inside = self.rest()[..n].to_owned();
        self.at += n + close.len();
        Ok(inside)
    }
}
