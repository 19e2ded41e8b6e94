//! setsockopt and getsockopt.

use super::super::world::{Fault, World, fault};
use super::args::{Args, field, int, is_any, same};
use super::{Done, Outcome};
use crate::options::name as option;
use crate::script::{Expr, ExprKind, constants};
use std::time::Duration;
use wirestack::profile::CongestionAlgorithm;
use wirestack::socket::{OptionName as N, SocketOption as O, Type};
use wirestack::tcp::State;
use wirestack::{Errno, SocketId};

const SOCKET: i64 = 1;
const TCP: i64 = 6;
const SECONDS: fn(i64) -> Duration = |n| Duration::from_secs(n.max(0) as u64);

fn unsupported<T>(a: &Args<'_>) -> Result<T, Fault> {
    let shown = match &a.get(2)?.kind {
        ExprKind::Name(n) => n.clone(),
        _ => format!("number {}", a.int(2)?),
    };
    fault(a.get(2)?.pos, format!("the socket option {shown} is not supported"))
}

pub(super) fn set(world: &mut World, a: &Args<'_>) -> Done {
    let (level, number) = (a.int(1)?, a.int(2)?);
    let value = a.get(3)?;
    let Some(s) = a.socket(world)? else { return Ok(Outcome::Error(Errno::EBADF)) };
    let id = s.id;
    let Some(name) = option(level, number) else { return unsupported(a) };
    if name == N::Congestion
        && let Some(unknown) = unknown_algorithm(value)
    {
        let _ = unknown;
        // What Linux says of a module that is not there.
        return fault(value.pos, "this congestion control is not supported (reno and cubic are)");
    }
    let option = match make(name, value)? {
        Ok(option) => option,
        Err(e) => return Ok(Outcome::Error(e)),
    };
    let now = world.host.now();
    Ok(world.host.stack.set_option(now, id, option).into())
}

fn unknown_algorithm(value: &Expr) -> Option<String> {
    let name = text(value)?;
    CongestionAlgorithm::by_name(&name).is_none().then_some(name)
}

fn text(value: &Expr) -> Option<String> {
    match &value.kind {
        ExprKind::Str(s) => Some(String::from_utf8_lossy(s).trim_end_matches('\0').to_owned()),
        ExprKind::List(items) if items.len() == 1 => text(&items[0]),
        _ => None,
    }
}

/// The option with the script's value; an errno for a value that no option of that name has.
fn make(name: N, value: &Expr) -> Result<Result<O, Errno>, Fault> {
    if let N::Congestion = name {
        let algorithm = text(value).and_then(|t| CongestionAlgorithm::by_name(&t));
        return Ok(algorithm.map(O::Congestion).ok_or(Errno::EINVAL));
    }
    if let N::RecvTimeout | N::SendTimeout = name {
        let part = |n: &str| field(value, n).map(int).transpose().map(|v| v.unwrap_or(0));
        let time = SECONDS(part("tv_sec")?) + Duration::from_micros(part("tv_usec")?.max(0) as u64);
        let time = Some(time).filter(|d| !d.is_zero());
        return Ok(Ok(if name == N::RecvTimeout { O::RecvTimeout(time) } else { O::SendTimeout(time) }));
    }
    if let N::Linger = name {
        let part = |names: [&str; 2]| {
            let e = names.iter().find_map(|n| field(value, n));
            e.map(int).transpose().map(|v| v.unwrap_or(0))
        };
        let (on, time) = (part(["onoff", "l_onoff"])?, part(["linger", "l_linger"])?);
        return Ok(Ok(O::Linger((on != 0).then(|| SECONDS(time)))));
    }
    Ok(crate::options::from_number(name, int(value)?))
}

pub(super) fn get(world: &mut World, a: &Args<'_>) -> Done {
    let (level, number) = (a.int(1)?, a.int(2)?);
    let (value, len) = (a.get(3)?, a.get(4)?);
    let Some(s) = a.socket(world)? else { return Ok(Outcome::Error(Errno::EBADF)) };
    let (id, ty, v6) = (s.id, s.ty, s.v6);
    if level == SOCKET
        && let Some(n) = about_socket(world, id, ty, v6, number)
    {
        let n = match n {
            Ok(n) => n,
            Err(e) => return Ok(Outcome::Error(e)),
        };
        same_name(value, n)?;
        compare_len(len, 4)?;
        return Ok(Outcome::Value(0));
    }
    // TCP_INFO is looked at by %{ }%: here only whether it can be asked for.
    if (level, number) == (TCP, 11) {
        let now = world.host.now();
        return Ok(world.host.stack.tcp_info(now, id).map(|_| ()).into());
    }
    let Some(name) = option(level, number) else { return unsupported(a) };
    let got = match world.host.stack.option(id, name) {
        Ok(o) => o,
        Err(e) => return Ok(Outcome::Error(e)),
    };
    compare(&got, value, len)?;
    Ok(Outcome::Value(0))
}

/// SO_ERROR, SO_TYPE and others that are no settings.
fn about_socket(
    world: &mut World,
    id: SocketId,
    ty: Type,
    v6: bool,
    number: i64,
) -> Option<Result<i64, Errno>> {
    let stack = &mut world.host.stack;
    Some(Ok(match number {
        4 => match stack.take_error(id) {
            Ok(e) => e.map_or(0, |e| i64::from(e.number())),
            Err(e) => return Some(Err(e)),
        },
        3 => match ty {
            Type::Stream => 1,
            Type::Dgram => 2,
            Type::Raw => 3,
        },
        30 => i64::from(stack.tcp_state(id) == Ok(State::Listen)),
        38 => match ty {
            Type::Stream => 6,
            Type::Dgram => 17,
            Type::Raw => 0,
        },
        39 => {
            if v6 {
                10
            } else {
                2
            }
        }
        _ => return None,
    }))
}

/// A value that a script may write as an errno: `[ECONNREFUSED]`.
fn same_name(e: &Expr, got: i64) -> Result<(), Fault> {
    let inner = match &e.kind {
        ExprKind::List(items) if items.len() == 1 => &items[0],
        _ => e,
    };
    if let ExprKind::Name(n) = &inner.kind
        && let Some(want) = constants::errno(n)
    {
        if i64::from(want) == got {
            return Ok(());
        }
        return fault(inner.pos, format!("the value is {got}, the script wants {n} ({want})"));
    }
    same(e, "the value", got)
}

fn compare_len(len: &Expr, got: usize) -> Result<(), Fault> {
    match &len.kind {
        // A length in brackets comes back; one octet is allowed for what fits one octet.
        ExprKind::List(items) if items.len() == 1 && int(&items[0])? == 1 => Ok(()),
        ExprKind::List(_) => same(len, "the length", got as i64),
        _ => Ok(()),
    }
}

fn compare(got: &O, value: &Expr, len: &Expr) -> Result<(), Fault> {
    let number = match *got {
        O::Congestion(c) => {
            if let Some(want) = text(value)
                && want != c.name()
            {
                return fault(
                    value.pos,
                    format!("the value is \"{}\", the script wants \"{want}\"", c.name()),
                );
            }
            return Ok(());
        }
        O::Linger(time) => {
            for (names, n) in [
                (["onoff", "l_onoff"], i64::from(time.is_some())),
                (["linger", "l_linger"], time.map_or(0, |d| d.as_secs() as i64)),
            ] {
                if let Some(e) = names.iter().find_map(|n| field(value, n)) {
                    same(e, names[0], n)?;
                }
            }
            return compare_len(len, 8);
        }
        O::RecvTimeout(d) | O::SendTimeout(d) => {
            let d = d.unwrap_or_default();
            let parts = [("tv_sec", d.as_secs() as i64), ("tv_usec", i64::from(d.subsec_micros()))];
            for (name, n) in parts {
                if let Some(e) = field(value, name) {
                    same(e, name, n)?;
                }
            }
            return compare_len(len, 16);
        }
        ref other => match crate::options::to_number(other) {
            Some(n) => n,
            None => return Ok(()),
        },
    };
    if !is_any(value) {
        same(value, "the value", number)?;
    }
    compare_len(len, 4)
}
