//! poll and epoll.

use super::super::world::{Descriptor, Fault, Watch, World, fault};
use super::args::{Args, field, int, is_any, same};
use super::{Done, Outcome, Progress};
use crate::script::{Expr, ExprKind};
use std::time::Duration;
use wirestack::Errno;

const POLLNVAL: u32 = 0x20;
/// POLLERR and POLLHUP are told whether asked for or not.
const ALWAYS: u32 = 0x8 | 0x10;
const ONESHOT: u32 = 1 << 30;
const EDGE: u32 = 1 << 31;

/// What a descriptor is ready for, with the bits that go along (POLLRDNORM, POLLWRNORM).
fn ready(world: &World, fd: i64) -> u32 {
    let Some(Descriptor::Socket(s)) = world.fds.get(&fd) else { return POLLNVAL };
    let bits = world.host.stack.readiness(s.id).map_or(POLLNVAL, |r| u32::from(r.bits()));
    bits | if bits & 1 != 0 { 0x40 } else { 0 } | if bits & 4 != 0 { 0x100 } else { 0 }
}

/// True once the time of a call that waits `millis` is over.
fn over(world: &World, millis: i64, progress: &mut Progress) -> bool {
    if millis < 0 {
        return false;
    }
    let wait = Duration::from_millis(millis as u64);
    let until = *progress.deadline.get_or_insert(world.host.now() + wait);
    world.host.now() >= until
}

pub(super) fn poll(world: &mut World, a: &Args<'_>, progress: &mut Progress) -> Done {
    let list = a.get(0)?;
    let ExprKind::List(items) = &list.kind else {
        return fault(list.pos, "expected [{fd = 3, events = POLLIN, revents = 0}]");
    };
    let timeout = a.int(2)?;
    let mut found = Vec::new();
    for item in items {
        let (Some(fd), Some(events)) = (field(item, "fd"), field(item, "events")) else {
            return fault(item.pos, "expected {fd = 3, events = POLLIN, revents = 0}");
        };
        let wanted = int(events)? as u32 | ALWAYS | POLLNVAL;
        let fd = int(fd)?;
        found.push(if fd < 0 { 0 } else { ready(world, fd) & wanted });
    }
    let count = found.iter().filter(|r| **r != 0).count();
    if count == 0 && !over(world, timeout, progress) {
        return Ok(Outcome::Blocks);
    }
    for (item, got) in items.iter().zip(found) {
        if let Some(e) = field(item, "revents") {
            same_bits(e, "revents", got)?;
        }
    }
    Ok(Outcome::Value(count as i64))
}

fn same_bits(e: &Expr, what: &str, got: u32) -> Result<(), Fault> {
    if is_any(e) {
        return Ok(());
    }
    let want = int(e)? as u32;
    if want == got {
        return Ok(());
    }
    fault(e.pos, format!("{what} is {}, the script wants {}", names(got), names(want)))
}

fn names(bits: u32) -> String {
    let all = [
        (1, "IN"),
        (2, "PRI"),
        (4, "OUT"),
        (8, "ERR"),
        (16, "HUP"),
        (32, "NVAL"),
        (64, "RDNORM"),
        (256, "WRNORM"),
        (0x2000, "RDHUP"),
    ];
    let set: Vec<_> = all.iter().filter(|(b, _)| bits & b != 0).map(|(_, n)| *n).collect();
    if set.is_empty() { "0".into() } else { set.join("|") }
}

pub(super) fn epoll_ctl(world: &mut World, a: &Args<'_>) -> Done {
    let (epfd, op, fd) = (a.int(0)?, a.int(1)?, a.int(2)?);
    if !world.fds.contains_key(&fd) {
        return Ok(Outcome::Error(Errno::EBADF));
    }
    let event = a.list.get(3);
    let events = event.and_then(|e| field(e, "events")).map(int).transpose()?.unwrap_or(0) as u32;
    let data = event
        .and_then(|e| ["fd", "u32", "u64", "data", "ptr"].iter().find_map(|n| field(e, n)))
        .map(int)
        .transpose()?;
    let Some(Descriptor::Epoll(watches)) = world.fds.get_mut(&epfd) else {
        return Ok(Outcome::Error(Errno::EINVAL));
    };
    let at = watches.iter().position(|w| w.fd == fd);
    let watch = Watch { fd, events, data: data.unwrap_or(fd), edge: true, spent: false };
    Ok(match (op, at) {
        (1, None) => {
            watches.push(watch);
            Outcome::Value(0)
        }
        (1, Some(_)) => Outcome::Error(Errno::EEXIST),
        (2, Some(i)) => {
            watches.remove(i);
            Outcome::Value(0)
        }
        (3, Some(i)) => {
            watches[i] = watch;
            Outcome::Value(0)
        }
        // ENOENT is no errno of the stack: scripts do not ask for it.
        _ => Outcome::Error(Errno::EINVAL),
    })
}

pub(super) fn epoll_wait(world: &mut World, a: &Args<'_>, progress: &mut Progress) -> Done {
    let epfd = a.int(0)?;
    let (most, timeout) = (a.int(2)?, a.int(3)?);
    let Some(Descriptor::Epoll(watches)) = world.fds.get(&epfd) else {
        return Ok(Outcome::Error(Errno::EINVAL));
    };
    let watches = watches.clone();
    let mut found: Vec<(i64, i64, u32)> = Vec::new();
    for w in &watches {
        let got = ready(world, w.fd) & (w.events | ALWAYS);
        if got != 0 && !w.spent && (w.events & EDGE == 0 || w.edge) && (found.len() as i64) < most {
            found.push((w.fd, w.data, got));
        }
    }
    if found.is_empty() && !over(world, timeout, progress) {
        return Ok(Outcome::Blocks);
    }
    if let Some(Descriptor::Epoll(watches)) = world.fds.get_mut(&epfd) {
        for w in watches.iter_mut().filter(|w| found.iter().any(|f| f.0 == w.fd)) {
            w.edge = false;
            w.spent = w.events & ONESHOT != 0;
        }
    }
    compare_events(a.get(1)?, &found)?;
    Ok(Outcome::Value(found.len() as i64))
}

/// The array of the script against the events reported; one struct may stand without brackets.
fn compare_events(e: &Expr, found: &[(i64, i64, u32)]) -> Result<(), Fault> {
    let wanted: Vec<&Expr> = match &e.kind {
        ExprKind::List(items) => items.iter().collect(),
        ExprKind::Struct(_) => vec![e],
        _ => return Ok(()),
    };
    for (want, (_, data, got)) in wanted.iter().zip(found) {
        if let Some(events) = field(want, "events") {
            same_bits(events, "events", *got)?;
        }
        if let Some(d) = ["fd", "u32", "u64", "data", "ptr"].iter().find_map(|n| field(want, n)) {
            same(d, "the data of the event", *data)?;
        }
    }
    Ok(())
}
