//! Arguments: numbers, addresses, buffers; and the comparison of what comes back in them.

use super::super::world::{Descriptor, Fault, SocketFd, World, fault};
use crate::script::{Expr, ExprKind, Field, Pos, Settings, constants};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The arguments of a call.
#[derive(Debug)]
pub(super) struct Args<'a> {
    pub(super) name: &'a str,
    pub(super) list: &'a [Expr],
    pub(super) pos: Pos,
}

impl<'a> Args<'a> {
    /// Argument `i`.
    pub(super) fn get(&self, i: usize) -> Result<&'a Expr, Fault> {
        match self.list.get(i) {
            Some(e) => Ok(e),
            None => fault(self.pos, format!("{} wants more than {} arguments", self.name, self.list.len())),
        }
    }

    /// Argument `i` as a number.
    pub(super) fn int(&self, i: usize) -> Result<i64, Fault> {
        int(self.get(i)?)
    }

    /// Argument `i` as a number; 0 if it is not there.
    pub(super) fn int_or_zero(&self, i: usize) -> Result<i64, Fault> {
        if i < self.list.len() { self.int(i) } else { Ok(0) }
    }

    /// The socket that argument 0 names; `None` is EBADF or ENOTSOCK.
    pub(super) fn socket<'w>(&self, world: &'w mut World) -> Result<Option<&'w mut SocketFd>, Fault> {
        let fd = self.int(0)?;
        Ok(match world.fds.get_mut(&fd) {
            Some(Descriptor::Socket(s)) => Some(s),
            _ => None,
        })
    }
}

/// The value of an expression that is a number.
pub(super) fn int(e: &Expr) -> Result<i64, Fault> {
    match &e.kind {
        ExprKind::Int(n) => Ok(*n),
        ExprKind::Name(name) => match constants::constant(name) {
            Some(n) => Ok(n),
            None => fault(e.pos, format!("{name} is no constant that is known here")),
        },
        ExprKind::Unary('-', inner) => Ok(int(inner)?.wrapping_neg()),
        ExprKind::Unary(_, inner) => Ok(!int(inner)?),
        ExprKind::Binary(op, a, b) => {
            let (a, b) = (int(a)?, int(b)?);
            Ok(match *op {
                "|" => a | b,
                "&" => a & b,
                "<<" => a.wrapping_shl(b as u32),
                ">>" => a.wrapping_shr(b as u32),
                "+" => a.wrapping_add(b),
                "-" => a.wrapping_sub(b),
                "*" => a.wrapping_mul(b),
                _ => match a.checked_div(b) {
                    Some(n) => n,
                    None => return fault(e.pos, "division by zero"),
                },
            })
        }
        ExprKind::Apply(f, args) => match (f.as_str(), &args[..]) {
            ("htons", [n]) => Ok(int(n)? & 0xffff),
            ("htonl", [n]) => Ok(int(n)? & 0xffff_ffff),
            _ => fault(e.pos, format!("{f}() is not a number here")),
        },
        ExprKind::List(items) if items.len() == 1 => int(&items[0]),
        _ => fault(e.pos, "expected a number or a symbolic constant"),
    }
}

/// Is it `...`?
pub(super) fn is_any(e: &Expr) -> bool {
    e.kind == ExprKind::Ellipsis
}

/// A field of a struct by name.
pub(super) fn field<'e>(e: &'e Expr, name: &str) -> Option<&'e Expr> {
    match &e.kind {
        ExprKind::Struct(fields) => {
            fields.iter().find(|f: &&Field| f.name.as_deref() == Some(name)).map(|f| &f.value)
        }
        _ => None,
    }
}

/// Compares what came back in an argument with what the script says; `...` fits everything.
pub(super) fn same(e: &Expr, what: &str, got: i64) -> Result<(), Fault> {
    if is_any(e) {
        return Ok(());
    }
    if let ExprKind::List(items) = &e.kind
        && items.len() == 1
    {
        return same(&items[0], what, got);
    }
    let want = int(e)?;
    if want == got { Ok(()) } else { fault(e.pos, format!("{what} is {got}, the script wants {want}")) }
}

/// A socket address: `...` is `default`, else `{sa_family = AF_INET, sin_port = htons(80), ...}`.
pub(super) fn address(e: &Expr, default: SocketAddr, settings: &Settings) -> Result<SocketAddr, Fault> {
    if is_any(e) {
        return Ok(SocketAddr::new(settings.as_seen(default.ip()), default.port()));
    }
    let ExprKind::Struct(fields) = &e.kind else {
        return fault(
            e.pos,
            "expected an address: ... or {sa_family = AF_INET, sin_port = ..., sin_addr = ...}",
        );
    };
    let mut addr = settings.as_seen(default.ip());
    let mut port = default.port();
    for f in fields {
        match f.name.as_deref() {
            Some("sin_port" | "sin6_port") => port = int(&f.value)? as u16,
            Some("sin_addr" | "sin6_addr") => addr = ip(&f.value, settings)?,
            _ => {}
        }
    }
    Ok(SocketAddr::new(addr, port))
}

fn ip(e: &Expr, settings: &Settings) -> Result<IpAddr, Fault> {
    let text = match &e.kind {
        ExprKind::Apply(f, args) if f == "inet_addr" || f == "inet_pton" => args.last(),
        ExprKind::Name(n) if n == "INADDR_ANY" => return Ok(Ipv4Addr::UNSPECIFIED.into()),
        ExprKind::Name(n) if n == "in6addr_any" => return Ok(Ipv6Addr::UNSPECIFIED.into()),
        ExprKind::Ellipsis => return Ok(settings.as_seen(settings.local())),
        _ => Some(e),
    };
    if let Some(Expr { kind: ExprKind::Str(text), .. }) = text
        && let Some(ip) = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok())
    {
        return Ok(ip);
    }
    fault(e.pos, "expected inet_addr(\"192.0.2.1\") or inet_pton(AF_INET6, \"2001:db8::1\")")
}

/// Compares an address that came back.
pub(super) fn same_address(e: &Expr, got: SocketAddr, settings: &Settings) -> Result<(), Fault> {
    let want = address(e, got, settings)?;
    let plain = |a: SocketAddr| SocketAddr::new(a.ip().to_canonical(), a.port());
    if plain(want) == plain(got) {
        Ok(())
    } else {
        fault(e.pos, format!("the address is {got}, the script wants {want}"))
    }
}

/// A buffer and its length, by which the calls know them: `..., 1000`, `"text", 4`, `[{..., 10}], 1`, or
/// `{msg_iov(1) = [{..., 10}], ...}`.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer {
    /// Octets that it holds in all.
    pub(super) len: usize,
    /// What stands in it; `None` where the script writes `...`.
    pub(super) pieces: Vec<(usize, Option<Vec<u8>>)>,
}

impl Buffer {
    /// One piece.
    pub(super) fn single(data: &Expr, len: usize) -> Result<Self, Fault> {
        let text = match &data.kind {
            ExprKind::Str(s) => Some(s.clone()),
            ExprKind::Ellipsis | ExprKind::Name(_) | ExprKind::Int(0) => None,
            ExprKind::List(items) if items.len() == 1 => return Self::single(&items[0], len),
            _ => return fault(data.pos, "expected a buffer: ... or \"text\""),
        };
        Ok(Self { len, pieces: vec![(len, text)] })
    }

    /// An array of iovecs.
    pub(super) fn vector(e: &Expr) -> Result<Self, Fault> {
        let ExprKind::List(items) = &e.kind else {
            return fault(e.pos, "expected an array of buffers: [{..., 1000}]");
        };
        let mut all = Self::default();
        for item in items {
            let ExprKind::Struct(fields) = &item.kind else {
                return fault(item.pos, "expected a buffer and its length: {..., 1000}");
            };
            let [base, len] = &fields[..] else {
                return fault(item.pos, "expected a buffer and its length: {..., 1000}");
            };
            let len = int(&len.value)?.max(0) as usize;
            let one = Self::single(&base.value, len)?;
            all.len += len;
            all.pieces.extend(one.pieces);
        }
        Ok(all)
    }

    /// What to send: the script's text, or `fill` octets where it writes `...`.
    pub(super) fn content(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len);
        for (len, text) in &self.pieces {
            let end = out.len() + len;
            if let Some(t) = text {
                out.extend(t.iter().take(*len));
            }
            // A period that no segment size divides: a piece sent twice or left out is seen.
            while out.len() < end {
                out.push((out.len() % 241) as u8);
            }
        }
        out
    }

    /// Compares what was received with the text of the script.
    pub(super) fn same(&self, got: &[u8], pos: Pos) -> Result<(), Fault> {
        let mut at = 0;
        for (len, text) in &self.pieces {
            let came = &got[at.min(got.len())..(at + len).min(got.len())];
            at += len;
            if let Some(t) = text
                && !came.is_empty()
                && t[..t.len().min(*len)] != *came
            {
                return fault(
                    pos,
                    format!(
                        "received \"{}\", the script wants \"{}\"",
                        came.escape_ascii(),
                        t.escape_ascii()
                    ),
                );
            }
        }
        Ok(())
    }
}
