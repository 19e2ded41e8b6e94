//! Runs what [`super::parse`] read.

use super::parse::{Node, Statement, StatementKind};
use std::collections::HashMap;
use std::fmt;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number; also True and False.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A string.
    Str(String),
    /// Several.
    Tuple(Vec<Value>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => n.fmt(f),
            Self::Float(n) => n.fmt(f),
            Self::Str(s) => f.write_str(s),
            Self::Tuple(items) => {
                let items: Vec<_> = items.iter().map(ToString::to_string).collect();
                write!(f, "({})", items.join(", "))
            }
        }
    }
}

/// What went wrong, and on which line of the snippet (from 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Line.
    pub line: usize,
    /// Words.
    pub message: String,
}

/// The names that snippets have set, and those of the moment.
pub type Names = HashMap<String, Value>;

/// Runs a snippet. Returns what it printed.
///
/// # Errors
/// An assertion that does not hold, an unknown name, a value of the wrong kind.
pub fn run(statements: &[Statement], names: &mut Names) -> Result<Vec<String>, Failure> {
    let mut printed = Vec::new();
    for s in statements {
        let at = |message: String| Failure { line: s.line, message };
        match &s.kind {
            StatementKind::Assert(condition, message) => {
                if !truth(&value(condition, names).map_err(at)?) {
                    let said = message.as_ref().map(|m| value(m, names)).transpose().map_err(at)?;
                    let said = said.map_or(String::new(), |m| format!(": {m}"));
                    let shown = explain(condition, names);
                    return Err(at(format!("the assertion does not hold{said}{shown}")));
                }
            }
            StatementKind::Print(items) => {
                let items: Result<Vec<_>, _> =
                    items.iter().map(|i| value(i, names).map(|v| v.to_string())).collect();
                printed.push(items.map_err(at)?.join(" "));
            }
            StatementKind::Set(name, node) => {
                let v = value(node, names).map_err(at)?;
                names.insert(name.clone(), v);
            }
            StatementKind::Nothing => {}
        }
    }
    Ok(printed)
}

/// The variables of a condition with their values: ` (tcpi_snd_cwnd is 7)`.
fn explain(node: &Node, names: &Names) -> String {
    let mut used = Vec::new();
    collect(node, &mut used);
    used.dedup();
    let shown: Vec<_> = used.iter().filter_map(|n| names.get(*n).map(|v| format!("{n} is {v}"))).collect();
    if shown.is_empty() { String::new() } else { format!(" ({})", shown.join(", ")) }
}

fn collect<'n>(node: &'n Node, out: &mut Vec<&'n str>) {
    match node {
        Node::Name(n) => out.push(n),
        Node::Unary(_, a) => collect(a, out),
        Node::Binary(_, a, b) => {
            collect(a, out);
            collect(b, out);
        }
        Node::Compare(a, chain) => {
            collect(a, out);
            chain.iter().for_each(|(_, b)| collect(b, out));
        }
        Node::Tuple(items) | Node::Call(_, items) => items.iter().for_each(|i| collect(i, out)),
        Node::Int(_) | Node::Float(_) | Node::Str(_) => {}
    }
}

fn truth(v: &Value) -> bool {
    match v {
        Value::Int(n) => *n != 0,
        Value::Float(n) => *n != 0.0,
        Value::Str(s) => !s.is_empty(),
        Value::Tuple(t) => !t.is_empty(),
    }
}

fn value(node: &Node, names: &Names) -> Result<Value, String> {
    Ok(match node {
        Node::Int(n) => Value::Int(*n),
        Node::Float(n) => Value::Float(*n),
        Node::Str(s) => Value::Str(s.clone()),
        Node::Name(n) => names.get(n).cloned().ok_or_else(|| format!("{n} is not known here"))?,
        Node::Tuple(items) => Value::Tuple(items.iter().map(|i| value(i, names)).collect::<Result<_, _>>()?),
        Node::Unary(op, a) => unary(op, &value(a, names)?)?,
        Node::Binary("and", a, b) => {
            let a = value(a, names)?;
            if truth(&a) { value(b, names)? } else { a }
        }
        Node::Binary("or", a, b) => {
            let a = value(a, names)?;
            if truth(&a) { a } else { value(b, names)? }
        }
        Node::Binary(op, a, b) => binary(op, &value(a, names)?, &value(b, names)?)?,
        Node::Compare(a, chain) => {
            let mut left = value(a, names)?;
            for (op, b) in chain {
                let right = value(b, names)?;
                if !compare(op, &left, &right)? {
                    return Ok(Value::Int(0));
                }
                left = right;
            }
            Value::Int(1)
        }
        Node::Call(name, args) => {
            let args: Vec<_> = args.iter().map(|i| value(i, names)).collect::<Result<_, _>>()?;
            call(name, &args)?
        }
    })
}

fn float(v: &Value) -> Result<f64, String> {
    match v {
        Value::Int(n) => Ok(*n as f64),
        Value::Float(n) => Ok(*n),
        other => Err(format!("\"{other}\" is no number")),
    }
}

fn unary(op: &str, a: &Value) -> Result<Value, String> {
    Ok(match (op, a) {
        ("not", a) => Value::Int(i64::from(!truth(a))),
        ("-", Value::Int(n)) => Value::Int(n.wrapping_neg()),
        ("-", Value::Float(n)) => Value::Float(-n),
        ("~", Value::Int(n)) => Value::Int(!n),
        ("+", a) => a.clone(),
        _ => return Err(format!("{op} does not apply to \"{a}\"")),
    })
}

fn binary(op: &str, a: &Value, b: &Value) -> Result<Value, String> {
    if let (Value::Int(x), Value::Int(y)) = (a, b) {
        let by_zero = || "division by zero".to_string();
        let shift = u32::try_from(*y).unwrap_or(64);
        return Ok(Value::Int(match op {
            "+" => x.wrapping_add(*y),
            "-" => x.wrapping_sub(*y),
            "*" => x.wrapping_mul(*y),
            "/" if *y == 0 => return Err(by_zero()),
            "/" => return Ok(Value::Float(*x as f64 / *y as f64)),
            // Python rounds towards minus infinity.
            "//" => {
                x.checked_div_euclid(*y).map(|q| q - i64::from(*y < 0 && x % y != 0)).ok_or_else(by_zero)?
            }
            "%" => {
                let r = x.checked_rem(*y).ok_or_else(by_zero)?;
                if r != 0 && (r < 0) != (*y < 0) { r + y } else { r }
            }
            "**" => x.checked_pow(shift).ok_or("the power is too large")?,
            "&" => x & y,
            "|" => x | y,
            "^" => x ^ y,
            "<<" => x.checked_shl(shift).unwrap_or(0),
            _ => x.checked_shr(shift).unwrap_or(0),
        }));
    }
    if let ("+", Value::Str(x), Value::Str(y)) = (op, a, b) {
        return Ok(Value::Str(format!("{x}{y}")));
    }
    if let ("%", Value::Str(format)) = (op, a) {
        return Ok(Value::Str(interpolate(format, b)));
    }
    let (x, y) = (float(a)?, float(b)?);
    Ok(Value::Float(match op {
        "+" => x + y,
        "-" => x - y,
        "*" => x * y,
        "/" => x / y,
        "//" => (x / y).floor(),
        "%" => x - y * (x / y).floor(),
        "**" => x.powf(y),
        _ => return Err(format!("{op} does not apply to numbers with a fraction")),
    }))
}

/// `"cwnd %d" % 3`, for messages: the values in the order written.
fn interpolate(format: &str, values: &Value) -> String {
    let one = [values.clone()];
    let mut values = match values {
        Value::Tuple(t) => t.iter(),
        _ => one.iter(),
    };
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match rest.find(|c| c.is_ascii_alphabetic() || *c == '%') {
            Some('%') | None => out.push('%'),
            Some(_) => out.push_str(&values.next().map_or(String::new(), ToString::to_string)),
        }
    }
    out
}

fn compare(op: &str, a: &Value, b: &Value) -> Result<bool, String> {
    if let ("in" | "not in", Value::Tuple(items)) = (op, b) {
        let there = items.iter().any(|i| equal(i, a));
        return Ok(there == (op == "in"));
    }
    match op {
        "==" => return Ok(equal(a, b)),
        "!=" => return Ok(!equal(a, b)),
        _ => {}
    }
    let (x, y) = (float(a)?, float(b)?);
    Ok(match op {
        "<" => x < y,
        "<=" => x <= y,
        ">" => x > y,
        ">=" => x >= y,
        _ => return Err(format!("{op} wants a list")),
    })
}

fn equal(a: &Value, b: &Value) -> bool {
    match (float(a), float(b)) {
        (Ok(x), Ok(y)) => x == y,
        _ => a == b,
    }
}

fn call(name: &str, args: &[Value]) -> Result<Value, String> {
    let items = match args {
        [Value::Tuple(t)] => &t[..],
        _ => args,
    };
    match (name, args) {
        ("abs", [Value::Int(n)]) => Ok(Value::Int(n.wrapping_abs())),
        ("abs", [v]) => Ok(Value::Float(float(v)?.abs())),
        ("int", [v]) => Ok(Value::Int(float(v)? as i64)),
        ("float", [v]) => Ok(Value::Float(float(v)?)),
        ("round", [v, ..]) => Ok(Value::Int(float(v)?.round() as i64)),
        ("str", [v]) => Ok(Value::Str(v.to_string())),
        ("bool", [v]) => Ok(Value::Int(i64::from(truth(v)))),
        ("min" | "max", _) => {
            let mut best = items.first().ok_or("min and max want numbers")?;
            for v in items {
                if (float(v)? < float(best)?) == (name == "min") && float(v)? != float(best)? {
                    best = v;
                }
            }
            Ok(best.clone())
        }
        _ => Err(format!("{name} does not take {} arguments", args.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    fn try_run(code: &str) -> Result<Vec<String>, Failure> {
        let mut names: Names = [("tcpi_snd_cwnd", 10), ("tcpi_rtt", 30_000)]
            .into_iter()
            .map(|(n, v)| (n.to_owned(), Value::Int(v)))
            .collect();
        run(&parse(code).expect("readable"), &mut names)
    }

    #[test]
    fn what_snippets_are_made_of_runs() {
        for good in [
            "assert tcpi_snd_cwnd == 10",
            "assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd",
            "assert 25000 <= tcpi_rtt <= 35000 and not tcpi_snd_cwnd < 3, 'rtt %d' % tcpi_rtt",
            "x = tcpi_snd_cwnd * 2 + 1\nassert x == 21; assert x // 2 == 10 and x % 2 == 1 and x / 2 == 10.5",
            "assert (tcpi_snd_cwnd in (9, 10, 11)) and abs(-3) == 3 and max(1, 2) == 2 # why not",
            "assert (1 << 4 | 1) == 0x11 and 2 ** 3 == 8 and -7 // 2 == -4 and -7 % 3 == 2",
            "assert (tcpi_snd_cwnd == 10 and\n        tcpi_rtt > 0)",
        ] {
            assert_eq!(try_run(good), Ok(vec![]), "{good}");
        }
        assert_eq!(try_run("print(tcpi_snd_cwnd, 'segments')"), Ok(vec!["10 segments".into()]));
    }

    #[test]
    fn a_failing_assertion_shows_its_line_and_its_variables() {
        let e = try_run("\nassert tcpi_snd_cwnd == 7, 'window'").unwrap_err();
        assert_eq!(e.line, 1);
        assert_eq!(e.message, "the assertion does not hold: window (tcpi_snd_cwnd is 10)");
        assert!(try_run("assert nonsense == 1").unwrap_err().message.contains("nonsense is not known"));
    }

    #[test]
    fn what_is_beyond_the_reader_is_left_to_python() {
        for other in ["for i in range(3): pass", "assert f(x)", "def f():\n  return 1", "x = 1 if y else 2"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
