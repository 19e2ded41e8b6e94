//! System calls: `name(arguments) = result`.

use super::ast::{Call, Expected, Expr, ExprKind, Field};
use super::constants;
use super::parse::{Parser, Result};

impl Parser<'_> {
    pub(super) fn call(&mut self) -> Result<Call> {
        let name = self.word().to_owned();
        self.expect("(")?;
        let args = self.arguments(")")?;
        self.expect("=")?;
        let expect = self.result()?;
        Ok(Call { name, args, expect })
    }

    /// `3`, `?`, `0x2 (flags O_RDWR)`, `-1 EAGAIN (Resource temporarily unavailable)`.
    fn result(&mut self) -> Result<Expected> {
        self.skip();
        if self.eat("?") {
            return Ok(Expected::Any);
        }
        let value = self.expr()?;
        let before_note = self.offset();
        self.blanks();
        let failed = matches!(&value.kind, ExprKind::Unary('-', one) if one.kind == ExprKind::Int(1));
        let expect = if failed && self.peek() == Some(b'E') {
            let begin = self.offset();
            let name = self.word().to_owned();
            if constants::errno(&name).is_none() {
                return self.fail_at(begin, format!("{name} is no errno that is known here"));
            }
            Expected::Error(name)
        } else {
            Expected::Value(value)
        };
        self.blanks();
        if self.peek() == Some(b'(') {
            while let Some(c) = self.peek() {
                self.bump();
                if c == b')' {
                    return Ok(expect);
                }
            }
            return self.fail_at(before_note, "the note after the result is not closed by \")\"");
        }
        Ok(expect)
    }

    /// White space on this line: a note belongs to its line.
    fn blanks(&mut self) {
        while let Some(b' ' | b'\t') = self.peek() {
            self.bump();
        }
    }

    /// Expressions up to `close`, with commas between.
    fn arguments(&mut self, close: &str) -> Result<Vec<Expr>> {
        let mut args = Vec::new();
        loop {
            self.skip();
            if self.eat(close) {
                return Ok(args);
            }
            if !args.is_empty() {
                if !self.eat(",") {
                    let found = self.found();
                    return self.fail(format!("expected \",\" or \"{close}\", found {found}"));
                }
                self.skip();
            }
            args.push(self.expr()?);
        }
    }

    /// `a | b | c`, then `<<`, then `+ -`, then `*`.
    pub(super) fn expr(&mut self) -> Result<Expr> {
        self.binary(0)
    }

    fn binary(&mut self, level: usize) -> Result<Expr> {
        const LEVELS: [&[&str]; 5] = [&["|"], &["&"], &["<<", ">>"], &["+", "-"], &["*", "/"]];
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        loop {
            let before = self.offset();
            self.blanks();
            // The time of the next event may begin with "+": only operators on this line count.
            let comment = self.peek() == Some(b'/') && matches!(self.peek_at(1), Some(b'/' | b'*'));
            let Some(op) = operators.iter().find(|op| !comment && self.eat(op)) else {
                self.rewind(before);
                return Ok(left);
            };
            let right = self.binary(level + 1)?;
            left = Expr { pos: left.pos, kind: ExprKind::Binary(op, Box::new(left), Box::new(right)) };
        }
    }

    fn unary(&mut self) -> Result<Expr> {
        self.skip();
        let pos = self.pos();
        for sign in ['-', '~'] {
            if self.eat(&sign.to_string()) {
                let inner = self.unary()?;
                return Ok(Expr { pos, kind: ExprKind::Unary(sign, Box::new(inner)) });
            }
        }
        let kind = self.primary()?;
        Ok(Expr { pos, kind })
    }

    fn primary(&mut self) -> Result<ExprKind> {
        if self.eat("...") {
            return Ok(ExprKind::Ellipsis);
        }
        match self.peek() {
            Some(b'"') => {
                let mut text = self.string()?;
                // Adjacent strings are one, as in C.
                loop {
                    self.blanks();
                    if self.peek() != Some(b'"') {
                        return Ok(ExprKind::Str(text));
                    }
                    text.extend(self.string()?);
                }
            }
            Some(b'[') => {
                self.bump();
                Ok(ExprKind::List(self.arguments("]")?))
            }
            Some(b'{') => {
                self.bump();
                self.fields()
            }
            Some(b'(') => {
                self.bump();
                let inner = self.expr()?;
                self.expect(")")?;
                Ok(inner.kind)
            }
            Some(c) if c.is_ascii_digit() => Ok(ExprKind::Int(self.number::<u64>("a number")? as i64)),
            Some(c) if c.is_ascii_alphabetic() || c == b'_' => {
                let name = self.word().to_owned();
                if self.peek() == Some(b'(') {
                    self.bump();
                    return Ok(ExprKind::Apply(name, self.arguments(")")?));
                }
                Ok(ExprKind::Name(name))
            }
            _ => {
                let found = self.found();
                self.fail(format!("expected an argument, found {found}"))
            }
        }
    }

    /// `{name = value, name(3) = value}` or `{value, value}`.
    fn fields(&mut self) -> Result<ExprKind> {
        let mut fields = Vec::new();
        loop {
            self.skip();
            if self.eat("}") {
                return Ok(ExprKind::Struct(fields));
            }
            if !fields.is_empty() {
                if !self.eat(",") {
                    let found = self.found();
                    return self.fail(format!("expected \",\" or \"}}\", found {found}"));
                }
                self.skip();
                if self.eat("}") {
                    return Ok(ExprKind::Struct(fields));
                }
            }
            let value = self.expr()?;
            self.skip();
            let name = match &value.kind {
                ExprKind::Name(n) | ExprKind::Apply(n, _) if self.eat("=") => Some(n.clone()),
                _ => None,
            };
            if name.is_none() {
                fields.push(Field { name, value });
                continue;
            }
            let value = self.expr()?;
            fields.push(Field { name, value });
        }
    }

    /// A string with C's escapes.
    fn string(&mut self) -> Result<Vec<u8>> {
        let begin = self.offset();
        self.bump();
        let mut out = Vec::new();
        loop {
            let Some(c) = self.peek() else { return self.fail_at(begin, "the string is not closed") };
            self.bump();
            match c {
                b'"' => return Ok(out),
                b'\n' => return self.fail_at(begin, "the string is not closed on its line"),
                b'\\' => {
                    let escape = self.peek().unwrap_or(b'\\');
                    self.bump();
                    match escape {
                        b'n' => out.push(b'\n'),
                        b't' => out.push(b'\t'),
                        b'r' => out.push(b'\r'),
                        b'x' => out.push(self.digits(16, 2)?),
                        b'0'..=b'7' => {
                            self.rewind(self.offset() - 1);
                            out.push(self.digits(8, 3)?);
                        }
                        other => out.push(other),
                    }
                }
                c => out.push(c),
            }
        }
    }

    fn digits(&mut self, radix: u32, most: usize) -> Result<u8> {
        let mut value = 0;
        let mut n = 0;
        while let Some(d) = self.peek().and_then(|c| char::from(c).to_digit(radix)).filter(|_| n < most) {
            value = value * radix + d;
            self.bump();
            n += 1;
        }
        match u8::try_from(value) {
            Ok(v) if n > 0 => Ok(v),
            _ => self.fail("an escape wants the number of an octet"),
        }
    }
}
