//! The reader of snippets: statements `assert a, b`, `print(a)`, `x = a`; expressions of Python with
//! numbers, strings, `and or not`, comparisons that may be chained, `in`, arithmetic, bits, tuples,
//! and calls of abs, min, max, int, float, round, str.

/// A statement and the line it stands on, counted from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Its line within the snippet.
    pub line: usize,
    /// What it does.
    pub kind: StatementKind,
}

/// What a statement does.
#[derive(Clone, Debug, PartialEq)]
pub enum StatementKind {
    /// `assert condition, message`
    Assert(Node, Option<Node>),
    /// `print(...)`
    Print(Vec<Node>),
    /// `name = value`
    Set(String, Node),
    /// `pass`, `import ...`
    Nothing,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A number.
    Int(i64),
    /// A number with a point.
    Float(f64),
    /// A string.
    Str(String),
    /// A variable or constant.
    Name(String),
    /// `-a`, `~a`, `not a`.
    Unary(&'static str, Box<Node>),
    /// `a + b`, `a and b`.
    Binary(&'static str, Box<Node>, Box<Node>),
    /// `a < b <= c`
    Compare(Box<Node>, Vec<(&'static str, Node)>),
    /// `(a, b)`, `[a, b]`.
    Tuple(Vec<Node>),
    /// `f(a, b)`
    Call(String, Vec<Node>),
}

/// Reads a snippet. `None`: it is beyond this reader (which is not to say that it is wrong).
pub fn parse(code: &str) -> Option<Vec<Statement>> {
    let mut out = Vec::new();
    let mut pending = String::new();
    let mut first = 0;
    for (line, text) in code.lines().enumerate() {
        let text = strip_comment(text);
        if pending.is_empty() {
            first = line;
        }
        pending.push_str(text.trim_end_matches('\\'));
        pending.push(' ');
        if text.ends_with('\\') || depth(&pending) > 0 {
            continue;
        }
        for part in split_statements(&pending) {
            if !part.trim().is_empty() {
                out.push(Statement { line: first, kind: statement(part.trim())? });
            }
        }
        pending.clear();
    }
    pending.trim().is_empty().then_some(out)
}

fn strip_comment(line: &str) -> &str {
    let mut quote = None;
    for (i, c) in line.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => return line[..i].trim_end(),
            _ => {}
        }
    }
    line.trim_end()
}

/// Brackets that are open at the end.
fn depth(text: &str) -> i32 {
    let mut quote = None;
    let mut depth = 0;
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth -= 1,
            _ => {}
        }
    }
    depth
}

fn split_statements(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut quote) = (0, None);
    for (i, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ';') => {
                out.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    out.push(&text[start..]);
    out
}

fn statement(text: &str) -> Option<StatementKind> {
    let mut p = Reader { text: text.as_bytes(), at: 0 };
    let kind = if p.keyword("assert") {
        let condition = p.expression()?;
        let message = if p.eat(",") { Some(p.list()?) } else { None };
        StatementKind::Assert(condition, message)
    } else if p.keyword("print") {
        StatementKind::Print(match p.list() {
            Some(Node::Tuple(items)) => items,
            Some(one) => vec![one],
            None if p.at == p.text.len() => vec![],
            None => return None,
        })
    } else if p.keyword("pass") {
        StatementKind::Nothing
    } else {
        let name = p.name()?;
        p.space();
        if p.text[p.at..].starts_with(b"==") || !p.eat("=") {
            return None;
        }
        StatementKind::Set(name, p.list()?)
    };
    p.space();
    (p.at == p.text.len()).then_some(kind)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

/// Operators of two sides, loosest first; comparisons stand between `not` and `|`.
const LEVELS: [&[&str]; 7] =
    [&["|"], &["^"], &["&"], &["<<", ">>"], &["+", "-"], &["*", "//", "/", "%"], &["**"]];

impl Reader<'_> {
    fn space(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn eat(&mut self, word: &str) -> bool {
        self.space();
        let there = self.text[self.at..].starts_with(word.as_bytes());
        if there {
            self.at += word.len();
        }
        there
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.space();
        let rest = &self.text[self.at..];
        let follows = rest.get(word.len()).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_');
        !follows && self.eat(word)
    }

    fn name(&mut self) -> Option<String> {
        self.space();
        let start = self.at;
        while self.text.get(self.at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_') {
            self.at += 1;
        }
        let name = std::str::from_utf8(&self.text[start..self.at]).ok()?;
        let begins = name.chars().next()?;
        (begins.is_ascii_alphabetic() || begins == '_').then(|| name.to_owned())
    }

    /// Expressions with commas between: one, or a tuple.
    fn list(&mut self) -> Option<Node> {
        let first = self.expression()?;
        let mut items = vec![first];
        let mut tuple = false;
        while self.eat(",") {
            tuple = true;
            self.space();
            if self.at == self.text.len() || matches!(self.text[self.at], b')' | b']') {
                break;
            }
            items.push(self.expression()?);
        }
        if tuple { Some(Node::Tuple(items)) } else { items.pop() }
    }

    fn expression(&mut self) -> Option<Node> {
        let mut left = self.conjunction()?;
        while self.keyword("or") {
            left = Node::Binary("or", Box::new(left), Box::new(self.conjunction()?));
        }
        // A conditional expression is beyond this reader.
        (!self.keyword("if")).then_some(left)
    }

    fn conjunction(&mut self) -> Option<Node> {
        let mut left = self.negation()?;
        while self.keyword("and") {
            left = Node::Binary("and", Box::new(left), Box::new(self.negation()?));
        }
        Some(left)
    }

    fn negation(&mut self) -> Option<Node> {
        if self.keyword("not") {
            return Some(Node::Unary("not", Box::new(self.negation()?)));
        }
        let left = self.binary(0)?;
        let mut chain = Vec::new();
        loop {
            let op = if self.keyword("in") {
                "in"
            } else if self.keyword("not") {
                if !self.keyword("in") {
                    return None;
                }
                "not in"
            } else {
                match ["==", "!=", "<=", ">=", "<", ">"].into_iter().find(|op| self.eat(op)) {
                    Some(op) => op,
                    None => break,
                }
            };
            chain.push((op, self.binary(0)?));
        }
        Some(if chain.is_empty() { left } else { Node::Compare(Box::new(left), chain) })
    }

    fn binary(&mut self, level: usize) -> Option<Node> {
        let Some(ops) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        loop {
            self.space();
            let rest = &self.text[self.at..];
            let longer = rest.starts_with(b"**") && ops[0] != "**";
            let Some(op) = ops.iter().find(|op| rest.starts_with(op.as_bytes())).filter(|_| !longer) else {
                return Some(left);
            };
            self.at += op.len();
            left = Node::Binary(op, Box::new(left), Box::new(self.binary(level + 1)?));
        }
    }

    fn unary(&mut self) -> Option<Node> {
        for op in ["-", "~", "+"] {
            if self.eat(op) {
                return Some(Node::Unary(op, Box::new(self.unary()?)));
            }
        }
        self.primary()
    }

    fn primary(&mut self) -> Option<Node> {
        self.space();
        match *self.text.get(self.at)? {
            quote @ (b'"' | b'\'') => {
                let start = self.at + 1;
                let len = self.text[start..].iter().position(|c| *c == quote)?;
                self.at = start + len + 1;
                Some(Node::Str(String::from_utf8_lossy(&self.text[start..start + len]).into_owned()))
            }
            open @ (b'(' | b'[') => {
                self.at += 1;
                let close = if open == b'(' { ")" } else { "]" };
                if self.eat(close) {
                    return Some(Node::Tuple(vec![]));
                }
                let inner = self.list()?;
                if !self.eat(close) {
                    return None;
                }
                Some(match inner {
                    Node::Tuple(items) => Node::Tuple(items),
                    one if open == b'[' => Node::Tuple(vec![one]),
                    one => one,
                })
            }
            c if c.is_ascii_digit() || c == b'.' => self.number(),
            _ => {
                let name = self.name()?;
                match name.as_str() {
                    "True" => return Some(Node::Int(1)),
                    "False" => return Some(Node::Int(0)),
                    _ => {}
                }
                if !self.eat("(") {
                    return Some(Node::Name(name));
                }
                if !["abs", "min", "max", "int", "float", "round", "str", "bool"].contains(&name.as_str()) {
                    return None;
                }
                let args = if self.eat(")") {
                    return Some(Node::Call(name, vec![]));
                } else {
                    match self.list()? {
                        Node::Tuple(items) => items,
                        one => vec![one],
                    }
                };
                self.eat(")").then_some(Node::Call(name, args))
            }
        }
    }

    fn number(&mut self) -> Option<Node> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'.' || *c == b'_') {
            self.at += 1;
        }
        let text: String =
            std::str::from_utf8(&self.text[start..self.at]).ok()?.chars().filter(|c| *c != '_').collect();
        if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            return i64::from_str_radix(hex, 16).ok().map(Node::Int);
        }
        text.parse().map(Node::Int).ok().or_else(|| text.parse().ok().map(Node::Float))
    }
}
