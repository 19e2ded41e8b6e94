//! When: `0.1`, `+.1`, `0.1~0.3`, `+0~+.1`, `*`, `0.1...0.2`.

use super::ast::Time;
use super::parse::{Parser, Result};

impl Parser<'_> {
    /// Does a time stand here?
    pub(super) fn at_time(&self) -> bool {
        match self.peek() {
            Some(b'+' | b'*' | b'0'..=b'9') => true,
            Some(b'.') => self.peek_at(1).is_some_and(|c| c.is_ascii_digit()),
            _ => false,
        }
    }

    /// Reads a time.
    pub(super) fn time(&mut self) -> Result<Time> {
        if self.eat("*") {
            return Ok(Time::Any);
        }
        let relative = self.eat("+");
        let start = self.seconds()?;
        self.skip();
        if self.eat("...") {
            self.skip();
            self.eat("+");
            let end = self.seconds()?;
            if end < start {
                return self.fail("the call ends before it begins");
            }
            return Ok(if relative {
                Time::RelativeBlocking(start, end)
            } else {
                Time::Blocking(start, end)
            });
        }
        if self.eat("~") {
            self.skip();
            if self.eat("+") != relative {
                return self.fail("both ends of a range of time are absolute, or both have a \"+\"");
            }
            let end = self.seconds()?;
            if end < start {
                return self.fail("the range of time ends before it begins");
            }
            return Ok(if relative {
                Time::RelativeRange(start, end)
            } else {
                Time::AbsoluteRange(start, end)
            });
        }
        Ok(if relative { Time::Relative(start) } else { Time::Absolute(start) })
    }

    /// A number of seconds with up to six decimals that count, in microseconds.
    fn seconds(&mut self) -> Result<i64> {
        let begin = self.offset();
        let mut micros: i64 = 0;
        let mut digits = 0;
        while let Some(c @ b'0'..=b'9') = self.peek() {
            micros = micros.saturating_mul(10).saturating_add(i64::from(c - b'0'));
            self.bump();
            digits += 1;
        }
        micros = micros.saturating_mul(1_000_000);
        // "1...2" is a range, not a fraction.
        if self.peek() == Some(b'.') && self.peek_at(1) != Some(b'.') {
            self.bump();
            let mut unit = 100_000;
            while let Some(c @ b'0'..=b'9') = self.peek() {
                micros = micros.saturating_add(i64::from(c - b'0') * unit);
                unit /= 10;
                self.bump();
                digits += 1;
            }
        }
        if digits == 0 {
            return self.fail_at(begin, "expected a time in seconds, such as 0.1 or +0.1");
        }
        Ok(micros)
    }
}
